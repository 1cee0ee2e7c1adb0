"""Series and their labels, as a source of rows: `.ts` files, CSV and TSV files in class folders, arrays.

A file `NAME_TRAIN.ts` is read with the file `NAME_TEST.ts` beside it, which gives the test part; that is said. Series
in one long table are read by `long_table`.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError, RecipeError, RowError
from ..types import Question, Row, SetAside, Split, listed, plural
from .arrays import Part, labels_of_rows, read_npz, targets_as_given
from .columns import reason_notes
from .files import Files, digest, rows_digest, short_name
from .folders import FileSource, file_folder
from .labels import CLASSES, settle
from .pairs import pair_among, paired
from .patterns import compile_group, group_by_key
from .questions import AUTO, Asked
from .ts import EXTENSION, TsHeader, TsLine, read_ts

_SHAPES: Final = "Series are arrays (N, T) or (N, T, C): N series of T steps in C channels; or a list of arrays (T, C)."
_TS: Final = "Give a .ts file of the UCR/UEA archive, a folder of CSV files, or a table with --series-id."


@dataclass(frozen=True, slots=True)
class SeriesSource:
    """Rows that are series, held in memory as arrays: `(T,)`, `(T, C)`, or `(T,)` with named fields."""

    name: str
    rows: Sequence[Row]
    set_aside: Sequence[SetAside]
    notes: Sequence[str]
    fingerprint: str
    content_hints: Sequence[Hashable]
    series: Mapping[str, NDArray[Any]]
    kind: Literal["series"] = "series"
    question: Question = "classify"

    def read(self, index: int) -> NDArray[Any]:
        """The row's values: a view, not to be written to."""
        return self.series[self.rows[index].key]

    def close(self) -> None:
        """Nothing is held open."""


@dataclass(frozen=True, slots=True)
class Found:
    """Series as a file or a table gives them, before it is clear which can be used together.

    Attributes:
        rows: with their labels.
        series: by the rows' keys.
        set_aside: what can't be read.
        notes: sentences that say what was understood.
    """

    rows: list[Row]
    series: dict[str, NDArray[Any]]
    set_aside: list[SetAside]
    notes: list[str]


def source_of_series(
    found: Found, location: str, *, giver: str, remedy: str, group: str | None = None, asked: Asked
) -> SeriesSource:
    """The series that can be used together, as a source.

    Args:
        found: the series.
        location: for messages, and for the source's name.
        giver: who names the parts, as a sentence begins: `the two files give`.
        remedy: what to do where there is one class only.
        group: a regular expression on the row's key, whose first group names the row's group.
        asked: what the user says of the labels.

    Raises:
        DataError: no row can be used, or fewer than two classes.
        RecipeError: the expression can't be used.
    """
    if not found.rows:
        first = f"; the first: {found.set_aside[0].key}: {found.set_aside[0].reason}" if found.set_aside else ""
        raise DataError(f"{location!r} holds no series with a label that can be read{first}", remedy=remedy)
    settled = settle(found.rows, where=location, giver=giver, remedy=remedy, asked=asked)
    grouped = settled if group is None else group_by_key(settled, compile_group(group))
    kept = {row.key: found.series[row.key] for row in grouped.rows}
    hints = [_hint(series) for series in kept.values()]
    return SeriesSource(
        name=short_name(location),
        rows=grouped.rows,
        set_aside=[*found.set_aside, *grouped.set_aside],
        notes=[*grouped.notes, *found.notes, *reason_notes(found.set_aside)],
        fingerprint=digest([rows_digest(grouped.rows), *hints]),
        content_hints=hints,
        series=kept,
        question=settled.question,
    )


def _hint(series: NDArray[Any]) -> str:
    content = hashlib.blake2b(f"{series.shape} {series.dtype}".encode(), digest_size=12)
    content.update(np.ascontiguousarray(series).tobytes())
    return content.hexdigest()


# --- .ts files -------------------------------------------------------------------------------------------------------


def open_ts(location: str, *, asked: Asked = AUTO, notes: Sequence[str] = ()) -> SeriesSource:
    """The series of a `.ts` file; or of the pair of files, for training and for testing, of which it is the first.

    Args:
        location: of the file.
        asked: what the user says of the labels; without a word, what the file's header says.
        notes: sentences to begin with.

    Raises:
        DataError: not readable, no such file, no usable series, fewer than two classes.
    """
    with ExitStack() as stack:
        files: list[tuple[str, Iterable[bytes], Split | None]] = []
        for path, split in paired(location):
            try:
                files.append((path, stack.enter_context(open(path, "rb")), split))
            except OSError as error:
                raise DataError(f"{path!r} can't be read: {error.strerror}", remedy=_TS) from error
        return _ts_source(files, location, asked, notes)


def _ts_source(
    files: Sequence[tuple[str, Iterable[bytes], Split | None]], location: str, asked: Asked, notes: Sequence[str]
) -> SeriesSource:
    """Of files by name, with the parts that they are."""
    found = Found([], {}, [], list(notes))
    headers = [_read_into(found, path, lines, split) for path, lines, split in files]
    if headers[0].label == "none":
        remedy = "Its header must say @classLabel true and the classes, or @targetLabel true."
        raise DataError(f"{files[0][0]!r} holds no labels", remedy=remedy)
    if len(files) == 2:
        found.notes.insert(0, f"{os.path.basename(files[1][0])!r} beside it is the test part")
    if any(header.timestamps for header in headers):
        found.notes.append("the time stamps of the series are not used: their steps count as evenly spaced")
    said = asked
    if asked == AUTO:
        said = Asked(task="regress") if headers[0].label == "target" else CLASSES
    giver = "the two files give" if len(files) == 2 else "the file gives"
    return source_of_series(found, location, giver=giver, remedy=_TS, asked=said)


def _read_into(found: Found, path: str, lines: Iterable[bytes], split: Split | None) -> TsHeader:
    try:
        header, series = read_ts(lines)
    except RowError as error:
        raise DataError(f"{path!r} {error.reason}", remedy=_TS) from None
    for key, one in named_series(os.path.basename(path), series):
        if isinstance(one, str):
            found.set_aside.append(SetAside(key=key, reason=one))
        elif not one.label:
            found.set_aside.append(SetAside(key=key, reason="its label is missing"))
        else:
            found.series[key] = one.values
            found.rows.append(Row(key, one.label, split))
    return header


def named_series(name: str, lines: Iterator[TsLine]) -> Iterator[tuple[str, Any]]:
    """The series of a `.ts` file, or the reasons why they can't be read, by a key: `NAME, line 7`."""
    return ((f"{name}, line {place}", one) for place, one in lines)


# --- Folders and archives --------------------------------------------------------------------------------------------


def series_files(
    files: Files,
    location: str,
    *,
    group: str | None = None,
    test_files: str | None = None,
    asked: Asked = AUTO,
    notes: Sequence[str] = (),
) -> SeriesSource | FileSource:
    """The CSV and TSV files of a folder or an archive, whose folders name the classes; or a pair of `.ts` files in it.

    Args:
        files: of the folder or archive; closed with the source.
        location: where they are.
        group: a regular expression on the row's key, whose first group names the row's group.
        test_files: a regular expression on the row's key, which tells the rows of the test part.
        asked: what the user says of the labels; folders name classes.
        notes: sentences to begin with.

    Raises:
        DataError: no such files, no class folders, fewer than two classes.
        RecipeError: an expression can't be used, or there is nothing that it could be used on.
    """
    if any(name.lower().endswith(EXTENSION) for name in files.names):
        _refuse_patterns(location, {"--group": group, "--test-files": test_files})
        source = _ts_pair(files, location, asked, notes)
        files.close()
        return source
    return file_folder(files, location, kind="series", group=group, test_files=test_files, notes=notes)


def _ts_pair(files: Files, location: str, asked: Asked, notes: Sequence[str]) -> SeriesSource:
    found = [name for name in files.names if name.lower().endswith(EXTENSION)]
    pair = pair_among(found, (EXTENSION,))
    if pair is None:
        what = f"{location!r} holds {plural(len(found), '.ts file')}, not one pair NAME_TRAIN.ts and NAME_TEST.ts"
        raise DataError(f"{what}: {listed(found, 6)}", remedy="Give one file itself.")
    try:
        parts: list[tuple[str, Iterable[bytes], Split | None]] = [
            (pair[0], io.BytesIO(files.read(pair[0])), "train"),
            (pair[1], io.BytesIO(files.read(pair[1])), "test"),
        ]
    except RowError as error:
        raise DataError(f"the .ts files in {location!r} can't be read: {error.reason}", remedy=_TS) from None
    told = f"the training part of {location!r} is {pair[0]!r}"
    return _ts_source(parts, location, asked, [*notes, told])


def _refuse_patterns(location: str, patterns: Mapping[str, str | None]) -> None:
    """The series of a `.ts` file have no names that an expression could match; `patterns` by their options."""
    for option, expression in patterns.items():
        if expression is not None:
            problem = f"{option} {expression!r} means nothing for {location!r}"
            raise RecipeError(problem, remedy="Its series have no names.")


# --- Arrays ----------------------------------------------------------------------------------------------------------


def open_series_npz(
    location: str,
    *,
    input: str | None = None,
    target: str | None = None,
    asked: Asked = AUTO,
    notes: Sequence[str] = (),
) -> SeriesSource:
    """The series of an `.npz` file: `X` `(N, T)` or `(N, T, C)` with `y`, or `x_train`, `y_train`, `x_test`, `y_test`.

    Args:
        input: the key of the series; guessed when obvious.
        target: the key of the labels.
        asked: what the user says of the labels.
        notes: sentences to begin with.

    Raises:
        DataError: not readable, keys that are not obvious, arrays that are no series or no labels.
        RecipeError: a key that is not there.
    """
    parts, _, told = read_npz(location, input, target, nouns="series")
    return _source_of_parts(parts, location, asked, [*notes, *told])


def series_source(
    inputs: ArrayLike | Sequence[ArrayLike],
    targets: ArrayLike | Sequence[object],
    *,
    name: str = "arrays",
    asked: Asked = AUTO,
) -> SeriesSource:
    """Series in memory as a source.

    Args:
        inputs: `(N, T)` or `(N, T, C)`; or a list of arrays `(T, C)` of different lengths. NaN: missing.
        targets: N labels of any kind, or one-hot `(N, K)`.
        name: a word for the run directory's name.
        asked: what the user says of the labels.

    Raises:
        DataError: shapes or types that are no series, numbers of rows that differ, fewer than two classes.
    """
    if isinstance(inputs, (list, tuple)):
        several = [np.asarray(row) for row in inputs]
        rows: Any = several
        if len({row.shape for row in several}) == 1 and several[0].ndim in (1, 2):
            rows = np.stack(several)
    else:
        rows = np.asarray(inputs)
    return _source_of_parts([Part(rows, targets_as_given(targets))], name, asked, [])


def _source_of_parts(parts: Sequence[Part], where: str, asked: Asked, notes: Sequence[str]) -> SeriesSource:
    found = Found([], {}, [], list(notes))
    for part in parts:
        if isinstance(part.images, np.ndarray):
            found.notes.extend(_check_shape(part.images, where))
        prefix = "" if part.split is None else f"{part.split}/"
        labels = labels_of_rows(part.labels, len(part.images), where, found.notes, nouns=("series", "series"))
        for place, (row, label) in enumerate(zip(part.images, labels, strict=True)):
            key = f"{prefix}{place}"
            if label is None:
                found.set_aside.append(SetAside(key=key, reason="its label is missing"))
            else:
                found.rows.append(Row(key, label, part.split))
                found.series[key] = row
    remedy = f"A classifier needs series of two classes. {_SHAPES}"
    return source_of_series(found, where, giver="the arrays give", remedy=remedy, asked=asked)


def _check_shape(array: NDArray[Any], where: str) -> list[str]:
    """A sentence where the axes may be meant the other way round."""
    shape = array.shape
    if array.ndim not in (2, 3) or 0 in shape or array.dtype.kind not in "buif":
        what = f"the inputs of {where!r} have the shape {shape} and the type {array.dtype}"
        raise DataError(f"{what}, which are not those of series", remedy=_SHAPES)
    if array.ndim == 3 and shape[2] > shape[1]:
        what = f"the inputs {shape} are read as {shape[1]} steps of {shape[2]} channels"
        return [f"{what}; if it is the other way round: X.transpose(0, 2, 1)"]
    return []
