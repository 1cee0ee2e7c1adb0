"""Scores of a tagging with 95 % intervals from a bootstrap over the rows. NumPy alone, float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..judgement import ClassScores
from ..types import Metric
from .intervals import interval, weights_of, wilson

_PRECISION_DRAWS: Final = 200

Array: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = tuple[Array, Array, Array]
"""Right, false and missed labels, `(…, K)` each."""


def score_labels(
    probabilities: NDArray[np.float32], given: NDArray[np.bool_], labels: NDArray[np.float32], names: tuple[str, ...]
) -> tuple[dict[str, Metric], tuple[ClassScores, ...]]:
    """Scores of all labels together, and of each.

    Args:
        probabilities: `(N, K)`.
        given: `(N, K)`, which labels are given at their thresholds.
        labels: `(N, K)`, zeros and ones.
        names: of the labels.

    Returns:
        micro and macro precision, recall and F1, mean_average_precision (of the labels that occur), subset_accuracy
        (all labels of a row right), hamming_loss; and precision, recall and F1 of each label. Empty denominators count
        as 0.
    """
    true = labels > 0.5
    counts = (given & true, given & ~true, ~given & true)
    drawn_weights = weights_of(len(true))
    exact = tuple(part.sum(axis=0, keepdims=True).astype(np.float64) for part in counts)
    drawn = tuple(drawn_weights @ part for part in counts)
    statistics: dict[str, Callable[[Counts], Array]] = {}
    for name, of in (("precision", _precision), ("recall", _recall), ("f1", _f1)):
        statistics |= {f"micro_{name}": _together(of), f"macro_{name}": _mean_of(of)}
    metrics = {
        name: interval(float(statistic(exact)[0]), statistic(drawn))  # type: ignore[arg-type]
        for name, statistic in statistics.items()
    }
    metrics["mean_average_precision"] = _mean_average_precision(probabilities, true)
    wrong = given ^ true
    metrics["subset_accuracy"] = wilson(float((~wrong.any(axis=1)).sum()), len(true))
    shares = wrong.mean(axis=1)
    spread = drawn_weights @ shares / drawn_weights.sum(axis=1)
    metrics["hamming_loss"] = interval(float(shares.mean()), spread)
    return metrics, tuple(_of_label(counts, place, name) for place, name in enumerate(names))


def micro_f1(given: NDArray[np.bool_], labels: NDArray[np.float32]) -> Metric:
    """F1 over all labels of all rows together."""
    true = labels > 0.5
    parts = (given & true, given & ~true, ~given & true)
    sums = np.stack([part.sum(axis=1) for part in parts], axis=1).astype(np.float64)
    of_sums = [weights_of(len(true)) @ sums, sums.sum(axis=0, keepdims=True)]
    drawn, exact = (_f1((block[:, 0], block[:, 1], block[:, 2])) for block in of_sums)
    return interval(float(exact[0]), drawn)


def average_precision(probabilities: Array, true: NDArray[np.bool_], weights: Array | None = None) -> Array:
    """Σ (recallₙ − recallₙ₋₁) precisionₙ over the distinct thresholds, `(B,)`; NaN where no row is true.

    Args:
        probabilities: `(N,)`.
        true: `(N,)`.
        weights: `(B, N)`, how often each row counts; once where None.
    """
    order = np.argsort(-probabilities, kind="stable")
    weights = np.ones((1, len(true))) if weights is None else weights
    weights = weights[:, order]
    hits = np.cumsum(weights * true[order], axis=1)
    seen = np.cumsum(weights, axis=1)
    ends = np.append(np.diff(probabilities[order]) != 0, True)
    hits, seen = hits[:, ends], seen[:, ends]
    gained = np.diff(hits, axis=1, prepend=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(seen > 0, hits / np.maximum(seen, 1e-12), 0.0)
        area: Array = (gained * precision).sum(axis=1) / hits[:, -1]
    return area


def _mean_average_precision(probabilities: NDArray[np.float32], true: NDArray[np.bool_]) -> Metric:
    present = np.flatnonzero(true.any(axis=0))
    if not len(present):
        return Metric(value=0.0, low=0.0, high=1.0)
    weights = weights_of(len(true), draws=_PRECISION_DRAWS)
    wide = probabilities.astype(np.float64)
    exact = [average_precision(wide[:, place], true[:, place])[0] for place in present]
    total = np.zeros(len(weights))
    for place in present:
        total += np.nan_to_num(average_precision(wide[:, place], true[:, place], weights))
    return interval(float(np.mean(exact)), total / len(present))


def _of_label(counts: tuple[NDArray[np.bool_], ...], place: int, name: str) -> ClassScores:
    right, false, missed = (float(part[:, place].sum()) for part in counts)
    f1 = [2 * share / (1 + share) for share in _bounds(wilson(right, right + false + missed))]
    return ClassScores(
        name=name,
        support=int(right + missed),
        precision=wilson(right, right + false),
        recall=wilson(right, right + missed),
        f1=Metric(value=f1[0], low=f1[1], high=f1[2]),
    )


def _bounds(metric: Metric) -> tuple[float, float, float]:
    return metric.value, metric.low, metric.high


def _together(of: Callable[[Counts], Array]) -> Callable[[Counts], Array]:
    def statistic(counts: Counts) -> Array:
        right, false, missed = (part.sum(axis=-1) for part in counts)
        return of((right, false, missed))

    return statistic


def _mean_of(of: Callable[[Counts], Array]) -> Callable[[Counts], Array]:
    def statistic(counts: Counts) -> Array:
        mean: Array = of(counts).mean(axis=-1)
        return mean

    return statistic


def _precision(counts: Counts) -> Array:
    return _ratio(counts[0], counts[0] + counts[1])


def _recall(counts: Counts) -> Array:
    return _ratio(counts[0], counts[0] + counts[2])


def _f1(counts: Counts) -> Array:
    return _ratio(2 * counts[0], 2 * counts[0] + counts[1] + counts[2])


def _ratio(above: Array, below: Array) -> Array:
    return np.divide(above, below, out=np.zeros(np.shape(above)), where=below > 0)
