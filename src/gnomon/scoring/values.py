"""Scores of a regression with 95 % intervals."""

from __future__ import annotations

import math
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..judgement import Residuals
from ..types import Metric
from .intervals import Groups, around_positive, share_of

MOST_POINTS: Final = 1000
BINS: Final = 40

_FLAT: Final = 1e-12

Array: TypeAlias = NDArray[np.float64]


def score_values(
    predicted: NDArray[np.float32],
    labels: Array,
    names: tuple[str, ...],
    *,
    margin: tuple[float, ...] = (),
    groups: Groups | None = None,
) -> dict[str, Metric]:
    """r2, rmse, mae, median_absolute_error and max_error of `(N, D)` values, in their unit.

    With margins also `coverage_90`, how often the truth lies within the bounds that are given with an answer. Of
    several values, `r2` is their mean, and each value has its own numbers besides: `mae:height`.
    """
    of_each = [
        _of_one(
            predicted[:, place].astype(np.float64),
            labels[:, place],
            margin=margin[place] if margin else None,
            groups=groups,
        )
        for place in range(len(names))
    ]
    if len(names) == 1:
        return of_each[0]
    mean = [np.mean([getattr(scores["r2"], part) for scores in of_each]) for part in ("value", "low", "high")]
    metrics = {"r2": Metric(value=float(mean[0]), low=float(mean[1]), high=float(mean[2]))}
    for name, scores in zip(names, of_each, strict=True):
        metrics |= {f"{metric}:{name}": value for metric, value in scores.items()}
    return metrics


def r2_of(predicted: Array, labels: Array, groups: Groups | None = None) -> Metric:
    """The share of the variance that is explained, `(N,)` each; 0 where the labels have no spread, 1 if all are right.

    What is left of the variance is a ratio of two means, and its logarithm has a symmetric interval.
    """
    squares, spreads = np.square(predicted - labels), np.square(labels - labels.mean())
    spread = float(spreads.mean())
    if spread <= _FLAT * max(1.0, float(np.square(labels).mean())):
        flat = 0.0 if squares.any() else 1.0
        return Metric(value=flat, low=flat, high=flat)
    left = float(squares.mean()) / spread
    bounds = around_positive(left, (squares - left * spreads) / spread, groups)
    return Metric(value=1 - left, low=1 - bounds.high, high=1 - bounds.low)


def residuals_of(predicted: Array, labels: Array) -> Residuals:
    """The errors, `(N,)` estimated minus true, as a histogram and against what was estimated."""
    errors = predicted - labels
    counts, edges = np.histogram(errors, bins=min(BINS, max(1, math.isqrt(len(errors)))))
    chosen = spread_over(len(errors))
    return Residuals(
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
        against=tuple(zip(predicted[chosen].tolist(), errors[chosen].tolist(), strict=True)),
    )


def spread_over(rows: int) -> NDArray[np.int64]:
    """At most 1,000 of so many rows, at even distances."""
    chosen: NDArray[np.int64] = np.unique(np.linspace(0, rows - 1, min(rows, MOST_POINTS)).astype(np.int64))
    return chosen


def _of_one(predicted: Array, labels: Array, *, margin: float | None, groups: Groups | None) -> dict[str, Metric]:
    errors = np.abs(predicted - labels)
    squares = np.square(errors)
    mean, mean_square, largest = float(errors.mean()), float(squares.mean()), float(errors.max())
    of_squares = around_positive(mean_square, squares - mean_square, groups)
    metrics = {
        "r2": r2_of(predicted, labels, groups),
        "rmse": Metric(value=math.sqrt(mean_square), low=math.sqrt(of_squares.low), high=math.sqrt(of_squares.high)),
        "mae": around_positive(mean, errors - mean, groups),
        "median_absolute_error": _median(errors, groups),
        "max_error": Metric(value=largest, low=largest, high=largest),
    }
    return metrics if margin is None else metrics | {"coverage_90": share_of(errors <= margin, groups)}


def _median(errors: Array, groups: Groups | None) -> Metric:
    """Between the quantiles that the share of errors up to the median may really be at (Woodruff 1952)."""
    middle = float(np.median(errors))
    below = np.argsort(np.argsort(errors, kind="stable")) < len(errors) / 2
    share = share_of(below, groups)
    low, high = np.quantile(errors, [share.low, share.high])
    return Metric(value=middle, low=min(middle, float(low)), high=max(middle, float(high)))
