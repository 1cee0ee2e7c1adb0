"""What `--by` may say, and on which clock it counts."""

import datetime
import math
import time

import pytest

from gnomon.deadline import Deadline, parse_deadline, process_start_s, spoken
from gnomon.errors import DeadlineError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("5m", 300),
        ("5min", 300),
        ("1h30m", 5400),
        ("5 minutes", 300),
        ("1 hour 30 sec", 3630),
        ("0.5h", 1800),
        ("1h2m3s", 3723),
        ("1h 30m", 5400),
        ("45", 45),
        (45, 45),
        (1.5, 1.5),
        (" 2M ", 120),
        ("1.5m", 90),
    ],
)
def test_durations(text: str | float, seconds: float) -> None:
    assert parse_deadline(text, start_s=100.0) == Deadline(100.0, 100.0 + seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "5 weeks",
        "-5m",
        "0",
        "0s",
        "1e400",
        "nan",
        "inf",
        "25:00",
        "18:60",
        "1d",
        "m",
        "h",
        "5m5m",
        "1e12",
    ],
)
def test_what_can_not_be_read_or_is_past_is_refused(text: str) -> None:
    with pytest.raises(DeadlineError) as refused:
        parse_deadline(text, start_s=0.0)
    assert "90s, 5m, 1h30m" in refused.value.remedy
    assert text.replace(" ", "") in refused.value.problems[0]


def _at(monkeypatch: pytest.MonkeyPatch, hour: int, minute: int) -> None:
    """The wall clock stands at this time, and 40 s of the process have passed."""

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> "Clock":
            return cls(2026, 3, 1, hour, minute)

    monkeypatch.setattr(datetime, "datetime", Clock)
    monkeypatch.setattr(time, "monotonic", lambda: 1040.0)


@pytest.mark.parametrize(
    ("text", "seconds"), [("18:30", 1800), ("18:00:30", 30), ("17:59", 86_340), ("18:00", 86_400), ("7:05", 47_100)]
)
def test_a_time_of_day_is_the_next_one(monkeypatch: pytest.MonkeyPatch, text: str, seconds: float) -> None:
    """It counts from now, not from the process's start, which lies 40 s back."""
    _at(monkeypatch, 18, 0)
    assert parse_deadline(text, start_s=1000.0).end_s == pytest.approx(1040.0 + seconds)


def test_a_deadline_on_the_monotonic_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 1040.0)
    given, none = parse_deadline("5m", start_s=1000.0), parse_deadline(None, start_s=1000.0)
    assert (given.total_s, given.elapsed_s(), given.remaining_s(), given.is_set) == (300.0, 40.0, 260.0, True)
    assert (none.total_s, none.is_set, none.remaining_s()) == (math.inf, False, math.inf)


def test_the_interpreters_own_start_counts() -> None:
    start = process_start_s()
    assert start <= time.monotonic()
    assert process_start_s() == pytest.approx(start, abs=0.1)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.44, "0.4 s"),
        (9.94, "9.9 s"),
        (45.2, "45 s"),
        (59.4, "59 s"),
        (60, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3599.7, "1 h 00 min"),
        (4320, "1 h 12 min"),
    ],
)
def test_durations_as_a_person_writes_them(seconds: float, text: str) -> None:
    assert spoken(seconds) == text
