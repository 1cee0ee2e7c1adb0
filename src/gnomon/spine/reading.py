"""The rows of a source, decoded by the deadline: all of them, or as many as there is time for."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final

from ..deadline import Deadline, spoken
from ..encoders import Encoder
from ..errors import DeadlineError
from ..planning.hardware import usable_cores
from ..rows.dataset import Dataset, DataSummary, build_dataset
from ..rows.sample import Drawn, sampled
from ..sources import Source
from ..types import Decoded, Event, Noted, plural
from .recipe import Recipe

_MOST_PIXELS, _FEWEST_PIXELS = 224 * 224, 32 * 32
_PIXELS_PER_S: Final = 4e6
_WANTED_EPOCHS: Final = 30
_DECODING_SHARE: Final = 0.6
_DECODING_WATCHED: Final = 0.05
_DECODING_WANTED: Final = 0.4
_SAFE: Final = 0.8
_FEWEST_ROWS, _FEWEST_OF_EACH = 300, 20
_SECONDS_BETWEEN_EVENTS: Final = 0.5


def read_dataset(
    source: Source, recipe: Recipe, deadline: Deadline, *, before: DataSummary | None = None
) -> Generator[Event, None, Dataset]:
    """Decode, split and fit; tells how far it is. Where decoding would eat the deadline, fewer rows are taken.

    Args:
        source: of all rows; it is closed.
        recipe: split, size, fit, threads and seed.
        deadline: for how large pictures can be, and how many rows.
        before: what was seen of the data when a run was planned: the same rows are taken, in the same form.

    Raises:
        InputError: the rows can't be used, or the deadline is too near for any number of them.
    """
    drawn = _asked_for(source, recipe) if before is None else before.drawn
    geometry = None if before is None else before.encoder
    if drawn is not None and before is None:
        yield Noted(text=drawn.said(source.question))
    found = yield from _decoded(sampled(source, drawn), recipe, deadline, geometry)
    if isinstance(found, _Late):
        if not found.are_enough(source):
            raise found.error(source)
        drawn = Drawn(rows=found.rows, of=len(source.rows), reason=found.said)
        yield Noted(text=drawn.said(source.question))
        found = yield from _decoded(sampled(source, drawn), recipe, deadline, geometry)
        if isinstance(found, _Late):
            raise found.error(source)
    source.close()
    return found


def _asked_for(source: Source, recipe: Recipe) -> Drawn | None:
    rows, of = recipe.dataset.rows, len(source.rows)
    return None if rows is None or rows >= of else Drawn(rows=rows, of=of, reason="asked for", asked_for=True)


@dataclass(frozen=True, slots=True)
class _Late:
    """Decoding that was given up: it would take until `expected_s` of `total_s`; in good time come so many `rows`."""

    expected_s: float
    total_s: float
    rows: int

    @property
    def said(self) -> str:
        return f"to decode all takes until {self._until}; --by {self._enough_s}s has time for all of them"

    @property
    def _until(self) -> str:
        return f"{spoken(self.expected_s)} of {spoken(self.total_s)}"

    @property
    def _enough_s(self) -> int:
        return int(2.5 * self.expected_s) + 10

    def are_enough(self, source: Source) -> bool:
        """To train and to judge by."""
        classes = len({row.label for row in source.rows}) if source.question == "classify" else 1
        return max(_FEWEST_ROWS, _FEWEST_OF_EACH * classes) <= self.rows < len(source.rows)

    def error(self, source: Source) -> DeadlineError:
        return DeadlineError(
            f"decoding {plural(len(source.rows), 'row')} takes until {self._until}",
            remedy=f"Give at least --by {self._enough_s}s; a second run starts from the cache.",
        )


def _decoded(
    source: Source, recipe: Recipe, deadline: Deadline, geometry: Encoder | None
) -> Generator[Event, None, Dataset | _Late]:
    decoding = build_dataset(
        source,
        recipe.dataset,
        seed=recipe.seed,
        max_pixels=affordable_pixels(deadline, len(source.rows)),
        threads=recipe.training.threads or usable_cores(),
        geometry=geometry,
    )
    told = began = time.monotonic()
    pace = DecodingPace(len(source.rows), began)
    while True:
        try:
            done = next(decoding)
        except StopIteration as stop:
            dataset: Dataset = stop.value
            return dataset
        now = time.monotonic()
        if now - told > _SECONDS_BETWEEN_EVENTS:
            told = now
            pace.seen(done, now)
            late = _late(pace, deadline)
            if late is not None:
                decoding.close()
                return late
            yield Decoded(done=done, rows=len(source.rows), elapsed_s=deadline.elapsed_s())


class DecodingPace:
    """How quick decoding is once all decoders are at work: the rows of the first block are decoded before they start,
    and those of the next tell how long that takes.

    Args:
        rows: to be decoded.
        began: second at which decoding did.
    """

    def __init__(self, rows: int, began: float) -> None:
        self._rows, self.began = rows, began
        self._first: int | None = None
        self._since = self._now = (began, 0)

    def seen(self, done: int, now: float) -> None:
        """After so many rows, at this second."""
        if self._first is None:
            self._first = done
        if self._since[1] == 0 and done > self._first:
            self._since = now, done
        self._now = now, done

    @property
    def watched_s(self) -> float:
        """Seconds since all decoders are at work; 0 before that."""
        return self._now[0] - self._since[0] if self._since[1] else 0.0

    @property
    def left_s(self) -> float:
        """Seconds for the rows that are left."""
        return self.watched_s * (self._rows - self._now[1]) / max(1e-9, self._now[1] - self._since[1])

    def rows_in(self, seconds: float) -> int:
        """How many rows decoders that start anew decode in so many seconds."""
        start_s = self._since[0] - self.began
        return int(max(0.0, seconds - start_s) * (self._now[1] - self._since[1]) / max(1e-9, self.watched_s))


def _late(pace: DecodingPace, deadline: Deadline) -> _Late | None:
    """Where decoding would eat the time that there was; but not before its pace is known, since it starts slowly."""
    if not deadline.is_set or pace.watched_s < _DECODING_WATCHED * deadline.total_s:
        return None
    expected_s = deadline.elapsed_s() + pace.left_s
    if expected_s <= deadline.total_s - (1 - _DECODING_SHARE) * (deadline.end_s - pace.began):
        return None
    in_time = pace.rows_in(_DECODING_WANTED * max(0.0, deadline.remaining_s()))
    return _Late(expected_s, deadline.total_s, int(_SAFE * in_time) // 100 * 100)


def affordable_pixels(deadline: Deadline, rows: int) -> int:
    """Pixels of one picture with which about 30 epochs of a small network fit the deadline; 32² to 224²."""
    if not deadline.is_set:
        return _MOST_PIXELS // 4
    affordable = _PIXELS_PER_S * deadline.total_s / (_WANTED_EPOCHS * max(1, rows))
    return int(min(_MOST_PIXELS, max(_FEWEST_PIXELS, affordable)))
