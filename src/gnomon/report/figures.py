"""Numbers as a person reads them. A thin space that does not break stands before a unit."""

from __future__ import annotations

import math
from typing import Final

from ..deadline import spoken as spoken_english
from .shapes import Measured
from .words import Foreign, Said, translated

SPACE: Final = "\u202f"
NONE: Final = "–"


def known(number: float | None) -> bool:
    """Whether there is a number at all."""
    return number is not None and math.isfinite(number)


def percent(share: float | None, digits: int = 1) -> str:
    """`87.0 %`. What is not quite 0 or 1 is never rounded to it: `> 99.9 %`."""
    if share is None or not math.isfinite(share):
        return NONE
    smallest = 10.0**-digits
    if 0 < share < smallest / 200:
        return f"<{SPACE}{smallest:.{digits}f}{SPACE}%"
    if 1 - smallest / 200 < share < 1:
        return f">{SPACE}{100 - smallest:.{digits}f}{SPACE}%"
    return f"{signed(100 * share, digits)}{SPACE}%"


def signed(number: float, digits: int) -> str:
    """With a minus sign that is one, and none before zero."""
    text = f"{number:.{digits}f}"
    return text.removeprefix("-") if not text.strip("-0.") else text.replace("-", "−")


def spread(measured: Measured, *, share: bool = True) -> str:
    """The interval alone: `86.2–87.5`, in percent, or as it is where it is no share; empty where not known."""
    if measured.low is None or measured.high is None or not known(measured.low + measured.high):
        return ""
    if share:
        return _between(signed(100 * measured.low, 1), signed(100 * measured.high, 1))
    return _between(signed(measured.low, 3), signed(measured.high, 3))


def _between(low: str, high: str) -> str:
    """`86.2–87.5`; with a sign in it `−0.2 … 0.2`, since a dash would be taken for another."""
    return f"{low} … {high}" if "−" in low + high else f"{low}–{high}"


def value(measured: Measured, *, share: bool = True) -> str:
    """The value alone: `87.0 %`, or `0.412` where it is no share."""
    if measured.value is None or not math.isfinite(measured.value):
        return NONE
    return percent(measured.value) if share else signed(measured.value, 3)


def difference(measured: Measured, *, share: bool = True) -> str:
    """`−4.2 (−6.0 to −2.5)`: points of a share, or as it is."""
    if not known(measured.value):
        return NONE
    scale, digits = (100.0, 1) if share else (1.0, 3)
    value, low, high = ((part or 0.0) * scale for part in (measured.value, measured.low, measured.high))
    told = f"{value:+z.{digits}f}"
    if measured.low is not None and measured.high is not None:
        told += f" ({low:+z.{digits}f} … {high:+z.{digits}f})"
    return told.replace("-", "−")


def chance(probability: float | None) -> str:
    """A p value: `0.03`, `< 0.001`."""
    if probability is None or not math.isfinite(probability):
        return NONE
    return f"<{SPACE}0.001" if probability < 0.001 else f"{probability:.2g}"


def size(count: int) -> str:
    """`1.4 MB`, in powers of 1000."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f}{SPACE}{unit}" if unit == "bytes" else f"{amount:.1f}{SPACE}{unit}"
        amount /= 1000
    return f"{amount:.1f}{SPACE}GB"


def shape(sizes: tuple[int, ...] | None) -> str:
    """`3 × 32 × 32`."""
    return " × ".join(f"{side:,}" for side in sizes or ()) or NONE


def spoken(seconds: float) -> Said | Foreign | str:
    """A duration: `2 min 05 s`; empty where it is 0."""
    return translated(spoken_english(seconds)) if seconds else ""


def number_of(amount: float) -> str:
    """Three figures that count: `0.154`, `12.3`, `1,234`."""
    return f"{amount:,.0f}" if abs(amount) >= 1000 else f"{amount:.3g}"
