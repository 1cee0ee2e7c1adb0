"""What checkpoints cost a training at the default interval, and how long a run takes to go on.

    python benchmarks/checkpoints.py [--data digits] [--seconds 40] [--widths 64,256,512]

Processor time beside wall-clock time, since other processes may take a part of the cores.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from gnomon.deadline import Deadline
from gnomon.models import Cnn
from gnomon.planning.asked import TrainingSpec
from gnomon.rundir.checkpoints import CheckpointWriter
from gnomon.rundir.run import Run, create_run
from gnomon.sources import SourceSpec
from gnomon.spine.fit import fit, resume
from gnomon.spine.recipe import Recipe
from gnomon.training import train as training
from gnomon.types import Noted, Phased, Saved, Stepped


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="digits")
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--widths", default="64,256,512")
    chosen = parser.parse_args()
    widths = tuple(map(int, chosen.widths.split(",")))
    recipe = Recipe(
        source=SourceSpec(location=chosen.data), model=Cnn(widths=widths), training=TrainingSpec(steps=10**6, batch=128)
    )
    with tempfile.TemporaryDirectory() as folder:
        run = create_run(Path(folder) / "run", data="d", model="m")
        _measure_saving(recipe, run, chosen.seconds)
        _measure_going_on(run)


def _measure_saving(recipe: Recipe, run: Run, seconds: float) -> None:
    stalled: list[float] = []
    written: list[float] = []
    take, write = training.snapshot, CheckpointWriter._write

    def taken(*arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        snapshot = take(*arguments, **named)
        stalled.append(time.perf_counter() - began)
        return snapshot

    def wrote(self: CheckpointWriter, snapshot: Any) -> int:
        began = time.thread_time()
        step = write(self, snapshot)
        written.append(time.thread_time() - began)
        return step

    vars(training)["snapshot"] = taken
    CheckpointWriter._write = wrote  # type: ignore[method-assign]
    events, began, used, saved = fit(recipe, run, Deadline(time.monotonic())), 0.0, 0.0, 0
    for event in events:
        saved += isinstance(event, Saved)
        if isinstance(event, Phased) and event.name == "training":
            began, used = time.perf_counter(), time.process_time()
        if began and time.perf_counter() - began > seconds:
            break
    wall_s, processor_s = time.perf_counter() - began, time.process_time() - used
    kept = [path.stat().st_size for path in run.path.glob("checkpoints/*/*")]
    size = sum(kept) / max(1, len(list(run.path.glob("checkpoints/*"))))
    share = 100 * (sum(stalled) + sum(written)) / wall_s
    sys.stdout.write(
        f"{saved} checkpoints of {size / 1e6:.1f} MB in {wall_s:.1f} s of training, {processor_s:.1f} s of CPU\n"
        f"the training waits {1000 * sum(stalled):.1f} ms in all, the thread works {1000 * sum(written):.0f} ms: "
        f"{share:.2f} % of the time\n"
    )
    events.close()


def _measure_going_on(run: Run) -> None:
    marks: dict[str, tuple[float, float]] = {"begun": (time.perf_counter(), time.process_time())}
    events = resume(run, Deadline(time.monotonic()))
    for event in events:
        now = time.perf_counter(), time.process_time()
        if isinstance(event, Noted) and "going on from" in event.text:
            marks["data read, checkpoint verified"] = now
        if isinstance(event, Phased) and event.name == "training":
            marks["network built"] = now
        if isinstance(event, Stepped):
            marks["state restored, steps made until the first account"] = now
            break
    events.close()
    before = marks.pop("begun")
    for name, now in marks.items():
        sys.stdout.write(f"{name}: {now[0] - before[0]:.2f} s ({now[1] - before[1]:.2f} s of the processor)\n")
        before = now


if __name__ == "__main__":
    main()
