"""Scores of a regression with 95 % intervals from a bootstrap over the rows."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..types import Metric
from .intervals import interval, weights_of

_MEDIAN_DRAWS: Final = 200

Array: TypeAlias = NDArray[np.float64]


def score_values(predicted: NDArray[np.float32], labels: Array, names: tuple[str, ...]) -> dict[str, Metric]:
    """r2, rmse, mae, median_absolute_error and max_error of `(N, D)` values, in their unit.

    Of several values, `r2` is their mean, and each value has its own numbers besides: `mae:height`.
    """
    of_each = [_of_one(predicted[:, place].astype(np.float64), labels[:, place]) for place in range(len(names))]
    if len(names) == 1:
        return of_each[0]
    mean = [np.mean([getattr(scores["r2"], part) for scores in of_each]) for part in ("value", "low", "high")]
    metrics = {"r2": Metric(value=float(mean[0]), low=float(mean[1]), high=float(mean[2]))}
    for name, scores in zip(names, of_each, strict=True):
        metrics |= {f"{metric}:{name}": value for metric, value in scores.items()}
    return metrics


def r2_of(predicted: Array, labels: Array) -> Metric:
    """The share of the variance that is explained, `(N,)` each."""
    return _of_one(predicted, labels)["r2"]


def _of_one(predicted: Array, labels: Array) -> dict[str, Metric]:
    errors = predicted - labels
    centred = labels - labels.mean()  # so that the squares below lose nothing of the spread
    terms = np.stack([np.ones_like(errors), np.abs(errors), errors**2, centred, centred**2], axis=1)
    drawn, exact = weights_of(len(errors)) @ terms, terms.sum(axis=0, keepdims=True)
    metrics = {
        name: interval(float(statistic(exact)[0]), statistic(drawn))
        for name, statistic in (("r2", _r2), ("rmse", _rmse), ("mae", _mae))
    }
    picks = np.random.default_rng(0).integers(0, len(errors), (_MEDIAN_DRAWS, len(errors)))
    medians = np.median(np.abs(errors)[picks], axis=1)
    largest = float(np.abs(errors).max())
    return metrics | {
        "median_absolute_error": interval(float(np.median(np.abs(errors))), medians),
        "max_error": Metric(value=largest, low=largest, high=largest),
    }


def _r2(sums: Array) -> Array:
    """1 − Σe² / Σ(y − ȳ)², from the sums of 1, |e|, e², y, y²; 0 where the labels have no spread, as for a constant."""
    spread = sums[:, 4] - sums[:, 3] ** 2 / np.maximum(sums[:, 0], 1e-12)
    flat = spread <= 1e-12 * np.maximum(1.0, sums[:, 4])
    return np.where(flat, np.where(sums[:, 2] > 0, 0.0, 1.0), 1 - sums[:, 2] / np.where(flat, 1.0, spread))


def _rmse(sums: Array) -> Array:
    root: Array = np.sqrt(sums[:, 2] / sums[:, 0])
    return root


def _mae(sums: Array) -> Array:
    mean: Array = sums[:, 1] / sums[:, 0]
    return mean
