"""Files → answers on the terminal: reads files, folders and archives in bounded blocks, and says what is in them.

Needs the predicting half alone.
"""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from ..encoders import Encoder, SeriesEncoder, kind_of, quiet_decoding
from ..errors import DataError, ModelFileError, RecipeError, RowError
from ..sources.archives import archive_kind, open_files
from ..sources.cells import protected
from ..sources.files import Files
from ..sources.forms import EXTENSIONS, extension_of
from ..sources.ts import EXTENSION as TS
from ..sources.ts import TsSeries, read_ts
from ..sources.unlabelled import GUESSED, Content, TableColumns, columns_of_rows, content_of, rows_of_table
from ..tasks import Answer, Answered, Classify, Task
from ..types import NOUNS, Kind, plural
from .modelfile import Model, load

MODEL_FILE: Final = "model.safetensors"

_BLOCK_ROWS, _LONGEST_NAME = 256, 60


class Writes(Protocol):
    """Puts one answer, or the reason why there is none, on the terminal."""

    def __call__(self, name: str, answer: Answered | str, *, unlike: bool = False) -> None: ...


def load_of(location: str) -> Model:
    """The model of a file, or of a run directory that holds one. Raises ModelFileError where there is none."""
    path = Path(location)
    if path.is_dir() and not (path / MODEL_FILE).is_file():
        raise ModelFileError(
            f"the folder {location!r} holds no {MODEL_FILE}",
            remedy=f"If it is a run that was stopped, write one: gnomon report {location}",
        )
    return load(path / MODEL_FILE if path.is_dir() else path)


def print_predictions(
    model: str,
    files: Sequence[str],
    *,
    texts: Sequence[str] = (),
    top: int = 1,
    as_csv: bool = False,
    abstain_below: float = 0.0,
    columns: TableColumns = GUESSED,
) -> int:
    """Predict each row and print a line for it. Returns the exit code: 2 where one could not be read.

    Args:
        model: a model file, or a run directory that holds one.
        files: of the kind that the model was trained on; folders and archives stand for such files inside, tables for
            their rows, a `.ts` file for its series, and `-`, for a model of texts, for the lines of the standard input.
        texts: given in place.
        top: classes or labels a line.
        as_csv: a table with a head.
        abstain_below: a confidence; classes of which the network is less sure are not named.
        columns: of tables.
    """
    loaded = load_of(model)
    if abstain_below and not isinstance(loaded.header.task, Classify):
        raise RecipeError(
            f"{model!r} names no single class for a row, and so no confidence to abstain below",
            remedy="Leave --abstain-below and --at out.",
        )
    write = _csv_writer(loaded.header.task, top, abstain_below) if as_csv else _line_writer(abstain_below)
    failed = total = unlike = 0
    for names, answers, distances in predicted_files(loaded, files, texts=texts, top=top, columns=columns):
        for name, answer, distance in zip(names, answers, distances, strict=True):
            write(name, answer, unlike=distance > 1)
            failed += isinstance(answer, str)
            unlike += distance > 1
            total += 1
    if unlike:
        sys.stderr.write(
            f"gnomon: {unlike:,} of {plural(total, 'row')} unlike the training data: mistrust their answers\n"
        )
    if failed:
        sys.stderr.write(f"gnomon: {failed:,} of {plural(total, 'file')} could not be read\n")
    return 2 if failed else 0


def predict_files(
    model: Model, files: Sequence[str], *, texts: Sequence[str] = (), top: int = 1
) -> Iterator[tuple[list[str], list[Answered | str]]]:
    """Names and answers, a block at a time; in place of an answer the reason why a file has none.

    Raises:
        DataError: a path does not exist, or texts are given to a model of something else.
    """
    return ((names, answers) for names, answers, _ in predicted_files(model, files, texts=texts, top=top))


def predicted_files(
    model: Model,
    files: Sequence[str],
    *,
    texts: Sequence[str] = (),
    top: int = 1,
    columns: TableColumns = GUESSED,
) -> Iterator[tuple[list[str], list[Answered | str], list[float]]]:
    """As `predict_files`, and how unlike the training data each row is: above 1 its answer deserves no trust."""
    kind = kind_of(model.header.encoder)
    if kind != "text" and (texts or "-" in files):
        raise DataError(
            f"this model was trained on {NOUNS[kind][1]}, not on texts", remedy=f"Give files: {NOUNS[kind][1]}."
        )
    names: list[str] = []
    encoded: list[NDArray[np.generic] | str] = []
    given: Iterator[tuple[str, Content]] = ((_shortened(text), text.encode()) for text in texts)
    rows = chain(given, contents(files, model.header.encoder, columns))
    with quiet_decoding():
        for name, raw in rows:
            try:
                encoded.append(raw if isinstance(raw, str) else model.header.encoder.encode(raw))
            except RowError as error:
                encoded.append(error.reason)
            names.append(name)
            if len(names) == _BLOCK_ROWS:
                yield names, *_answers(model, encoded, top)
                names, encoded = [], []
        if names:
            yield names, *_answers(model, encoded, top)


def _answers(
    model: Model, encoded: Sequence[NDArray[np.generic] | str], top: int
) -> tuple[list[Answered | str], list[float]]:
    """What is said of each row, and how unlike the training data it is; 0 where that is unknown."""
    arrays = [row for row in encoded if not isinstance(row, str)]
    if not arrays:
        return [row for row in encoded if isinstance(row, str)], [0.0] * len(encoded)
    stored = np.stack(arrays)
    passed = model.passed(stored)
    found: Iterator[Answered] = iter([*model.header.task.answers(model.answers_of_outputs(passed.averaged), top=top)])
    distances = model.unlikeness(stored, passed.features)
    far = iter([0.0] * len(stored) if distances is None else distances.tolist())
    answers = [row if isinstance(row, str) else next(found) for row in encoded]
    return answers, [0.0 if isinstance(row, str) else next(far) for row in encoded]


def contents(files: Sequence[str], encoder: Encoder, columns: TableColumns = GUESSED) -> Iterator[tuple[str, Content]]:
    """Name and content of each row."""
    kind = kind_of(encoder)
    if isinstance(encoder, SeriesEncoder):
        columns = replace(columns, channels=encoder.channels)
    for path in files:
        if path == "-":
            yield from ((_shortened(line.decode(errors="replace")), line) for line in _lines())
            continue
        if not os.path.exists(path):
            raise DataError(f"there is no file {path!r}", remedy=f"Give {NOUNS[kind][1]}, folders or archives of them.")
        if not os.path.isdir(path) and not os.path.isfile(path):
            yield path, "not a regular file"
        elif os.path.isdir(path) or archive_kind(path) is not None:
            inside = open_files(path)
            try:
                yield from _contents_inside(inside, path, kind)
            finally:
                inside.close()
        elif (here := columns_of_rows(path, kind, columns)) is not None:
            yield from rows_of_table(path, kind, here)
        else:
            yield from _rows_of(path, content_of(path), kind)


def _contents_inside(files: Files, path: str, kind: Kind) -> Iterator[tuple[str, Content]]:
    extensions, nouns = EXTENSIONS[kind] | ({TS} if kind == "series" else set()), NOUNS[kind][1]
    wanted = [name for name in files.names if extension_of(name) in extensions]
    refused = [row for row in files.set_aside if extension_of(row.key) in extensions or row.key.endswith("/")]
    if not wanted and not refused:
        raise DataError(
            f"there are no {nouns} in {path!r} (of {plural(len(files.names), 'file')})",
            remedy=f"{nouns.capitalize()} inside folders and archives are told by their extensions: "
            f"{', '.join(sorted(extensions))}.",
        )
    for name in wanted:
        yield from _rows_of(f"{path.rstrip(os.sep)}{os.sep}{name}", _read_inside(files, name), kind)
    for row in refused:
        yield f"{path.rstrip(os.sep)}{os.sep}{row.key}", row.reason


def _rows_of(name: str, content: bytes | str, kind: Kind) -> Iterator[tuple[str, Content]]:
    """The file itself; of a `.ts` file its series, by their lines."""
    if kind != "series" or extension_of(name) != TS or isinstance(content, str):
        yield name, content
        return
    try:
        _, lines = read_ts(io.BytesIO(content))
    except RowError as error:
        yield name, error.reason
        return
    for place, found in lines:
        yield f"{name}, line {place}", found.values if isinstance(found, TsSeries) else found


def _lines() -> Iterator[bytes]:
    """The lines of the standard input that hold something."""
    return (line.strip() for line in sys.stdin.buffer if line.strip())


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"


def _read_inside(inside: Files, name: str) -> bytes | str:
    try:
        return inside.read(name)
    except RowError as error:
        return error.reason


def _line_writer(abstain_below: float) -> Writes:
    def write(name: str, answer: Answered | str, *, unlike: bool = False) -> None:
        if isinstance(answer, str):
            sys.stderr.write(f"{_inert(name)}: {_inert(answer)}\n")
            return
        unsure = "unsure: " if _is_unsure(answer, abstain_below) else ""
        warned = " (unlike the training data)" if unlike else ""
        sys.stdout.write(f"{_inert(name)}: {unsure}{_inert(answer.told())}{warned}\n")

    return write


def _csv_writer(task: Task, top: int, abstain_below: float) -> Writes:
    table = csv.writer(sys.stdout, lineterminator="\n")
    head = task.columns(top)
    table.writerow(["file", *map(protected, head), "problem"])

    def write(name: str, answer: Answered | str, *, unlike: bool = False) -> None:
        if isinstance(answer, str):
            table.writerow([protected(name), *[""] * len(head), protected(answer)])
            return
        problems = ["unsure"] if _is_unsure(answer, abstain_below) else []
        problems += ["unlike the training data"] if unlike else []
        cells = [*map(protected, answer.cells())]
        table.writerow([protected(name), *cells, *[""] * (len(head) - len(cells)), "; ".join(problems)])

    return write


def _is_unsure(answer: Answered, abstain_below: float) -> bool:
    return isinstance(answer, Answer) and answer.confidence < abstain_below


def _inert(text: str) -> str:
    """Without control characters, which would move the cursor or colour the terminal."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
