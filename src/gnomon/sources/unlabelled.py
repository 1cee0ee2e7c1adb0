"""Rows of a table without labels, to be answered one by one: its texts, the files that it names, or the series of its
steps.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from numpy.typing import NDArray

from ..errors import RecipeError, RowError
from ..types import Kind
from . import TABLE_EXTENSIONS
from .files import read_path, size_problem
from .forms import extension_of

Content: TypeAlias = bytes | str | NDArray[Any]
"""A row's bytes or array; a text in place of them is the reason why they can't be read."""


@dataclass(frozen=True, slots=True)
class TableColumns:
    """Which columns of a table hold what.

    Attributes:
        input: the texts, or the names of files; None: the obvious one.
        series_id: whose equal values make rows one series; None: a table is one series.
        time: what orders the rows of a series; None: the one that is called so, if any.
        channels: of the series.
        usual: they are those of the training, and may be missing; else one that is not there is an error.
    """

    input: str | None = None
    series_id: str | None = None
    time: str | None = None
    channels: tuple[str, ...] = ()
    usual: bool = False


_NAMED: Final = ("input", "series_id", "time")

GUESSED: Final = TableColumns()
"""The obvious ones."""


def usual_columns(recipe: str) -> TableColumns:
    """Those by which a run read its own tables, of its recipe's text. Raises RecipeError where that is damaged."""
    try:
        known = tomllib.loads(recipe).get("source", {})
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(
            f"the run's recipe can't be used: {error}", remedy="Give the model file in place of the run."
        ) from None
    return TableColumns(**{name: known.get(name) for name in _NAMED}, usual=True)


def columns_of_rows(path: str, kind: Kind, columns: TableColumns) -> TableColumns | None:
    """By which columns a file is a table of many rows of this kind; None where it is one row."""
    if extension_of(path) not in TABLE_EXTENSIONS:
        return None
    if columns.usual and any(getattr(columns, name) for name in _NAMED):
        from .columns import read_columns

        there = read_columns(path, []).names
        lacking: dict[str, Any] = {name: None for name in _NAMED if getattr(columns, name) not in there}
        columns = replace(columns, **lacking)
    return None if kind == "series" and columns.series_id is None else columns


def rows_of_table(path: str, kind: Kind, columns: TableColumns) -> Iterator[tuple[str, Content]]:
    """Name and content of each row, in the table's order; then what of it is no row, and why.

    Raises:
        DataError: not readable, or the column is not obvious.
        RecipeError: a column that is not there.
    """
    if kind == "text":
        from .texts import read_texts

        texts, set_aside = read_texts(path, input=columns.input)
        yield from ((f"{path}, {key}", text.encode(errors="replace")) for key, text in texts)
    elif kind == "series":
        from .long_table import read_series

        found = read_series(path, series_id=str(columns.series_id), time=columns.time, channels=columns.channels)
        yield from ((f"{path}, {key}", steps) for key, steps in found.series.items())
        set_aside = found.set_aside
    else:
        from .table import read_file_names

        names, set_aside = read_file_names(path, input=columns.input)
        yield from ((name, content_of(name)) for name in names)
    yield from ((f"{path}, {row.key.removeprefix(f'{os.path.basename(path)}, ')}", row.reason) for row in set_aside)


def content_of(path: str) -> bytes | str:
    """The bytes of a file, or the reason why they can't be read."""
    try:
        size = os.stat(path).st_size
        return size_problem(size) or read_path(path, size)
    except OSError as error:
        return f"can't be read: {error.strerror}"
    except RowError as error:
        return error.reason
