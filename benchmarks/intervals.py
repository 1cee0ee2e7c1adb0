"""How often each 95 % interval contains the truth, by simulation.

    python benchmarks/intervals.py [--simulations N] [--rows 100 1000]

A world draws rows of which the truth is known (from two million of them); each simulation judges a small part. In the
worlds of groups all rows of a group are shifted alike, and a part is so many whole groups.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnomon.scoring.calibration import calibration_error
from gnomon.scoring.classes import score
from gnomon.scoring.labels import score_labels
from gnomon.scoring.values import score_values
from gnomon.types import Metric

CLASSES, MANY = 6, 12
OF_A_GROUP = 10
LARGE = 200_000

Draw = Callable[[np.random.Generator, int, bool], dict[str, Metric]]


@dataclass(frozen=True)
class World:
    """`draw(generator, rows, grouped)` gives the metrics of a part."""

    name: str
    draw: Draw


def groups_of(rows: int) -> NDArray[np.int64]:
    return np.arange(rows) // OF_A_GROUP


def shifts(rng: np.random.Generator, rows: int, grouped: bool, width: int) -> NDArray[np.float64]:
    """What all rows of a group have in common, `(rows, width)`."""
    if not grouped:
        return np.zeros((rows, width))
    each: NDArray[np.float64] = rng.normal(scale=0.8, size=(rows // OF_A_GROUP + 1, width))[groups_of(rows)]
    return each


def classes(rng: np.random.Generator, rows: int, grouped: bool) -> dict[str, Metric]:
    """Six classes, the rarest a twentieth; the network is somewhat too sure of itself."""
    labels = rng.choice(CLASSES, size=rows, p=[0.35, 0.25, 0.15, 0.12, 0.08, 0.05])
    outputs = rng.normal(size=(rows, CLASSES)) + 2.0 * np.eye(CLASSES)[labels] + shifts(rng, rows, grouped, CLASSES)
    shares = np.exp(1.6 * outputs)
    probabilities = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
    groups = groups_of(rows) if grouped else None
    found = score(probabilities, labels, [str(place) for place in range(CLASSES)], groups=groups)
    first = found.classes[2]
    of_class = {"precision": first.precision, "recall": first.recall, "f1": first.f1}
    of_class |= {"roc_area": first.roc_area or first.f1, "average_precision": first.average_precision or first.f1}
    confidence, right = probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == labels
    metrics = dict(found.metrics) | {f"class: {name}": metric for name, metric in of_class.items()}
    return metrics | {"calibration_error": calibration_error(confidence, right, groups)}


def many_classes(rng: np.random.Generator, rows: int, grouped: bool) -> dict[str, Metric]:
    """Twelve classes alike: how often the truth is among the first few."""
    true = rng.integers(0, MANY, rows)
    outputs = rng.normal(size=(rows, MANY)) + 1.5 * np.eye(MANY)[true] + shifts(rng, rows, grouped, MANY)
    shares = np.exp(outputs)
    probabilities = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
    groups = groups_of(rows) if grouped else None
    metrics = score(probabilities, true, [str(place) for place in range(MANY)], groups=groups).metrics
    return {name: metrics[name] for name in ("accuracy", "top_3_accuracy", "top_5_accuracy")}


def labels(rng: np.random.Generator, rows: int, grouped: bool) -> dict[str, Metric]:
    """Four labels, each of a third of the rows."""
    true = rng.random((rows, 4)) < 1 / 3
    outputs = rng.normal(size=(rows, 4)) + 2.2 * (true - 0.5) + shifts(rng, rows, grouped, 4)
    probabilities = (1 / (1 + np.exp(-outputs))).astype(np.float32)
    groups = groups_of(rows) if grouped else None
    return score_labels(probabilities, probabilities > 0.5, true.astype(np.float32), tuple("abcd"), groups=groups)[0]


def values(rng: np.random.Generator, rows: int, grouped: bool) -> dict[str, Metric]:
    """A number, told with errors of a normal distribution."""
    true = rng.normal(size=(rows, 1))
    said = true + 0.5 * rng.normal(size=(rows, 1)) + 0.5 * shifts(rng, rows, grouped, 1)
    groups = groups_of(rows) if grouped else None
    found = score_values(said.astype(np.float32), true, ("value",), margin=(0.8,), groups=groups)
    return {name: metric for name, metric in found.items() if name != "max_error"}


WORLDS = (
    World("classes", classes),
    World("many classes", many_classes),
    World("labels", labels),
    World("values", values),
)


def coverage(world: World, rows: int, *, grouped: bool, simulations: int) -> dict[str, float]:
    """How often each metric's interval contains what a very large part scores."""
    large = [world.draw(np.random.default_rng(seed), LARGE, grouped) for seed in range(5)]
    truth = {name: float(np.mean([part[name].value for part in large])) for name in large[0]}
    inside = dict.fromkeys(truth, 0)
    for seed in range(simulations):
        found = world.draw(np.random.default_rng(1000 + seed), rows, grouped)
        for name, value in truth.items():
            inside[name] += name in found and found[name].low <= value <= found[name].high
    return {name: count / simulations for name, count in inside.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--rows", type=int, nargs="+", default=[100, 1000])
    chosen = parser.parse_args()
    columns = [(rows, grouped) for rows in chosen.rows for grouped in (False, True)]
    heads = [f"{rows:,} rows" + (f" in {rows // OF_A_GROUP:,} groups" if grouped else "") for rows, grouped in columns]
    print(f"| metric | {' | '.join(heads)} |\n|---{'|---' * len(heads)}|")
    for world in WORLDS:
        found = [coverage(world, rows, grouped=grouped, simulations=chosen.simulations) for rows, grouped in columns]
        for name in found[0]:
            print(
                f"| {world.name}: {name} | " + " | ".join(f"{100 * column[name]:.1f}" for column in found) + " |",
                flush=True,
            )


if __name__ == "__main__":
    main()
