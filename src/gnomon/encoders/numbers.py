"""Text files of numbers by columns, CSV and TSV: cut into cells, and read with the place of whatever is no number."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import RowError
from ..sources.cells import no_number, number, shortened
from ..types import listed

_SIGNS: Final = ("\t", ";", ",")


@dataclass(frozen=True, slots=True)
class Lines:
    """A text by cells.

    Attributes:
        cells: of each line that holds something; in a file of one column also of blank lines.
        places: where each of them stands in the text, counted from 1.
    """

    cells: Sequence[Sequence[str]]
    places: Sequence[int]


def cut(text: str, *, most: int | None = None) -> Lines:
    """A text's cells; between them stand tabs, semicolons, commas or spaces, judged by the first two lines.

    Args:
        text: with any ends of lines.
        most: lines that are wanted.

    Raises:
        RowError: quotes that can't be understood.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")[:most]
    sign = _sign_between(lines)
    if '"' in text and sign is not None:
        found = _quoted(lines, sign)
    else:
        found = [(place, line.split(sign)) for place, line in enumerate(lines, start=1)]
    if any(len(cells) > 1 for _, cells in islice(found, 2)):
        found = [(place, cells) for place, cells in found if len(cells) > 1 or "".join(cells).strip()]
    elif not text.strip():
        found = []
    return Lines([cells or [""] for _, cells in found], [place for place, _ in found])


def _sign_between(lines: Sequence[str]) -> str | None:
    """The sign between cells; None for any white space."""
    first = [line for line in islice(lines, 100) if line.strip()][:2]
    for sign in _SIGNS:
        if first and sign in first[-1]:
            return sign
    return None if first and len(first[-1].split()) > 1 else ","


def _quoted(lines: Sequence[str], sign: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO("\n".join(lines), newline=""), delimiter=sign)
    try:
        return [(reader.line_num, cells) for cells in reader]
    except csv.Error as error:
        raise RowError(f"can't be read: {error}, in line {reader.line_num}") from None


def read_columns(lines: Lines, names: Sequence[str], *, header: bool) -> NDArray[np.float64]:
    """The numbers of these columns, `(T, C)`, NaN where one is missing.

    Args:
        lines: of a text.
        names: of the columns, in the order that they are wanted in.
        header: the first line names the columns. Else all columns are taken in their order, and a first line without
            any number is passed over.

    Raises:
        RowError: a column is not there, a line has too many or too few cells, a cell holds no number.
    """
    if not lines.cells:
        raise RowError("holds no values")
    head = lines.cells[0]
    skipped = header or all(number(cell) is None for cell in head)
    places = places_of(head, names) if header else list(range(len(names)))
    if not header and len(head) != len(names):
        raise RowError(f"has {len(head)} columns in line {lines.places[0]}, where {len(names)} channels are expected")
    body = Lines(lines.cells[skipped:], lines.places[skipped:])
    if any(len(cells) != len(head) for cells in body.cells):
        raise _uneven(body, len(head))
    try:
        values = [[float(cells[place]) for place in places] for cells in body.cells]
    except ValueError:
        values = _with_missing(body, places, names)
    return np.array(values, dtype=np.float64).reshape(-1, len(names))


def places_of(head: Sequence[str], names: Sequence[str]) -> list[int]:
    """Where the named columns stand.

    Raises:
        RowError: one is not there, or there twice.
    """
    found = [cell.strip() for cell in head]
    missing = [name for name in names if name not in found]
    if missing:
        what = f"has no channel {missing[0]!r}" if len(missing) == 1 else f"has no channels {_quotes(missing)}"
        raise RowError(f"{what}: its first line names {_quotes(found)}")
    twice = [name for name in names if found.count(name) > 1]
    if twice:
        raise RowError(f"names the channel {twice[0]!r} several times")
    return [found.index(name) for name in names]


def _quotes(names: Sequence[str]) -> str:
    return listed([repr(shortened(name)) for name in names], 6)


def _uneven(body: Lines, width: int) -> RowError:
    place, count = next(
        (place, len(cells)) for place, cells in zip(body.places, body.cells, strict=True) if len(cells) != width
    )
    return RowError(f"has {count} values in line {place}, where its first line has {width}")


def _with_missing(body: Lines, places: Sequence[int], names: Sequence[str]) -> list[list[float]]:
    values = []
    for line, cells in zip(body.places, body.cells, strict=True):
        read = [number(cells[place]) for place in places]
        if None in read:
            channel = read.index(None)
            raise RowError(no_number(cells[places[channel]], f"line {line}", names[channel]))
        values.append([value for value in read if value is not None])
    return values
