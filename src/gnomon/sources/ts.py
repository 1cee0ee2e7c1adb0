"""Files `.ts` of the UCR/UEA archive of time series: a header of lines that begin with `@`, then a line a series.

    # a comment
    @dimensions 2
    @classLabel true walking running
    @data
    0.1,0.2,0.3:4,5,?:walking

Dimensions, which are channels, stand between colons, values between commas, the label at the end. Series may differ in
length. Where `@timeStamps true`, values are pairs `(time,value)`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import RowError
from ..types import listed, plural
from .cells import number, shortened

EXTENSION: Final = ".ts"

_LARGEST_FLOAT32: Final = float(np.finfo(np.float32).max)
_LONGEST_HEADER_LINE: Final = 2**20
_MOST_DIGITS: Final = 9
_BETWEEN_DIMENSIONS: Final = re.compile(r"\)\s*:\s*\(")
_BETWEEN_PAIRS: Final = re.compile(r"\)\s*,\s*\(")


@dataclass(frozen=True, slots=True)
class TsHeader:
    """What a file says before its data.

    Attributes:
        label: what stands at the end of a line.
        classes: all there are; none where the label is a number, or the file does not tell them.
        dimensions: of every series, where that is said.
        timestamps: values are pairs of a time and a value.
    """

    label: Literal["class", "target", "none"] = "none"
    classes: tuple[str, ...] = ()
    dimensions: int | None = None
    timestamps: bool = False


@dataclass(frozen=True, slots=True)
class TsSeries:
    """One series: `(T, C)`, NaN where a value is missing; its label, "" where there is none."""

    values: NDArray[Any]
    label: str


TsLine: TypeAlias = tuple[int, TsSeries | str]
"""A line's number, and the series that stands there, or the reason why it can't be read."""


def read_ts(lines: Iterable[bytes]) -> tuple[TsHeader, Iterator[TsLine]]:
    """The header of a `.ts` file, and its series one by one.

    Raises:
        RowError: it is no such file; the reason is a phrase that can stand behind its name.
    """
    numbered = enumerate(lines, start=1)
    header = _read_header(numbered)
    return header, _series(header, numbered)


def _read_header(lines: Iterator[tuple[int, bytes]]) -> TsHeader:
    said: dict[str, list[str]] = {}
    for place, line in lines:
        if len(line) > _LONGEST_HEADER_LINE:
            raise RowError(f"is no .ts file of the UCR/UEA archive: line {place} of its header has {len(line):,} bytes")
        text = line.decode("utf-8-sig", errors="backslashreplace").strip()
        if text.lower().startswith("@data"):
            return _header_of(said)
        if text.startswith("@"):
            key, *words = text[1:].split() or [""]
            said[key.lower()] = words
        elif text and not text.startswith(("#", "%")):
            what = f"line {place} is neither a comment (#) nor a part of a header (@)"
            raise RowError(f"is no .ts file of the UCR/UEA archive: {what}")
    raise RowError("is no .ts file of the UCR/UEA archive: it has no line '@data'")


def _header_of(said: dict[str, list[str]]) -> TsHeader:
    def true(key: str) -> bool:
        return [word.lower() for word in said.get(key, [])[:1]] == ["true"]

    dimensions = (said.get("dimensions") or said.get("dimension") or [""])[0]
    if len(dimensions) > _MOST_DIGITS:
        raise RowError(f"says that it has {shortened(dimensions)} dimensions")
    return TsHeader(
        label="class" if true("classlabel") else "target" if true("targetlabel") else "none",
        classes=tuple(said["classlabel"][1:]) if true("classlabel") else (),
        dimensions=int(dimensions) if dimensions.isdecimal() else 1 if true("univariate") else None,
        timestamps=true("timestamps"),
    )


def _series(header: TsHeader, lines: Iterator[tuple[int, bytes]]) -> Iterator[TsLine]:
    """Where the header names no number of dimensions, the first good line does."""
    dimensions = header.dimensions
    for place, line in lines:
        text = line.decode(errors="backslashreplace").strip()
        if not text or text.startswith("#"):
            continue
        try:
            found = _read_line(text, header, dimensions)
        except RowError as error:
            yield place, error.reason
            continue
        dimensions = dimensions or found.values.shape[1]
        yield place, found


def _read_line(text: str, header: TsHeader, dimensions: int | None) -> TsSeries:
    label = ""
    if header.label != "none":
        text, colon, label = text.rpartition(":")
        if not colon:
            raise RowError("has no ':' before a label")
        label = _known_label(label.strip(), header)
    columns = _timed(text) if header.timestamps else [_values(part.split(",")) for part in text.split(":")]
    if dimensions is not None and len(columns) != dimensions:
        raise RowError(f"has {plural(len(columns), 'dimension')}, where {dimensions} are expected")
    steps = max(map(len, columns))
    columns = [[math.nan] * steps if len(column) == 1 and math.isnan(column[0]) else column for column in columns]
    lengths = list(dict.fromkeys(map(len, columns)))
    if len(lengths) > 1:
        raise RowError(f"has dimensions of different lengths: {listed(list(map(str, lengths)))}")
    values = np.array(columns, dtype=np.float64).T
    large = np.abs(values) > _LARGEST_FLOAT32  # kept as they are, so that encoding can say what is wrong
    return TsSeries(np.ascontiguousarray(values if large.any() else values.astype(np.float32)), label)


def _known_label(label: str, header: TsHeader) -> str:
    """The label as the header writes it: `1` for `1.0`."""
    if label == "?" or not label:
        return ""
    if header.label == "target" or not header.classes or label in header.classes:
        return label
    value = number(label)
    for name in header.classes:
        if value is not None and number(name) == value:
            return name
    raise RowError(f"has the class {shortened(label)!r}, which its header does not name")


def _values(cells: list[str]) -> list[float]:
    try:
        return list(map(float, cells))
    except ValueError:
        pass
    values = []
    for place, cell in enumerate(cells, start=1):
        value = number(cell)
        if value is None:
            raise RowError(
                f"holds {shortened(cell)!r} as a value, which is no number (number {place} of its dimension)"
            )
        values.append(value)
    return values


def _timed(text: str) -> list[list[float]]:
    """Values out of `(time,value),(time,value):(time,value),(time,value)`; all dimensions must have the same times."""
    body = text.strip()
    if not (body.startswith("(") and body.endswith(")")):
        raise RowError("holds values that are no pairs (time,value), though its header says @timeStamps true")
    columns, times = [], []
    for part in _BETWEEN_DIMENSIONS.split(body[1:-1]):
        pairs = [pair.rpartition(",") for pair in _BETWEEN_PAIRS.split(part)]
        times.append([time.strip() for time, _, _ in pairs])
        columns.append(_values([value for _, _, value in pairs]))
    if any(of_dimension != times[0] for of_dimension in times):
        raise RowError("has dimensions with different time stamps")
    return columns
