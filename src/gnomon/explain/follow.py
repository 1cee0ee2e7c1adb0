"""Which rows an X-ray follows: a user's own, or test rows that were told rightly, wrongly, and with doubt."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..encoders import SoundEncoder, TextEncoder, kind_of
from ..predicting.modelfile import Model, encode_row
from ..rows.dataset import Dataset
from ..rundir.run import Run
from ..sources.unlabelled import TableColumns
from ..tasks import Classify
from ..types import NOUNS, Raw
from .examples import chosen_rows, said_of_test
from .files import given_rows
from .rows import playable

MOST_ROWS: Final = 12


@dataclass(frozen=True, slots=True)
class Followed:
    """A row that is to be followed.

    Attributes:
        key, label: of it; a label "" is not known.
        encoded: as the encoder stores it.
        truth: its label as the data set holds it; None where that is not known.
        tokens: of a text, as it is written; empty: those of the vocabulary.
        sound: of a recording, a WAV file in base64.
    """

    key: str
    encoded: NDArray[Any]
    label: str = ""
    truth: Any = None
    tokens: tuple[str, ...] = ()
    sound: str = ""


def follow_files(
    model: Model, files: Sequence[str], texts: Sequence[str], columns: TableColumns
) -> tuple[list[Followed], list[str]]:
    """The rows of these files, at most twelve, and what is wrong with those that can't be followed.

    Raises:
        DataError: a path does not exist, or texts are given to a model of something else.
    """
    rows: list[Followed] = []
    problems: list[str] = []
    encoder = model.header.encoder
    for name, raw, encoded in given_rows(model, files, texts, columns):
        if isinstance(encoded, str):
            problems.append(f"{name}: {encoded}")
        elif len(rows) < MOST_ROWS:
            tokens = tuple(encoder.tokens(raw)) if isinstance(encoder, TextEncoder) else ()
            sound = playable(encoder, raw) if isinstance(encoder, SoundEncoder) else ""
            rows.append(Followed(os.path.basename(name), encoded, tokens=tokens, sound=sound))
    return rows, problems


def follow_inputs(model: Model, inputs: Sequence[Raw | Path]) -> list[Followed]:
    """Rows as `Model.predict` takes them, at most twelve. Raises RowError where one can't be read."""
    return [_given(model, number, raw) for number, raw in enumerate(inputs[:MOST_ROWS], start=1)]


def follow_test_rows(run: Run, dataset: Dataset, model: Model, count: int) -> list[Followed]:
    """A third told rightly, a third wrongly and surely, and of classes the most doubtful ones; at most twelve."""
    count = min(count, MOST_ROWS)
    said = said_of_test(run, dataset, model)
    doubtful = _doubtful(model, said)[: count // 3]
    mistakes, right = chosen_rows(dataset, model, said, wrong=(count - len(doubtful)) // 2, right=count)
    first = count - len(mistakes) - len(doubtful)
    ordered = list(dict.fromkeys((*right[:first], *mistakes, *doubtful, *right)))[:count]
    return [_followed(dataset, row) for row in ordered]


def _given(model: Model, number: int, raw: Raw | Path) -> Followed:
    encoder = model.header.encoder
    encoded = encode_row(encoder, raw)
    name = f"{NOUNS[kind_of(encoder)][0]} {number}"
    if isinstance(encoder, TextEncoder):
        text = raw.read_bytes() if isinstance(raw, Path) else raw
        return Followed(name, encoded, tokens=tuple(encoder.tokens(text)))
    if isinstance(raw, (str, Path)):
        name, raw = Path(raw).name, Path(raw).read_bytes()
    return Followed(name, encoded, sound=playable(encoder, raw) if isinstance(encoder, SoundEncoder) else "")


def _followed(dataset: Dataset, row: int) -> Followed:
    encoded = dataset.encoded.take(np.array([row]))[0]
    return Followed(dataset.rows[row].key, encoded, dataset.rows[row].label, dataset.labels[row])


def _doubtful(model: Model, said: tuple[NDArray[np.int64], NDArray[Any]]) -> list[int]:
    """Rows whose two likeliest classes are nearest to each other."""
    if not isinstance(model.header.task, Classify):
        return []
    rows, answers = said
    ordered = np.sort(answers, axis=1)
    return [int(row) for row in rows[np.argsort(ordered[:, -1] - ordered[:, -2], kind="stable")]]
