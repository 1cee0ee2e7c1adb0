"""Scores of a classification with 95 % intervals. NumPy alone, float64.

Proportions of independent rows (accuracy, precision, recall of a class) have Wilson's score interval. F1 = 2p/(1+p)
of the proportion p = TP/(TP+FP+FN), and takes p's interval. Means over classes, kappa and Matthews' coefficient have
the spread of their posterior, drawn with a fixed seed, the means a wider one where rows are few; where rows come in
groups, that of the groups' jackknife. Mean losses and areas have the interval that `intervals` makes of the influence
of each row, means of areas that of the jackknife where rows or groups are few.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..judgement import ClassCurves, ClassScores
from ..types import Metric, Value
from .calibration import brier_scores
from .curves import MOST_AREAS, Area, average_precision, curves_of, mean_area, roc_area
from .intervals import Groups, Z, bundled, f1_interval, jackknifed, mean_of, share_among, share_of, student

_MOST_DRAWS, _FEWEST_DRAWS = 1000, 40
_CELLS, _BLOCK_CELLS = 10**7, 2 * 10**6
_FLOOR: Final = 1e-15
_TOPS: Final = (3, 5)
_MEANS_OVER_CLASSES: Final = ("balanced_accuracy", "macro_precision", "macro_recall", "macro_f1")

Counts: TypeAlias = NDArray[np.float64]
"""Confusion matrix `(K, K)`: rows are true classes, columns predicted ones."""
Statistic: TypeAlias = Callable[[Counts], Counts]
"""Confusion matrices `(…, K, K)` → one number of each, `(…)`; does not change if all counts are multiplied."""


class Scores(Value, frozen=True):
    """All scores of one part of the data.

    Attributes:
        rows: how many were judged.
        metrics: accuracy, balanced_accuracy; macro_, weighted_ and micro_ precision, recall and f1 (micro: all equal
            accuracy); cohen_kappa, matthews; log_loss (nats), brier; top_3_accuracy and top_5_accuracy where there are
            twice as many classes; up to 100 classes macro_roc_area and macro_average_precision, of the classes that
            have them.
        classes: one entry a class, in the model's order.
        confusion: `confusion[true][predicted]`, counts.
        curves: one entry a class, up to 100 classes.
    """

    rows: int
    metrics: dict[str, Metric]
    classes: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...]
    curves: tuple[ClassCurves, ...] = ()


STATISTICS: Final[Mapping[str, Statistic]] = {
    "balanced_accuracy": lambda counts: balanced_accuracy(counts),
    "macro_precision": lambda counts: precision(counts).mean(axis=-1),
    "macro_recall": lambda counts: recall(counts).mean(axis=-1),
    "macro_f1": lambda counts: f1(counts).mean(axis=-1),
    "weighted_precision": lambda counts: _weighted(precision(counts), counts),
    "weighted_f1": lambda counts: _weighted(f1(counts), counts),
    "cohen_kappa": lambda counts: cohen_kappa(counts),
    "matthews": lambda counts: matthews(counts),
}


def score(
    probabilities: NDArray[np.float32],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    *,
    groups: Groups | None = None,
) -> Scores:
    """Scores of `(N, K)` probabilities against `(N,)` true classes. Empty denominators count as 0.

    Args:
        probabilities: of which the greatest is the answer, and of equal ones the first.
        labels: class indices.
        classes: names, in the model's order.
        groups: of the rows, where they come in groups.
    """
    predicted = probabilities.argmax(axis=1)
    confusion = confusion_matrix(labels, predicted, len(classes))
    wide = probabilities.astype(np.float64)
    accuracy = share_of(predicted == labels, groups)
    micro = {f"micro_{name}": accuracy for name in ("precision", "recall", "f1")}
    metrics = {
        "accuracy": accuracy,
        **(_resampled(confusion, STATISTICS) if groups is None else _jackknifed(labels, predicted, groups, confusion)),
        "weighted_recall": accuracy,
        **micro,
        "log_loss": mean_of(row_losses(probabilities, labels), groups, positive=True),
        "brier": mean_of(brier_scores(wide, labels), groups, positive=True),
        **_tops(probabilities, labels, groups),
    }
    each, areas, curves = _of_classes(wide, labels, predicted, classes, groups)
    return Scores(
        rows=len(labels),
        metrics=metrics | areas,
        classes=each,
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        curves=curves,
    )


def confusion_matrix(labels: NDArray[np.int64], predicted: NDArray[np.int64], num_classes: int) -> Counts:
    flat = np.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    return flat.reshape(num_classes, num_classes).astype(np.float64)


def precision(counts: Counts) -> Counts:
    """Right answers over all answers of the class, `(…, K)`."""
    return _ratio(_diagonal(counts), counts.sum(axis=-2))


def recall(counts: Counts) -> Counts:
    """Right answers over all rows of the class, `(…, K)`."""
    return _ratio(_diagonal(counts), counts.sum(axis=-1))


def f1(counts: Counts) -> Counts:
    """Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN), `(…, K)`."""
    return _ratio(2 * _diagonal(counts), counts.sum(axis=-2) + counts.sum(axis=-1))


def balanced_accuracy(counts: Counts) -> Counts:
    """Mean recall over the classes that have rows, `(…)`."""
    present = counts.sum(axis=-1) > 0
    return _ratio((recall(counts) * present).sum(axis=-1), present.sum(axis=-1))


def row_losses(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """−log p of the true class, in nats, each probability raised to at least 1e-15."""
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return -np.log(np.maximum(chosen, _FLOOR))


def cohen_kappa(counts: Counts) -> Counts:
    """(accuracy − chance) / (1 − chance), where chance is that of equal margins (Cohen 1960), `(…)`."""
    total = counts.sum(axis=(-2, -1))
    right = _ratio(_diagonal(counts).sum(axis=-1), total)
    chance = _ratio((counts.sum(axis=-1) * counts.sum(axis=-2)).sum(axis=-1), total**2)
    return _ratio(right - chance, 1 - chance)


def matthews(counts: Counts) -> Counts:
    """The correlation of answers and truth, of several classes as Gorodkin (2004), `(…)`."""
    total, true, said = counts.sum(axis=(-2, -1)), counts.sum(axis=-1), counts.sum(axis=-2)
    together = _diagonal(counts).sum(axis=-1) * total - (true * said).sum(axis=-1)
    spread = (total**2 - (true**2).sum(axis=-1)) * (total**2 - (said**2).sum(axis=-1))
    return _ratio(together, np.sqrt(np.maximum(spread, 0.0)))


def _tops(probabilities: NDArray[np.float32], labels: NDArray[np.int64], groups: Groups | None) -> dict[str, Metric]:
    """How often the true class is among the most probable, where that is not easy by chance.

    Of equal probabilities the first classes count.
    """
    rows, classes = probabilities.shape
    own = probabilities[np.arange(rows), labels][:, None]
    before = np.arange(classes) < labels[:, None]
    ranks = ((probabilities > own) | ((probabilities == own) & before)).sum(axis=1)
    return {f"top_{top}_accuracy": share_of(ranks < top, groups) for top in _TOPS if 2 * top <= classes}


def _of_classes(
    probabilities: Counts,
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
    classes: Sequence[str],
    groups: Groups | None,
) -> tuple[tuple[ClassScores, ...], dict[str, Metric], tuple[ClassCurves, ...]]:
    """Scores of each class, means of areas, and curves."""
    each, curves = [], []
    areas: dict[str, list[Area | None]] = {"macro_roc_area": [], "macro_average_precision": []}
    for place, name in enumerate(classes):
        true, said = labels == place, predicted == place
        both = true & said
        roc = average = None
        if len(classes) <= MOST_AREAS:
            roc, average = roc_area(probabilities[:, place], true), average_precision(probabilities[:, place], true)
            curves.append(curves_of(name, probabilities[:, place], true))
        for kind, area in zip(areas.values(), (roc, average), strict=True):
            kind.append(area)
        each.append(
            ClassScores(
                name=name,
                support=int(true.sum()),
                precision=share_among(both, said, groups),
                recall=share_among(both, true, groups),
                f1=f1_interval(share_among(both, true | said, groups)),
                roc_area=roc.metric(groups) if roc else None,
                average_precision=average.metric(groups) if average else None,
            )
        )
    truth = labels[:, None] == np.arange(len(classes))
    means = {
        name: mean
        for (name, found), of in zip(areas.items(), (roc_area, average_precision), strict=True)
        if (mean := mean_area(of, probabilities, truth, found, groups))
    }
    return tuple(each), means, tuple(curves)


def _jackknifed(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], groups: Groups, confusion: Counts
) -> dict[str, Metric]:
    """Statistics of a confusion matrix, with intervals from leaving out each group in turn."""
    classes = len(confusion)
    bundles = bundled(groups)
    flat = (bundles * classes + labels) * classes + predicted
    of_each = np.bincount(flat, minlength=(int(bundles.max()) + 1) * classes**2).reshape(-1, classes, classes)
    return {
        name: jackknifed(float(statistic(confusion)), statistic(confusion - of_each), least=_least(name))
        for name, statistic in STATISTICS.items()
    }


def _resampled(confusion: Counts, statistics: Mapping[str, Statistic]) -> dict[str, Metric]:
    """Statistics of a confusion matrix, with intervals from draws of its posterior.

    The shares of all cells are Dirichlet, with a prior of one row in each class (Perks 1947), and so never quite 0
    or 1. Over many classes that prior pulls every mean the same way, by more than its interval is wide; hence only the
    draws' spread is taken, and laid around the value itself.
    """
    present = confusion.sum(axis=1, keepdims=True) > 0
    drawn: dict[str, list[Counts]] = {name: [] for name in statistics}
    rng, left = np.random.default_rng(0), max(_FEWEST_DRAWS, min(_MOST_DRAWS, _CELLS // confusion.size))
    while left > 0:
        block = min(left, max(1, _BLOCK_CELLS // confusion.size))
        gammas = rng.standard_gamma(confusion + 1 / len(confusion), size=(block, *confusion.shape)) * present
        for name, statistic in statistics.items():
            drawn[name].append(statistic(gammas))
        left -= block
    wider = _for_few_rows(confusion.sum(axis=1))
    return {
        name: _around(
            float(statistics[name](confusion)),
            np.concatenate(drawn[name]),
            least=_least(name),
            times=wider if name in _MEANS_OVER_CLASSES else 1.0,
        )
        for name in statistics
    }


def _for_few_rows(supports: Counts) -> float:
    """How much wider the interval of a mean over classes of so many rows, `(K,)`, must be because their spreads are
    known from few rows: Student's t over the normal quantile, with the degrees of freedom of Welch (1947).
    """
    rows = supports[supports > 1]
    if not len(rows):
        return 1.0
    freedom = float((1 / rows).sum() ** 2 / (1 / (rows**2 * (rows - 1))).sum())
    return student(freedom) / Z


def _around(value: float, drawn: Counts, *, least: float, times: float) -> Metric:
    centre, (low, high) = drawn.mean(), np.percentile(drawn, [2.5, 97.5])
    below, above = (times * max(0.0, float(half)) for half in (centre - low, high - centre))
    return Metric(value=value, low=max(least, value - below), high=min(1.0, value + above))


def _least(name: str) -> float:
    return -1.0 if name in ("cohen_kappa", "matthews") else 0.0


def _weighted(shares: Counts, counts: Counts) -> Counts:
    """The mean over classes, each counted by its rows."""
    support = counts.sum(axis=-1)
    return _ratio((shares * support).sum(axis=-1), support.sum(axis=-1))


def _diagonal(counts: Counts) -> Counts:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _ratio(above: Counts, below: Counts | NDArray[np.int64]) -> Counts:
    return np.divide(above, below, out=np.zeros(np.shape(above)), where=np.asarray(below) > 0)
