"""A stream of batches of one fixed size: passes over the rows, each in its own random order, one behind the other.

A batch of pictures may reach over the end of a pass, so that no shape changes; one of sequences holds rows of similar
length. A pass takes all rows, and then its order follows from (seed, number of the pass) alone; or, late in the
training, only those that cost most when they were last seen: what is known already is skipped. Then the order hangs on
the losses, which `Passes` keeps and a checkpoint holds.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from . import chance
from .augment import Augment
from .encoders import padded_length
from .rows.dataset import Dataset
from .tasks import Task
from .types import Batch, Split

RESIDENT_SHARE: Final = 0.25
"""Share of a GPU's free memory that encoded rows may take to lie there whole."""
RESIDENT_BYTES: Final = 256 * 2**20
"""What encoded rows may take in the processor's memory; larger parts stay in the mapped file."""

TAUGHT: Final = 0.8
"""Share of a row's target that is a teacher's answer."""

_SORTED_BATCHES: Final = 32
_BY_PRODUCT: Final = 64
"""Side of pictures up to which products shrink them."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one part: where they lie, and their labels.

    Attributes:
        indices: `(N,)`, into the data set.
        labels: `(N,)`, class indices.
        lengths: `(N,)`, steps of each; None where rows have none, or all about the same number.
        resident: `(N, *shape)` as stored, in memory on the device; or None: then rows are read from the file.
        taught: `(N, K)`, the probabilities that a teacher gives the classes; None without one.
        teacher: the digest of its file; empty without one.
    """

    dataset: Dataset
    indices: NDArray[np.int64]
    labels: Tensor
    lengths: NDArray[np.int64] | None
    resident: Tensor | None
    taught: Tensor | None = None
    teacher: str = ""

    def __len__(self) -> int:
        return len(self.indices)

    def only(self, positions: NDArray[np.int64]) -> Rows:
        """These rows alone."""
        chosen = torch.from_numpy(positions).to(self.labels.device)
        return Rows(
            self.dataset,
            self.indices[positions],
            self.labels[chosen],
            None if self.lengths is None else self.lengths[positions],
            None if self.resident is None else self.resident[chosen.to(self.resident.device)],
            None if self.taught is None else self.taught[chosen],
            self.teacher,
        )

    def targets(self, positions: NDArray[np.int64], task: Task) -> Tensor:
        """`(n, K)` targets of these rows: by their labels, and where there is a teacher, mostly by what it says."""
        chosen = torch.from_numpy(positions).to(self.labels.device)
        targets = task.targets(self.labels[chosen])
        return targets if self.taught is None else torch.lerp(targets, self.taught[chosen], TAUGHT)

    def inputs(self, positions: NDArray[np.int64]) -> Tensor:
        """These rows as a network takes them; of sequences, no more padding than their longest calls for."""
        if self.resident is not None:
            stored = self.resident[torch.from_numpy(positions).to(self.resident.device)]
        else:
            stored = torch.from_numpy(self.dataset.encoded.take(self.indices[positions])).to(self.labels.device)
        if self.lengths is not None:
            stored = stored[:, : padded_length(int(self.lengths[positions].max()), stored.shape[1])]
        return self.dataset.encoder.inputs(stored)


def open_rows(dataset: Dataset, part: Split, *, device: torch.device, free_bytes: int) -> Rows:
    """The rows of one part, in memory where they are small enough."""
    indices = dataset.parts[part]
    needed = len(indices) * dataset.encoded.row_bytes
    most = RESIDENT_SHARE * free_bytes if device.type == "cuda" else min(RESIDENT_BYTES, RESIDENT_SHARE * free_bytes)
    resident = _read_all(dataset, indices).to(device) if needed <= most else None
    labels = torch.from_numpy(dataset.labels[indices]).to(device)
    return Rows(dataset, indices, labels, _lengths(dataset, indices), resident)


def _lengths(dataset: Dataset, indices: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Steps of each row; None where rows have none, or all are stored without padding."""
    encoder = dataset.encoder
    if encoder.lengths(np.zeros((0, *encoder.shape), encoder.storage)) is None:
        return None
    found = [encoder.lengths(block) for _, block in dataset.encoded.blocks(indices)]
    lengths = np.concatenate([part for part in found if part is not None])
    most = encoder.shape[0]
    return lengths if padded_length(int(lengths.min(initial=most)), most) < most else None


class Passes:
    """Which rows come when.

    Skipping easy rows follows the data filtering of airbench96 (K. Jordan 2024), which trains a small network first to
    find them; here the losses are those of the training itself, so that they cost nothing.

    Args:
        rows: of the training part.
        seed: of the order.
        skip: share of the rows that a late pass leaves out, the ones of least loss; 0 for none.
        between: shares of the training after which passes are late, and from which they are whole again.
        lengths: `(rows,)`, where batches shall hold rows of similar length.
    """

    def __init__(
        self,
        rows: int,
        *,
        seed: int,
        skip: float = 0.0,
        between: tuple[float, float] = (0.0, 1.0),
        lengths: NDArray[np.int64] | None = None,
    ) -> None:
        self._rows, self._seed, self._skip, self._between, self._lengths = rows, seed, skip, between, lengths
        self._order: NDArray[np.int64] | None = None
        self._losses = torch.full((rows,), math.inf)
        self._pool: NDArray[np.int64] | None = None
        self._number = self._taken = 0

    def take(self, size: int, progress: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The next batch: positions `(size,)` in the part, and the number of the pass that each belongs to."""
        positions, passes, left = [], [], size
        while left:
            order = self._order = self._ordered(size) if self._order is None else self._order
            chosen = order[self._taken : self._taken + left]
            positions.append(chosen)
            passes.append(np.full(len(chosen), self._number))
            left -= len(chosen)
            self._taken += len(chosen)
            if self._taken == len(order):
                self._begin_pass(progress)
        return np.concatenate(positions), np.concatenate(passes)

    def learnt(self, positions: NDArray[np.int64], losses: Tensor) -> None:
        """What these rows cost just now, `(N,)`."""
        if self._skip:
            self._losses = self._losses.to(losses.device)
            self._losses[torch.from_numpy(positions).to(losses.device)] = losses.float()

    def state(self) -> dict[str, Tensor]:
        """All that decides what comes next."""
        pool = np.arange(0) if self._pool is None else self._pool
        place = torch.tensor([self._number, self._taken, self._pool is not None])
        return {"place": place, "pool": torch.from_numpy(pool)} | ({"losses": self._losses} if self._skip else {})

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take a state that `state` gave."""
        self._number, self._taken, chosen = map(int, state["place"])
        self._pool = state["pool"].numpy() if chosen else None
        self._losses, self._order = state.get("losses", self._losses), None

    def _ordered(self, size: int) -> NDArray[np.int64]:
        """The rows of this pass in their order."""
        if self._pool is None:
            order = chance.permutation(self._seed, "order", self._number, self._rows)
        else:
            order = self._pool[chance.permutation(self._seed, "order", self._number, len(self._pool))]
        if self._lengths is None:
            return order
        return _by_length(order, self._lengths, size, seed=self._seed, epoch=self._number)

    def _begin_pass(self, progress: float) -> None:
        self._number, self._taken, self._pool, self._order = self._number + 1, 0, None, None
        if self._skip and self._between[0] <= progress < self._between[1]:
            kept = max(1, round((1 - self._skip) * self._rows))
            dearest = torch.sort(self._losses, descending=True, stable=True).indices[:kept]
            self._pool = np.sort(dearest.cpu().numpy())


def batch_of(
    rows: Rows,
    positions: NDArray[np.int64],
    passes: NDArray[np.int64],
    *,
    seed: int,
    task: Task,
    augment: Augment,
    scale: float = 1.0,
) -> Batch:
    """These rows, normalised and augmented.

    Args:
        rows: of the training part.
        positions: `(N,)`, in the part.
        passes: `(N,)`, how often each row could have been seen before; the augmentation differs between passes.
        seed, task, augment: of the training.
        scale: of height and width, at most 1: small pictures cost less while the coarse is learnt.
    """
    inputs, targets = rows.inputs(positions), rows.targets(positions, task)
    indices = rows.indices[positions]
    inputs, targets = augment.apply(inputs, targets, seed=seed, epochs=passes, rows=indices)
    return Batch(inputs=shrunk(inputs, scale), targets=targets, rows=indices)


def shrunk(inputs: Tensor, scale: float) -> Tensor:
    """`(N, C, H, W)` scaled down with antialiasing, to sides as `shrunk_side` gives them.

    On a processor small pictures are, by two matrix products: in a fifth of the time.
    """
    if scale >= 1:
        return inputs
    rows, channels, *sides = inputs.shape
    height, width = (shrunk_side(side, scale) for side in sides)
    if inputs.device.type != "cpu" or max(sides) > _BY_PRODUCT:
        smaller = _interpolated(inputs, height, width)
        return smaller.contiguous(memory_format=torch.channels_last)
    down, across = _shrinking((sides[0], sides[1]), (height, width), channels, inputs.dtype)
    lines = torch.matmul(down, inputs.permute(0, 2, 3, 1).reshape(rows, sides[0], sides[1] * channels))
    return (lines.view(rows * height, -1) @ across).view(rows, height, width, channels).permute(0, 3, 1, 2)


def _interpolated(inputs: Tensor, height: int, width: int) -> Tensor:
    return nn.functional.interpolate(inputs, (height, width), mode="bilinear", antialias=True, align_corners=False)


@functools.cache
def _shrinking(
    sides: tuple[int, int], smaller: tuple[int, int], channels: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """What shrunk lines take of whole ones, `(h, H)`; and what shrunk pixels of a line take, `(W C, w C)`."""
    down, right = (
        _interpolated(torch.eye(side, dtype=torch.float64)[None, None], size, side)[0, 0]
        for side, size in zip(sides, smaller, strict=True)
    )
    across = torch.kron(right.T.contiguous(), torch.eye(channels, dtype=torch.float64))  # each channel by itself
    return down.to(dtype), across.to(dtype)


def shrunk_side(side: int, scale: float) -> int:
    """A side scaled down and rounded to a multiple of 4."""
    return max(4, 4 * round(scale * side / 4))


def in_order(rows: Rows, *, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """All rows once, unaugmented, the shortest first: inputs and labels `(n,)`; the last batch is smaller."""
    order = np.arange(len(rows)) if rows.lengths is None else np.argsort(rows.lengths, kind="stable")
    for start in range(0, len(rows), size):
        positions = order[start : start + size]
        yield rows.inputs(positions), rows.labels[torch.from_numpy(positions).to(rows.labels.device)]


def _read_all(dataset: Dataset, indices: NDArray[np.int64]) -> Tensor:
    whole: NDArray[Any] = np.empty((len(indices), *dataset.encoder.shape), dataset.encoder.storage)
    start = 0
    for chosen, block in dataset.encoded.blocks(indices):
        whole[start : start + len(chosen)] = block
        start += len(chosen)
    return torch.from_numpy(whole)


def _by_length(
    order: NDArray[np.int64], lengths: NDArray[np.int64], size: int, *, seed: int, epoch: int
) -> NDArray[np.int64]:
    """The same order but for this: batches hold rows of similar length, and follow one another at random.

    Rows are sorted within stretches of some batches, so that each pass mixes them anew. A pass ends with its last whole
    batch; which rows are then left out changes from pass to pass.
    """
    whole = len(order) // size * size
    if not whole:
        return order
    stretches = [order[start : start + _SORTED_BATCHES * size] for start in range(0, whole, _SORTED_BATCHES * size)]
    stretches[-1] = stretches[-1][: whole - (len(stretches) - 1) * _SORTED_BATCHES * size]
    by_length = [part[np.argsort(lengths[part], kind="stable")] for part in stretches]
    batches = np.concatenate(by_length).reshape(-1, size)
    shuffled: NDArray[np.int64] = batches[chance.permutation(seed, "batches", epoch, len(batches))].reshape(-1)
    return shuffled
