"""Strategies of training against each other: the score that the same compute buys.

    python benchmarks/strategies.py [NAME …] [--data FOLDER] [--seeds N] [--steps N] [--rates F …] [--threads N]

NAME: cifar10 (5,000 pictures), reviews, spoken. Compute is counted in gradients of whole batches: a sharpness-aware
step is two of them, one with pictures of 3/4 of their sides about 0.56; each strategy gets as many steps as make up the
same sum. All start from the usual recipe and differ from it in one thing. The score is that of the test part, by single
views, after the last step; nothing is chosen by it but the best of several --rates (times the usual one) by its mean,
which is told.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import torch
from runs import SHARED, data_sets

from gnomon.batches import open_rows
from gnomon.deadline import Deadline
from gnomon.models import Cnn, Crnn, ModelSpec, TextCnn
from gnomon.optim import OptimizerSpec
from gnomon.planning.asked import Relative, TrainingSpec
from gnomon.sources import SourceSpec
from gnomon.spine.opening import Opened, open_data
from gnomon.spine.recipe import Recipe
from gnomon.tuning.trial import try_settings
from gnomon.types import returned

SMALL_COST = 0.5625
USUAL, ASKED = OptimizerSpec(), TrainingSpec()


@dataclass(frozen=True)
class Strategy:
    """What differs from the usual recipe, and what a step costs beside one gradient of a whole batch."""

    name: str
    optimizer: OptimizerSpec = USUAL
    training: TrainingSpec = ASKED
    cost: float = 1.0


def strategies(kind: str) -> Iterator[Strategy]:
    yield Strategy("usual")
    for name in ("sgd", "adam", "adamw", "muon"):
        if (kind, name) not in (("image", "muon"), ("text", "adam"), ("text", "muon"), ("sound", "muon")):
            yield Strategy(name, OptimizerSpec(name=name))
    yield Strategy("schedule-free sgd", OptimizerSpec(name="schedule-free-sgd"))
    yield Strategy("schedule-free adamw", OptimizerSpec(name="schedule-free-adamw"))
    yield Strategy("no averaging", OptimizerSpec(average="none"))
    yield Strategy("lookahead", OptimizerSpec(average="lookahead"))
    for radius in (0.05, 0.2):
        yield Strategy(f"sharpness-aware {radius}", OptimizerSpec(sharpness=radius), cost=2.0)
    yield Strategy("easy 60 % skipped", training=TrainingSpec(skip_easy=0.6))
    yield Strategy("no augmentation", training=TrainingSpec(augment="none"))
    yield Strategy("no label smoothing", training=TrainingSpec(label_smoothing=0.0))
    if kind == "image":
        yield Strategy("mixup 0.2", training=TrainingSpec(augment="auto,mixup=0.2"))
        yield Strategy("cutmix 1", training=TrainingSpec(augment="auto,cutmix=1"))
        cost = 1 - 0.6 * (1 - SMALL_COST)
        yield Strategy("small pictures until 60 %", training=TrainingSpec(small_until=0.6), cost=cost)
        yield Strategy("small and skipped", training=TrainingSpec(small_until=0.6, skip_easy=0.6), cost=cost)


def networks() -> dict[str, ModelSpec]:
    return {
        "image": Cnn(widths=(16, 64, 128)),
        "text": TextCnn(embedding=64, filters=64),
        "sound": Crnn(widths=(16, 32, 64), units=64, dimensions=2),
    }


def opened(data: str, threads: int) -> tuple[Opened, str]:
    """The data, with the test part where the validation part would be."""
    recipe = Recipe(source=SourceSpec(location=data), training=TrainingSpec(threads=threads))
    events = open_data(recipe, Deadline(time.monotonic()))
    found = returned(events)
    test = open_rows(found.dataset, "test", device=torch.device("cpu"), free_bytes=10**9)
    return replace(found, validation=test), found.dataset.spec.kind


def score(
    found: Opened, kind: str, strategy: Strategy, *, data: str, steps: int, seed: int, rate: float
) -> tuple[float, float]:
    """Of the test part, and the seconds it took."""
    training = msgspec.structs.replace(
        strategy.training,
        steps=max(1, round(steps / strategy.cost)),
        views="none",
        threads=found.hardware.threads,
        relative=Relative(learning_rate=rate),
    )
    recipe = Recipe(
        source=SourceSpec(location=data),
        model=networks()[kind],
        optimizer=strategy.optimizer,
        training=training,
        seed=seed,
    )
    tried = returned(try_settings(found, recipe, seconds=None))
    return (float("nan") if tried.reason else tried.score), tried.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["cifar10", "reviews", "spoken"])
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rates", type=float, nargs="+", default=[1.0])
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        places = {
            "cifar10": data_sets(Path(folder), asked.data).get("cifar10, 5,000 rows", ""),
            "reviews": str(asked.data / "movie-reviews.csv"),
            "spoken": str(asked.data / "spoken-digits.zip"),
        }
        for name in asked.names:
            found, kind = opened(places[name], asked.threads)
            print(f"\n{name}, {len(found.rows):,} rows, {asked.steps} gradients, {asked.seeds} seeds", flush=True)
            for strategy in strategies(kind):
                best = (float("-inf"), 0.0, 0.0, 1.0)
                for rate in asked.rates:
                    made = [
                        score(found, kind, strategy, data=places[name], steps=asked.steps, seed=seed, rate=rate)
                        for seed in range(asked.seeds)
                    ]
                    scores = [100 * value for value, _ in made]
                    spread = statistics.stdev(scores) if len(scores) > 1 else 0.0
                    seconds = statistics.mean(took for _, took in made)
                    best = max(best, (statistics.mean(scores), spread, seconds, rate))
                mean, spread, seconds, rate = best
                print(
                    f"  {strategy.name:<28} {mean:5.1f} ± {spread:.1f}   rate ×{rate:g}   {seconds:5.1f} s", flush=True
                )


if __name__ == "__main__":
    main()
