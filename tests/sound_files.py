"""Recordings that tests make: tones as samples, and samples as the bytes of sound files."""

import io
import struct
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray


def tone(hertz: float, seconds: float = 0.5, rate: int = 8_000, loudness: float = 0.5) -> NDArray[np.float64]:
    """A sine, `(N,)`."""
    sine: NDArray[np.float64] = loudness * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return sine


def sound_file(samples: NDArray[Any], rate: int = 8_000, form: str = "WAV", subtype: str | None = None) -> bytes:
    """The bytes of a file with these samples, `(N,)` or `(N, channels)`."""
    sink = io.BytesIO()
    soundfile.write(sink, samples, rate, format=form, subtype=subtype)
    return sink.getvalue()


def with_sizes(wave: bytes, *, riff: int | None = None, data: int | None = None) -> bytes:
    """A WAV file whose header says other sizes than those that are there."""
    changed = bytearray(wave)
    if riff is not None:
        changed[4:8] = struct.pack("<I", riff)
    if data is not None:
        start = wave.index(b"data") + 4
        changed[start : start + 4] = struct.pack("<I", data)
    return bytes(changed)
