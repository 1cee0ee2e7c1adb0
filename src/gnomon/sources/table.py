"""A table (CSV, TSV, JSONL, Parquet) that names pictures or recordings and their labels, as a source of rows.

The files stand in the table's own folder or below it. Columns that are obvious are found, and said; others are asked
for.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..errors import DataError, RowError
from ..types import Kind, Question, Row, SetAside, Split, listed, plural
from .columns import (
    REMEDY,
    AskedColumns,
    Columns,
    choose_columns,
    labelled_rows,
    read_columns,
    reason_notes,
    require_column,
)
from .files import digest, leads_out, link_notes, printable, read_path, rows_digest, short_name, size_problem
from .labels import label_text, settle
from .patterns import GIVER_OF_TEST_FILES, compile_group, group_by_key, with_test_files
from .questions import AUTO, Asked

_LOOKED_AT: Final = 20


@dataclass(frozen=True, slots=True)
class TableSource:
    """Rows that are files named by a table."""

    name: str
    rows: Sequence[Row]
    set_aside: Sequence[SetAside]
    notes: Sequence[str]
    fingerprint: str
    content_hints: Sequence[Hashable]
    folder: str
    sizes: Mapping[str, int]
    stored_names: Mapping[str, str]
    """Only for names that can't be printed as they are."""
    kind: Kind = "image"
    question: Question = "classify"

    def read(self, index: int) -> bytes:
        """The bytes of the row's file."""
        key = self.rows[index].key
        return read_path(os.path.join(self.folder, self.stored_names.get(key, key)), self.sizes[key])

    def close(self) -> None:
        """Nothing is held open."""


@dataclass(frozen=True, slots=True)
class _File:
    key: str
    stored: str
    size: int
    modified_ns: int


def open_table(
    location: str,
    *,
    input: str | None = None,
    target: str | None = None,
    group: str | None = None,
    test_files: str | None = None,
    kind: Kind = "image",
    asked: Asked = AUTO,
    notes: Sequence[str] = (),
) -> TableSource:
    """The files that a table names.

    Args:
        input: the column of file names, relative to the table's folder.
        target: the column of labels.
        group: the column of groups, or a regular expression on the file name whose first group counts.
        test_files: a regular expression on the file name, which tells the rows of the test part.
        kind: of the files.
        asked: what the user says of the labels.
        notes: sentences to begin with.

    Raises:
        DataError: not readable, columns that are not obvious, no usable rows, fewer than two classes.
        RecipeError: a column that is not there, or an expression that can't be used.
    """
    folder = os.path.dirname(os.path.abspath(location))
    set_aside: list[SetAside] = []
    columns = read_columns(location, set_aside)
    roles, told = choose_columns(
        columns, location, AskedColumns(input, target, group), lambda: _guess_input(columns, location, folder)
    )
    found = _find_files(columns, roles.input, folder, set_aside)
    if not found:
        raise _nothing_found(columns, roles.input, location, set_aside)
    keys = {number: file.key for number, file in found.items()}
    named, row_notes = labelled_rows(columns, roles, keys, set_aside, several=asked.several)
    rows = _once_each(named, set_aside)
    if not rows:
        raise DataError(f"no row of {location!r} can be used; the first: {set_aside[0].key}: {set_aside[0].reason}")
    remedy = "Is --target the column of labels?"
    parted, test_notes = with_test_files(rows, test_files)
    giver = GIVER_OF_TEST_FILES if test_files else "the table gives"
    settled = settle(parted, where=location, giver=giver, remedy=remedy, asked=asked)
    grouped = settled if roles.group or group is None else group_by_key(settled, compile_group(group))
    file_of = {file.key: file for file in found.values()}
    files = [file_of[row.key] for row in grouped.rows]
    return TableSource(
        name=short_name(location),
        rows=grouped.rows,
        set_aside=[*set_aside, *grouped.set_aside],
        notes=[
            *notes,
            *grouped.notes,
            *test_notes,
            *told,
            *row_notes,
            *link_notes(_links_out(files, folder)),
            *reason_notes(set_aside),
        ],
        fingerprint=digest([rows_digest(grouped.rows), *((file.size, file.modified_ns) for file in files)]),
        content_hints=[file.size for file in files],
        kind=kind,
        question=settled.question,
        folder=folder,
        sizes={file.key: file.size for file in files},
        stored_names={file.key: file.stored for file in files if file.key != file.stored},
    )


def read_file_names(location: str, *, input: str | None = None) -> tuple[list[str], list[SetAside]]:
    """Paths of the files that a table names, which need have no labels; and the rows that name none.

    Args:
        location: the table.
        input: the column of file names, relative to the table's folder; guessed as for training.

    Raises:
        DataError: not readable, or a column that is not obvious.
        RecipeError: a column that is not there.
    """
    folder = os.path.dirname(os.path.abspath(location))
    set_aside: list[SetAside] = []
    columns = read_columns(location, set_aside)
    require_column("--input", input, columns, location)
    found = _find_files(columns, input or _guess_input(columns, location, folder)[0], folder, set_aside)
    return [os.path.join(os.path.dirname(location), file.stored) for file in found.values()], set_aside


# --- Which column names the files ------------------------------------------------------------------------------------


def _guess_input(columns: Columns, location: str, folder: str) -> tuple[str, str]:
    """The column whose first values name existing files, if it is one alone."""
    hits: Counter[str] = Counter()
    for name in columns.names:
        texts = [value for value in columns.heads[name] if isinstance(value, str) and value.strip()]
        for text in texts[:_LOOKED_AT]:
            path = _inside(text, folder)
            hits[name] += path is not None and os.path.isfile(os.path.join(folder, path))
    best = [name for name, count in hits.items() if count and count == max(hits.values())]
    if len(best) == 1:
        return best[0], f"the files are named by the column {best[0]!r}"
    what = f"several columns of {location!r} name files: {listed(best)}" if best else _no_files(columns, location)
    raise DataError(what, remedy=f"{REMEDY} File names are relative to the table's folder.")


def _no_files(columns: Columns, location: str) -> str:
    examples = listed([f"{name} ({columns.heads[name][0]!r:.60})" for name in columns.names], 12)
    return f"no column of {location!r} names existing files in its folder; columns and first values: {examples}"


# --- Rows ------------------------------------------------------------------------------------------------------------


def _inside(text: str, folder: str) -> str | None:
    """The name relative to the folder, `/` between its parts; None if it leads out of the folder."""
    path = text.strip()
    if os.path.isabs(path):
        path = os.path.relpath(path, folder)
    path = os.path.normpath(path).replace(os.sep, "/")
    return None if path in (".", "..") or path.startswith("../") or "\x00" in path else path


def _find_files(columns: Columns, name: str, folder: str, set_aside: list[SetAside]) -> dict[int, _File]:
    """The file of each row, by the row's number; other rows are set aside."""
    found: dict[int, _File] = {}
    for number, value in enumerate(columns.values(name)):
        text = value if isinstance(value, str) else label_text(value)
        if text is None or not text.strip():
            set_aside.append(SetAside(key=columns.places[number], reason="no file is named"))
            continue
        try:
            found[number] = _find_file(text, folder)
        except RowError as error:
            set_aside.append(SetAside(key=f"{printable(text)} ({columns.places[number]})", reason=error.reason))
    return found


def _find_file(text: str, folder: str) -> _File:
    path = _inside(text, folder)
    if path is None:
        raise RowError("leads out of the table's folder")
    for key in dict.fromkeys((path, _inside(path.replace("\\", "/"), folder))):
        if key is None:
            raise RowError("leads out of the table's folder")
        try:
            status = os.stat(os.path.join(folder, key))
        except (OSError, ValueError):
            continue
        if not stat.S_ISREG(status.st_mode):
            raise RowError("not a regular file")
        problem = "empty (0 bytes)" if status.st_size == 0 else size_problem(status.st_size)
        if problem is not None:
            raise RowError(problem)
        return _File(printable(key), key, status.st_size, status.st_mtime_ns)
    raise RowError("the file does not exist")


def _links_out(files: Sequence[_File], folder: str) -> list[str]:
    """Files that are links to what lies elsewhere, or stand in folders that are."""
    real = os.path.realpath(folder)
    around = {os.path.dirname(file.stored) for file in files}
    elsewhere = {name for name in around if leads_out(os.path.join(folder, name), real)}
    return [
        file.key
        for file in files
        if os.path.dirname(file.stored) in elsewhere
        or (os.path.islink(path := os.path.join(folder, file.stored)) and leads_out(path, real))
    ]


def _nothing_found(columns: Columns, name: str, location: str, set_aside: Sequence[SetAside]) -> DataError:
    total = plural(len(columns.places), "row")
    first = f"{set_aside[0].key}: {set_aside[0].reason}"
    return DataError(
        f"none of {total} of {location!r} names a usable file in the column {name!r}; the first: {first}",
        remedy="File names are relative to the table's folder. --input names another column.",
    )


def _once_each(rows: Sequence[Row], set_aside: list[SetAside]) -> list[Row]:
    """Each file once. A file that is named with different labels or parts is set aside altogether."""
    said: dict[str, set[tuple[str, Split | None]]] = {}
    for row in rows:
        said.setdefault(row.key, set()).add((row.label, row.split))
    kept: dict[str, Row] = {}
    for row in rows:
        if len(said[row.key]) > 1:
            set_aside.append(SetAside(key=row.key, reason="named several times, with different labels or parts"))
        elif row.key in kept:
            set_aside.append(SetAside(key=row.key, reason="named several times; it counts once"))
        else:
            kept[row.key] = row
    return list(kept.values())
