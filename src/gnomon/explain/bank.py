"""Training rows that are looked up: where each unit answers most, and which moments of a recurrent layer are alike."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .. import chance
from ..encoders import FIRST_TOKEN, Encoder, TextEncoder, kind_of, padded_length
from ..predicting.modelfile import Model
from ..previews import preview
from ..rows.dataset import Dataset
from .columns import Column, columns_of
from .inputs import inputs_of
from .sheet import BankRow, Moment, Place

MOST_ROWS: Final = 320
TOP: Final = 5
SIMILAR: Final = 3
_AT_ONCE: Final = 32
_MOST_STATES: Final = 12_000
_MOST_TOKENS: Final = 400


@dataclass(slots=True)
class Bank:
    """What is known of some training rows.

    Attributes:
        rows: indices in the data set.
        most: of each column `(rows, units)`, the greatest answer of a unit in a row.
        places: of each column `(rows, units, 2)`, where that was, in the row's picture; of a text, the token.
        states: of each recurrent column `(moments, units)`, of length 1.
        moments: of each recurrent column `(moments, 2)`: place in `rows`, and step.
    """

    rows: NDArray[np.int64]
    most: list[NDArray[np.float32]]
    places: list[NDArray[np.float32]]
    states: dict[int, NDArray[np.float32]]
    moments: dict[int, NDArray[np.int64]]
    shown: dict[int, int] = field(default_factory=dict)

    def top(self, column: int, unit: int) -> tuple[Place, ...]:
        """The training rows in which a unit answered most."""
        values = self.most[column][:, unit]
        best = np.argsort(-values, kind="stable")[:TOP]
        return tuple(
            Place(
                self._shown(int(row)),
                float(f"{values[row]:.4g}"),
                *(round(float(share), 3) for share in self.places[column][row, unit]),
            )
            for row in best
        )

    def similar(self, column: int, states: NDArray[np.float32]) -> tuple[tuple[Moment, ...], ...]:
        """Of each state `(steps, units)` the moments of other rows whose states point the same way most."""
        if column not in self.states or not len(states):
            return ()
        likeness = _unit_length(states) @ self.states[column].T
        found = []
        for line in likeness:
            chosen: list[Moment] = []
            for place in np.argsort(-line, kind="stable")[: 40 * SIMILAR]:
                row, step = (int(number) for number in self.moments[column][place])
                if line[place] < 0.9999 and all(self._shown(row) != moment.row for moment in chosen):
                    chosen.append(Moment(self._shown(row), step, round(float(line[place]), 3)))
                if len(chosen) == SIMILAR:
                    break
            found.append(tuple(chosen))
        return tuple(found)

    def _shown(self, row: int) -> int:
        return self.shown.setdefault(row, len(self.shown))


def bank_of(dataset: Dataset, model: Model, *, seed: int = 0) -> Bank:
    """Run some hundred training rows through the network."""
    part = dataset.parts["train"]
    rows = np.sort(part[chance.permutation(seed, "explain", 0, len(part))[:MOST_ROWS]])
    encoded = dataset.encoded.take(rows)
    found: list[tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]] = [([], [])] * len(rows)
    states: dict[int, list[NDArray[np.float32]]] = {}
    moments: dict[int, list[NDArray[np.int64]]] = {}
    for chosen, stored, lengths in _batches(model.header.encoder, encoded):
        columns = columns_of(model.network, inputs_of(model, stored))
        for place, row in enumerate(chosen):
            found[row] = _most(columns, place, kind_of(model.header.encoder), int(lengths[place]), stored.shape[1])
            for number, column in enumerate(columns):
                if column.work == "recurrent":
                    kept = steps_there(column, int(lengths[place]), stored.shape[1])
                    states.setdefault(number, []).append(column.numbers(place)[:, 0, :kept].T)
                    moments.setdefault(number, []).append(np.stack((np.full(kept, row), np.arange(kept)), axis=1))
    columns_in_all = len(found[0][0]) if found else 0
    return Bank(
        rows,
        [np.stack([most[number] for most, _ in found]) for number in range(columns_in_all)],
        [np.stack([places[number] for _, places in found]) for number in range(columns_in_all)],
        {number: _unit_length(np.concatenate(parts))[_thinned(parts)] for number, parts in states.items()},
        {number: np.concatenate(parts)[_thinned(parts)] for number, parts in moments.items()},
    )


def bank_rows(bank: Bank, dataset: Dataset, *, side: int) -> tuple[BankRow, ...]:
    """Those that are shown, in the order of their numbers on the page; pictures are WebP of at most `side` pixels."""
    made = []
    for row in bank.shown:
        index = int(bank.rows[row])
        encoded = dataset.encoded.take(np.array([index]))[0]
        seen = preview(dataset.encoder, encoded)
        tokens = tokens_of(dataset.encoder, encoded)
        made.append(BankRow(dataset.rows[index].key, dataset.rows[index].label, _small(seen.png, side), tokens))
    return tuple(made)


def tokens_of(encoder: Encoder, encoded: NDArray[Any]) -> tuple[str, ...]:
    """Of a text, unknown ones as `▢`; of other kinds none."""
    if not isinstance(encoder, TextEncoder):
        return ()
    ids = encoded[encoded > 0][:_MOST_TOKENS].tolist()
    return tuple(encoder.vocabulary[token - FIRST_TOKEN] if token >= FIRST_TOKEN else "▢" for token in ids)


def _small(png: str, side: int) -> str:
    """The same picture as WebP, which takes a fifth."""
    if not png:
        return ""
    image = Image.open(io.BytesIO(base64.b64decode(png)))
    image.thumbnail((side, side))
    sink = io.BytesIO()
    image.convert("RGB").save(sink, "WEBP", quality=72, method=4)
    return base64.b64encode(sink.getvalue()).decode()


def _batches(
    encoder: Encoder, encoded: NDArray[Any]
) -> Iterator[tuple[NDArray[np.int64], NDArray[Any], NDArray[np.int64]]]:
    """Rows of one padded length together: their places, themselves, and how many steps they have."""
    counted = encoder.lengths(encoded)
    lengths = np.zeros(len(encoded), np.int64) if counted is None else np.maximum(1, counted)
    padded = [encoded.shape[1] if counted is None else padded_length(int(n), encoded.shape[1]) for n in lengths]
    for steps in sorted(set(padded)):
        places = np.flatnonzero(np.array(padded) == steps)
        for start in range(0, len(places), _AT_ONCE):
            chosen = places[start : start + _AT_ONCE]
            yield chosen, encoded[chosen, :steps], lengths[chosen]


def _most(
    columns: Sequence[Column], place: int, kind: str, length: int, padded: int
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    """The greatest answer of each unit of each column, and where it was."""
    most, places = [], []
    for column in columns:
        numbers = column.numbers(place)
        flat = numbers.reshape(len(numbers), -1)
        best = flat.argmax(axis=1)
        most.append(flat[np.arange(len(flat)), best])
        places.append(_in_picture(best, numbers.shape, kind, length, padded))
    return most, places


def _in_picture(
    best: NDArray[np.intp], shape: tuple[int, ...], kind: str, length: int, padded: int
) -> NDArray[np.float32]:
    """Shares of width and height; of a text the token in place of the first."""
    _, height, width = shape
    row, column = best // width, best % width
    if height == width == 1:
        return np.full((len(best), 2), -1, np.float32)
    if kind == "text":
        token = column - (width - padded) / 2
        return np.stack((np.clip(np.floor(token), 0, length - 1), np.full(len(best), -1)), axis=1).astype(np.float32)
    if kind == "image":
        return np.stack(((column + 0.5) / width, (row + 0.5) / height), axis=1).astype(np.float32)
    steps, along = (height, row) if height > 1 else (width, column)
    across = 1 - (column + 0.5) / width if height > 1 and width > 1 else np.full(len(best), -1.0)
    in_time = np.clip((along + 0.5) / steps * padded / max(1, length), 0, 1)
    return np.stack((in_time, across), axis=1).astype(np.float32)


def steps_there(column: Column, length: int, padded: int) -> int:
    """Steps of a recurrent layer that are no padding; it may see fewer than the row has."""
    steps = column.output.shape[1]
    return max(1, min(steps, -(-length * steps // max(1, padded))))


def _thinned(parts: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    """Evenly chosen places, few enough to be compared with each step."""
    total = sum(len(part) for part in parts)
    return np.unique(np.linspace(0, total - 1, min(total, _MOST_STATES)).astype(np.int64))


def _unit_length(states: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(states, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = (states / np.maximum(lengths, 1e-9)).astype(np.float32)
    return scaled
