"""Scores of a tagging with 95 % intervals from a bootstrap over the rows, or the jackknife of groups of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..judgement import ClassCurves, ClassScores
from ..types import Metric
from .curves import MOST_AREAS, Area, average_precision, curves_of, mean_area, roc_area
from .intervals import (
    NOTHING_KNOWN,
    Groups,
    bundled,
    f1_interval,
    interval,
    jackknifed,
    mean_of,
    share_among,
    share_of,
    weights_of,
)

_FLOOR: Final = 1e-15

Array: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = tuple[Array, Array, Array]
"""Right, false and missed labels, `(…, K)` each."""


def score_labels(
    probabilities: NDArray[np.float32],
    given: NDArray[np.bool_],
    labels: NDArray[np.float32],
    names: tuple[str, ...],
    *,
    groups: Groups | None = None,
) -> tuple[dict[str, Metric], tuple[ClassScores, ...], tuple[ClassCurves, ...]]:
    """Scores of all labels together, and of each.

    Args:
        probabilities: `(N, K)`.
        given: `(N, K)`, which labels are given at their thresholds.
        labels: `(N, K)`, zeros and ones.
        names: of the labels.
        groups: of the rows, where they come in groups.

    Returns:
        micro and macro precision, recall and F1, mean_average_precision (of the labels that occur), macro_roc_area (of
        those that have one), subset_accuracy (all labels of a row right), hamming_loss, log_loss (nats, summed over the
        labels), brier (the mean over labels); scores of each label; curves of each. Empty denominators count as 0.
    """
    true = labels > 0.5
    counts = (given & true, given & ~true, ~given & true)
    exact = tuple(part.sum(axis=0, keepdims=True).astype(np.float64) for part in counts)
    others = _resampled(counts, groups)
    statistics: dict[str, Callable[[Counts], Array]] = {}
    for name, of in (("precision", _precision), ("recall", _recall), ("f1", _f1)):
        statistics |= {f"micro_{name}": _together(of), f"macro_{name}": _mean_of(of)}
    metrics = {
        name: _bounded(float(statistic(exact)[0]), statistic(others), groups) for name, statistic in statistics.items()
    }
    wrong, wide = given ^ true, probabilities.astype(np.float64)
    metrics["subset_accuracy"] = share_of(np.logical_not(wrong.any(axis=1)), groups)
    metrics["hamming_loss"] = mean_of(wrong.mean(axis=1), groups, positive=True)
    metrics["log_loss"] = mean_of(label_losses(wide, true).sum(axis=1), groups, positive=True)
    metrics["brier"] = mean_of(np.square(wide - true).mean(axis=1), groups, positive=True)
    each = [_Label.of(name, wide[:, place], true[:, place]) for place, name in enumerate(names)]
    precisions = mean_area(average_precision, wide, true, [label.average for label in each], groups)
    metrics["mean_average_precision"] = precisions or NOTHING_KNOWN
    roc = mean_area(roc_area, wide, true, [label.roc for label in each], groups)
    metrics |= {"macro_roc_area": roc} if roc else {}
    scores = tuple(_scores_of(label, given[:, place], true[:, place], groups) for place, label in enumerate(each))
    return metrics, scores, tuple(label.curves for label in each[:MOST_AREAS])


def _resampled(counts: tuple[NDArray[np.bool_], ...], groups: Groups | None) -> Counts:
    """The counts in draws of a bootstrap over the rows; or, of groups, without each of them in turn, `(B, K)`."""
    if groups is None:
        weights = weights_of(len(counts[0]))
        drawn = [weights @ part for part in counts]
    else:
        bundles = bundled(groups)
        member = (np.arange(bundles.max() + 1)[:, None] != bundles).astype(np.float64)
        drawn = [member @ part for part in counts]
    return drawn[0], drawn[1], drawn[2]


def _bounded(value: float, others: Array, groups: Groups | None) -> Metric:
    return interval(value, others) if groups is None else jackknifed(value, others)


def label_losses(probabilities: Array, true: NDArray[np.bool_]) -> Array:
    """−log p of what is true of each label, `(N, K)`, in nats, each probability raised to at least 1e-15."""
    return -np.log(np.maximum(np.where(true, probabilities, 1 - probabilities), _FLOOR))


@dataclass(frozen=True, slots=True)
class _Label:
    """Areas and curves of one label."""

    name: str
    roc: Area | None
    average: Area | None
    curves: ClassCurves

    @classmethod
    def of(cls, name: str, probabilities: Array, true: NDArray[np.bool_]) -> _Label:
        roc, average = roc_area(probabilities, true), average_precision(probabilities, true)
        return cls(name, roc, average, curves_of(name, probabilities, true))


def micro_f1(given: NDArray[np.bool_], labels: NDArray[np.float32], groups: Groups | None = None) -> Metric:
    """F1 over all labels of all rows together."""
    true = labels > 0.5
    parts = (given & true, given & ~true, ~given & true)
    sums = np.stack([part.sum(axis=1) for part in parts], axis=1).astype(np.float64)
    of_sums = [weights_of(len(true), groups=groups) @ sums, sums.sum(axis=0, keepdims=True)]
    drawn, exact = (_f1((block[:, 0], block[:, 1], block[:, 2])) for block in of_sums)
    return interval(float(exact[0]), drawn)


def _scores_of(label: _Label, given: NDArray[np.bool_], true: NDArray[np.bool_], groups: Groups | None) -> ClassScores:
    both = given & true
    return ClassScores(
        name=label.name,
        support=int(true.sum()),
        precision=share_among(both, given, groups),
        recall=share_among(both, true, groups),
        f1=f1_interval(share_among(both, given | true, groups)),
        roc_area=label.roc.metric(groups) if label.roc else None,
        average_precision=label.average.metric(groups) if label.average else None,
    )


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
