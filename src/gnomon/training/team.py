"""Several processes that train one network together: who computes what, and sums with the same bits for any number.

A batch is cut into a fixed number of shards, which the plan names. Each is computed by itself, by whichever process has
it; what they give is added in the order of one binary tree over the shards. A process that has a whole branch of the
tree adds that branch by itself. So the bits hang on the shards and not on the processes, and when a process is lost,
the first one goes on alone, to the same bits.

The first process, the leader, decides everything; the others do as they hear (`following`). Where the weights are
divided too (`fsdp`), no process has them all, and none can go on alone. Gradients are then summed within the backward
pass, block by block: all processes compute neighbouring shards at the same time, which is a branch of the same tree.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
import torch
from torch import Tensor, nn

from ..errors import LostError
from ..fsdp import Branches, tree_sum
from ..planning.progress import Change
from ..rundir.checkpoints import Position, Snapshot
from ..types import Value

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

SILENCE_S: Final = 30.0
"""After so long without a word from another process it counts as lost."""

_SIGN_S: Final = 5.0
_ORDER_BYTES: Final = 512
_OF_THE_NET: Final = re.compile(r"gloo|nccl|connection|timed out", re.IGNORECASE)
_PLACE: Final = re.compile(r"^\[[^\]]*\]\s*")


class Advance(Value, tag="advance", frozen=True):
    """Make a step."""


class Bend(Value, tag="bend", frozen=True):
    """The plan changes."""

    change: Change


class Validate(Value, tag="validate", frozen=True):
    """Compute the outputs of your share of the validation rows."""


class Described(Value, frozen=True):
    """A tensor that follows."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class Take(Value, tag="take", frozen=True):
    """A training's state follows, tensor by tensor."""

    position: Position
    tensors: tuple[Described, ...]
    weights: tuple[Described, ...]


class Keep(Value, tag="keep", frozen=True):
    """The network of now is the best one. Said only where weights are divided, as the next two."""

    score: float


class GoBack(Value, tag="go back", frozen=True):
    """To the best network."""

    change: Change


class Gather(Value, tag="gather", frozen=True):
    """Hand over your shares of the training's state.

    Attributes:
        now: whether the network of now is to predict, and not the best one.
    """

    now: bool


class Wait(Value, tag="wait", frozen=True):
    """All is well."""


class Leave(Value, tag="leave", frozen=True):
    """The training is over."""


Order: TypeAlias = Advance | Bend | Validate | Take | Keep | GoBack | Gather | Wait | Leave


def can_share(shards: int, processes: int) -> bool:
    """Whether so many processes have whole branches of the tree over so many shards."""
    powers = shards & (shards - 1) == 0 and processes & (processes - 1) == 0
    return processes in (1, shards) or (powers and processes <= shards)


def most_that_share(shards: int, processes: int) -> int:
    """As many of the processes as can; the others are spare."""
    return max(count for count in range(1, processes + 1) if can_share(shards, count))


class Team:
    """The processes of one training, as one of them sees them; by itself, a team of one.

    Args:
        rank: of this process; 0 leads.
        size: processes.
        sums, orders: groups of `torch.distributed` for both kinds of messages; none for a team of one.
        alike: whether all round alike. If not, their weights drift apart, and are to be made the same now and then.

    Attributes:
        divided: whether each has but its share of the weights.
    """

    def __init__(
        self,
        rank: int = 0,
        size: int = 1,
        *,
        sums: ProcessGroup | None = None,
        orders: ProcessGroup | None = None,
        alike: bool = True,
    ) -> None:
        self.rank, self.size, self.alike, self.divided = rank, size, alike, False
        self._sums, self._orders = sums, orders
        self._saying, self._adding, self._over = threading.Lock(), False, threading.Event()
        self._lost = ""
        if rank == 0 and size > 1:
            threading.Thread(target=self._signs, daemon=True, name="signs").start()

    # --- Orders -------------------------------------------------------------------------------------------------------

    def order(self, order: Order) -> None:
        """Leader: tell all others what to do next. After `Advance` and `Validate`, `summed` is to be called."""
        if self.rank or self.size == 1:
            return
        with self._saying:
            try:
                self._say(msgspec.json.encode(order))
            except RuntimeError as error:
                self._go_on_alone(error)
            self._adding = isinstance(order, Advance | Validate)

    def hear(self) -> Order:
        """Another process: what to do next.

        Raises:
            LostError: nothing was heard for long.
        """
        try:
            told = torch.zeros(_ORDER_BYTES, dtype=torch.uint8)
            self._broadcast(told)
            length = int.from_bytes(told[:8].numpy().tobytes(), "little")
            content = told[8 : 8 + length]
            if length > _ORDER_BYTES - 8:
                content = torch.zeros(length, dtype=torch.uint8)
                self._broadcast(content)
        except RuntimeError as error:
            raise LostError(f"the first process is lost: {short(error)}") from None
        found: Order = msgspec.json.decode(content.numpy().tobytes(), type=Order)
        return found

    def give(self, snapshot: Snapshot) -> None:
        """Leader: have the others go on from this state."""
        if self.rank or self.size == 1:
            return
        tensors, weights = (_described(part) for part in (snapshot.tensors, snapshot.weights))
        order = msgspec.json.encode(Take(snapshot.position, tensors, weights))
        flat = [_bytes_of(tensor) for tensor in (*snapshot.tensors.values(), *snapshot.weights.values())]
        with self._saying:
            try:
                self._say(order)
                for content in flat:
                    self._broadcast(content)
            except RuntimeError as error:
                self._go_on_alone(error)

    def leave(self) -> None:
        """The training is over: the others may go. The team is then one of this process alone."""
        with suppress(LostError):
            self.order(Leave())
        self._over.set()
        self.rank, self.size, self._sums, self._orders = 0, 1, None, None

    def taken(self, order: Take) -> Snapshot:
        """Another process: the state that follows an order."""
        try:
            tensors, weights = (self._received(part) for part in (order.tensors, order.weights))
        except RuntimeError as error:
            raise LostError(f"the first process is lost: {short(error)}") from None
        return Snapshot(order.position, tensors, weights)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Where weights are divided, that another process is lost may show in any operation.

        Raises:
            LostError: it is.
        """
        try:
            yield
        except RuntimeError as error:
            if not self.divided or not _OF_THE_NET.search(str(error)):
                raise
            raise _lost_with_its_share(error) from None

    def lost(self) -> str:
        """Why the leader goes on alone, once after it happened; else nothing."""
        why, self._lost = self._lost, ""
        return why

    # --- Sums ---------------------------------------------------------------------------------------------------------

    def shards(self, count: int) -> range:
        """Those of this process: a branch of the tree, or its share of each branch as large as the team."""
        if self.divided:
            return range(self.rank, count, self.size)
        return range(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def summed(self, own: Tensor) -> Tensor:
        """`own` of all processes, added in the order of the tree.

        Each process adds one stretch of all vectors and hands it round, so that it sends its own twice, however many
        there are.

        Args:
            own: `(n,)`, float32, of the same length everywhere.

        Raises:
            LostError: another process is gone. The leader is then alone, unless the weights are divided.
        """
        if self.size == 1:
            return own
        import torch.distributed as dist

        stretch = -(-len(own) // self.size)
        sent = torch.zeros(stretch * self.size, dtype=own.dtype, device=own.device)
        sent[: len(own)] = own
        parts = torch.empty_like(sent)
        try:
            dist.all_to_all_single(parts, sent, group=self._sums)
            total = tree_sum(parts.view(self.size, stretch).unbind())
            dist.all_gather_single(sent, total.contiguous(), group=self._sums)
        except RuntimeError as error:
            if self.rank == 0:
                self._go_on_alone(error)
            raise LostError(f"another process is lost: {short(error)}") from None
        self._adding = False
        return sent[: len(own)]

    # --- Inside -------------------------------------------------------------------------------------------------------

    def _say(self, content: bytes) -> None:
        told = bytes(len(content).to_bytes(8, "little")) + content[: _ORDER_BYTES - 8]
        self._broadcast(torch.frombuffer(bytearray(told.ljust(_ORDER_BYTES, b"\0")), dtype=torch.uint8))
        if len(content) > _ORDER_BYTES - 8:
            self._broadcast(torch.frombuffer(bytearray(content), dtype=torch.uint8))

    def _broadcast(self, tensor: Tensor) -> None:
        import torch.distributed as dist

        if tensor.numel():
            dist.broadcast(tensor, 0, group=self._orders)

    def _received(self, described: Sequence[Described]) -> dict[str, Tensor]:
        found = {part.name: torch.empty(part.shape, dtype=getattr(torch, part.dtype)) for part in described}
        for tensor in found.values():
            self._broadcast(_bytes_of(tensor))
        return found

    def _go_on_alone(self, error: RuntimeError) -> None:
        if self.divided:
            raise _lost_with_its_share(error) from None
        self.size, self._lost, self._adding = 1, short(error), False
        self._over.set()

    def _signs(self) -> None:
        """Tells the others now and then that all is well, while the leader is busy with something of its own."""
        while not self._over.wait(_SIGN_S):
            if not self._adding:
                with suppress(LostError):  # the training's own thread will see
                    self.order(Wait())


def _lost_with_its_share(error: RuntimeError) -> LostError:
    return LostError(
        f"another process is lost, and its share of the weights with it: {short(error)}",
        remedy="The last checkpoint has them all; gnomon resume RUN --processes N goes on from it, with any number.",
    )


def _bytes_of(tensor: Tensor) -> Tensor:
    """Of its numbers in their order; the same memory, where it has the usual layout."""
    flat = tensor.reshape(-1)
    return (flat if flat.stride() == (1,) else flat.clone(memory_format=torch.contiguous_format)).view(torch.uint8)


def short(error: BaseException) -> str:
    """Its first sentence, without the place in a library's source."""
    return _PLACE.sub("", str(error)).split(". ")[0].strip()[:120]


def _described(tensors: dict[str, Tensor]) -> tuple[Described, ...]:
    kinds = {name: str(tensor.dtype).removeprefix("torch.") for name, tensor in tensors.items()}
    return tuple(Described(name, kinds[name], tuple(tensor.shape)) for name, tensor in tensors.items())


# --- What the shards of a batch give ----------------------------------------------------------------------------------

Computed: TypeAlias = Callable[[int, int], tuple[Tensor, slice, int]]
"""(shard, parts that it is cut into) → each of its rows' losses; where in the batch they are; and into how many parts
it was cut in the end. Adds to the gradients."""


class Shards:
    """Gradients, running means and losses of batches that are computed in shards.

    A shard is a batch of its own for all that looks at several rows: norms over a batch, mixing of rows, padding.
    Running means move as far as they do on the mean over the shards.

    Args:
        model: whose gradients and buffers.
        count: of shards.
        rows: of a batch.
        divided: whether weights are, so that their gradients are summed in the backward pass already.
    """

    def __init__(self, model: nn.Module, count: int, rows: int, *, divided: bool = False) -> None:
        self._count, self._rows, self._divided = count, rows, divided
        trained = [weight for weight in model.parameters() if weight.requires_grad]
        self._weights, self._shares = ([], trained) if divided else (trained, [])
        buffers = list(model.buffers())
        self._means = [buffer for buffer in buffers if buffer.is_floating_point()]
        self._buffers = self._means + [buffer for buffer in buffers if not buffer.is_floating_point()]

    def gradients(self, team: Team, computed: Computed, parts: int) -> tuple[Tensor, int]:
        """The gradients of the whole batch, left with the weights.

        Returns:
            Each row's loss, `(rows,)`; and into how many parts a shard was cut where memory was short: the same for all
            processes, since the bits may hang on it.

        Raises:
            LostError: another process is lost, and this one does not lead.
        """
        before = [buffer.clone() for buffer in self._buffers]
        while True:
            vectors: list[Tensor] = []
            branches = Branches(self._shares)
            for shard in team.shards(self._count):
                for buffer, value in zip(self._buffers, before, strict=True):
                    buffer.copy_(value)
                for weight in self._weights:
                    weight.grad = None
                losses, where, most = computed(shard, parts)
                vectors.append(self._vector(losses, where, before, team, most))
                branches.grow()
            branches.end()
            try:
                total = self._total(vectors, team)
            except LostError:
                if team.rank or team.divided:
                    raise
                continue  # alone: all shards are its own now
            most = int(total[-team.size :].max())
            if most == parts:
                self._spread(total, before)
                return total[-team.size - self._rows : -team.size].clone(), parts
            parts = most

    def _vector(self, losses: Tensor, where: slice, before: list[Tensor], team: Team, parts: int) -> Tensor:
        """Gradients, which weights have any, changes of running means, losses, and each process's parts."""
        slopes = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in self._weights]
        rest = torch.zeros(len(self._weights) + self._rows + team.size, device=losses.device)
        there, of_rows, of_processes = torch.split(rest, [len(self._weights), self._rows, team.size])
        there.copy_(torch.tensor([float(weight.grad is not None) for weight in self._weights]))
        of_rows[where] = losses.float()
        of_processes[team.rank] = parts
        changes = [buffer - value for buffer, value in zip(self._means, before, strict=False)]
        pieces = (*slopes, there, *changes, of_rows, of_processes)
        return torch.cat([piece.detach().float().reshape(-1) for piece in pieces])

    def _total(self, vectors: list[Tensor], team: Team) -> Tensor:
        """Of all shards, in the order of the tree; where weights are divided, over the processes first."""
        if not self._divided:
            return team.summed(_with_most(vectors, team.size))
        return _with_most(list(team.summed(torch.cat(vectors)).view(len(vectors), -1)), team.size)

    def _spread(self, total: Tensor, before: list[Tensor]) -> None:
        """Each weight its gradient, each running mean its value."""
        sizes = [weight.numel() for weight in self._weights]
        *slopes, there, rest = torch.split(total, [*sizes, len(sizes), len(total) - sum(sizes) - len(sizes)])
        for weight, slope, count in zip(self._weights, slopes, there.tolist(), strict=True):
            weight.grad = torch.empty_like(weight).copy_(slope.view(weight.shape)) if count else None
        start = 0
        for buffer, value in zip(self._means, before, strict=False):
            change = rest[start : start + buffer.numel()].view(buffer.shape) / self._count
            buffer.copy_(value + change.to(buffer.dtype))
            start += buffer.numel()


def _with_most(vectors: list[Tensor], size: int) -> Tensor:
    """The sum of a process's shards; of its parts the most, since they are no summands."""
    parts = torch.stack([vector[-size:] for vector in vectors]).amax(dim=0)
    total = tree_sum(vectors).clone()
    total[-size:] = parts
    return total
