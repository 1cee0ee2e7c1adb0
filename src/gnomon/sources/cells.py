"""What stands in the cells of a table: numbers and times, and whatever is none."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

MISSING: Final = frozenset(("", "nan", "na", "n/a", "null", "none", "?"))
"""What stands in a cell, in small letters, where a value is missing."""

TIME_NAMES: Final = ("time", "timestamp", "timestamps", "datetime", "date", "step", "t")
"""What a column of times is called, in small letters."""

_CALCULATED: Final = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""Beginnings that a spreadsheet takes for a formula, in full width too; and such as were protected already."""
_LONGEST_SHOWN: Final = 40
_LATEST: Final = 1e300


def protected(text: str) -> str:
    """A text as the cell of a table that a spreadsheet may open: with an apostrophe before what it would calculate.

    `unprotected` gives the text back. Numbers stay as they are.
    """
    return f"'{text}" if _CALCULATED.match(text) and not _is_number(text) else text


def unprotected(cell: str) -> str:
    """The text of a cell that `protected` made."""
    return cell[1:] if cell.startswith("'") and _CALCULATED.match(cell) else cell


def _is_number(text: str) -> bool:
    value = number(text)
    return value is not None and math.isfinite(value)


def number(cell: str) -> float | None:
    """The number in a cell: NaN where it is missing, None where there is something else."""
    try:
        return float(cell)
    except ValueError:
        return math.nan if cell.strip().lower() in MISSING else None


def shortened(cell: str) -> str:
    """A cell as a message shows it."""
    return cell if len(cell) <= _LONGEST_SHOWN else f"{cell[: _LONGEST_SHOWN - 1]}…"


def no_number(cell: str, place: str, channel: str) -> str:
    """Why a series can't be used that holds such a cell: a phrase behind its name."""
    hint = " (a number is written with a point)" if "," in cell else ""
    return f"holds {shortened(cell)!r} in {place}, where a number should stand{hint}; channel {channel!r}"


def numbers_of(values: Sequence[object]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Numbers, NaN where one is missing; and which values are something else, NaN too."""
    try:
        numbers = np.array([float(value) for value in values], dtype=np.float64)  # type: ignore[arg-type]
        return numbers, np.zeros(len(numbers), dtype=bool)
    except (ValueError, TypeError, OverflowError):
        read = [_number_of(value) for value in values]
    others = np.array([value is None for value in read], dtype=bool)
    return np.array([math.nan if value is None else value for value in read], dtype=np.float64), others


def _number_of(value: object) -> float | None:
    if value is None:
        return math.nan
    if isinstance(value, str):
        return number(value)
    try:
        return float(value)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return None
    except OverflowError:
        return math.inf


def times_of(values: Sequence[object]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Times as finite numbers, dates in seconds; NaN where one is missing; and which values are neither, NaN too.

    Dates are those of ISO 8601, such as `2016-07-01 00:00:00`; without a time zone they count as UTC.
    """
    numbers, others = numbers_of(values)
    others |= np.abs(numbers) > _LATEST
    numbers[others] = math.nan
    if not others.any():
        return numbers, others
    seconds = [_seconds_of(value) for value in values]
    dates = np.array([math.nan if second is None else second for second in seconds], dtype=np.float64)
    no_dates = np.array([second is None for second in seconds], dtype=bool)
    return (dates, no_dates) if no_dates.sum() < others.sum() else (numbers, others)


def _seconds_of(value: object) -> float | None:
    if value is None or (isinstance(value, str) and value.strip().lower() in MISSING):
        return math.nan
    try:
        if isinstance(value, str):
            value = datetime.datetime.fromisoformat(value.strip())
        elif isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
            value = datetime.datetime(value.year, value.month, value.day)
        if not isinstance(value, datetime.datetime):
            return None
        return (value if value.tzinfo else value.replace(tzinfo=datetime.UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
