"""When the work must be done. One `Deadline` is made when the process starts, and handed down to every stage."""

from __future__ import annotations

import datetime
import math
import os
import re
import time
from dataclasses import dataclass

from .errors import DeadlineError

_DURATION = re.compile(
    r"(?:(?P<h>\d+(?:\.\d+)?)h(?:ours?)?)?"
    r"(?:(?P<m>\d+(?:\.\d+)?)m(?:in(?:utes?)?)?)?"
    r"(?:(?P<s>\d+(?:\.\d+)?)(?:s(?:ec(?:onds?)?)?)?)?"
)
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0}
_REMEDY = "Write a duration (90s, 5m, 1h30m) or a time of day (18:30)."


@dataclass(frozen=True, slots=True)
class Deadline:
    """A span on the monotonic clock, so that a changed wall clock moves nothing.

    Attributes:
        start_s: `time.monotonic()` when the command began.
        end_s: when everything must be done; infinite where only steps or epochs are given.
    """

    start_s: float
    end_s: float = math.inf

    @property
    def total_s(self) -> float:
        return self.end_s - self.start_s

    @property
    def is_set(self) -> bool:
        return math.isfinite(self.end_s)

    def elapsed_s(self) -> float:
        return time.monotonic() - self.start_s

    def remaining_s(self) -> float:
        return self.end_s - time.monotonic()


def parse_deadline(by: str | float | None, *, start_s: float) -> Deadline:
    """The deadline that `--by` means, counted from `start_s`.

    Args:
        by: a duration (`90s`, `5m`, `1h30m`, `0.5h`, plain seconds), a time of day (`18:30`: the next one), or None.
        start_s: on the monotonic clock.

    Raises:
        DeadlineError: unreadable, or not positive.
    """
    if by is None:
        return Deadline(start_s)
    text = str(by).strip().lower().replace(" ", "")
    clock = _CLOCK.fullmatch(text)
    seconds = _until_clock(clock) + time.monotonic() - start_s if clock else _duration_s(text)
    if not 0 < seconds < 1e9:
        raise DeadlineError(f"the deadline {by!r} is not in the future", remedy=_REMEDY)
    return Deadline(start_s, start_s + seconds)


def _duration_s(text: str) -> float:
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise DeadlineError(f"the deadline {text!r} can't be read", remedy=_REMEDY)
    return sum(float(value) * _SECONDS[unit] for unit, value in match.groupdict().items() if value is not None)


def _until_clock(match: re.Match[str]) -> float:
    now = datetime.datetime.now().astimezone()
    hour, minute, second = (int(part or 0) for part in match.groups())
    then = now.replace(hour=hour, minute=minute, second=second, microsecond=0)
    if then <= now:
        then += datetime.timedelta(days=1)
    return (then - now).total_seconds()


def process_start_s() -> float:
    """When this process began, on the monotonic clock: the interpreter's own start counts for the user too.

    Where the system does not tell (it does on Linux), the time of the call.
    """
    try:
        with open("/proc/self/stat", "rb") as file:
            ticks = int(file.read().rpartition(b")")[2].split()[19])
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
        return time.monotonic() - max(0.0, age_s)
    except (OSError, ValueError, IndexError, AttributeError):
        return time.monotonic()


def spoken(seconds: float) -> str:
    """A duration as a person writes it: `0.4 s`, `45 s`, `2 min 05 s`, `1 h 12 min`."""
    if round(seconds, 1) < 10:
        return f"{seconds:.1f} s"
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
