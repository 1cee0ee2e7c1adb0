"""Scores of a regression with 95 % intervals from a bootstrap over the rows. NumPy alone, float64.

A bootstrap draw counts each row as often as a Poisson number of mean 1 says (Chamandy et al. 2012), so that what is
made of sums over rows takes one matrix product for all draws.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..types import Metric

_DRAWS, _MOST_CELLS, _FEWEST_DRAWS = 1000, 2 * 10**7, 100
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


def weights_of(rows: int, *, draws: int = _DRAWS) -> NDArray[np.float64]:
    """`(draws, rows)`: how often each draw of the bootstrap counts each row; fewer draws of very many rows."""
    count = max(_FEWEST_DRAWS, min(draws, _MOST_CELLS // max(1, rows)))
    weights = np.random.default_rng(0).poisson(1.0, (count, rows)).astype(np.float64)
    weights[~weights.any(axis=1)] = 1.0  # of very few rows a draw may have none
    return weights


def interval(value: float, drawn: Array) -> Metric:
    """A value with the middle 95 % of its draws; those that are not defined are left out."""
    known = drawn[np.isfinite(drawn)]
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (value, value)
    return Metric(value=value, low=min(value, float(low)), high=max(value, float(high)))


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
