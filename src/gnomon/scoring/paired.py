"""Two models on the same rows: how much better the second is, and whether chance alone would explain it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, stdtr, stdtrit

from ..types import Metric
from .intervals import Array, Groups, Z, mean_of

SIGNIFICANT: Final = 0.05


@dataclass(frozen=True, slots=True)
class Difference:
    """The second minus the first, the probability of so great a difference between equal models, and the test."""

    metric: Metric
    p: float
    test: str

    @property
    def is_told(self) -> bool:
        """Whether chance is no explanation: by the test and by the interval."""
        return self.p < SIGNIFICANT and not self.metric.low <= 0 <= self.metric.high


def difference_in_accuracy(
    first: NDArray[np.bool_], second: NDArray[np.bool_], groups: Groups | None = None
) -> Difference:
    """Which answers are right, `(N,)` each, of the same rows.

    The test is McNemar's (1947), exact, with the middle p (Fagerland et al. 2013), on the rows where one alone is
    right; the interval Agresti and Min's (2005). Of grouped rows both come from the groups' mean differences.
    """
    if groups is not None:
        return difference_in_means(second.astype(np.float64) - first, groups)
    rows = len(first)
    gained, lost = int((second & ~first).sum()), int((first & ~second).sum())
    exact = float((second.astype(np.float64) - first).mean())
    wide, more, less = rows + 2, gained + 0.5, lost + 0.5
    centre = (more - less) / wide
    half = Z * math.sqrt(max(0.0, more + less - (more - less) ** 2 / wide)) / wide
    metric = Metric(value=exact, low=min(exact, centre - half), high=max(exact, centre + half))
    return Difference(metric, _middle_p(gained, lost), "McNemar's exact test, middle p")


def difference_in_means(differences: Array, groups: Groups | None = None) -> Difference:
    """The mean of `(N,)` differences, row by row, by Student's t; of grouped rows over the groups."""
    metric = mean_of(differences, groups)
    units = len(differences) if groups is None else int(groups.max()) + 1
    half = metric.high - metric.value
    if units < 2 or half <= 0:
        p = 1.0 if metric.value == 0 or units < 2 else 0.0
    else:
        p = 2 * float(stdtr(units - 1, -abs(metric.value) * float(stdtrit(units - 1, 0.975)) / half))
    named = "paired t-test" if groups is None else f"paired t-test over {units} groups"
    return Difference(metric, p, named)


def _middle_p(gained: int, lost: int) -> float:
    trials, fewer = gained + lost, min(gained, lost)
    if not trials:
        return 1.0
    below = float(bdtr(fewer - 1, trials, 0.5)) if fewer else 0.0
    return min(1.0, 2 * below + (float(bdtr(fewer, trials, 0.5)) - below))
