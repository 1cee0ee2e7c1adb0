"""What a step takes of memory and time, estimated and measured, for networks and batches of several kinds of data.

    python benchmarks/estimates.py [--data FOLDER] [--memory]

Each case in a process of its own. Memory: what `gnomon.planning.memory` says against the most that the process held in
a step, less what it held before the network, and as a share of all it held; what is let go, the system gets back.
Time: what the planner's probe says against the median of real steps with whole batches, made in turns with the probe.
"""

import argparse
import ctypes
import gc
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runs import SHARED
from torch import nn

from gnomon.batches import Passes, batch_of
from gnomon.deadline import Deadline
from gnomon.models import Cnn, ModelSpec, fitted_to, model_named
from gnomon.optim import OptimizerSpec, build_optimizer
from gnomon.planning.asked import TrainingSpec
from gnomon.planning.hardware import kept_memory
from gnomon.planning.ladder import ladder
from gnomon.planning.memory import kept_for_backward, step_bytes
from gnomon.sources import SourceSpec
from gnomon.spine.preparing import Prepared, prepare
from gnomon.spine.recipe import Recipe
from gnomon.training.probing import measure_speed
from gnomon.training.state import number_type_of
from gnomon.training.stepping import train_step
from gnomon.training.train import build_model
from gnomon.types import Batch, returned

CASES = [
    *({"set": "cifar10-jpeg.zip", "network": widths, "batch": batch} for widths, batch in (
        ("16-64-128", 64), ("16-64-128", 256), ("16-64-128", 512), ("32-96-192", 256), ("32-128-256", 256),
        ("64-192-384", 128), ("64-192-384", 256), ("plain", 32), ("plain", 256))),
    {"set": "cifar10-jpeg.zip", "network": "16-64-128", "batch": 256, "format": "float32"},
    {"set": "sign-language-digits.zip", "network": "16-64-128", "batch": 64},
    {"set": "sign-language-digits.zip", "network": "32-128-256", "batch": 128},
    *({"set": "digits", "network": widths, "batch": 64} for widths in ("64", "192")),
    *({"set": "movie-reviews.csv", "network": rung, "batch": batch} for rung, batch in (
        ("rung 0", 64), ("rung 2", 256), ("lstm", 64), ("textcnn", 128))),
    *({"set": "news-titles-zh-train.csv", "network": rung, "batch": 128} for rung in ("rung 1", "gru")),
    *({"set": "spoken-digits.zip", "network": rung, "batch": batch} for rung, batch in (
        ("rung 1", 64), ("rung 2", 64))),
    *({"set": "JapaneseVowels_TRAIN.ts", "network": rung, "batch": 32} for rung in ("rung 1", "rung 2")),
]  # fmt: skip
STEPS = 12


def resident() -> int:
    """Bytes that are the process's own, not those of files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) * 1024


class Watch:
    """Looks about every millisecond how much the process holds."""

    def __init__(self) -> None:
        self.most = resident()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(1e-3):
            self.most = max(self.most, resident())


@dataclass(frozen=True)
class Case:
    """A network, the rows that it learns, and how."""

    model: ModelSpec
    prepared: Prepared
    batch: int

    def built(self) -> nn.Module:
        return build_model(self.model, self.prepared.rows, seed=0, device="cpu", started=False)

    def taken(self, passes: Passes, rows: int) -> Batch:
        plan, positions = self.prepared.plan, passes.take(rows, 0.0)
        return batch_of(self.prepared.rows, *positions, seed=plan.seed, task=self.prepared.task, augment=plan.augment)

    def passes(self) -> Passes:
        rows = self.prepared.rows
        return Passes(len(rows), seed=0, lengths=rows.lengths)

    def probed(self) -> float:
        """Seconds of a step, as the planner measures them."""
        plan, prepared = self.prepared.plan, self.prepared
        return measure_speed(
            self.built(),
            prepared.rows,
            prepared.task,
            batch=self.batch,
            number_format=plan.format,
            augment=plan.augment,
        ).step_s

    def steps(self) -> Iterator[float]:
        """Seconds of one real step after the other."""
        plan, module, passes = self.prepared.plan, self.built().train(), self.passes()
        optimizer = build_optimizer(module, self.optimizer(), products=number_type_of(plan.format))
        while True:
            began_s = time.perf_counter()
            made = self.taken(passes, self.batch)
            losses = train_step(
                module, self.prepared.task, optimizer, made, learning_rate=1e-4, number_format=plan.format
            )
            float(losses.sum())
            yield time.perf_counter() - began_s

    def optimizer(self) -> OptimizerSpec:
        return OptimizerSpec(name=self.prepared.plan.optimizer.name)

    def said(self) -> float:
        """Bytes of a step, estimated."""
        module, few = self.built(), self.taken(self.passes(), min(self.batch, 16))
        kept = kept_for_backward(module, few.inputs, self.prepared.plan.format)
        return sum(step_bytes(module, kept, self.batch, self.optimizer()).values())


def case_of(asked: dict[str, object], folder: Path) -> Case:
    name, batch, network = str(asked["set"]), int(str(asked["batch"])), str(asked["network"])
    location = name if name == "digits" else str(folder / name)
    training = TrainingSpec(steps=1, batch=batch, format=asked.get("format", "auto"))
    recipe = Recipe(source=SourceSpec(location=location), training=training)
    prepared = returned(prepare(recipe, Deadline(time.monotonic())))
    spec = prepared.dataset.spec
    if network.startswith("rung"):
        model = ladder(spec)[int(network.split()[1])].model
    elif network[0].isdigit():
        widths = tuple(int(width) for width in network.split("-"))
        model = Cnn(widths=widths, convolutions=(1, 2, 3)[-len(widths) :])
    else:
        model = fitted_to(model_named(network), spec.kind, spec.question)
    return Case(model, prepared, batch)


def one(asked: dict[str, object], folder: Path, rounds: int) -> None:
    """Prints the figures of a case as JSON."""
    case = case_of(asked, folder)
    case.probed()
    said = case.said()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    before, steps = resident(), case.steps()
    with Watch() as watch:
        for _ in range(6):
            next(steps)
    times, probes = [1.0] * (not rounds), [1.0] * (not rounds)
    with kept_memory():
        for _ in range(rounds):
            times += [next(steps) for _ in range(STEPS)]
            probes.append(case.probed())
    found = {"said": said, "most": watch.most - before, "process": before, "format": case.prepared.plan.format}
    found |= {"probe": statistics.median(probes), "step": statistics.median(times)}
    sys.stdout.write(json.dumps(found) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--memory", action="store_true", help="that alone; the times are then none")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        one(json.loads(chosen.one), chosen.data, 0 if chosen.memory else 3)
        return
    print("| data | network | batch | format | memory, MB | off by | of the process | step, ms | off by |")
    print("|---|---|---|---|---|---|---|---|---|")
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    for case in CASES:
        words = [sys.executable, __file__, "--data", str(chosen.data), "--one", json.dumps(case)]
        words += ["--memory"] * chosen.memory
        done = subprocess.run(words, capture_output=True, text=True, env=environment)
        if done.returncode:
            print(f"| {case['set']} | {case['network']} | failed: {done.stderr.strip().splitlines()[-1][:100]} |")
            continue
        found = json.loads(done.stdout)
        said, most, process = (found[name] / 1e6 for name in ("said", "most", "process"))
        print(
            f"| {str(case['set']).split('.')[0]} | {case['network']} | {case['batch']} | {found['format']} "
            f"| {said:.0f}, {most:.0f} | {said / most - 1:+.0%} | {(said - most) / (most + process):+.0%} "
            f"| {1e3 * found['probe']:.1f}, {1e3 * found['step']:.1f} | {found['probe'] / found['step'] - 1:+.0%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
