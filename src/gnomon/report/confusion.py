"""Which classes are taken for which: in sentences, as a matrix, and as a list of the commonest confusions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from .shapes import ClassScore, Evaluation

MOST_CLASSES: Final = 60
"""A matrix of more classes is not drawn: nobody can read it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said, how often, and whether that is right."""

    name: str
    times: int
    right: bool


@dataclass(frozen=True, slots=True)
class Confused:
    """What the network said of one class.

    Attributes:
        answers: the right one first, then the commonest wrong ones.
        others: rows that got some other wrong answer.
    """

    name: str
    support: int
    answers: tuple[Answer, ...]
    others: int


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the matrix. `tint` is 0 to 100: how strongly it is coloured; `at` its (row, column)."""

    times: int
    share: float
    tint: int
    right: bool
    column: str
    at: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Pair:
    """One confusion: rows of `true` that were called `predicted`, and their share of all rows of `true`."""

    true: str
    predicted: str
    times: int
    share: float
    true_index: int
    predicted_index: int


def worst(evaluation: Evaluation, most: int = 5) -> tuple[Confused, ...]:
    """The classes that are told worst by recall, worst first; only those with rows, and with mistakes."""
    order = sorted(range(len(evaluation.confusion)), key=lambda index: _recall(evaluation, index))
    flawed = [index for index in order if _recall(evaluation, index) < 1]
    return tuple(_confused(evaluation, index) for index in flawed[:most])


def _recall(evaluation: Evaluation, index: int) -> float:
    row = evaluation.confusion[index]
    return row[index] / sum(row) if sum(row) else 1.0


def _confused(evaluation: Evaluation, true: int, most: int = 3) -> Confused:
    row = evaluation.confusion[true]
    wrong = sorted((index for index in range(len(row)) if index != true and row[index]), key=lambda i: -row[i])
    named = (true, *wrong[:most])
    return Confused(
        name=evaluation.classes[true].name,
        support=sum(row),
        answers=tuple(Answer(evaluation.classes[index].name, row[index], index == true) for index in named),
        others=sum(row[index] for index in wrong[most:]),
    )


def matrix(evaluation: Evaluation) -> tuple[tuple[ClassScore, tuple[Cell, ...]], ...]:
    """A row for each true class; empty where there are too many classes to show."""
    if len(evaluation.classes) > MOST_CLASSES:
        return ()
    names = [score.name for score in evaluation.classes]
    return tuple(
        (score, tuple(_cell(row, true, column, names[column]) for column in range(len(row))))
        for true, (score, row) in enumerate(zip(evaluation.classes, evaluation.confusion, strict=False))
    )


def _cell(row: tuple[int, ...], true: int, column: int, name: str) -> Cell:
    share = row[column] / (sum(row) or 1)
    # The square root lets rare confusions be seen beside common right answers.
    return Cell(row[column], share, round(100 * math.sqrt(max(0.0, share))), true == column, name, (true, column))


def pairs(evaluation: Evaluation, most: int = 10) -> tuple[Pair, ...]:
    """The commonest confusions, by number of rows."""
    found = [
        (times, true, predicted)
        for true, row in enumerate(evaluation.confusion)
        for predicted, times in enumerate(row)
        if times and true != predicted
    ]
    names = [score.name for score in evaluation.classes]
    found.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))
    return tuple(
        Pair(names[true], names[predicted], times, times / sum(evaluation.confusion[true]), true, predicted)
        for times, true, predicted in found[:most]
    )
