"""Sound files → samples, with little trust in their headers: what is there is read, and no more than there may be."""

from __future__ import annotations

import io
import math
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import RowError

Samples: TypeAlias = NDArray[np.float64]
"""`(N,)`, mono, full scale ±1."""

MOST_SAMPLES: Final = 30 * 60 * 48_000
RATES: Final = range(1_000, 768_001)
"""Samples a second that are believed."""

_MOST_CHANNELS: Final = 32
_LARGEST_VALUE: Final = 1e15
_FORMATS: Final = ("WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3")
_BEGINNINGS: Final = (b"RIFF", b"RF64", b"fLaC", b"OggS", b"ID3")
_MPEG_IN_WAVE: Final = (b"\x50\x00", b"\x55\x00")
"""What the bytes 20 and 21 of a WAV file are then."""
_UNREADABLE: Final = "is not a readable WAV, FLAC, OGG or MP3 recording"
_TOO_LONG: Final = f"is too long: more than {MOST_SAMPLES:,} samples (30 minutes at 48 kHz)"
_BLOCK: Final = 2**18
"""Numbers that are decoded at once."""
_FINEST_RATIO: Final = 4_000
_STDERR: Final = threading.Lock()


def decode(raw: bytes | str, *, most_s: float) -> tuple[Samples, int]:
    """The samples of a file, or as many of them as this time holds, and their rate."""
    with opened(raw) as file:
        rate: int = file.samplerate
        most = min(MOST_SAMPLES, math.ceil(most_s * rate))
        kept: list[Samples] = []
        seen = 0
        for block in blocks_of(file):
            if seen < most:
                kept.append(block.mean(axis=1))
            seen += len(block)
            if seen >= most and file.frames <= MOST_SAMPLES:  # else the header claims too much: does it lie?
                break
    if not kept:
        raise RowError("holds no samples")
    return np.concatenate(kept)[:most], rate


@contextmanager
def opened(raw: bytes | str) -> Iterator[Any]:
    """A file whose header is possible. What is wrong with the header raises RowError."""
    import soundfile

    if isinstance(raw, str):
        raise RowError("is a text, not a recording")
    if not raw:
        raise RowError("is empty (0 bytes)")
    if not raw.startswith(_BEGINNINGS) and not (raw[0] == 0xFF and raw[1:2] >= b"\xe0"):
        raise RowError(_UNREADABLE)
    with ExitStack() as stack:
        if raw.startswith((b"ID3", b"\xff")) or raw[20:22] in _MPEG_IN_WAVE:
            stack.enter_context(_silent_stderr())
        try:
            file = stack.enter_context(soundfile.SoundFile(io.BytesIO(raw)))
            if not file.frames and raw[:8] == b"RIFF\x00\x00\x00\x00":
                # Never closed by its writer. 8 is the one wrong size for which the decoder looks at what is there.
                file = stack.enter_context(soundfile.SoundFile(io.BytesIO(b"RIFF\x08\x00\x00\x00" + raw[8:])))
        except soundfile.LibsndfileError:  # its reasons mislead: that a damaged MP3 file does not exist
            raise RowError(_UNREADABLE) from None
        if file.format not in _FORMATS:
            raise RowError(_UNREADABLE)
        if file.samplerate not in RATES:
            raise RowError(f"claims {file.samplerate:,} samples a second")
        if file.channels > _MOST_CHANNELS:
            raise RowError(f"claims {file.channels:,} channels; at most {_MOST_CHANNELS} are read")
        yield file


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """The decoder of MP3 writes its doubts to the terminal by itself, past Python; it is alone meanwhile."""
    with _STDERR:
        try:
            kept = os.dup(2)
        except OSError:  # closed, as that of a service may be
            yield
            return
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def blocks_of(file: Any) -> Iterator[NDArray[np.float64]]:
    """`(n, channels)` samples as long as there are any, whatever the header says.

    Raises:
        RowError: there are more than any recording may have.
    """
    import soundfile

    size = max(1, min(_BLOCK // file.channels, file.frames + 1))
    seen = 0
    while True:
        block = np.full((size, file.channels), np.nan)
        try:
            found = file.read(out=block)
        except soundfile.LibsndfileError:  # damaged from here on, or shorter than it says
            whole = np.append(np.isnan(block).any(axis=1), True)
            found = block[: int(whole.argmax())]
        seen += len(found)
        if seen > MOST_SAMPLES:
            raise RowError(_TOO_LONG)
        if len(found):
            yield found
        if len(found) < size:
            return


def samples_of_array(raw: NDArray[Any]) -> Samples:
    """`(N,)` or `(N, channels)` numbers as samples: whole numbers are scaled to ±1 by their type's range.

    Raises:
        RowError: another shape, another type, or too long.
    """
    if raw.ndim not in (1, 2) or (raw.ndim == 2 and not 1 <= raw.shape[1] <= _MOST_CHANNELS):
        raise RowError(f"has shape {raw.shape}, which is not a recording: (samples,) or (samples, channels)")
    if raw.dtype.kind not in "iuf" or (raw.dtype.kind != "f" and raw.dtype.itemsize > 4):
        raise RowError(f"holds {raw.dtype}; recordings are int16, int32, uint8 or floats")
    if len(raw) > MOST_SAMPLES:
        raise RowError(_TOO_LONG)
    samples = raw.astype(np.float64)
    if raw.dtype.kind != "f":
        full = 2.0 ** (8 * raw.dtype.itemsize - 1)
        samples = samples / full - (1.0 if raw.dtype.kind == "u" else 0.0)
    return samples if raw.ndim == 1 else samples.mean(axis=1)


def check_samples(samples: Samples) -> None:
    """Raises RowError where there are none, or some are not finite or absurdly large."""
    if not len(samples):
        raise RowError("holds no samples")
    largest = float(np.abs(samples).max())
    if not math.isfinite(largest):
        raise RowError("holds values that are not finite numbers")
    if largest > _LARGEST_VALUE:
        raise RowError(f"holds values beyond ±{_LARGEST_VALUE:g}")


def resample(samples: Samples, rate: int, wanted: int) -> Samples:
    """At the wanted rate, by a polyphase filter; odd ratios are met within 0.02 %, so that no filter is endless."""
    if rate == wanted:
        return samples
    from scipy import signal  # takes most of a second, and many data sets have one rate

    ratio = Fraction(wanted, rate).limit_denominator(_FINEST_RATIO)
    resampled: Samples = signal.resample_poly(samples, ratio.numerator, ratio.denominator)
    return resampled
