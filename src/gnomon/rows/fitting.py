"""The encoder for a data set: its geometry from raw training rows, its statistics from encoded ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from .. import chance
from ..encoders import (
    Encoder,
    Fit,
    Header,
    ImageEncoder,
    TextEncoder,
    choose_geometry,
    choose_series,
    choose_sound,
    choose_text,
    quiet_decoding,
    read_header,
)
from ..errors import DataError, RowError
from ..sources import Source
from ..types import Decision, Raw, plural
from .cache import EncodedRows

SMALLEST_SIDE: Final = 3
"""What a 3×3 filter needs."""

_SAMPLE: Final = 256
_STATISTICS_ROWS: Final = 4096
_MOST_FITTED: Final = 200_000
_LEAST_DEVIATION: Final = 1e-29
_MOST_HEARD: Final = 2_000
_GLANCED_AT, _MEASURED = 32, 512
_HEARD_BYTES: Final = 256 * 2**20


def fit_geometry(
    source: Source, train: NDArray[np.int64], *, size: int | None, fit: Fit, max_pixels: int
) -> tuple[Encoder, tuple[Decision, ...], tuple[str, ...]]:
    """What the rows are encoded to: the encoder without its statistics, what was decided, and notes.

    Args:
        source: of which training rows alone are read.
        train: indices of the training rows.
        size: longer side of an encoded picture; None chooses it from the data and the time.
        fit: what happens to pictures of another shape.
        max_pixels: pixels of one encoded picture that the time allows, where the user gave no size.

    Raises:
        DataError: no row that was looked at can be read.
    """
    if source.kind == "text":
        text_encoder, decisions, notes = choose_text(_readable(source, _spaced(train, _MOST_FITTED)))
        return text_encoder, tuple(decisions), tuple(notes)
    if source.kind == "series":
        series_encoder, decisions, notes = choose_series(_readable(source, _spaced(train, _MOST_FITTED)))
        return series_encoder, tuple(decisions), tuple(notes)
    if source.kind == "sound":
        sound_encoder, decisions, notes = choose_sound(_recordings(source, train))
        return sound_encoder, tuple(decisions), tuple(notes)
    encoder, decision = _fit_pictures(source, train, size, fit, max_pixels)
    return encoder, (decision,), ()


def _spaced(train: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """The training rows, evenly spaced where they are more than can be looked at, in order."""
    spaced: NDArray[np.int64] = train[np.unique(np.linspace(0, len(train) - 1, most).astype(int))]
    return spaced


def _readable(source: Source, rows: NDArray[np.int64]) -> Iterator[Raw]:
    for row in rows.tolist():
        with suppress(RowError):  # named and counted when it is encoded
            yield source.read(row)


def _recordings(source: Source, train: NDArray[np.int64]) -> Iterator[Raw]:
    """Up to 2,000 training rows; fewer where these would be more than 256 MB to read, but 256 in any case."""
    first = _spaced(train, _SAMPLE)
    size = 0
    for raw in _readable(source, first):
        size += len(raw) if isinstance(raw, (bytes, str)) else raw.nbytes
        yield raw
    most = min(_MOST_HEARD, _HEARD_BYTES * len(first) // max(1, size))
    yield from _readable(source, np.setdiff1d(_spaced(train, most), first)) if most > len(first) else ()


def with_statistics(encoder: Encoder, encoded: EncodedRows, train: NDArray[np.int64], seed: int) -> Encoder:
    """With mean and deviation per channel over up to 4,096 training rows, a bounded number at a time, in float64.

    What is missing (NaN: padding, and channels without a value) is left out; a channel that nowhere has a value has the
    mean 0. The deviation of a constant channel is 1.
    """
    if isinstance(encoder, TextEncoder):
        return encoder
    order = chance.permutation(seed, "statistics", 0, len(train))[:_STATISTICS_ROWS]
    channels = encoder.shape[-1]
    shift, sums, squares, counts = (np.zeros(channels) for _ in range(4))
    for start in range(0, len(order), 64):
        rows = encoded.take(np.sort(train[order[start : start + 64]]))
        values = rows.reshape(-1, channels).astype(np.float64)
        there = ~np.isnan(values)
        if not start and not isinstance(encoder, ImageEncoder):  # large values that differ little keep their digits
            shift = np.where(there, values, 0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
        values = np.where(there, values - shift, 0)
        counts += there.sum(axis=0)
        sums, squares = sums + values.sum(axis=0), squares + (values**2).sum(axis=0)
    offset = sums / np.maximum(counts, 1)
    std = np.sqrt(np.maximum(squares / np.maximum(counts, 1) - offset**2, 0))
    mean = shift + offset
    least = 1e-6 * (1 + np.abs(mean)) if isinstance(encoder, ImageEncoder) else 1e-9 * np.abs(mean) + _LEAST_DEVIATION
    std = np.where(std > least, std, 1.0)
    return msgspec.structs.replace(encoder, mean=tuple(mean.tolist()), std=tuple(std.tolist()))


def original_sizes(source: Source, rows: NDArray[np.int64]) -> dict[int, tuple[int, int]]:
    """Width and height of pictures before they are brought to one size, by row: of up to 512 of these rows, evenly
    spaced. Empty where the first ones that are looked at are alike.
    """
    if source.kind != "image" or not len(rows):
        return {}
    sizes: dict[int, tuple[int, int]] = {}
    with quiet_decoding():
        for most in (_GLANCED_AT, _MEASURED):
            for row in _spaced(rows, most).tolist():
                with suppress(RowError):  # named and counted when it is encoded
                    header = read_header(source.read(row))
                    sizes[row] = header.width, header.height
            if len(set(sizes.values())) < 2:
                return {}
    return sizes


def _fit_pictures(
    source: Source, train: NDArray[np.int64], size: int | None, fit: Fit, max_pixels: int
) -> tuple[ImageEncoder, Decision]:
    """Fit the size on the headers of up to 256 training rows, evenly spaced so that reading goes forward."""
    headers: list[Header] = []
    channels = None
    first_reason = ""
    sample = _spaced(train, _SAMPLE).tolist()
    with quiet_decoding():
        for row in sample:
            try:
                raw = source.read(row)
                headers.append(read_header(raw))
                if isinstance(raw, np.ndarray):
                    channels = raw.shape[2] if raw.ndim == 3 and raw.shape[2] not in (2, 4) else channels
            except RowError as error:  # named and counted when it is encoded
                first_reason = first_reason or error.reason
    if not headers:
        raise DataError(
            f"none of {plural(len(sample), 'picture')} of the training part that were looked at can be read: "
            f"{source.rows[sample[0]].key} {first_reason}",
            remedy="Open the first one by hand: is it a picture?",
        )
    if not headers[0].whole_numbers:
        first = source.read(int(train[0]))
        channels = first.shape[2] if isinstance(first, np.ndarray) and first.ndim == 3 else 1
    encoder, decision = choose_geometry(headers, channels=channels, fit=fit, side=size, max_pixels=max_pixels)
    if min(encoder.height, encoder.width) < SMALLEST_SIDE:
        raise DataError(
            f"pictures of {encoder.width}×{encoder.height} are too small: {SMALLEST_SIDE}×{SMALLEST_SIDE} is the least",
            remedy=f"Give a larger --size, such as 32; {decision.reason}.",
        )
    return encoder, decision
