"""Many arrays → one compressed piece of text that a page can hold."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..types import Value


class Packed(Value, frozen=True, omit_defaults=True):
    """Where an array lies.

    Attributes:
        at: its first byte.
        shape: of it.
        kind: `u8`, numbers from 0 to 255 that stand for `low` to `high`; `f16`.
        low, high: one number for each part of the first axis, or one for all.
    """

    at: int
    shape: tuple[int, ...]
    kind: str = "u8"
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


class Packer:
    """Collects arrays."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes so far, before compression."""
        return self._size

    def eighths(self, values: NDArray[Any], *, each: bool = True) -> Packed:
        """In 8 bits: an error of at most 1/510 of the range, of each part of the first axis or of all."""
        flat = np.nan_to_num(values.astype(np.float32), posinf=3e38, neginf=-3e38).reshape(
            len(values) if each else 1, -1
        )
        low, high = flat.min(axis=1), flat.max(axis=1)
        scale = 255 / np.maximum(high - low, 1e-30)
        stored = np.rint((flat - low[:, None]) * scale[:, None]).astype(np.uint8)
        bounds = (tuple(float(f"{number:.5g}") for number in part) for part in (low, high))
        return Packed(self._put(stored), values.shape, "u8", *bounds)

    def halves(self, values: NDArray[Any]) -> Packed:
        """In 16 bits: three digits, for arithmetic."""
        stored = np.clip(np.nan_to_num(values.astype(np.float32)), -65504, 65504).astype("<f2")
        return Packed(self._put(stored), values.shape, "f16")

    def text(self) -> str:
        """All arrays one behind the other, compressed (zlib), in base64."""
        return base64.b64encode(zlib.compress(b"".join(self._parts), 6)).decode()

    def _put(self, stored: NDArray[Any]) -> int:
        at = self._size
        self._parts.append(stored.tobytes())
        self._size += stored.nbytes
        return at
