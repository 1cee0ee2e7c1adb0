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

from ..errors import RowError
from ..types import Kind
from . import TABLE_EXTENSIONS
from .files import read_path
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


GUESSED: Final = TableColumns()
"""The obvious ones."""


def usual_columns(recipe: str) -> TableColumns:
    """Those by which a run read its own tables, of its recipe's text."""
    known = tomllib.loads(recipe)["source"]
    return TableColumns(**{name: known.get(name) for name in ("input", "series_id", "time")}, usual=True)


def columns_of_rows(path: str, kind: Kind, columns: TableColumns) -> TableColumns | None:
    """By which columns a file is a table of many rows of this kind; None where it is one row."""
    if extension_of(path) not in TABLE_EXTENSIONS:
        return None
    if columns.usual:
        from .columns import read_columns

        there = {columns.input, columns.series_id, columns.time} & set(read_columns(path, []).names)
        columns = replace(
            columns,
            input=columns.input if columns.input in there else None,
            series_id=columns.series_id if columns.series_id in there else None,
            time=columns.time if columns.time in there else None,
        )
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
        yield from ((name, _content(name)) for name in names)
    yield from ((f"{path}, {row.key.removeprefix(f'{os.path.basename(path)}, ')}", row.reason) for row in set_aside)


def _content(path: str) -> bytes | str:
    try:
        return read_path(path, os.stat(path).st_size)
    except OSError as error:
        return f"can't be read: {error.strerror}"
    except RowError as error:
        return error.reason
