"""Texts of a table (CSV, TSV, JSONL, Parquet) and their labels, as a source of rows.

A table that is one of a pair, `titles-train.csv` beside `titles-test.csv`, is read with the other one, which gives the
test part; that is said.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from numpy.typing import ArrayLike

from ..errors import DataError
from ..types import Question, Row, SetAside, listed
from .arrays import labels_of_rows, targets_as_given
from .columns import (
    LABEL_NAMES,
    REMEDY,
    AskedColumns,
    Columns,
    Roles,
    choose_columns,
    labelled_rows,
    read_columns,
    reason_notes,
    require_column,
    split_of,
)
from .files import digest, rows_digest, short_name
from .forms import EXTENSIONS, IMAGE_EXTENSIONS, extension_of
from .labels import Listing, settle
from .pairs import paired
from .patterns import GIVER_OF_TEST_FILES, compile_group, group_by_key, with_test_files
from .questions import AUTO, Asked

_TEXT_NAMES: Final = (
    *("text", "texts", "sentence", "sentences", "review", "title", "content", "comment", "message", "body"),
    *("document", "tweet", "headline", "description", "question", "utterance"),
)
_LOOKED_AT: Final = 20
_IDENTIFIER: Final = re.compile(r"[\x21-\x7e]{1,12}")
"""What may be a text, but is more likely a number, a code or a name."""
_MOSTLY: Final = 0.5
_LONGER: Final = 1.5


@dataclass(frozen=True, slots=True)
class TextSource:
    """Rows that are texts of a table, held in memory."""

    name: str
    rows: Sequence[Row]
    set_aside: Sequence[SetAside]
    notes: Sequence[str]
    fingerprint: str
    content_hints: Sequence[Hashable]
    texts: Mapping[str, str]
    kind: Literal["text"] = "text"
    question: Question = "classify"

    def read(self, index: int) -> str:
        """The row's text."""
        return self.texts[self.rows[index].key]

    def close(self) -> None:
        """Nothing is held open."""


# --- Tables ----------------------------------------------------------------------------------------------------------


def open_text_table(
    location: str,
    *,
    input: str | None = None,
    target: str | None = None,
    group: str | None = None,
    test_files: str | None = None,
    asked: Asked = AUTO,
    notes: Sequence[str] = (),
) -> TextSource:
    """The texts of a table; or of the pair of tables, for training and for testing, of which it is the first.

    Args:
        location: a table, or a folder that holds one such pair and no other table.
        input: the column of texts.
        target: the column of labels.
        group: the column of groups, or a regular expression on the row's place, whose first group counts.
        test_files: a regular expression on the row's place (`row 7`), which tells the rows of the test part.
        asked: what the user says of the labels.
        notes: sentences to begin with.

    Raises:
        DataError: not readable, columns that are not obvious, no usable rows, fewer than two classes.
        RecipeError: a column that is not there, or an expression that can't be used.
    """
    parts = paired(location)
    names = AskedColumns(input, target, group)
    set_aside: list[SetAside] = []
    told: list[str] = []
    rows: list[Row] = []
    texts: dict[str, str] = {}
    roles: Roles | None = None
    for path, split in parts:
        columns = read_columns(path, set_aside)
        if roles is None:
            roles, told = choose_columns(columns, path, names, _guesser(columns, path))
        elif missing := [name for name in (roles.input, roles.target) if name not in columns.names]:
            raise DataError(
                f"{path!r}, which belongs to {parts[0][0]!r}, has no column {missing[0]!r}",
                remedy="Give both tables the same columns, or move one of them elsewhere.",
            )
        used = roles if split is None else replace(roles, split=None)
        found, row_notes = _rows_of_table(columns, used, path if split else "", texts, set_aside, several=asked.several)
        rows += found if split is None else [replace(row, split=split) for row in found]
        told += [note for note in row_notes if note not in told]
    if not rows or roles is None:
        first = f"; the first: {set_aside[0].key}: {set_aside[0].reason}" if set_aside else ""
        raise DataError(f"no row of {location!r} can be used{first}", remedy=REMEDY)
    parted, test_notes = with_test_files(rows, test_files)
    giver = GIVER_OF_TEST_FILES if test_files else "the table gives" if len(parts) == 1 else "the two tables give"
    settled = settle(parted, where=location, giver=giver, remedy="Is --target the column of labels?", asked=asked)
    grouped = settled if roles.group or group is None else group_by_key(settled, compile_group(group))
    pair_notes = [f"{os.path.basename(parts[1][0])!r} beside it is the test part"] if len(parts) == 2 else []
    told = [*notes, *pair_notes, *grouped.notes, *test_notes, *told]
    return _source_of(location, grouped, texts, set_aside, told)


def text_source(
    inputs: Iterable[object], targets: ArrayLike | Sequence[object], *, name: str = "texts", asked: Asked = AUTO
) -> TextSource:
    """Texts in memory as a source; those that are empty or missing (None, NaN) are set aside.

    Args:
        inputs: N texts.
        targets: N labels of any kind, or one-hot `(N, K)`.
        name: a word for the run directory's name.
        asked: what the user says of the labels.

    Raises:
        DataError: numbers of rows that differ, no usable rows, fewer than two classes.
    """
    given = list(inputs)
    told: list[str] = []
    labels = labels_of_rows(targets_as_given(targets), len(given), name, told, nouns=("text", "texts"))
    rows: list[Row] = []
    texts: dict[str, str] = {}
    set_aside: list[SetAside] = []
    for place, (value, label) in enumerate(zip(given, labels, strict=True)):
        text, key = _text_of(value), str(place)
        if label is not None and text is not None and text.strip():
            rows.append(Row(key, label))
            texts[key] = text
        else:
            reason = _lack_of(text) if label is not None else "its label is missing"
            set_aside.append(SetAside(key=key, reason=reason))
    if not rows:
        raise DataError(f"none of the {len(given):,} texts can be used", remedy="Give texts and a label for each.")
    settled = settle(
        rows, where=name, giver="the labels give", remedy="A classifier needs texts of two classes.", asked=asked
    )
    return _source_of(name, settled, texts, set_aside, [*settled.notes, *told])


def _source_of(
    location: str, settled: Listing, texts: Mapping[str, str], set_aside: Sequence[SetAside], told: Sequence[str]
) -> TextSource:
    """Of the rows that are settled.

    Args:
        location: that the source is named after.
        texts: by key, of these rows and others.
        set_aside: before the rows were settled.
        told: what is to be said, those that were settled included.
    """
    kept = {row.key: texts[row.key] for row in settled.rows}
    hints = [_hint(text) for text in kept.values()]
    return TextSource(
        name=short_name(location),
        rows=settled.rows,
        set_aside=[*set_aside, *settled.set_aside],
        notes=[*told, *_same_notes(hints), *reason_notes(set_aside)],
        fingerprint=digest([rows_digest(settled.rows), *hints]),
        content_hints=hints,
        texts=kept,
        question=settled.question,
    )


def read_texts(location: str, *, input: str | None = None) -> tuple[list[tuple[str, str]], list[SetAside]]:
    """Places and texts of a table that need have no labels; and the rows that have no text.

    Args:
        location: the table.
        input: the column of texts; guessed as for training.

    Raises:
        DataError: not readable, or a column that is not obvious.
        RecipeError: a column that is not there.
    """
    set_aside: list[SetAside] = []
    columns = read_columns(location, set_aside)
    require_column("--input", input, columns, location)
    texts = _texts_of(columns, input or _guess_texts(columns, location)[0], "", set_aside)
    return [(columns.places[number], text) for number, text in texts.items()], set_aside


def _texts_of(columns: Columns, name: str, prefix: str, set_aside: list[SetAside]) -> dict[int, str]:
    """The texts of a column, by the row's number."""
    texts: dict[int, str] = {}
    for number, value in enumerate(columns.values(name)):
        text = _text_of(value)
        if text is None or not text.strip():
            set_aside.append(SetAside(key=prefix + columns.places[number], reason=_lack_of(text)))
        else:
            texts[number] = text
    return texts


def _rows_of_table(
    columns: Columns, roles: Roles, path: str, texts: dict[str, str], set_aside: list[SetAside], *, several: bool
) -> tuple[list[Row], list[str]]:
    """The rows with a text and a label; `texts` gets the texts by key."""
    prefix = f"{os.path.basename(path)}, " if path else ""
    found = _texts_of(columns, roles.input, prefix, set_aside)
    keys = {number: prefix + columns.places[number] for number in found}
    texts |= {keys[number]: text for number, text in found.items()}
    return labelled_rows(columns, roles, keys, set_aside, several=several)


def _text_of(value: object) -> str | None:
    """A text; None where it is missing (None, NaN). A number is the text that it is written as."""
    if value is None or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str) else str(value)


def _lack_of(text: str | None) -> str:
    """Why a text that is none can't be used."""
    return "its text is missing" if text is None else "its text is empty"


def _hint(text: str) -> str:
    """Equal for texts that differ in case and white space alone."""
    plain = " ".join(text.casefold().split())
    return hashlib.blake2b(plain.encode(errors="surrogatepass"), digest_size=12).hexdigest()


def _same_notes(hints: Sequence[str]) -> list[str]:
    if len(hints) > 1 and len(set(hints)) == 1:
        return ["all texts are the same: nothing can be learnt from them; is --input the column of texts?"]
    return []


# --- What a table holds ----------------------------------------------------------------------------------------------


def kind_of_table(
    location: str, *, input: str | None = None
) -> tuple[Literal["image", "sound", "series", "text"], str]:
    """What the rows of a table are, and why: files that it names, or texts that it holds.

    Args:
        location: of the table.
        input: the column that the user named; the others are not looked at then.

    Raises:
        DataError: not readable.
    """
    columns = read_columns(location, [])
    folder = os.path.dirname(os.path.abspath(location))
    names = [input] if input is not None and input in columns.names else columns.names
    for name in names:
        values = [value for value in columns.heads[name] if isinstance(value, str) and value.strip()]
        looked_at = values[:_LOOKED_AT]
        files = [value for value in looked_at if _names_file(value, folder)] or [
            value for value in looked_at if extension_of(value) in {*EXTENSIONS["sound"], *IMAGE_EXTENSIONS}
        ]
        if not files:
            continue
        sounds = sum(extension_of(value) in EXTENSIONS["sound"] for value in files)
        pictures = sum(extension_of(value) in IMAGE_EXTENSIONS for value in files)
        tables = sum(extension_of(value) in EXTENSIONS["series"] for value in files)
        if sounds > max(pictures, tables):
            return "sound", f"the column {name!r} names sound files, such as {files[0]!r}"
        if tables > pictures:
            return "series", f"the column {name!r} names files of series, such as {files[0]!r}"
        return "image", f"the column {name!r} names files, such as {files[0]!r}"
    if input in columns.names and not _length(columns.heads[str(input)]):
        return "image", f"the column {input!r} holds no texts"
    return "text", f"no column names existing files: the rows are texts ({listed(names, 6)})"


def _names_file(value: str, folder: str) -> bool:
    path = value.strip()
    return len(path) < 1000 and "\x00" not in path and os.path.isfile(os.path.join(folder, path))


def _guesser(columns: Columns, location: str) -> Callable[[], tuple[str, str]]:
    return lambda: _guess_texts(columns, location)


def _guess_texts(columns: Columns, location: str) -> tuple[str, str]:
    """The column of texts: by its name, or because its values are much longer and mostly different."""
    free = [
        name for name in columns.names if name.strip().lower() not in LABEL_NAMES and not _names_parts(columns, name)
    ]
    named = [name for known in _TEXT_NAMES for name in free if name.strip().lower() == known]
    if named:
        other = f", not in {listed(named[1:])}; --input changes that" if named[1:] else ""
        return named[0], f"the texts stand in the column {named[0]!r}{other}"
    lengths = {name: _length(columns.heads[name]) for name in free}
    ranked = sorted((name for name in free if lengths[name]), key=lambda name: -lengths[name])
    if ranked and (len(ranked) == 1 or lengths[ranked[0]] > _LONGER * lengths[ranked[1]]):
        return ranked[0], f"the texts stand in the column {ranked[0]!r}, the one with the longest values"
    examples = listed([f"{name} ({columns.heads[name][0]!r:.60})" for name in columns.names], 12)
    if not ranked:
        steps = " Where each row is one step of a series: --series-id COLUMN."
        raise DataError(
            f"no column of {location!r} holds texts or names existing files; columns and first values: {examples}",
            remedy=f"{REMEDY} Names of files are relative to the table's folder.{steps}",
        )
    what = "several could be"
    raise DataError(
        f"which column of {location!r} holds the texts is not obvious: {what}; columns and first values: {examples}",
        remedy=f"{REMEDY} Names of files are relative to the table's folder.",
    )


def _names_parts(columns: Columns, name: str) -> bool:
    values = [value for value in columns.heads[name] if value is not None]
    return bool(values) and all(split_of(value) is not None for value in values)


def _length(values: Sequence[object]) -> float:
    """Mean number of characters; 0 for numbers, and for values that repeat as labels do."""
    texts = [value for value in values if isinstance(value, str) and value.strip()]
    words = [text for text in texts if not re.fullmatch(r"[-+0-9.,eE:/ ]+", text)]
    if not words or len(words) < _MOSTLY * len(values) or len(set(words)) < _MOSTLY * len(words):
        return 0.0
    if all(_IDENTIFIER.fullmatch(word) for word in words):
        return 0.0
    return sum(map(len, words)) / len(words)
