"""Two runs on the same test rows: which is better, by how much, and whether that can be told at all."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import RunError
from ..judgement import Comparison
from ..rundir.run import Run
from ..scoring.intervals import Groups, groups_among, mean_of, share_of
from ..scoring.paired import Difference, difference_in_accuracy, difference_in_means
from ..types import Metric, plural
from .table import Predicted, read_predictions

FEWEST_ROWS: Final = 10


def compare(first: Run, second: Run, *, common: bool = False) -> Comparison:
    """The second against the first, row by row.

    Args:
        first, second: judged runs.
        common: compare on the test rows that both have, where they differ.

    Raises:
        RunError: not judged, or on other rows, labels or questions.
    """
    said = [read_predictions(run, "test") for run in (first, second)]
    names = (_name(first), _name(second))
    return compared(said[0], said[1], names, common=common)


def compared(first: Predicted, second: Predicted, names: tuple[str, str], *, common: bool = False) -> Comparison:
    """What two runs said of their test rows, one against the other. Raises as `compare`."""
    places = _same_rows(first, second, names, common=common)
    groups = first.groups if first.groups is not None else second.groups
    chosen = places[0] if first.groups is not None else places[1]
    own = groups_among(groups, chosen)
    if first.is_value:
        return _of_values(first, second, names, places, own)
    if first.given:
        shares = [_labels_right(said, rows) for said, rows in zip((first, second), places, strict=True)]
        scores = (mean_of(shares[0], own), mean_of(shares[1], own))
        found = difference_in_means(shares[1] - shares[0], own)
        return _comparison(names, "share of labels right", scores, found, len(places[0]), points=True)
    right = first.right[places[0]], second.right[places[1]]
    scores = share_of(right[0], own), share_of(right[1], own)
    found = difference_in_accuracy(*right, own)
    return _comparison(names, "accuracy", scores, found, len(places[0]), points=True)


def _of_values(
    first: Predicted,
    second: Predicted,
    names: tuple[str, str],
    places: tuple[NDArray[np.int64], NDArray[np.int64]],
    groups: Groups | None,
) -> Comparison:
    true = np.array([float(first.labels[row]) for row in places[0]])
    errors = [np.abs(said.answers[rows, 0] - true) for said, rows in zip((first, second), places, strict=True)]
    scores = mean_of(errors[0], groups, positive=True), mean_of(errors[1], groups, positive=True)
    found = difference_in_means(errors[1] - errors[0], groups)
    return _comparison(names, "mean absolute error", scores, found, len(true), points=False)


def _labels_right(said: Predicted, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """For each row the share of labels that are given or withheld rightly."""
    wrong = [len(said.given[row] ^ set(filter(None, said.labels[row].split(";")))) for row in rows]
    return 1 - np.array(wrong, dtype=np.float64) / len(said.classes)


def _same_rows(
    first: Predicted, second: Predicted, names: tuple[str, str], *, common: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the rows that both have stand in each."""
    if (first.is_value, bool(first.given)) != (second.is_value, bool(second.given)):
        raise RunError(f"{names[0]} and {names[1]} answer different questions", remedy="Compare runs on the same data.")
    place = {key: row for row, key in enumerate(second.keys)}
    shared = [(row, place[key]) for row, key in enumerate(first.keys) if key in place]
    if len(shared) < max(len(first.keys), len(second.keys)) and not common:
        raise RunError(
            f"the test rows differ: {names[0]} has {len(first.keys):,}, {names[1]} {len(second.keys):,}, "
            f"and {len(shared):,} stand in both",
            remedy="Train both on the same data with the same --seed; or compare on the rows of both, with --common.",
        )
    if len(shared) < FEWEST_ROWS:
        raise RunError(
            f"{plural(len(shared), 'test row')} of {names[0]} and {names[1]} are the same: too few to compare on",
            remedy="Set more rows aside with --test, or give more.",
        )
    wrong = [first.keys[mine] for mine, theirs in shared if first.labels[mine] != second.labels[theirs]]
    if wrong:
        raise RunError(
            f"{plural(len(wrong), 'test row')} have other labels in {names[1]} than in {names[0]}, the first is "
            f"{wrong[0]!r}",
            remedy="The data were changed between the two; train one of them anew.",
        )
    pairs = np.array(shared, dtype=np.int64)
    return pairs[:, 0], pairs[:, 1]


def _comparison(
    names: tuple[str, str],
    measure: str,
    scores: tuple[Metric, Metric],
    found: Difference,
    rows: int,
    *,
    points: bool,
) -> Comparison:
    return Comparison(
        runs=names,
        measure=measure,
        rows=rows,
        scores=scores,
        difference=found.metric,
        p=found.p,
        test=found.test,
        verdict=_verdict(names, measure, found, points=points),
    )


def _verdict(names: tuple[str, str], measure: str, found: Difference, *, points: bool) -> str:
    """`B is better: +1.3 points of accuracy, 95 % interval 0.4 to 2.1`, from the side of the better one."""
    metric = found.metric
    ahead = metric.value > 0 if points else metric.value < 0
    low, high = (metric.low, metric.high) if points == ahead else (-metric.high, -metric.low)
    value = abs(metric.value)
    said = [f"{100 * number:.1f}" if points else f"{number:.3g}" for number in (value, low, high)]
    unit = "points of " if points else ""
    if found.is_told:
        sign = "+" if points else "−"
        return f"{names[ahead]} is better: {sign}{said[0]} {unit}{measure}, 95 % interval {said[1]} to {said[2]}"
    signed = [
        f"{100 * number:+z.1f}" if points else f"{number:+z.3g}" for number in (metric.value, metric.low, metric.high)
    ]
    between = f"95 % interval {signed[1]} to {signed[2]}"
    return f"no difference can be told: {signed[0]} {unit}{measure} for {names[1]}, {between}"


def _name(run: Run) -> str:
    return run.path.resolve().name
