"""Processes that make trainings of a search side by side: on this machine, or wherever Ray has some.

Each opens the data once and then makes one training after the other. One that is lost in the middle of a training is
replaced, and the training made again.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from ..errors import InputError, RecipeError, RunError
from ..planning.hardware import threads_of_each
from ..rows.dataset import Dataset, DataSummary
from ..spine.opening import opened_for
from ..spine.reopening import read_again
from ..training.launch import digest_of
from ..types import Value, returned
from .making import Bench, Job, make
from .records import SearchSpec
from .trial import Tried

_MOST_TIMES_LOST: Final = 3


class Ground(Value, frozen=True):
    """What a process needs to begin.

    Attributes:
        spec: of the search, the threads of each training named.
        data: as the search sees them.
        split: digest of `split.csv`.
        folder: that the data's place is relative to.
    """

    spec: SearchSpec
    data: DataSummary
    split: str
    folder: str

    def with_threads(self, threads: int) -> Ground:
        """For processes of which each has so many."""
        training = msgspec.structs.replace(self.spec.recipe.training, threads=threads)
        recipe = msgspec.structs.replace(self.spec.recipe, training=training)
        return msgspec.structs.replace(self, spec=msgspec.structs.replace(self.spec, recipe=recipe))


class Worker:
    """Makes trainings; lives in a process of its own.

    Args:
        ground: as JSON.
    """

    def __init__(self, ground: bytes) -> None:
        told = msgspec.json.decode(ground, type=Ground)
        with suppress(OSError):
            os.chdir(told.folder)
        self._spec, recipe = told.spec, told.spec.recipe
        dataset = read_again(recipe, told.data, told.split, whose="the search")
        self._bench = Bench.of(opened_for(dataset, recipe), seed=recipe.seed)

    def ready(self) -> bool:
        """The data are open."""
        return True

    def make(self, job: bytes) -> bytes:
        """A `Job` as JSON → what came of it, as JSON."""
        return msgspec.json.encode(returned(make(msgspec.json.decode(job, type=Job), self._spec, self._bench)))


class Hands(Protocol):
    """Processes that make trainings."""

    def free(self) -> int:
        """How many have nothing to do."""
        ...

    def begin(self, job: Job) -> None:
        """Hand a training to one that is free."""
        ...

    def over(self, timeout_s: float) -> list[tuple[Job, Tried]]:
        """What is over by now, after at most so many seconds; a training whose process is lost is made again.

        Raises:
            InputError: a process can't use the data.
            RunError: one training has lost too many processes.
        """
        ...

    def close(self) -> None:
        """End all of them."""
        ...


class Lost:
    """Trainings whose processes were lost: which are to be made again, and how often each was."""

    def __init__(self) -> None:
        self.again: deque[Job] = deque()
        self._times: dict[tuple[str, int], int] = {}

    def add(self, job: Job) -> None:
        """Raises RunError where it has happened too often."""
        key = job.stage, job.number
        self._times[key] = self._times.get(key, 0) + 1
        if self._times[key] >= _MOST_TIMES_LOST:
            raise RunError(
                f"{job.stage} {job.number} has lost {self._times[key]} processes that made it",
                remedy="There may be too little memory for so many: give fewer --workers.",
            )
        self.again.append(job)


class LocalHands:
    """Processes of this machine.

    Args:
        ground: what they begin with.
        count: of them.
    """

    def __init__(self, ground: Ground, count: int) -> None:
        self._ground, self._lost = msgspec.json.encode(ground), Lost()
        self._spawn = multiprocessing.get_context("spawn")
        self._hands = [self._new() for _ in range(count)]

    def free(self) -> int:
        self._again()
        return sum(hand.job is None for hand in self._hands)

    def begin(self, job: Job) -> None:
        hand = next(hand for hand in self._hands if hand.job is None)
        hand.job = job
        with suppress(OSError):
            hand.pipe.send_bytes(msgspec.json.encode(job))

    def over(self, timeout_s: float) -> list[tuple[Job, Tried]]:
        done = []
        ready = wait([hand.pipe for hand in self._hands if hand.job is not None], timeout_s)
        for place, hand in enumerate(self._hands):
            if hand.pipe not in ready or hand.job is None:
                continue
            job, hand.job = hand.job, None
            try:
                answer = msgspec.json.decode(hand.pipe.recv_bytes(), type=_Answer)
            except (EOFError, OSError):
                hand.process.kill()
                self._hands[place] = self._new()
                self._lost.add(job)
                continue
            if answer.refused:
                raise RecipeError(answer.refused)
            assert answer.tried is not None
            done.append((job, answer.tried))
        self._again()
        return done

    def close(self) -> None:
        for hand in self._hands:
            hand.pipe.close()
            hand.process.kill()
            hand.process.join()

    def processes(self) -> list[int]:
        """Their numbers, for those who want to kill one."""
        return [hand.process.pid or 0 for hand in self._hands]

    def _again(self) -> None:
        while self._lost.again and any(hand.job is None for hand in self._hands):
            self.begin(self._lost.again.popleft())

    def _new(self) -> _Hand:
        here, there = self._spawn.Pipe()
        process = self._spawn.Process(target=_serve, args=(there, self._ground), daemon=True)
        process.start()
        there.close()
        return _Hand(process, here)


class _Hand:
    def __init__(self, process: Any, pipe: Connection) -> None:
        self.process, self.pipe = process, pipe
        self.job: Job | None = None


class _Answer(Value, frozen=True):
    """What a process says; `refused`: why the usual settings or the data can't be used."""

    tried: Tried | None = None
    refused: str = ""


def _serve(pipe: Connection, ground: bytes) -> None:
    """The life of a process: until the pipe is closed."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the search
    worker = None
    with suppress(EOFError, OSError):
        while True:
            job = pipe.recv_bytes()
            try:
                worker = worker or Worker(ground)
                answer = b'{"tried":' + worker.make(job) + b"}"
            except InputError as error:
                answer = msgspec.json.encode(_Answer(refused=error.problems[0]))
            pipe.send_bytes(answer)


def ground_for(spec: SearchSpec, data: DataSummary, split: str, *, threads: int) -> Ground:
    """For processes of which each has so many threads, where the recipe does not say."""
    return Ground(spec, data, split, str(Path.cwd())).with_threads(spec.recipe.training.threads or threads)


def hands_for(spec: SearchSpec, dataset: Dataset) -> Hands | None:
    """Those that were asked for; None where the search itself makes the trainings."""
    if not spec.ray and spec.workers in (None, 1):
        return None
    threads = threads_of_each(spec.workers or 1)
    ground = ground_for(spec, dataset.summary, digest_of(dataset), threads=threads)
    if spec.ray:
        from .on_ray import RayHands

        return RayHands(ground, spec.ray, spec.workers)
    return LocalHands(ground, spec.workers or 1)
