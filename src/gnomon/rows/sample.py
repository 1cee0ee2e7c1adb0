"""Some of a source's rows, drawn by chance: where it was asked for, or where the time is too short to decode them all.

Of each class in each part that the data give an equal share is taken, and ten rows of each before that, as far as there
are so many. Which rows these are hangs on their names alone: the larger of two samples holds the smaller, and no seed
changes them.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Final

from .. import chance
from ..sources import Source
from ..types import Kind, Question, Raw, Row, SetAside, Value

_FIRST_OF_EACH: Final = 10


class Drawn(Value, frozen=True):
    """How many rows were taken `of` how many, and why.

    Attributes:
        asked_for: whether the user wished it.
    """

    rows: int
    of: int
    reason: str
    asked_for: bool = False

    def said(self, question: Question) -> str:
        """As a sentence's beginning; where the rows have classes, each has its share."""
        how = "drawn by chance within each class" if question == "classify" else "drawn by chance"
        return f"{self.rows:,} of {self.of:,} rows are used, {how}: {self.reason}"


class Sample:
    """A `Source` with some of the rows of another, in its order.

    Args:
        source: whose.
        drawn: how many; it has more.
    """

    def __init__(self, source: Source, drawn: Drawn) -> None:
        self._source, self.drawn = source, drawn

    @functools.cached_property
    def _chosen(self) -> list[int]:
        """Found when a row is asked for: who compares fingerprints alone does not wait for it."""
        return _chosen(self._source.rows, self.drawn.rows, by_class=self.question == "classify")

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def kind(self) -> Kind:
        return self._source.kind

    @property
    def question(self) -> Question:
        return self._source.question

    @functools.cached_property
    def rows(self) -> Sequence[Row]:
        return [self._source.rows[row] for row in self._chosen]

    @property
    def set_aside(self) -> Sequence[SetAside]:
        return self._source.set_aside

    @property
    def notes(self) -> Sequence[str]:
        return (*self._source.notes, self.drawn.said(self.question))

    @property
    def fingerprint(self) -> str:
        return f"{self._source.fingerprint}, {self.drawn.rows} rows"

    @property
    def content_hints(self) -> Sequence[Hashable] | None:
        hints = self._source.content_hints
        return None if hints is None else [hints[row] for row in self._chosen]

    def read(self, index: int) -> Raw:
        return self._source.read(self._chosen[index])

    def close(self) -> None:
        self._source.close()


def sampled(source: Source, drawn: Drawn | None) -> Source:
    """The source, or the rows that were drawn from it."""
    return source if drawn is None else Sample(source, drawn)


def drawn_from(source: Source) -> Drawn | None:
    """What was drawn; None where it has all rows."""
    return source.drawn if isinstance(source, Sample) else None


def _chosen(rows: Sequence[Row], count: int, *, by_class: bool) -> list[int]:
    """The places of so many rows, ascending."""
    strata: dict[tuple[str | None, str], list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        strata[row.split, row.label if by_class else ""].append(place)
    wanted: list[tuple[float, int]] = []
    for places in strata.values():
        order = chance.ranked(0, "sample", [rows[place].key for place in places])
        for number, member in enumerate(order):
            share = number - _FIRST_OF_EACH if number < _FIRST_OF_EACH else (number + 0.5) / len(order)
            wanted.append((share, places[member]))
    return sorted(place for _, place in sorted(wanted)[:count])
