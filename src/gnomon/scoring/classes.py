"""Scores of a classification with 95 % intervals. NumPy alone, float64.

Proportions of independent rows (accuracy, precision, recall of a class) have Wilson's score interval. F1 = 2p/(1+p)
of the proportion p = TP/(TP+FP+FN), and takes p's interval. Means over classes have the spread of their posterior,
drawn with a fixed seed; the mean loss has the normal interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..judgement import ClassScores
from ..types import Metric, Value
from .intervals import mean_interval, wilson

_MOST_DRAWS, _FEWEST_DRAWS = 1000, 40
_CELLS, _BLOCK_CELLS = 10**7, 2 * 10**6
_FLOOR: Final = 1e-15

Counts: TypeAlias = NDArray[np.float64]
"""Confusion matrix `(K, K)`: rows are true classes, columns predicted ones."""
Statistic: TypeAlias = Callable[[Counts], Counts]
"""Confusion matrices `(…, K, K)` → one number of each, `(…)`."""


class Scores(Value, frozen=True):
    """All scores of one part of the data.

    Attributes:
        rows: how many were judged.
        metrics: accuracy, balanced_accuracy, macro_precision, macro_recall, macro_f1, log_loss (nats).
        classes: one entry a class, in the model's order.
        confusion: `confusion[true][predicted]`, counts.
    """

    rows: int
    metrics: dict[str, Metric]
    classes: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...]


def score(probabilities: NDArray[np.float32], labels: NDArray[np.int64], classes: Sequence[str]) -> Scores:
    """Scores of `(N, K)` probabilities against `(N,)` true classes. Empty denominators count as 0."""
    predicted = probabilities.argmax(axis=1)
    confusion = confusion_matrix(labels, predicted, len(classes))
    losses = row_losses(probabilities, labels)
    means: dict[str, Statistic] = {
        "balanced_accuracy": balanced_accuracy,
        "macro_precision": lambda counts: precision(counts).mean(axis=-1),
        "macro_recall": lambda counts: recall(counts).mean(axis=-1),
        "macro_f1": lambda counts: f1(counts).mean(axis=-1),
    }
    metrics = {
        "accuracy": wilson(float(np.trace(confusion)), len(labels)),
        **_resampled(confusion, means),
        "log_loss": mean_interval(losses),
    }
    return Scores(
        rows=len(labels),
        metrics=metrics,
        classes=tuple(_class_scores(confusion, position, name) for position, name in enumerate(classes)),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
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


def _class_scores(confusion: Counts, position: int, name: str) -> ClassScores:
    hits = float(confusion[position, position])
    support = float(confusion[position].sum())
    return ClassScores(
        name=name,
        support=int(support),
        precision=wilson(hits, float(confusion[:, position].sum())),
        recall=wilson(hits, support),
        f1=_f1_interval(hits, float(confusion[:, position].sum()) + support - hits),
    )


def _f1_interval(hits: float, union: float) -> Metric:
    share = wilson(hits, union)
    value, low, high = (2 * p / (1 + p) for p in (share.value, share.low, share.high))
    return Metric(value=value, low=low, high=high)


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
    return {name: _around(float(statistics[name](confusion)), np.concatenate(drawn[name])) for name in statistics}


def _around(value: float, drawn: Counts) -> Metric:
    centre, (low, high) = drawn.mean(), np.percentile(drawn, [2.5, 97.5])
    below, above = max(0.0, float(centre - low)), max(0.0, float(high - centre))
    return Metric(value=value, low=max(0.0, value - below), high=min(1.0, value + above))


def _diagonal(counts: Counts) -> Counts:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _ratio(above: Counts, below: Counts | NDArray[np.int64]) -> Counts:
    return np.divide(above, below, out=np.zeros(np.shape(above)), where=np.asarray(below) > 0)
