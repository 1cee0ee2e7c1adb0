"""What the labels ask for: one class a row, several labels, or a number. Said by the user, or told from the labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal

from ..errors import DataError
from ..types import Question, Row, SetAside, Value, plural

SEPARATOR: Final = ";"
"""Between the labels of a row, after they are read."""

_MANY_VALUES: Final = 20
_MANY_SHARE: Final = 0.05
_SEPARATORS: Final = (";", "|", ",")
_SEPARATED_SHARE: Final = 0.2


class Asked(Value, frozen=True):
    """What the user says of the labels.

    Attributes:
        task: what is asked; auto tells a number from a class by the labels.
        separator: stands between the labels of a row; giving one means that a row has several.
    """

    task: Literal["auto"] | Question = "auto"
    separator: str | None = None

    @property
    def several(self) -> bool:
        """Whether a row has any number of labels."""
        return self.task == "tag" or self.separator is not None


AUTO: Final = Asked()


def choose_question(labels: Sequence[str], asked: Asked) -> tuple[Question, list[str]]:
    """What is asked of each row, and sentences about it.

    Labels are numbers to be estimated where all are numbers and there are many different ones: more than 20, and more
    than one for twenty rows. Class numbers, however many, come again and again.

    Args:
        labels: of all rows.
        asked: what the user said.
    """
    if asked.several:
        return "tag", [f"a row has any number of labels, with {(asked.separator or SEPARATOR)!r} between them"]
    if asked.task != "auto":
        return asked.task, []
    different = set(labels)
    many = len(different) > max(_MANY_VALUES, _MANY_SHARE * len(labels))
    if many and all(number_of(text) is not None for text in different):
        what = f"the labels are {len(different):,} different numbers"
        return "regress", [f"{what}: they are estimated as numbers; --task classify takes them as classes"]
    return "classify", _hint_of_several(different, labels)


def number_of(text: str) -> float | None:
    """The finite number that a label is, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def labels_of(text: str, separator: str = SEPARATOR) -> list[str]:
    """The labels of a row, each once, in the order that they are written in."""
    return list(dict.fromkeys(part.strip() for part in text.split(separator) if part.strip()))


def readable(rows: Sequence[Row], question: Question, asked: Asked, *, where: str) -> tuple[list[Row], list[SetAside]]:
    """The rows whose label answers the question; of numbers, those that are finite ones.

    Several labels of a row are written anew, with `SEPARATOR` between them.

    Raises:
        DataError: too few do.
    """
    if question == "tag":
        between = asked.separator or SEPARATOR
        names = [[name.replace(SEPARATOR, ",") for name in labels_of(row.label, between)] for row in rows]
        return [replace(row, label=SEPARATOR.join(several)) for row, several in zip(rows, names, strict=True)], []
    kept = [row for row in rows if number_of(row.label) is not None]
    refused = [
        SetAside(key=row.key, reason=f"its label {row.label!r} is no number")
        for row in rows
        if number_of(row.label) is None
    ]
    if len({row.label for row in kept}) < 2:
        raise DataError(
            f"{plural(len(kept), 'label')} of {where!r} can be read as numbers, and fewer than two are different",
            remedy="To take labels as classes: --task classify.",
        )
    return kept, refused


def _hint_of_several(different: set[str], labels: Sequence[str]) -> list[str]:
    """A word where the labels look like lists: many hold a separator, and their parts come again in others."""
    for separator in _SEPARATORS:
        held = sum(separator in label for label in labels)
        parts = {part for label in different for part in labels_of(label, separator)}
        if held > _SEPARATED_SHARE * len(labels) and len(parts) < 0.7 * len(different):
            return [
                f"{held:,} labels hold {separator!r}, and each is taken as one class; if they are several labels: "
                f"--separator '{separator}'"
            ]
    return []
