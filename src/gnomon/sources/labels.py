"""What labels mean, whatever gave them: which rows can be used together, and what is asked of each."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ..errors import DataError
from ..types import SPLITS, Question, Row, SetAside, listed, plural
from .files import printable
from .questions import Asked, choose_question, readable

CLASSES: Final = Asked(task="classify")
"""Folders name classes."""

_WHOLE_FLOAT: Final = re.compile(r"(-?(?:0|[1-9][0-9]*))\.0+")


_LONGEST_LABEL: Final = 10_000
"""Characters; a longer text is no name of a class, and no list of them."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows that can be used together.

    Attributes:
        rows: those.
        set_aside: the others, with the reason.
        notes: sentences about both.
        question: what is asked of each row.
    """

    rows: Sequence[Row]
    set_aside: Sequence[SetAside]
    notes: Sequence[str]
    question: Question = "classify"


def settle(rows: Sequence[Row], *, where: str, giver: str, remedy: str, asked: Asked = CLASSES) -> Listing:
    """The rows that can be used together: every class has rows to learn from, and there are at least two classes.

    Where numbers or several labels are asked for, every row whose label can be read.

    Where there is a train part alone, it is everything, and no row has a part.

    Args:
        rows: at least one; either all have a part or none has.
        where: the location, for messages.
        giver: who names the parts, as a sentence begins: `the folders give`.
        remedy: what to do where there is one class only.
        asked: what the user says of the labels.

    Raises:
        DataError: fewer than two classes.
    """
    long = [SetAside(key=row.key, reason=_too_long(row.label)) for row in rows if len(row.label) > _LONGEST_LABEL]
    if long:
        rows = [row for row in rows if len(row.label) <= _LONGEST_LABEL]
    if not rows:
        raise DataError(f"all labels of {where!r} are texts; the first one {long[0].reason}", remedy=remedy)
    listing = _settled(rows, where=where, giver=giver, remedy=remedy, asked=asked)
    return replace(listing, set_aside=[*long, *listing.set_aside]) if long else listing


def _too_long(label: str) -> str:
    return f"its label has {len(label):,} characters: {label[:20]!r}…"


def _settled(rows: Sequence[Row], *, where: str, giver: str, remedy: str, asked: Asked) -> Listing:
    question, notes = choose_question([row.label for row in rows], asked)
    if question != "classify":
        return _settle_others(rows, question, notes, asked, where=where, giver=giver)
    similar = similar_notes({row.label for row in rows})
    kept, set_aside, lost = _learnable(rows)
    if {row.split for row in kept} == {"train"}:
        kept = [replace(row, split=None) for row in kept]
        notes.append(f"{giver} a train part only: the other parts are taken from it")
    classes = {row.label for row in kept}
    if len(classes) < 2:
        what = f"only one class, {next(iter(classes))!r}" if classes else "no training rows"
        raise DataError([f"{where!r} holds {what} ({plural(len(kept), 'row')})", *lost], remedy=remedy)
    return Listing(kept, set_aside, [_summary(kept, len(classes), giver), *notes, *lost, *similar])


def _settle_others(
    rows: Sequence[Row], question: Question, notes: Sequence[str], asked: Asked, *, where: str, giver: str
) -> Listing:
    kept, set_aside = readable(rows, question, asked, where=where)
    if {row.split for row in kept} == {"train"}:
        kept = [replace(row, split=None) for row in kept]
        notes = [*notes, f"{giver} a train part only: the other parts are taken from it"]
    lost = [f"{plural(len(set_aside), 'row')} set aside: their labels are no numbers"] if set_aside else []
    return Listing(kept, set_aside, [f"{plural(len(kept), 'row')}{_parts_told(kept, giver)}", *notes, *lost], question)


def _learnable(rows: Sequence[Row]) -> tuple[Sequence[Row], list[SetAside], list[str]]:
    """Without the rows of classes that have no training rows."""
    learnt = {row.label for row in rows if row.split in (None, "train")}
    unknown = Counter(row.label for row in rows if row.label not in learnt)
    if not unknown:
        return rows, [], []
    set_aside = [
        SetAside(key=row.key, reason=f"its class {row.label!r} has no training rows")
        for row in rows
        if row.label in unknown
    ]
    names = listed([repr(label) for label in sorted(unknown)], 6)
    subject = "the class" if len(unknown) == 1 else "the classes"
    note = f"{plural(len(set_aside), 'row')} set aside: no training rows for {subject} {names}"
    return [row for row in rows if row.label in learnt], set_aside, [note]


def _summary(rows: Sequence[Row], num_classes: int, giver: str) -> str:
    return f"{plural(len(rows), 'row')} in {num_classes:,} classes{_parts_told(rows, giver)}"


def _parts_told(rows: Sequence[Row], giver: str) -> str:
    """`; the folders give train and test parts (3 + 1)`, or nothing."""
    counts = Counter(row.split for row in rows)
    given = [split for split in SPLITS if counts[split]]
    if not given:
        return ""
    names = f"{', '.join(given[:-1])} and {given[-1]}"
    return f"; {giver} {names} parts ({' + '.join(f'{counts[split]:,}' for split in given)})"


def similar_notes(labels: Iterable[str]) -> list[str]:
    """One sentence for each set of classes that differ only in case, white space or the encoding of accents."""
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for label in sorted(labels):
        alike[" ".join(unicodedata.normalize("NFKC", label).casefold().split())].append(label)
    return [
        f"the classes {', '.join(map(ascii, group))} differ only in case, white space or the encoding of accents:"
        " they are kept apart; rename them if they are one"
        for group in alike.values()
        if len(group) > 1
    ]


def label_text(value: object) -> str | None:
    """A label as text: `3` for 3 and 3.0; None where it is missing (None, NaN, blank)."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bytes):
        value = value.decode(errors="backslashreplace")
    return printable(str(value)) if str(value).strip() else None


def whole_numbers(labels: Sequence[str | None]) -> tuple[Sequence[str | None], bool]:
    """`3` for `3.0` where all labels are whole numbers, some written so (a spreadsheet did it); whether it did."""
    floats = {label for label in labels if label is not None and _WHOLE_FLOAT.fullmatch(label)}
    others = {label for label in labels if label is not None} - floats
    if not floats or not all(re.fullmatch(r"-?(?:0|[1-9][0-9]*)", label) for label in others):
        return labels, False
    return [label.partition(".")[0] if label in floats else label for label in labels], True
