"""A few rows for each cell of the confusion matrix, to be looked at and listened to in the report.

Chosen from the run's own `predictions.parquet`: in each cell those of the greatest confidence. The cells share a
bounded number of rows, so that neither the time nor the page grows with the data.
"""

from __future__ import annotations

import base64
import io
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
import pyarrow.parquet
import soundfile
from numpy.typing import NDArray

from .encoders import SoundEncoder
from .encoders.recordings import decode, resample, samples_of_array
from .errors import GnomonError, RowError
from .judgement import Mistake, Suspect, Suspects
from .previews import preview, small_picture
from .rows.dataset import Dataset
from .rundir.run import MISTAKES, PREDICTIONS, SPECIMENS, SUSPECTS, Run
from .sources import Source
from .types import Raw, Value

Heard = TypeVar("Heard", Mistake, Suspect)

MOST_CLASSES: Final = 60
"""With more classes no matrix is shown."""
MOST_ROWS: Final = 600
MOST_OF_A_CELL: Final = 12
_LONGEST_S: Final = 10.0
_MP3_RATES: Final = (8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


class Specimen(Value, frozen=True):
    """A row of a cell: a `picture` in base64 (WebP), or a text; of a recording also the sound, in base64 (MP3)."""

    key: str
    confidence: float
    picture: str = ""
    text: str = ""
    sound: str = ""


class SpecimensOfCell(Value, frozen=True):
    """Rows of class `true` that were called `predicted`, the surest first; both are positions among the classes."""

    true: int
    predicted: int
    rows: tuple[Specimen, ...]


def write_specimens(
    run: Run, dataset: Dataset, open_source: Callable[[], Source], *, seconds: float | None = None
) -> None:
    """Write `evaluation/specimens.json`, of test rows of a classification with few classes; and give recordings among
    the mistakes and suspects their sound.

    Args:
        run: that has been judged.
        dataset: of the run.
        open_source: opens the rows as they were given; asked for recordings alone.
        seconds: that it may take, half of them for rows, half to make recordings heard, of as many as there is time
            for; one row of each cell in any case. None for as long as it takes.
    """
    began = time.monotonic()
    has_cells = dataset.spec.question == "classify" and len(dataset.spec.classes) <= MOST_CLASSES
    cells = _chosen(run, dataset) if has_cells else []
    listed = _listed(run, dataset)
    wanted = {*listed.values(), *(row for _, rows in cells for row, _ in rows)}
    whole_s = math.inf if seconds is None else seconds
    shown = _shown(dataset, cells, until_s=began + whole_s / 2)
    left_s = whole_s - time.monotonic() + began
    sounds = _sounds(sorted(wanted), dataset, open_source, left_s) if left_s > 0 else {}
    if has_cells:
        run.write_json(
            SPECIMENS,
            [
                SpecimensOfCell(
                    true=true,
                    predicted=predicted,
                    rows=tuple(msgspec.structs.replace(it, sound=sounds.get(row, "")) for row, it in rows),
                )
                for (true, predicted), rows in shown.items()
            ],
        )
    heard = {key: sounds[row] for key, row in listed.items() if row in sounds}
    if heard:
        run.write_json(MISTAKES, _with_sounds(_mistakes(run), heard))
        suspects = run.read_json(SUSPECTS, Suspects)
        run.write_json(SUSPECTS, msgspec.structs.replace(suspects, rows=_with_sounds(suspects.rows, heard)))


def _shown(dataset: Dataset, cells: Cells, *, until_s: float) -> dict[tuple[int, int], list[tuple[int, Specimen]]]:
    """The first row of each cell, the second of each, and so on, until so many seconds on the monotonic clock."""
    found: dict[tuple[int, int], list[tuple[int, Specimen]]] = {cell: [] for cell, _ in cells}
    for place in range(MOST_OF_A_CELL):
        for cell, rows in cells:
            if place and time.monotonic() > until_s:
                return found
            if place < len(rows):
                row, confidence = rows[place]
                found[cell].append((row, _specimen(dataset, row, confidence)))
    return found


def _mistakes(run: Run) -> tuple[Mistake, ...]:
    found: tuple[Mistake, ...] = run.read_json(MISTAKES, tuple[Mistake, ...])
    return found


def _listed(run: Run, dataset: Dataset) -> dict[str, int]:
    """Rows that the report shows for themselves: the mistakes, and the suspects with a preview. Key → row."""
    if not isinstance(dataset.encoder, SoundEncoder):
        return {}
    keys = {it.key for it in _mistakes(run)}
    keys |= {it.key for it in run.read_json(SUSPECTS, Suspects).rows if it.thumbnail}
    return {row.key: place for place, row in enumerate(dataset.rows) if row.key in keys}


def _with_sounds(rows: Sequence[Heard], sounds: Mapping[str, str]) -> tuple[Heard, ...]:
    return tuple(msgspec.structs.replace(it, sound=sounds.get(it.key, "") if it.thumbnail else "") for it in rows)


Cells = list[tuple[tuple[int, int], list[tuple[int, float]]]]
"""(true, predicted) → (row, confidence), the surest first."""


def _chosen(run: Run, dataset: Dataset) -> Cells:
    table = pyarrow.parquet.read_table(
        run.path / PREDICTIONS, columns=["row", "label", "predicted", "confidence"], filters=[("split", "==", "test")]
    )
    place = {name: index for index, name in enumerate(dataset.spec.classes)}
    found: dict[tuple[int, int], list[tuple[int, float]]] = {}
    columns = (table.column(name).to_pylist() for name in ("row", "label", "predicted", "confidence"))
    for row, label, predicted, confidence in zip(*columns, strict=True):
        if label in place and predicted in place:
            found.setdefault((place[label], place[predicted]), []).append((row, confidence))
    most = max(1, min(MOST_OF_A_CELL, MOST_ROWS // max(1, len(found))))
    return [(cell, sorted(rows, key=lambda pair: (-pair[1], pair[0]))[:most]) for cell, rows in sorted(found.items())]


def _specimen(dataset: Dataset, row: int, confidence: float) -> Specimen:
    encoded = dataset.encoded.take(np.array([row]))[0]
    picture = small_picture(dataset.encoder, encoded)
    text = "" if picture else preview(dataset.encoder, encoded).text
    key = dataset.rows[row].key
    return Specimen(key=key, confidence=round(confidence, 4), picture=picture, text=text)


def _sounds(rows: Sequence[int], dataset: Dataset, open_source: Callable[[], Source], seconds: float) -> dict[int, str]:
    """What is to be heard of recordings; nothing of those that can't be read again, or that there is no time for."""
    began = time.monotonic()
    encoder = dataset.encoder
    if not isinstance(encoder, SoundEncoder) or not rows:
        return {}
    try:
        source = open_source()
    except GnomonError:
        return {}
    found = {}
    for row in rows:
        if time.monotonic() - began > seconds:
            break
        try:
            found[row] = playable(encoder, source.read(row))
        except RowError:
            continue
    source.close()
    return found


def playable(encoder: SoundEncoder, raw: Raw) -> str:
    """At most ten seconds of a recording, as the network hears it, as MP3 of the next rate that it knows, in base64.

    Args:
        encoder: that gives the rate.
        raw: as the source has it.

    Raises:
        RowError: it can't be read.
    """
    if isinstance(raw, np.ndarray):
        samples: NDArray[Any] = samples_of_array(raw)
    else:
        samples, rate = decode(raw, most_s=_LONGEST_S)
        samples = resample(samples, rate, encoder.rate)
    rate = min((each for each in _MP3_RATES if each >= encoder.rate), default=_MP3_RATES[-1])
    samples = resample(samples[: round(_LONGEST_S * encoder.rate)], encoder.rate, rate)
    sink = io.BytesIO()
    soundfile.write(sink, np.clip(samples, -1, 1), rate, format="MP3")
    return base64.b64encode(sink.getvalue()).decode()
