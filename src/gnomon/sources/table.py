"""A table (CSV, TSV, JSONL, Parquet) that names image files and their labels, as a source of rows.

The files stand in the table's own folder or below it. Columns that are obvious are found, and said; others are asked
for.
"""

from __future__ import annotations

import codecs
import os
import stat
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from ..errors import DataError, RecipeError, RowError, nearest
from ..types import Question, Row, SetAside, Split, listed, plural
from .files import digest, printable, read_path, size_problem
from .labels import label_text, settle, whole_numbers
from .layout import SPLIT_WORDS
from .pictures import compile_group, group_by_key, rows_digest, short_name

_LABEL_NAMES: Final = ("label", "labels", "class", "target", "category", "y", "class_name", "label_name")
_SPLIT_NAMES: Final = ("split", "set", "subset", "partition")
_HEAD: Final = 100
_LOOKED_AT: Final = 20
_READABLE: Final = "A table has a first line of column names, and then a line for each image: file,label."
_REMEDY: Final = "Name the column of files with --input and the column of labels with --target."


@dataclass(frozen=True, slots=True)
class TableSource:
    """Rows that are image files named by a table."""

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
    kind: Literal["image"] = "image"
    question: Question = "classify"

    def read(self, index: int) -> bytes:
        """The bytes of the row's file."""
        key = self.rows[index].key
        return read_path(os.path.join(self.folder, self.stored_names.get(key, key)), self.sizes[key])

    def close(self) -> None:
        """Nothing is held open."""


@dataclass(frozen=True, slots=True)
class _Columns:
    """A table by columns.

    Attributes:
        names: in the table's order.
        values: a column's values.
        heads: the first values of each column.
        places: where each row stands: `line 7`, `row 7`.
    """

    names: Sequence[str]
    values: Callable[[str], Sequence[object]]
    heads: Mapping[str, Sequence[object]]
    places: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Roles:
    """Which columns say what."""

    input: str
    target: str
    split: str | None
    group: str | None


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
    notes: Sequence[str] = (),
) -> TableSource:
    """The images that a table names.

    Args:
        input: the column of file names, relative to the table's folder.
        target: the column of labels.
        group: the column of groups, or a regular expression on the file name whose first group counts.
        notes: sentences to begin with.

    Raises:
        DataError: not readable, columns that are not obvious, no usable rows, fewer than two classes.
        RecipeError: a column that is not there.
    """
    folder = os.path.dirname(os.path.abspath(location))
    set_aside: list[SetAside] = []
    columns = _read(location, set_aside)
    roles, told = _choose(columns, location, folder, _Asked(input, target, group))
    found = _find_files(columns, roles.input, folder, set_aside)
    if not found:
        raise _nothing_found(columns, roles.input, location, set_aside)
    rows, row_notes = _rows(columns, roles, found, set_aside)
    if not rows:
        raise DataError(f"no row of {location!r} can be used; the first: {set_aside[0].key}: {set_aside[0].reason}")
    settled = settle(rows, where=location, giver="the table gives", remedy="Is --target the column of labels?")
    grouped = settled if roles.group or group is None else group_by_key(settled, compile_group(group))
    file_of = {file.key: file for file in found.values()}
    files = [file_of[row.key] for row in grouped.rows]
    return TableSource(
        name=short_name(location),
        rows=grouped.rows,
        set_aside=[*set_aside, *grouped.set_aside],
        notes=[*notes, *grouped.notes, *told, *row_notes, *_reason_notes(set_aside)],
        fingerprint=digest([rows_digest(grouped.rows), *((file.size, file.modified_ns) for file in files)]),
        content_hints=[file.size for file in files],
        folder=folder,
        sizes={file.key: file.size for file in files},
        stored_names={file.key: file.stored for file in files if file.key != file.stored},
    )


# --- Reading the table -----------------------------------------------------------------------------------------------


def _read(location: str, set_aside: list[SetAside]) -> _Columns:
    extension = os.path.splitext(location)[1].lower()
    try:
        if extension == ".jsonl":
            columns = _read_jsonl(location, set_aside)
        elif extension == ".parquet":
            columns = _read_parquet(location)
        else:
            columns = _read_separated(location, set_aside)
    except OSError as error:
        raise DataError(f"the table {location!r} can't be read: {error.strerror or error}", remedy=_READABLE) from error
    twice = [name for name, count in Counter(columns.names).items() if count > 1]
    if twice:
        raise DataError(f"{location!r} has several columns named {listed(twice)}", remedy="Rename all but one of them.")
    if not columns.places or not columns.names:
        raise DataError([f"the table {location!r} has no rows", *_reason_notes(set_aside)], remedy=_READABLE)
    return columns


def _read_separated(location: str, set_aside: list[SetAside]) -> _Columns:
    """CSV and TSV, every value as text (`007` stays `007`). Lines with too many or too few values are set aside."""
    import pyarrow as pa
    from pyarrow import csv

    delimiter = _check_text(location)

    def refuse(line: Any) -> str:
        place = f"line {line.number}" if line.number is not None else "a line"
        reason = f"{line.actual_columns} values where the header has {line.expected_columns}"
        set_aside.append(SetAside(key=f"{os.path.basename(location)}, {place}", reason=reason))
        return "skip"

    read = csv.ReadOptions(use_threads=False)
    parse = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=refuse)
    try:
        with csv.open_csv(location, read_options=read, parse_options=parse) as reader:
            names = reader.schema.names
        set_aside.clear()
        convert = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
        table = csv.read_csv(location, read_options=read, parse_options=parse, convert_options=convert)
    except pa.ArrowInvalid as error:
        raise DataError(f"the table {location!r} can't be read: {error}", remedy=_READABLE) from error
    return _columns_of(table)


def _check_text(location: str) -> str:
    """The sign between values, judged by the header.

    Raises:
        DataError: not UTF-8 text, with the line.
    """
    remedy = "Save it as UTF-8 (in a spreadsheet: 'CSV UTF-8')."
    header = ""
    with open(location, "rb") as file:
        for number, line in enumerate(file, start=1):
            if number == 1 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise DataError(f"the table {location!r} is in UTF-16, not in UTF-8", remedy=remedy)
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError as error:
                value = line[max(0, error.start - 10) : error.end + 10]
                raise DataError(
                    f"line {number} of {location!r} is no UTF-8 text: byte 0x{line[error.start]:02x} in {value!r}",
                    remedy=remedy,
                ) from error
            header = header or text
    if location.lower().endswith(".tsv"):
        return "\t"
    return next((sign for sign in ",;\t" if sign in header), ",")


def _read_parquet(location: str) -> _Columns:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return _columns_of(parquet.read_table(location))
    except (pa.ArrowException, ValueError) as error:
        raise DataError(f"the table {location!r} can't be read: {error}", remedy=_READABLE) from error


def _columns_of(table: Any) -> _Columns:
    names: list[str] = table.column_names
    heads = {name: table.column(place).slice(0, _HEAD).to_pylist() for place, name in enumerate(names)}
    places = [f"row {number}" for number in range(1, table.num_rows + 1)]
    return _Columns(names, lambda name: list(table.column(name).to_pylist()), heads, places)


def _read_jsonl(location: str, set_aside: list[SetAside]) -> _Columns:
    """One object a line, read one by one: a damaged line costs itself only, and a label's type is that which it has."""
    rows: list[dict[str, object]] = []
    places: list[str] = []
    decoder = msgspec.json.Decoder(dict[str, object])
    with open(location, "rb") as file:
        for number, line in enumerate(file, start=1):
            stripped = (line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).strip()
            if not stripped:
                continue
            try:
                rows.append(decoder.decode(stripped))
                places.append(f"line {number}")
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                key = f"{os.path.basename(location)}, line {number}"
                set_aside.append(SetAside(key=key, reason=f"no JSON object: {error}"))
    names = list(dict.fromkeys(name for row in rows for name in row))
    heads = {name: [row.get(name) for row in rows[:_HEAD]] for name in names}
    return _Columns(names, lambda name: [row.get(name) for row in rows], heads, places)


# --- Which column says what ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Asked:
    input: str | None
    target: str | None
    group: str | None


def _choose(columns: _Columns, location: str, folder: str, asked: _Asked) -> tuple[_Roles, list[str]]:
    """The columns asked for, else the obvious ones, with a sentence about each that was not asked for."""
    for option, name in (("--input", asked.input), ("--target", asked.target)):
        if name is not None and name not in columns.names:
            raise _no_column(option, name, columns, location)
    group = asked.group if asked.group in columns.names else None
    if asked.group is not None and group is None and "(" not in asked.group:
        raise _no_column("--group", asked.group, columns, location)
    input_name = asked.input or _guess_input(columns, location, folder)
    split, split_notes = _find_split(columns, {input_name, asked.target, group})
    target, rivals = (
        (asked.target, []) if asked.target else _guess_target(columns, {input_name, split, group}, location)
    )
    notes = [] if asked.input else [f"the files are named by the column {input_name!r}"]
    if not asked.target:
        other = f", not by {listed(rivals)}; --target changes that" if rivals else ""
        notes.append(f"the labels are given by the column {target!r}{other}")
    return _Roles(input_name, target, split, group), [*notes, *split_notes]


def _no_column(option: str, name: str, columns: _Columns, location: str) -> RecipeError:
    return RecipeError(f"{option} {name!r} is no column of {location!r}", remedy=nearest(name, columns.names))


def _guess_input(columns: _Columns, location: str, folder: str) -> str:
    """The column whose first values name existing files, if it is one alone."""
    hits: Counter[str] = Counter()
    for name in columns.names:
        texts = [value for value in columns.heads[name] if isinstance(value, str) and value.strip()]
        for text in texts[:_LOOKED_AT]:
            path = _inside(text, folder)
            hits[name] += path is not None and os.path.isfile(os.path.join(folder, path))
    best = [name for name, count in hits.items() if count and count == max(hits.values())]
    if len(best) == 1:
        return best[0]
    what = f"several columns of {location!r} name files: {listed(best)}" if best else _no_files(columns, location)
    raise DataError(what, remedy=f"{_REMEDY} File names are relative to the table's folder.")


def _no_files(columns: _Columns, location: str) -> str:
    examples = listed([f"{name} ({columns.heads[name][0]!r:.60})" for name in columns.names], 12)
    return f"no column of {location!r} names existing files in its folder; columns and first values: {examples}"


def _find_split(columns: _Columns, taken: set[str | None]) -> tuple[str | None, list[str]]:
    """The column that names the parts, if there is one that says train in the usual words."""
    lowered = {name.strip().lower(): name for name in columns.names if name not in taken}
    for known in _SPLIT_NAMES:
        if known in lowered:
            name = lowered[known]
            if any(_split_of(value) == "train" for value in columns.values(name)):
                return name, [f"the parts are given by the column {name!r}"]
            if known == "split":
                return None, [f"the column {name!r} is not used: none of its values is 'train'"]
    return None, []


def _split_of(value: object) -> Split | None:
    return SPLIT_WORDS.get(value.strip().lower()) if isinstance(value, str) else None


def _guess_target(columns: _Columns, taken: set[str | None], location: str) -> tuple[str, list[str]]:
    """The column of labels by its name, or because it is the only other one with few different values."""
    free = [name for name in columns.names if name not in taken]
    named = [name for known in _LABEL_NAMES for name in free if name.strip().lower() == known]
    if named:
        return named[0], named[1:]
    few = [name for name in free if _repeats(columns.values(name))]
    if len(few) == 1:
        return few[0], []
    what = f"several could be: {listed(few, 12)}" if few else f"the columns are {listed(columns.names, 12)}"
    raise DataError(f"which column of {location!r} holds the labels is not obvious; {what}", remedy=_REMEDY)


def _repeats(values: Sequence[object]) -> bool:
    """Whether a column could be labels: at least two different ones, each twice on average."""
    different = len({text for value in values if (text := label_text(value)) is not None})
    return 2 <= different <= min(1000, len(values) // 2)


# --- Rows ------------------------------------------------------------------------------------------------------------


def _inside(text: str, folder: str) -> str | None:
    """The name relative to the folder, `/` between its parts; None if it leads out of the folder."""
    path = text.strip()
    if os.path.isabs(path):
        path = os.path.relpath(path, folder)
    path = os.path.normpath(path).replace(os.sep, "/")
    return None if path in (".", "..") or path.startswith("../") or "\x00" in path else path


def _find_files(columns: _Columns, name: str, folder: str, set_aside: list[SetAside]) -> dict[int, _File]:
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
    for key in dict.fromkeys((path, path.replace("\\", "/"))):
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


def _nothing_found(columns: _Columns, name: str, location: str, set_aside: Sequence[SetAside]) -> DataError:
    total = plural(len(columns.places), "row")
    first = f"{set_aside[0].key}: {set_aside[0].reason}"
    return DataError(
        f"none of {total} of {location!r} names a usable file in the column {name!r}; the first: {first}",
        remedy="File names are relative to the table's folder. --input names another column.",
    )


def _rows(
    columns: _Columns, roles: _Roles, found: Mapping[int, _File], set_aside: list[SetAside]
) -> tuple[list[Row], list[str]]:
    labels, were_floats = whole_numbers([label_text(value) for value in columns.values(roles.target)])
    splits = columns.values(roles.split) if roles.split else None
    groups = columns.values(roles.group) if roles.group else None
    rows: list[Row] = []
    for number, file in found.items():
        label = labels[number]
        split = None if splits is None else _split_of(splits[number])
        if label is None:
            set_aside.append(SetAside(key=file.key, reason="its label is missing"))
        elif splits is not None and split is None:
            set_aside.append(SetAside(key=file.key, reason="its part is none of train, validation, test"))
        else:
            group = None if groups is None else _group_name(groups[number], file.key)
            rows.append(Row(file.key, label, split, group))
    notes = ["labels such as '3.0' are read as '3'"] if were_floats else []
    return _once_each(rows, set_aside), notes


def _group_name(value: object, key: str) -> str:
    text = label_text(value)
    return f"alone: {key}" if text is None else text


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


def _reason_notes(set_aside: Sequence[SetAside]) -> list[str]:
    counts: Counter[str] = Counter(refused.reason for refused in set_aside)
    return [f"{plural(count, 'row')} set aside: {reason}" for reason, count in counts.most_common(6)]
