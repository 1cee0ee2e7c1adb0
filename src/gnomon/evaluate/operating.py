"""Operating points: thresholds found on the validation part, and what they come to on the test part."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import RecipeError, RunError, nearest
from ..rundir.run import Run
from ..scoring.intervals import share_among
from ..types import Metric, Value
from .table import Predicted, read_predictions

Aim: TypeAlias = Literal["precision", "recall", "accuracy"]
AIMS: Final[tuple[Aim, ...]] = ("precision", "recall", "accuracy")
FEWEST_CALLED: Final = 5
"""Validation rows that a threshold must leave, to mean anything."""


class Wanted(Value, frozen=True):
    """What an operating point is to reach: so much precision or recall of a class, or accuracy of what is answered.

    `label` is the class; None for each of them; of accuracy always None.
    """

    aim: Aim
    least: float
    label: str | None = None


class OperatingPoint(Value, frozen=True):
    """A threshold, and what it comes to.

    Attributes:
        label: the class that is given where its probability reaches the threshold; empty where all answers with at
            least so much confidence are kept.
        threshold: found on the validation part; None where none reaches what is wanted.
        precision, recall: of the class on the test part; of all classes: accuracy of what is answered, and its share.
        best: the most that any threshold reaches on the validation part.
    """

    aim: Aim
    least: float
    label: str
    threshold: float | None
    best: float
    precision: Metric | None = None
    recall: Metric | None = None


def wanted_of(text: str) -> Wanted:
    """`precision=0.95`, `recall=0.9:cat`, `accuracy=0.99`.

    Raises:
        RecipeError: it can't be read.
    """
    head, _, label = text.partition(":")
    aim, _, number = head.partition("=")
    try:
        least = float(number.rstrip("%")) / (100 if number.endswith("%") else 1)
    except ValueError:
        least = -1.0
    if aim not in AIMS or not 0 < least <= 1:
        raise RecipeError(
            f"--at {text!r} can't be read", remedy="Write precision=0.95, recall=0.9:CLASS, or accuracy=0.99."
        )
    if aim == "accuracy" and label:
        raise RecipeError(f"--at {text!r}: accuracy is of all classes", remedy=f"Write accuracy={number}.")
    return Wanted(aim=next(known for known in AIMS if known == aim), least=least, label=label or None)


def operating_points(run: Run, wanted: Wanted) -> list[OperatingPoint]:
    """One point, or one a class.

    Raises:
        RunError: not judged, or of values.
        RecipeError: a class that is not there.
    """
    validation, test = read_predictions(run, "validation"), read_predictions(run, "test")
    if validation.is_value:
        raise RunError(f"{str(run.path)!r} estimates values, which have no thresholds", remedy="Leave --at out.")
    if wanted.aim == "accuracy":
        return [_of_all(wanted, validation, test)]
    if wanted.label is not None and wanted.label not in validation.classes:
        raise RecipeError(
            f"there is no class {wanted.label!r} in {str(run.path)!r}", remedy=nearest(wanted.label, validation.classes)
        )
    labels = validation.classes if wanted.label is None else (wanted.label,)
    return [_of_class(wanted, label, validation, test) for label in labels]


def confidence_for(run: Run, wanted: Wanted) -> float:
    """The least confidence with which answers are right as often as wanted.

    Raises:
        RunError: no confidence reaches it.
        RecipeError: something else than accuracy is wanted.
    """
    if wanted.aim != "accuracy":
        raise RecipeError(
            f"answers can be withheld by accuracy, not by {wanted.aim}", remedy=f"Write --at accuracy={wanted.least:g}."
        )
    point = operating_points(run, wanted)[0]
    if point.threshold is None:
        raise RunError(
            f"no confidence makes {wanted.least:.1%} of the answers right; the most is {point.best:.1%}",
            remedy="Ask for less.",
        )
    return point.threshold


def _of_all(wanted: Wanted, validation: Predicted, test: Predicted) -> OperatingPoint:
    if validation.given:
        raise RecipeError("rows have several labels: accuracy is of classes", remedy="Write precision=… or recall=….")
    threshold, best = lowest_threshold(validation.answers.max(axis=1), validation.right, wanted.least)
    point = OperatingPoint(aim=wanted.aim, least=wanted.least, label="", threshold=threshold, best=best)
    if threshold is None:
        return point
    kept = test.answers.max(axis=1) >= threshold
    return _filled(point, test.right, kept, np.ones(len(kept), np.bool_), test)


def _of_class(wanted: Wanted, label: str, validation: Predicted, test: Predicted) -> OperatingPoint:
    place = validation.classes.index(label)
    probabilities, true = validation.answers[:, place], _has(validation, label)
    if wanted.aim == "precision":
        threshold, best = lowest_threshold(probabilities, true, wanted.least)
    else:
        threshold, best = highest_threshold(probabilities, true, wanted.least)
    point = OperatingPoint(aim=wanted.aim, least=wanted.least, label=label, threshold=threshold, best=best)
    if threshold is None:
        return point
    true_in_test = _has(test, label)
    return _filled(point, true_in_test, test.answers[:, place] >= threshold, true_in_test, test)


def _filled(
    point: OperatingPoint,
    hits: NDArray[np.bool_],
    called: NDArray[np.bool_],
    wanted: NDArray[np.bool_],
    test: Predicted,
) -> OperatingPoint:
    return OperatingPoint(
        aim=point.aim,
        least=point.least,
        label=point.label,
        threshold=point.threshold,
        best=point.best,
        precision=share_among(hits, called, test.groups),
        recall=share_among(called, wanted, test.groups),
    )


def lowest_threshold(scores: NDArray[np.float64], true: NDArray[np.bool_], least: float) -> tuple[float | None, float]:
    """The lowest score from which on at least so large a share is true, and the largest share that any gives.

    Args:
        scores: `(N,)`.
        true: `(N,)`.
        least: the share that is wanted of the rows that reach the threshold.
    """
    order = np.argsort(-scores, kind="stable")
    share = np.cumsum(true[order]) / np.arange(1, len(order) + 1)
    ends = np.append(np.diff(scores[order]) != 0, True) & (np.arange(len(order)) >= min(FEWEST_CALLED, len(order)) - 1)
    reached = np.flatnonzero(ends & (share >= least))
    return (float(scores[order][reached[-1]]) if len(reached) else None), float(share[ends].max(initial=0.0))


def highest_threshold(scores: NDArray[np.float64], true: NDArray[np.bool_], least: float) -> tuple[float | None, float]:
    """The highest score that at least so large a share of the true rows reaches; None where there are none."""
    own = np.sort(scores[true])[::-1]
    if not len(own):
        return None, 0.0
    return float(own[max(1, int(np.ceil(least * len(own) - 1e-9))) - 1]), 1.0


def _has(predicted: Predicted, label: str) -> NDArray[np.bool_]:
    several = bool(predicted.given)
    return np.array([label in written.split(";") if several else label == written for written in predicted.labels])
