"""Tables by columns: CSV, TSV, JSONL and Parquet read; which column says what, found out or asked for."""

from __future__ import annotations

import codecs
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ..errors import DataError, RecipeError, nearest
from ..types import Row, SetAside, Split, listed, plural
from .labels import label_text, whole_numbers
from .layout import SPLIT_WORDS
from .questions import number_of

LABEL_NAMES: Final = ("label", "labels", "class", "target", "category", "y", "class_name", "label_name")
_SPLIT_NAMES: Final = ("split", "set", "subset", "partition")
_HEAD: Final = 100
_MOST_OTHERS: Final = 8
_SHORT: Final = 60
"""Characters of a value by which rows can be told apart."""
_BLOCK: Final = 64 * 2**20
"""Bytes that are read at once."""
_CHECKED: Final = 4 * 2**20
_SAVE_AS_UTF8: Final = "Save it as UTF-8 (in a spreadsheet: 'CSV UTF-8')."
_LONGEST_LINE: Final = 16 * 2**20
_MOST_VALUES: Final = 10**6
_MOST_COLUMNS: Final = 20_000
_MOST_UNEVEN: Final = 10_000
"""Lines with too many or too few values; a table that has more is not what it seems."""
_SMALL: Final = 100 * 10**6
_MOST_UNFOLDED: Final = 100
_ROWS_AT_ONCE: Final = 128
_ROW_BYTES: Final = 60
"""Of a value in Python, beside its text."""
_READABLE: Final = "A table has a first line of column names, and then a line for each row: file,label or text,label."
REMEDY: Final = "Name the column of files or texts with --input and the column of labels with --target."


@dataclass(frozen=True, slots=True)
class Columns:
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
class Roles:
    """Which columns say what."""

    input: str
    target: str
    split: str | None
    group: str | None


# --- Reading the table -----------------------------------------------------------------------------------------------


def read_columns(location: str, set_aside: list[SetAside]) -> Columns:
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
        raise DataError([f"the table {location!r} has no rows", *reason_notes(set_aside)], remedy=_READABLE)
    return columns


def _read_separated(location: str, set_aside: list[SetAside]) -> Columns:
    """CSV and TSV, every value as text (`007` stays `007`). Lines with too many or too few values are set aside."""
    import pyarrow as pa
    from pyarrow import csv

    delimiter = _check_text(location)

    def refuse(line: Any) -> str:
        place = f"line {line.number}" if line.number is not None else "a line"
        reason = f"{line.actual_columns} values where the header has {line.expected_columns}"
        set_aside.append(SetAside(key=f"{os.path.basename(location)}, {place}", reason=reason))
        return "skip" if len(set_aside) < _MOST_UNEVEN else "error"

    read = csv.ReadOptions(use_threads=False, block_size=_BLOCK)
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
        DataError: not UTF-8 text, with the line; or a line, or its first, that is longer than any can be.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    header, numbers, begun = b"", 1, 0
    with open(location, "rb") as file:
        while block := file.read(_CHECKED):
            if not header and block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise DataError(f"the table {location!r} is in UTF-16, not in UTF-8", remedy=_SAVE_AS_UTF8)
            header = header or block.partition(b"\n")[0]
            try:
                decoder.decode(block)
            except UnicodeDecodeError:
                raise _no_text(location) from None
            # A block holds less than the longest line, so that only a line over several of them may be too long.
            end = block.find(b"\n")
            if begun + (len(block) if end < 0 else end) > _LONGEST_LINE:
                what = f"line {numbers} of {location!r} is longer than {_LONGEST_LINE:,} bytes"
                raise DataError(what, remedy=_READABLE)
            begun = begun + len(block) if end < 0 else len(block) - block.rindex(b"\n") - 1
            numbers += block.count(b"\n")
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:  # cut in the middle of a character
        raise _no_text(location) from None
    text = header.decode(errors="replace")
    sign = "\t" if location.lower().endswith(".tsv") else next((sign for sign in ",;\t" if sign in text), ",")
    if text.count(sign) >= _MOST_COLUMNS:
        raise DataError(f"{location!r} has more than {_MOST_COLUMNS:,} columns", remedy=_READABLE)
    return sign


def _no_text(location: str) -> DataError:
    """Says where the first line stands that is no text."""
    with open(location, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                value = line[max(0, error.start - 10) : error.end + 10]
                what = f"line {number} of {location!r} is no UTF-8 text: byte 0x{line[error.start]:02x} in {value!r}"
                return DataError(what, remedy=_SAVE_AS_UTF8)
    return DataError(f"the table {location!r} is no UTF-8 text", remedy=_SAVE_AS_UTF8)


def _read_parquet(location: str) -> Columns:
    """Piece by piece, so that few bytes that unfold to more than a table can be are noticed while they do."""
    import pyarrow as pa
    from pyarrow import parquet

    most = max(_SMALL, _MOST_UNFOLDED * os.path.getsize(location))
    try:
        with parquet.ParquetFile(location, thrift_string_size_limit=_SMALL, thrift_container_size_limit=10**6) as file:
            _check_counts(file.metadata, location)
            pieces, total = [], 0
            for piece in file.iter_batches(batch_size=_ROWS_AT_ONCE, use_threads=False):
                pieces.append(piece)
                total += piece.nbytes + _ROW_BYTES * piece.num_rows * piece.num_columns
                if total > most:
                    raise DataError(f"{location!r} unfolds to more than {most:,} bytes", remedy=_READABLE)
            return _columns_of(pa.Table.from_batches(pieces, file.schema_arrow))
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise DataError(f"the table {location!r} can't be read: {error}", remedy=_READABLE) from error


def _check_counts(said: Any, location: str) -> None:
    if said.num_columns > _MOST_COLUMNS:
        raise DataError(f"{location!r} has {said.num_columns:,} columns", remedy=_READABLE)


def _columns_of(table: Any) -> Columns:
    names: list[str] = table.column_names
    heads = {name: table.column(place).slice(0, _HEAD).to_pylist() for place, name in enumerate(names)}
    places = [f"row {number}" for number in range(1, table.num_rows + 1)]
    return Columns(names, lambda name: list(table.column(name).to_pylist()), heads, places)


def _read_jsonl(location: str, set_aside: list[SetAside]) -> Columns:
    """One object a line, read one by one: a damaged line costs itself only, and a label's type is that which it has."""
    rows: list[dict[str, object]] = []
    places: list[str] = []
    decoder = msgspec.json.Decoder(dict[str, object])
    with open(location, "rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE + 1), b""), start=1):
            if len(line) > _LONGEST_LINE or line.count(b",") > _MOST_VALUES:
                raise DataError(f"line {number} of {location!r} holds more than any row can", remedy=_READABLE)
            stripped = (line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).strip()
            if not stripped:
                continue
            try:
                rows.append(decoder.decode(stripped))
                places.append(f"line {number}")
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                key = f"{os.path.basename(location)}, line {number}"
                set_aside.append(SetAside(key=key, reason=f"no JSON object: {error}"))
    names = list(dict.fromkeys(name for row in rows for name in row))
    heads = {name: [row.get(name) for row in rows[:_HEAD]] for name in names}
    return Columns(names, lambda name: [row.get(name) for row in rows], heads, places)


# --- Which column says what ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AskedColumns:
    """The columns that the user named; `group` may be a regular expression instead."""

    input: str | None
    target: str | None
    group: str | None


def choose_columns(
    columns: Columns, location: str, asked: AskedColumns, guess_input: Callable[[], tuple[str, str]]
) -> tuple[Roles, list[str]]:
    """The columns asked for, else the obvious ones, with a sentence about each that was not asked for.

    Args:
        columns: of the table.
        location: of the table, for messages.
        asked: by the user.
        guess_input: finds the column of files or texts, and says so in a sentence.

    Raises:
        DataError: a column that is not obvious.
        RecipeError: a column that is not there.
    """
    for option, name in (("--input", asked.input), ("--target", asked.target)):
        require_column(option, name, columns, location)
    group = asked.group if asked.group in columns.names else None
    if "(" not in (asked.group or ""):
        require_column("--group", asked.group, columns, location)
    input_name, told = (asked.input, "") if asked.input else guess_input()
    split, split_notes = find_split(columns, {input_name, asked.target, group})
    target, rivals = (
        (asked.target, []) if asked.target else _guess_target(columns, {input_name, split, group}, location)
    )
    notes = [told] if told else []
    if not asked.target:
        other = f", not by {listed(rivals)}; --target changes that" if rivals else ""
        notes.append(f"the labels are given by the column {target!r}{other}")
    return Roles(input_name, target, split, group), [*notes, *split_notes]


def require_column(option: str, name: str | None, columns: Columns, location: str) -> None:
    """Raises RecipeError for a column that is asked for and is not there."""
    if name is not None and name not in columns.names:
        raise RecipeError(f"{option} {name!r} is no column of {location!r}", remedy=nearest(name, columns.names))


def find_split(columns: Columns, taken: set[str | None]) -> tuple[str | None, list[str]]:
    """The column that names the parts, if there is one that says train in the usual words."""
    lowered = {name.strip().lower(): name for name in columns.names if name not in taken}
    for known in _SPLIT_NAMES:
        if known in lowered:
            name = lowered[known]
            if any(split_of(value) == "train" for value in columns.values(name)):
                return name, [f"the parts are given by the column {name!r}"]
            if known == "split":
                return None, [f"the column {name!r} is not used: none of its values is 'train'"]
    return None, []


def split_of(value: object) -> Split | None:
    return SPLIT_WORDS.get(value.strip().lower()) if isinstance(value, str) else None


def _guess_target(columns: Columns, taken: set[str | None], location: str) -> tuple[str, list[str]]:
    """The column of labels by its name, or because no other has few different values, or no other holds numbers."""
    free = [name for name in columns.names if name not in taken]
    named = [name for known in LABEL_NAMES for name in free if name.strip().lower() == known]
    if named:
        return named[0], named[1:]
    few = [name for name in free if repeats(columns.values(name))]
    numbers = [name for name in free if _are_numbers(columns.heads[name])]
    for found in (few, numbers):
        if len(found) == 1:
            return found[0], []
    what = f"several could be: {listed(few, 12)}" if few else f"the columns are {listed(columns.names, 12)}"
    raise DataError(f"which column of {location!r} holds the labels is not obvious; {what}", remedy=REMEDY)


def _are_numbers(values: Sequence[object]) -> bool:
    texts = [label_text(value) for value in values]
    return any(text is not None for text in texts) and all(
        text is None or number_of(text) is not None for text in texts
    )


def repeats(values: Sequence[object]) -> bool:
    """Whether a column could be labels: at least two different ones, each twice on average."""
    different = len({text for value in values if (text := label_text(value)) is not None})
    return 2 <= different <= min(1000, len(values) // 2)


# --- What the rows say -----------------------------------------------------------------------------------------------


def labelled_rows(
    columns: Columns, roles: Roles, keys: Mapping[int, str], set_aside: list[SetAside], *, several: bool = False
) -> tuple[list[Row], list[str]]:
    """The rows whose label is there, with their parts and groups, and sentences about the labels.

    Args:
        columns: of the table.
        roles: which column says what.
        keys: of the rows that can be used, by their number.
        set_aside: the others are put there.
        several: a row has any number of labels, so that none is no fault.
    """
    labels, were_floats = whole_numbers([label_text(value) for value in columns.values(roles.target)])
    splits = columns.values(roles.split) if roles.split else None
    groups = columns.values(roles.group) if roles.group else None
    others = _others(columns, roles)
    rows: list[Row] = []
    for number, key in keys.items():
        label = labels[number] or ("" if several else None)
        split = None if splits is None else split_of(splits[number])
        if label is None:
            set_aside.append(SetAside(key=key, reason="its label is missing"))
        elif splits is not None and split is None:
            set_aside.append(SetAside(key=key, reason="its part is none of train, validation, test"))
        else:
            group = None if groups is None else _group_name(groups[number], key)
            further = tuple((name, values[number]) for name, values in others.items())
            rows.append(Row(key, label, split, group, further))
    return rows, ["labels such as '3.0' are read as '3'"] if were_floats else []


def _others(columns: Columns, roles: Roles) -> dict[str, Sequence[object]]:
    """The first further columns of numbers or short texts."""
    used = {roles.input, roles.target, roles.split, roles.group}
    free = [name for name in columns.names if name not in used and all(map(_is_short, columns.heads[name]))]
    return {name: columns.values(name) for name in free[:_MOST_OTHERS]}


def _is_short(value: object) -> bool:
    return value is None or isinstance(value, (int, float)) or (isinstance(value, str) and len(value) <= _SHORT)


def _group_name(value: object, key: str) -> str:
    """The name of a row's group; a row without one is a group by itself."""
    text = label_text(value)
    return f"alone: {key}" if text is None else text


def reason_notes(set_aside: Sequence[SetAside]) -> list[str]:
    """How many rows are set aside for each reason."""
    counts: Counter[str] = Counter(refused.reason for refused in set_aside)
    return [f"{plural(count, 'row')} set aside: {reason}" for reason, count in counts.most_common(6)]
