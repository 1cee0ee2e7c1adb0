"""Decoding that would eat the deadline: as many rows as there is time for, or none; but only when its pace is known."""

import time
from collections.abc import Generator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gnomon.deadline import Deadline
from gnomon.errors import DeadlineError
from gnomon.rows.sample import Drawn
from gnomon.sources import Source, SourceSpec
from gnomon.sources.arrays import array_source
from gnomon.spine import reading
from gnomon.spine.reading import DecodingPace, read_dataset
from gnomon.spine.recipe import Recipe
from gnomon.types import Decoded, Event, Noted

RECIPE = Recipe(source=SourceSpec(location="made"))


def pace_of(*seen: tuple[int, float], rows: int = 6000) -> DecodingPace:
    pace = DecodingPace(rows, began=0.0)
    for done, now in seen:
        pace.seen(done, now)
    return pace


def test_what_decoders_take_to_start_is_no_pace() -> None:
    """256 rows at once, the next two seconds later, when the decoders are there, and then 3,000 a second."""
    seen = ((256, 0.5), (256, 1.0), (512, 2.5))
    assert pace_of(*seen).watched_s == 0.0
    known = pace_of(*seen, (2012, 3.0), (3512, 3.5))
    assert known.watched_s == 1.0
    np.testing.assert_allclose(known.left_s, 2488 / 3000)
    assert known.rows_in(2.5) == 0
    assert known.rows_in(4.5) == 6000


class Made:
    """A machine with a clock of its own, that decodes so many rows a second; later on, so many."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *rows_per_s: float) -> None:
        self.now, self.speeds, self.read = 0.0, list(rows_per_s), list[Source]()
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(reading, "build_dataset", self.decode)

    def decode(self, source: Source, *_: Any, **__: Any) -> Generator[int, None, Any]:
        self.read.append(source)
        speed = self.speeds.pop(0)
        self.now += 1.0  # decoders start
        for done in range(100, len(source.rows) + 1, 100):
            self.now += 100 / speed
            yield done
        return SimpleNamespace(source=source)


def source_of(rows: int, classes: int = 4) -> Source:
    labels = [f"class {row % classes}" for row in range(rows)]
    return array_source(np.zeros((rows, 4, 4), np.uint8), labels)


def read(source: Source, seconds: float | None) -> tuple[Any, list[Event]]:
    """What comes of it, and what was said."""
    deadline = Deadline(0.0) if seconds is None else Deadline(0.0, seconds)
    events, said = read_dataset(source, RECIPE, deadline), list[Event]()
    while True:
        try:
            said.append(next(events))
        except StopIteration as stop:
            return stop.value, said


def texts(said: Sequence[Event]) -> list[str]:
    return [event.text for event in said if isinstance(event, Noted)]


def test_as_many_rows_are_taken_as_there_is_time_for(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Made(monkeypatch, 100.0, 100.0)
    dataset, said = read(source_of(10_000), 60.0)
    taken = len(dataset.source.rows)
    assert 800 <= taken <= 2400
    assert machine.now <= 0.4 * 60
    assert texts(said) == [
        f"{taken:,} of 10,000 rows are used, drawn by chance within each class: to decode all takes until "
        "1 min 41 s of 1 min 00 s; --by 262s has time for all of them"
    ]
    told = [event for event in said if isinstance(event, Decoded)]
    assert told[-1].rows == taken


def test_rows_that_can_be_decoded_in_time_are_all_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for seconds, rows_per_s in ((60.0, 400.0), (None, 1.0)):
        Made(monkeypatch, rows_per_s)
        dataset, said = read(source_of(10_000), seconds)
        assert len(dataset.source.rows) == 10_000
        assert texts(said) == []


@pytest.mark.parametrize(
    ("rows", "classes", "speeds"),
    [(10_000, 4, (10.0,)), (10_000, 100, (100.0,)), (10_000, 4, (100.0, 20.0))],
    ids=["too few in all", "too few of each class", "slower still the second time"],
)
def test_where_too_few_come_in_time_it_is_given_up_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch, rows: int, classes: int, speeds: tuple[float, ...]
) -> None:
    Made(monkeypatch, *speeds)
    with pytest.raises(DeadlineError, match=r"decoding 10,000 rows takes until (.|\n)*--by \d+s; a second run"):
        read(source_of(rows, classes), 60.0)


def test_a_run_that_goes_on_takes_the_rows_of_then_however_slow_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    Made(monkeypatch, 1.0)
    before: Any = SimpleNamespace(drawn=Drawn(rows=400, of=1000, reason="asked for"), encoder=None)
    found: list[Any] = []

    def whole() -> Generator[Event, None, None]:
        found.append((yield from read_dataset(source_of(1000), RECIPE, Deadline(0.0), before=before)))

    assert texts(list(whole())) == []
    assert len(found[0].source.rows) == 400
