"""ROC and precision–recall curves of one class against all others, and the areas under them.

Both areas are means over rows, and their intervals come from the influence of each row on them: for the ROC curve
DeLong's (1988; with groups Obuchowski's, 1997), for average precision the derivative by the weight of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..judgement import ClassCurves, Points
from ..types import Metric
from .intervals import Array, Groups, around_share, jackknifed

MOST_AREAS: Final = 100
"""Classes or labels up to which there are curves."""
MOST_POINTS: Final = 100

_FEW_UNITS, _MOST_CELLS = 200, 4 * 10**6


@dataclass(frozen=True, slots=True)
class Area:
    """A value between 0 and 1, the influence of each row on it `(N,)`, and rows of the rarer kind."""

    value: float
    influence: Array
    rarer: int

    def metric(self, groups: Groups | None = None) -> Metric:
        """With its interval."""
        return around_share(self.value, self.influence, groups, units=self.rarer)


AreaOf: TypeAlias = Callable[[Array, NDArray[np.bool_]], Area | None]
"""Scores and truth of one class, `(N,)` each → the area under a curve."""


def roc_area(scores: Array, true: NDArray[np.bool_]) -> Area | None:
    """The probability that a true row has a greater score than another; ties count half. None without both kinds.

    Args:
        scores: `(N,)`.
        true: `(N,)`.
    """
    positives, rows = int(true.sum()), len(true)
    if positives in (0, rows):
        return None
    found, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    hits = np.bincount(place, true, len(found))
    misses = count - hits
    # The share of the other kind that each score lies above, ties half.
    above_misses = (np.cumsum(misses) - misses / 2) / (rows - positives)
    below_hits = 1 - (np.cumsum(hits) - hits / 2) / positives
    area = float((hits * above_misses).sum() / positives)
    influence = np.where(
        true, (above_misses[place] - area) * rows / positives, (below_hits[place] - area) * rows / (rows - positives)
    )
    return Area(area, influence, min(positives, rows - positives))


def average_precision(scores: Array, true: NDArray[np.bool_]) -> Area | None:
    """Σ (recallₙ − recallₙ₋₁) precisionₙ over the distinct scores, falling. None where no row is true.

    Args:
        scores: `(N,)`.
        true: `(N,)`.
    """
    positives, rows = int(true.sum()), len(true)
    if not positives:
        return None
    found, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    hits = np.bincount(place, true, len(found))
    called = np.cumsum(count[::-1])[::-1]
    precision = np.cumsum(hits[::-1])[::-1] / called
    area = float((hits * precision).sum() / positives)
    # One more row of this score is called so at every score up to its own, and moves the precision there.
    more, less = np.cumsum(hits / called), np.cumsum(hits * precision / called)
    influence = (true * (precision[place] - area + more[place]) - less[place]) * rows / positives
    return Area(area, influence, positives)


def mean_area(
    area_of: AreaOf,
    scores: Array,
    true: NDArray[np.bool_],
    areas: Sequence[Area | None],
    groups: Groups | None = None,
) -> Metric | None:
    """The mean over the classes that have an area; None where none has.

    Args:
        area_of: `roc_area` or `average_precision`.
        scores: `(N, K)`.
        true: `(N, K)`.
        areas: what it says of each class.
        groups: of the rows. Of few groups, or few rows, the interval comes from leaving out each in turn, since the
            areas of few rows are biased, all in one direction.
    """
    known = [area for area in areas if area]
    value = _mean_of(areas)
    if value is None:
        return None
    units = np.arange(len(scores)) if groups is None else groups
    count = int(units.max()) + 1
    if count <= _FEW_UNITS and count * scores.size <= _MOST_CELLS:
        members = (units != unit for unit in range(count))
        without = [_mean_of(_areas_of(area_of, scores[rest], true[rest])) for rest in members]
        return jackknifed(value, np.array([mean for mean in without if mean is not None]))
    influence = np.mean([area.influence for area in known], axis=0)
    return around_share(value, influence, groups, units=sum(area.rarer for area in known))


def _areas_of(area_of: AreaOf, scores: Array, true: NDArray[np.bool_]) -> list[Area | None]:
    """Of each class, `(N, K)` each."""
    return [area_of(scores[:, place], true[:, place]) for place in range(scores.shape[1])]


def _mean_of(areas: Sequence[Area | None]) -> float | None:
    known = [area.value for area in areas if area]
    return float(np.mean(known)) if known else None


def curves_of(name: str, scores: Array, true: NDArray[np.bool_]) -> ClassCurves:
    """Both curves of a class, thinned to at most `MOST_POINTS` points."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.diff(scores[order]) != 0, True)
    hits = np.cumsum(true[order])[ends]
    called = np.flatnonzero(ends) + 1
    positives, rows = int(true.sum()), len(true)
    recall = np.append(0.0, hits / max(1, positives))
    fallout = np.append(0.0, (called - hits) / max(1, rows - positives))
    precision = np.append(1.0, hits / called)
    return ClassCurves(
        name=name,
        roc=_thinned(fallout, recall, fallout + recall),
        precision_recall=_thinned(recall, precision, recall),
    )


def _thinned(across: Array, up: Array, along: Array) -> Points:
    """Points at even distances along the curve; the first and last among them."""
    wanted = np.searchsorted(along, np.linspace(along[0], along[-1], MOST_POINTS))
    chosen = np.unique(np.concatenate((wanted, [0, len(along) - 1])))
    pairs = np.round(np.stack((across[chosen], up[chosen]), axis=1), 4)
    return tuple((float(x), float(y)) for x, y in pairs)
