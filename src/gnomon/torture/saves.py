"""A process that does nothing but save is killed again and again: a checkpoint must be there each time, and right."""

from __future__ import annotations

import os
import random
import select
import signal
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from safetensors.numpy import load, save

from ..rundir.run import Run, create_run
from . import Tried

_TENSOR: Final = 40_000
_STATE: Final = "state.safetensors"
_SHORTEST_S, _LONGEST_S = 0.001, 0.04
_STEP: Final = struct.Struct("<q")
_LONGEST_WAIT_S: Final = 60.0


def saves(folder: Path, *, count: int, seed: int) -> Iterator[Tried]:
    """So many kills of a process that saves in a loop, some milliseconds after it has begun to.

    After each: a checkpoint that matches its manifest is there; it is the last one whose saving was acknowledged, or a
    later one; and its tensors are those of its step.

    Args:
        folder: an empty one.
        count: of kills.
        seed: of the moments.
    """
    chance, run = random.Random(seed), create_run(folder / "run", data="saves", model="none")
    begun = 0
    for _ in range(count):
        seconds = chance.uniform(_SHORTEST_S, _LONGEST_S)
        again = chance.random() < 0.2  # the same step anew, as after a return to it
        acknowledged = _kill_one(run, begun + (0 if again and begun else 1), seconds)
        found, problem = _found(run, acknowledged or begun)
        yield Tried(what=f"killed after {1000 * seconds:.1f} ms of saving", held=not problem, found=problem)
        begun = found


def _kill_one(run: Run, first: int, seconds: float) -> int:
    """Kill a process that saves the steps from `first` on. Returns the last one that it said was saved, or 0."""
    reader, writer = os.pipe()
    process = os.fork()
    if not process:
        _save_on(run, first, writer)
    os.close(writer)
    try:
        select.select([reader], [], [], _LONGEST_WAIT_S)  # it lives
        time.sleep(seconds)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        said = b"".join(iter(lambda: os.read(reader, 2**16), b""))
    finally:
        os.close(reader)
    steps: list[int] = [step for (step,) in _STEP.iter_unpack(said[: len(said) // _STEP.size * _STEP.size])]
    return steps[-1]


def _save_on(run: Run, first: int, writer: int) -> None:
    try:
        os.write(writer, _STEP.pack(0))
        run.remove_leftovers()
        for step in range(first, first + 10**6):
            run.save_checkpoint(step, {_STATE: save({"step": np.full(_TENSOR, step)}), "state.json": b"%d" % step})
            os.write(writer, _STEP.pack(step))
    finally:
        os._exit(1)


def _found(run: Run, least: int) -> tuple[int, str]:
    """The step of the latest checkpoint, and what is wrong with it."""
    checkpoint = run.latest_checkpoint()
    if checkpoint is None:
        return 0, "no checkpoint can be loaded" if least else ""
    tensor = load(checkpoint.read(_STATE))["step"]
    if checkpoint.step < least:
        return checkpoint.step, f"the checkpoint of step {least} was acknowledged, and the latest is {checkpoint.step}"
    if checkpoint.damaged:
        return checkpoint.step, f"a damaged checkpoint bears a name of its own: {checkpoint.damaged[0]}"
    right = bool((tensor == checkpoint.step).all()) and checkpoint.read("state.json") == b"%d" % checkpoint.step
    return checkpoint.step, "" if right else f"the checkpoint of step {checkpoint.step} holds other numbers"
