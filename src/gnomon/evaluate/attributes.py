"""What rows can be divided by: measured of them, or said of them by the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..encoders import SoundEncoder, kind_of
from ..judgement import SliceBy
from ..rows.dataset import Dataset
from .answers import Judged

_UNITS: Final = {"text": "tokens", "sound": "s", "series": "steps"}


@dataclass(frozen=True, slots=True)
class Attribute:
    """Something by which rows differ: a number of each `(N,)`, NaN where it has none; or a word of each."""

    by: SliceBy
    name: str
    numbers: NDArray[np.float64] | None = None
    words: tuple[str, ...] = ()
    unit: str = ""


def attributes_of(dataset: Dataset, judged: Judged) -> list[Attribute]:
    """All that is known of these rows."""
    rows = [dataset.rows[row] for row in judged.rows]
    found = []
    if judged.labels.ndim == 1:
        found.append(Attribute("class", "class", words=tuple(row.label for row in rows)))
    if judged.groups is not None:
        found.append(Attribute("group", "group", words=tuple(row.group or "" for row in rows)))
    names = list(dict.fromkeys(name for row in rows for name, _ in row.others))
    tables = [dict(row.others) for row in rows]
    found += [_column(name, [table.get(name) for table in tables]) for name in names]
    return [*found, *_original(dataset, judged), *_measured(dataset, judged)]


def _original(dataset: Dataset, judged: Judged) -> list[Attribute]:
    """Of pictures before they were brought to one size: pixels, and width over height, where they differ."""
    if not dataset.original_sizes:
        return []
    nothing = (np.nan, np.nan)
    width, height = np.array([dataset.original_sizes.get(row, nothing) for row in judged.rows.tolist()]).T
    found = [
        Attribute("size", "size", numbers=width * height, unit="pixels"),
        Attribute("shape", "width over height", numbers=width / height),
    ]
    return [each for each in found if each.numbers is not None and np.nanmin(each.numbers) < np.nanmax(each.numbers)]


def _column(name: str, values: list[object]) -> Attribute:
    """Numbers where every value that is there is one; else words."""
    there = [value for value in values if value not in (None, "")]
    try:
        numbers = [float("nan") if value in (None, "") else float(str(value)) for value in values]
        if len(set(there)) > 4:
            return Attribute("column", name, numbers=np.array(numbers))
    except ValueError:
        pass
    return Attribute("column", name, words=tuple("" if value is None else str(value) for value in values))


def _measured(dataset: Dataset, judged: Judged) -> list[Attribute]:
    """Of the encoded rows, a bounded number at a time."""
    encoder, kind = dataset.encoder, kind_of(dataset.encoder)
    blocks = [_of_block(dataset, block) for _, block in dataset.encoded.blocks(judged.rows)]
    measured = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]} if blocks else {}
    if isinstance(encoder, SoundEncoder) and "length" in measured:
        measured["length"] = measured["length"] * encoder.hop / encoder.rate
    named: dict[str, SliceBy] = {
        "brightness": "brightness",
        "contrast": "contrast",
        "length": "length",
        "loudness": "loudness",
    }
    return [
        Attribute(named[name], name, numbers=numbers, unit=_UNITS.get(kind, "") if name == "length" else "")
        for name, numbers in measured.items()
    ]


def _of_block(dataset: Dataset, block: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    kind, lengths = kind_of(dataset.encoder), dataset.encoder.lengths(block)
    if kind == "image":
        flat = block.reshape(len(block), -1)
        wide = flat.astype(np.float32)
        means = wide.mean(axis=1).astype(np.float64)
        return {"brightness": means, "contrast": np.sqrt(np.maximum(0, (wide * wide).mean(axis=1) - means**2))}
    found = {} if lengths is None else {"length": lengths.astype(np.float64)}
    if kind == "sound":
        found["loudness"] = np.nanmean(block.astype(np.float64), axis=(1, 2))
    return found
