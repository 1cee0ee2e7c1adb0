"""Accuracy against compute: networks and trainings of pictures, each by its own steps, by the program's own engine.

    python benchmarks/scaling.py ARCHIVE EXPERIMENTS [--processes 8] [--device cuda] [--judged 0.15]

EXPERIMENTS is a file of JSON lines, each a training: `{"name": "…", "widths": [32, 96, 192], "steps": 600}`. Further
keys are fields of the network, of the optimizer or of the training; `seed` is the run's, and `constants` are numbers of
modules, by their full names. What a network costs depends on the machine, what it learns in so many steps does not: so
a machine with an accelerator tells which network and which training are best for a cost that was measured on another
one. Judged are rows that are held out of the training part, so that the test part has no say: accuracy of the single
view, with the mirrored one, and of six.
"""

import argparse
import importlib
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch

from gnomon.batches import Rows, in_order
from gnomon.deadline import Deadline
from gnomon.final import task_of
from gnomon.models import Cnn, ModelSpec
from gnomon.optim import OptimizerSpec
from gnomon.planning.asked import TrainingSpec
from gnomon.planning.ladder import Speed
from gnomon.planning.plan import make_plan
from gnomon.rows import splits
from gnomon.rows.dataset import DatasetSpec
from gnomon.rows.splits import SplitSpec
from gnomon.rundir.checkpoints import final_weights
from gnomon.rundir.run import create_run
from gnomon.sources import SourceSpec
from gnomon.spine.opening import Opened, open_data
from gnomon.spine.recipe import Recipe
from gnomon.tasks import Classify
from gnomon.tasks.classify import outputs, with_views
from gnomon.training.train import build_model, train

VIEWS = ("none", "mirror", "mirror+shift")
DEFAULT: dict[str, Any] = {
    "convolutions": (1, 2, 3),
    "batch": 256,
    "format": "bfloat16",
    "augment": "flip,shift=2",
    "skip_easy": 0.6,
    "small_until": 0.6,
    "checkpoint_steps": 10**9,
}
_opened: dict[str, Opened] = {}


def opened(archive: str, device: str, judged: float) -> Opened:
    """The data, once in each process."""
    splits.MOST_VALIDATION_ROWS = 10**6
    if archive not in _opened:
        events = open_data(
            Recipe(
                source=SourceSpec(location=archive),
                dataset=DatasetSpec(split=SplitSpec(validation=judged)),
                training=TrainingSpec(device=device, threads=1),
            ),
            Deadline(time.monotonic()),
        )
        while True:
            try:
                next(events)
            except StopIteration as stop:
                _opened[archive] = stop.value
                break
    return _opened[archive]


def fields(kind: type[msgspec.Struct], asked: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if name in kind.__struct_fields__}


def experiment(job: tuple[dict[str, Any], str, str, float]) -> dict[str, Any]:
    """One training. Returns its accuracies."""
    asked, archive, device, judged = {**DEFAULT, **job[0]}, *job[1:]
    data = opened(archive, device, judged)
    for name, value in asked.get("constants", {}).items():
        module, _, constant = name.rpartition(".")
        setattr(importlib.import_module(module), constant, value)
    model = msgspec.convert(fields(Cnn, asked), Cnn)
    optimizer = msgspec.convert(fields(OptimizerSpec, {k: v for k, v in asked.items() if k != "name"}), OptimizerSpec)
    training = msgspec.convert({**fields(TrainingSpec, asked), "device": device, "threads": 1}, TrainingSpec)

    def probe(_model: ModelSpec, _batch: int, _format: str) -> Speed:
        return Speed(0.01, 1e4)

    plan = make_plan(
        data.dataset.spec,
        data.hardware,
        Deadline(time.monotonic()),
        model=model,
        optimizer=optimizer,
        training=training,
        probe=probe,
        symmetry=data.symmetry,
        num_validation=len(data.validation),
        num_test=1,
        seed=asked.get("seed", 0),
    )
    plan = msgspec.structs.replace(
        plan, validate_every=plan.steps, **{k: asked[k] for k in ("skip_between",) if k in asked}
    )
    task = task_of(data.dataset, plan)
    network = build_model(plan.model, data.rows, seed=plan.seed, device=device)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run = create_run(Path(folder, "run"), data="x", model="x")
        for _ in train(network, task, data.rows, data.validation, plan, run, deadline=Deadline(time.monotonic())):
            pass
        checkpoint = run.latest_checkpoint()
        assert checkpoint is not None
        network.load_state_dict(final_weights(checkpoint))
    seconds = time.monotonic() - began
    assert isinstance(task, Classify)
    return {**job[0], "seconds": round(seconds, 1), "accuracy": accuracies(network.eval(), data.validation)}


@torch.inference_mode()
def accuracies(network: torch.nn.Module, rows: Rows) -> list[float]:
    """In percent: of the single view, with the mirrored one, of six."""
    right = [0, 0, 0]
    for inputs, labels in in_order(rows, size=500):
        alone = outputs(network, inputs)
        for place, views in enumerate(VIEWS):
            said = alone if views == "none" else with_views(network, inputs, alone, views)  # type: ignore[arg-type]
            right[place] += int((said.argmax(1) == labels).sum())
    return [round(100 * count / len(rows), 2) for count in right]


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive")
    parser.add_argument("experiments", type=Path)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--judged", type=float, default=0.15)
    parser.add_argument("--seconds", type=float, default=1e9, help="no experiment begins later than that")
    chosen = parser.parse_args(words)
    jobs = [json.loads(line) for line in chosen.experiments.read_text().splitlines() if line.strip()]
    began = time.monotonic()
    opened(chosen.archive, "cpu", chosen.judged)  # decodes into the cache
    print(f"data after {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
    work = ((job, chosen.archive, chosen.device, chosen.judged) for job in jobs)
    with multiprocessing.get_context("spawn").Pool(chosen.processes) as pool:
        for done in pool.imap_unordered(experiment, work):
            print(json.dumps(done), flush=True)
            if time.monotonic() - began > chosen.seconds:
                pool.terminate()
                break


if __name__ == "__main__":
    main()
