"""95 % intervals of proportions, of means, and of whatever is made of sums over rows.

A bootstrap draw counts each row as often as a Poisson number of mean 1 says (Chamandy et al. 2012), so that what is
made of sums over rows takes one matrix product for all draws.
"""

from __future__ import annotations

import math
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..types import Metric

Array: TypeAlias = NDArray[np.float64]

_Z: Final = 1.959963984540054
_DRAWS, _MOST_CELLS, _FEWEST_DRAWS = 1000, 2 * 10**7, 100


def wilson(successes: float, trials: float) -> Metric:
    """A proportion with Wilson's 95 % score interval (Wilson 1927); of no trials, 0 with the interval 0 to 1."""
    if not trials:
        return Metric(value=0.0, low=0.0, high=1.0)
    share, squared = successes / trials, _Z**2
    centre = (share + squared / (2 * trials)) / (1 + squared / trials)
    half = _Z / (1 + squared / trials) * math.sqrt(share * (1 - share) / trials + squared / (4 * trials**2))
    return Metric(value=share, low=min(share, max(0.0, centre - half)), high=max(share, min(1.0, centre + half)))


def mean_interval(values: NDArray[np.float64]) -> Metric:
    """A mean with its normal 95 % interval."""
    mean = float(values.mean())
    half = _Z * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return Metric(value=mean, low=mean - half, high=mean + half)


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
