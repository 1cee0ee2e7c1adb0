"""The other processes of a training: started here, or met where `torchrun` started them.

They meet through a store. Each says there that it has come, waits for the leader's word on what is trained (`Begin`),
reads the data, says that it is ready, and then they are a `Team`. `torchrun` starts processes again when one is lost,
at different times and with the same store; so each coming has a number, each leader a name, and nothing old is taken
for new. What is started here talks over the loopback device alone and meets in a folder that only this user can read;
it ends when this process does.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import torch
from torch import nn

from ..deadline import Deadline
from ..errors import LostError, RecipeError, RunError
from ..planning.asked import TrainingSpec
from ..planning.hardware import surroundings, threads_of_each
from ..planning.plan import Plan
from ..rows.dataset import Dataset, DataSummary, split_table
from ..types import Decision, Value, plural
from ..version import VERSION
from .team import SILENCE_S, Team, can_share, most_that_share, short

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

PROGRAM: Final = "gnomon.spine.following"
_COMING, _BEGIN, _READY, _FAULT, _OVER = "coming", "begin", "ready", "fault", "over"
_LONGEST_S: Final = 24 * 3600.0
_WAITED_SHARE, _WAITED_S, _LOOK_S = 0.3, 600.0, 0.05
_STEPS_OF_SILENCE: Final = 10
_STARTED_HERE: Final = "GNOMON_MEETS_IN"


class Begin(Value, frozen=True):
    """What is trained.

    Attributes:
        recipe: as TOML.
        plan: that was made.
        data: as the leader sees them.
        split: digest of `split.csv`.
        leader: its name in this life.
        size: processes that take part; where `torchrun` has started more, the last ones are spare.
    """

    leader: str
    size: int
    recipe: str
    plan: Plan
    data: DataSummary
    split: str


def under_torchrun() -> bool:
    """Whether this process is one that `torchrun` started; there may be others."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def is_led() -> bool:
    """Whether this process is one of them, and not the first."""
    return under_torchrun() and os.environ["RANK"] != "0"


def processes_of(training: TrainingSpec) -> int:
    """How many there are to be."""
    return int(os.environ["WORLD_SIZE"]) if under_torchrun() else training.processes


def threads_for(training: TrainingSpec) -> int | None:
    """Threads of an operation in each process; None for all cores."""
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if under_torchrun() else training.processes
    return training.threads or (threads_of_each(here) if processes_of(training) > 1 else None)


def digest_of(dataset: Dataset) -> str:
    """By which processes see that they have the same rows in the same parts."""
    return hashlib.sha256(split_table(dataset).encode()).hexdigest()


def require_sharing(shards: int, processes: int) -> None:
    """Raises RecipeError where so many processes can't share so many shards."""
    if not can_share(shards, processes):
        raise RecipeError(
            f"{shards} shards can't be shared by {processes} processes",
            remedy="Give as many processes as shards, or a power of two where the shards are one too.",
        )


def shards_of(training: TrainingSpec, batch: int, module: nn.Module | None) -> tuple[int, tuple[Decision, ...]]:
    """Into how many shards a batch is cut, and why.

    Raises:
        RecipeError: the processes that are asked for can't share them, or there is but one to divide weights.
    """
    processes = processes_of(training)
    shards = training.shards or processes
    if shards == 1:
        if training.fsdp:
            raise RecipeError("one process has nobody to divide the weights with", remedy="Give --processes N.")
        return 1, ()
    if not under_torchrun():
        require_sharing(shards, processes)
    if processes > 1 and module is not None:
        raise RecipeError("a module in memory can't be handed to other processes", remedy="Give its name: --model.")
    if batch < shards:
        raise RecipeError(f"a batch of {batch} rows has no {shards} shards", remedy="Give a larger --batch.")
    value = f"{plural(processes, 'process', 'processes')}, a batch in {plural(shards, 'shard')}"
    return shards, (Decision(name="processes", value=value, reason="asked for"),)


class Meeting:
    """Where the leader meets the others.

    Args:
        store: of `torch.distributed`; None where there are no others.
        size: processes in all.
        started: those that were started here.
    """

    def __init__(self, store: Store | None, size: int, started: list[subprocess.Popen[bytes]]) -> None:
        self._store, self.size, self._started = store, size, started
        self._name, self._begin, self._told = secrets.token_hex(8), "", set[str]()

    def team(self, recipe: str, plan: Plan, dataset: Dataset, deadline: Deadline) -> tuple[Team, str]:
        """Say what is trained, and wait until all are ready: up to 30 % of the time that is left, or ten minutes.

        Returns:
            The team; and if it is this process alone, why.

        Raises:
            RunError: another process can't take part, for a reason that it gives.
        """
        if self._store is None:
            return Team(), ""
        self.size = most_that_share(plan.shards, self.size) if under_torchrun() else self.size
        require_sharing(plan.shards, self.size)
        begin = Begin(self._name, self.size, recipe, plan, dataset.summary, digest_of(dataset))
        wait_s = _WAITED_SHARE * deadline.remaining_s() if deadline.is_set else _WAITED_S
        self._begin = msgspec.json.encode(begin).decode()
        late = self._late(time.monotonic() + wait_s)
        try:
            if late:
                return Team(), late
            places = [f"{_READY}/{self._name}/{rank}" for rank in range(1, self.size)]
            alike = all(self._store.get(place).decode() == _kind(plan) for place in places)
            return joined(self._store, 0, begin, alike=alike), ""
        except LostError as error:
            return Team(), str(error)

    def over(self) -> None:
        """Nobody waits any more."""
        if self._store is None or not under_torchrun() or not self._begin:
            return
        with suppress(RuntimeError):
            self._store.set(f"{_OVER}/{self._name}", "1")
            until_s = time.monotonic() + SILENCE_S  # a spare one may only be coming
            while not self._tell() and time.monotonic() < until_s:
                time.sleep(_LOOK_S)

    def _late(self, until_s: float) -> str:
        """Why not all others are ready; empty as soon as they are."""
        assert self._store is not None
        for rank in range(1, self.size):
            while not self._store.check([f"{_READY}/{self._name}/{rank}"]):
                self._tell()
                if self._store.check([f"{_FAULT}/{self._name}/{rank}"]):
                    said = self._store.get(f"{_FAULT}/{self._name}/{rank}").decode()
                    raise RunError(f"process {rank + 1} of {self.size} can't take part: {said}")
                if self._started and self._started[rank - 1].poll() is not None:
                    return f"process {rank + 1} of {self.size} ended before it began"
                if time.monotonic() > until_s:
                    return f"process {rank + 1} of {self.size} is not ready in time"
                time.sleep(_LOOK_S)
        return ""

    def _tell(self) -> bool:
        """What is trained, once to each coming, spare ones too. Returns whether all others have come."""
        assert self._store is not None
        others = int(os.environ["WORLD_SIZE"]) if under_torchrun() else self.size
        comings = [self._store.add(f"{_COMING}/{rank}", 0) for rank in range(1, others)]
        for rank, coming in enumerate(comings, 1):
            place = f"{_BEGIN}/{rank}/{coming}"
            if coming and place not in self._told:
                self._told.add(place)
                self._store.set(place, self._begin)
        return all(comings)


@contextmanager
def meeting(training: TrainingSpec) -> Iterator[Meeting]:
    """The other processes, started as early as can be, since they load what this one has loaded; gone at the end."""
    size = processes_of(training)
    if size == 1:
        yield Meeting(None, 1, [])
    elif under_torchrun():
        met = Meeting(_store_of_torchrun(), size, [])
        try:
            yield met
        finally:
            met.over()
            part()
    else:
        with tempfile.TemporaryDirectory(prefix="gnomon-") as folder:
            started = [_start(Path(folder), rank, size) for rank in range(1, size)]
            try:
                yield Meeting(_store_in(Path(folder), size), size, started)
            finally:
                part()
                for process in started:
                    assert process.stdin is not None
                    process.stdin.close()
                    process.kill()
                    process.wait()


def join() -> tuple[Store, int, int]:
    """Another process: the store where it meets the leader, its rank, and how many there are.

    Raises:
        LostError: the store is not there.
    """
    if under_torchrun():
        return _store_of_torchrun(), int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    threading.Thread(target=_end_with_the_leader, daemon=True).start()
    folder, rank, size = os.environ[_STARTED_HERE].split("\n")
    return _store_in(Path(folder), int(size)), int(rank), int(size)


def heard(store: Store, rank: int) -> Begin:
    """Another process: what is trained, as soon as the leader knows.

    Raises:
        LostError: the store is gone.
    """
    try:
        place = f"{_BEGIN}/{rank}/{store.add(f'{_COMING}/{rank}', 1)}"
        store.wait([place], timedelta(seconds=_LONGEST_S))
        begin: Begin = msgspec.json.decode(store.get(place), type=Begin)
    except RuntimeError as error:
        raise LostError(f"the first process is lost: {short(error)}") from None
    return begin


def say_ready(store: Store, rank: int, begin: Begin) -> None:
    """Another process: it has the data."""
    store.set(f"{_READY}/{begin.leader}/{rank}", _kind(begin.plan))


def wait_until_over(store: Store, begin: Begin) -> None:
    """A spare process: until the training is over.

    Raises:
        LostError: the store is gone.
    """
    try:
        store.wait([f"{_OVER}/{begin.leader}"], timedelta(seconds=_LONGEST_S))
    except RuntimeError as error:
        raise LostError(f"the first process is lost: {short(error)}") from None


def say_fault(store: Store, rank: int, begin: Begin, said: str) -> None:
    """Another process: it can't take part."""
    with suppress(RuntimeError):
        store.set(f"{_FAULT}/{begin.leader}/{rank}", said)


def joined(store: Store, rank: int, begin: Begin, *, alike: bool = True) -> Team:
    """The team, once all are ready.

    Raises:
        LostError: another one is no longer there.
    """
    import torch.distributed as dist
    from torch.distributed.distributed_c10d import PrefixStore

    plan, size = begin.plan, begin.size
    silence = timedelta(seconds=max(SILENCE_S, _STEPS_OF_SILENCE * plan.step_s))
    backend = "cpu:gloo,cuda:nccl" if plan.device.startswith("cuda") else "gloo"
    try:
        met = PrefixStore(begin.leader, store)
        dist.init_process_group(backend, store=met, rank=rank, world_size=size, timeout=silence)
        orders = dist.new_group(backend="gloo", timeout=silence)
    except RuntimeError as error:
        raise LostError(f"another process is lost: {short(error)}") from None
    return Team(rank, size, sums=dist.group.WORLD, orders=orders, alike=alike)


def _kind(plan: Plan) -> str:
    """What rounding hangs on: processors of different kinds drift apart."""
    here = surroundings(plan.device, version=VERSION)
    return "\n".join((here.processor, here.instructions, here.device, here.torch))


def part() -> None:
    """The processes are no team any more."""
    import torch.distributed as dist

    if dist.is_initialized():
        with suppress(RuntimeError):
            dist.destroy_process_group()


def _start(folder: Path, rank: int, size: int) -> subprocess.Popen[bytes]:
    """Another process, in a session of its own: Ctrl-C is for the leader. The pipe tells it when the leader is gone."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo" if sys.platform == "linux" else "lo0")
    place = "\n".join((str(folder), str(rank), str(size)))
    return subprocess.Popen(
        [sys.executable, "-m", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, _STARTED_HERE: place, "LOCAL_RANK": str(rank)},
    )


def _end_with_the_leader() -> None:
    """Reads without a buffer, whose lock would be held when this process ends by itself."""
    with suppress(OSError):
        while os.read(sys.stdin.fileno(), 1):
            pass
    os._exit(1)


def _store_in(folder: Path, size: int) -> Store:
    from torch._C._distributed_c10d import FileStore

    return FileStore(str(folder / "store"), size)


def _store_of_torchrun() -> Store:
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    try:  # the address may be that of a machine that is gone: then torchrun is to start anew
        store, _, _ = next(rendezvous("env://", timeout=timedelta(seconds=SILENCE_S)))
    except RuntimeError as error:
        raise LostError(f"the first process can't be reached: {short(error)}") from None
    return PrefixStore("gnomon", store)


def device_of(plan: Plan) -> str:
    """The device of this process: with several GPUs on a machine, each process has its own."""
    if plan.device == "cuda" and torch.cuda.device_count() > 1:
        return f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % torch.cuda.device_count()}"
    return plan.device
