"""95 % intervals of proportions, of means, and of whatever moves with each row.

How far one row moves an estimate is its influence: the estimate errs by about the mean influence of all rows (Hampel
1974), which gives the standard error of areas under curves, of R² and the like without resampling. Where rows come in
groups (several recordings of one speaker), chance draws groups: influences are summed within each (Liang & Zeger 1986),
and Student's t with groups − 1 degrees of freedom stands in place of the normal distribution.

Of few rows or groups, leaving out each in turn (the jackknife) tells also how far an estimate is biased.

A bootstrap draw counts each row, or each group, as often as a Poisson number of mean 1 says (Chamandy et al. 2012), so
that what is made of sums over rows takes one matrix product for all draws.
"""

from __future__ import annotations

import math
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, stdtrit

from ..types import Metric

Array: TypeAlias = NDArray[np.float64]
Groups: TypeAlias = NDArray[np.int64]
"""`(N,)`: the group of each row, from 0."""

NOTHING_KNOWN: Final = Metric(value=0.0, low=0.0, high=1.0)

_MOST_BUNDLES: Final = 200
Z: Final = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""
_DRAWS, _MOST_CELLS, _FEWEST_DRAWS = 1000, 2 * 10**7, 100
_NEAREST = 0.25
_LEAST_TAILS: Final = 0.87
"""Excess kurtosis of the size of a normally distributed number."""


def wilson(successes: float, trials: float, *, quantile: float = Z) -> Metric:
    """A proportion with Wilson's 95 % score interval (Wilson 1927); of no trials, 0 with the interval 0 to 1."""
    if not trials:
        return NOTHING_KNOWN
    share, squared = successes / trials, quantile**2
    centre = (share + squared / (2 * trials)) / (1 + squared / trials)
    half = quantile / (1 + squared / trials) * math.sqrt(share * (1 - share) / trials + squared / (4 * trials**2))
    return Metric(value=share, low=min(share, max(0.0, centre - half)), high=max(share, min(1.0, centre + half)))


def share_of(hits: NDArray[np.bool_], groups: Groups | None = None) -> Metric:
    """The share of the rows that hit, `(N,)`.

    Of groups Wilson's interval for as many independent rows as would err by as much (Kish's effective sample size,
    1965), at most all.
    """
    rows = len(hits)
    if groups is None or not rows:
        return wilson(float(hits.sum()), rows)
    share = float(hits.mean())
    error, quantile = _standard_error(hits.astype(np.float64) - share, groups)
    spread = share * (1 - share)
    independent = min(float(rows), spread / error**2) if error > 0 else float(rows if spread else groups.max() + 1)
    quantile = quantile if independent < rows else Z
    bounds = wilson(share * independent, independent, quantile=quantile)
    return Metric(value=share, low=bounds.low, high=bounds.high)


def share_among(hits: NDArray[np.bool_], chosen: NDArray[np.bool_], groups: Groups | None = None) -> Metric:
    """The share of the chosen rows that hit; of none, 0 with the interval 0 to 1."""
    if not chosen.any():
        return NOTHING_KNOWN
    return share_of(hits[chosen], groups_among(groups, chosen))


def f1_interval(share: Metric) -> Metric:
    """F1 = 2p/(1 + p), from p = TP / (TP + FP + FN)."""
    value, low, high = (2 * p / (1 + p) for p in (share.value, share.low, share.high))
    return Metric(value=value, low=low, high=high)


def mean_of(values: Array, groups: Groups | None = None, *, positive: bool = False) -> Metric:
    """The mean of `(N,)` values; `positive` where none can be below 0."""
    mean = float(values.mean())
    return (around_positive if positive else around)(mean, values - mean, groups)


def around(value: float, influence: Array, groups: Groups | None = None) -> Metric:
    """An estimate that may take any value, from the influence of each row, `(N,)`."""
    half = math.prod(_standard_error(influence, groups))
    return Metric(value=value, low=value - half, high=value + half)


def around_positive(value: float, influence: Array, groups: Groups | None = None) -> Metric:
    """An estimate of what is never negative: the interval of its logarithm, from leaving out each row or group.

    A few large values make a mean uncertain, and their spread still more so: hence the degrees of freedom.
    """
    units, sizes = _units(influence, groups)
    if value <= 0 or len(units) < 2:
        return Metric(value=value, low=value, high=value)
    without = value - units / (len(influence) - sizes)
    centre, error = _jackknife(math.log(value), np.log(np.maximum(without, _NEAREST * value)))
    half = student(_freedom(units / sizes)) * error
    low, high = math.exp(centre - half), math.exp(min(centre + half, 700.0))
    return Metric(value=value, low=min(value, low), high=max(value, high))


def around_share(value: float, influence: Array, groups: Groups | None = None, *, units: float | None = None) -> Metric:
    """An estimate between 0 and 1, whose logit has a symmetric interval; where that tells nothing, Wilson's interval.

    Args:
        units: rows, where it rests on fewer than all: the rarer of two kinds.
    """
    units = float(len(influence) if units is None else units)
    if groups is not None:
        units = min(units, float(groups.max() + 1))
    error, quantile = _standard_error(influence, groups)
    if not 0 < value < 1 or not error:
        return wilson(value * units, units)
    quantile = max(quantile, student(units - 1))
    half = quantile * error / (value * (1 - value))
    centre = float(logit(value))
    return Metric(value=value, low=float(expit(centre - half)), high=float(expit(centre + half)))


def weights_of(rows: int, *, draws: int = _DRAWS, groups: Groups | None = None) -> Array:
    """`(draws, rows)`: how often each draw of the bootstrap counts each row; fewer draws of very many rows."""
    count = max(_FEWEST_DRAWS, min(draws, _MOST_CELLS // max(1, rows)))
    units = rows if groups is None else int(groups.max()) + 1
    weights = np.random.default_rng(0).poisson(1.0, (count, units)).astype(np.float64)
    weights[~weights.any(axis=1)] = 1.0  # of very few rows a draw may have none
    return weights if groups is None else weights[:, groups]


def interval(value: float, drawn: Array) -> Metric:
    """A value with the middle 95 % of its draws; those that are not defined are left out."""
    known = drawn[np.isfinite(drawn)]
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (value, value)
    return Metric(value=value, low=min(value, float(low)), high=max(value, float(high)))


def jackknifed(value: float, without: Array, *, least: float = 0.0, most: float = 1.0) -> Metric:
    """An estimate between bounds, from those without one row or group each, `(U,)` (Quenouille 1956, Tukey 1958).

    It is computed on the logit's scale, where the interval is symmetric around the estimate less its bias: of few rows
    average precision, for one, is too large by a third of its standard error, in every class alike. An estimate without
    some row never counts as nearer to a bound than a quarter of the distance of the estimate itself. Where leaving out
    changes nothing, Wilson's interval.
    """
    count, width = len(without), most - least
    share, others = (value - least) / width, (without - least) / width
    if count < 2 or not 0 < share < 1 or not np.ptp(others):
        found = wilson(share * count, count)
        return Metric(value=value, low=least + width * found.low, high=least + width * found.high)
    others = logit(np.clip(others, share * _NEAREST, 1 - (1 - share) * _NEAREST))
    centre, error = _jackknife(float(logit(share)), others)
    half = student(count - 1) * error
    low, high = (least + width * float(expit(end)) for end in (centre - half, centre + half))
    return Metric(value=value, low=min(value, low), high=max(value, high))


def bundled(groups: Groups) -> Groups:
    """At most 200 bundles of groups, which tell nearly as much as the groups themselves."""
    return numbered(groups % _MOST_BUNDLES)


def numbered(groups: Groups) -> Groups:
    """The same groups with the numbers 0, 1, 2, … and none of them empty."""
    numbers: Groups = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    return numbers


def groups_of(names: list[str | None]) -> Groups | None:
    """Numbers of the groups that rows name, of a row without one its own.

    None where no two rows share one, or all do: of a single group only its rows can tell what chance does.
    """
    known = [name if name is not None else f"\0{place}" for place, name in enumerate(names)]
    return _several(np.unique(known, return_inverse=True)[1].astype(np.int64))


def groups_among(groups: Groups | None, chosen: NDArray[Any]) -> Groups | None:
    """Those of the chosen rows, by places or marks, as `groups_of` has them."""
    return None if groups is None else _several(numbered(groups[chosen]))


def _several(groups: Groups) -> Groups | None:
    return groups if groups.any() and int(groups.max()) + 1 < len(groups) else None


def _jackknife(estimate: float, others: Array) -> tuple[float, float]:
    """The estimate less its bias, and its standard error, from the estimates without one unit each, `(U,)`."""
    count, mean = len(others), float(others.mean())
    error = math.sqrt((count - 1) / count * float(np.square(others - mean).sum()))
    return estimate - (count - 1) * (mean - estimate), error


def _units(influence: Array, groups: Groups | None) -> tuple[Array, Array]:
    """What is drawn at random, rows or groups of them, `(U,)`: the influence of each, and how many rows it has."""
    if groups is None:
        return influence, np.ones(len(influence))
    sums: Array = np.bincount(groups, influence).astype(np.float64)
    return sums, np.bincount(groups).astype(np.float64)


def _standard_error(influence: Array, groups: Groups | None) -> tuple[float, float]:
    """Of an estimate, and by how much to multiply it for 95 %; 0 where a single row or group tells nothing."""
    units, _ = _units(influence, groups)
    count = len(units)
    if count < 2:
        return 0.0, Z
    error = math.sqrt(float(np.square(units).sum()) * count / (count - 1)) / len(influence)
    return error, student(count - 1)


def _freedom(values: Array) -> float:
    """Degrees of freedom of the variance of `(U,)` values of what is never negative: fewer, the heavier the tail.

    The variance of a variance follows from the kurtosis; that of so few values is too small, and corrected for (Joanes
    & Gill 1998). It counts as no less than that of a normal number's size, since few values do not show their tail.
    """
    count = len(values)
    squares = np.square(values - values.mean())
    if count < 4 or not squares.any():
        return count - 1.0
    tails = float(np.square(squares).mean() / squares.mean() ** 2) - 3
    tails = (count - 1) / ((count - 2) * (count - 3)) * ((count + 1) * tails + 6)
    return max(1.0, 2 * count / (max(tails, _LEAST_TAILS) + 2 * count / (count - 1)))


def student(freedom: float) -> float:
    """The 97.5 % quantile of Student's t."""
    return float(stdtrit(max(1.0, freedom), 0.975))
