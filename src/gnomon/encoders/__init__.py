"""Raw row → numbers, one module per kind of data.

An encoder is a frozen value: fitted once on the training part, written into the model file as plain JSON, and the one
way from a raw row to the network's input in training, evaluation and prediction alike.

A row of a sequence is stored at the greatest length; which steps are padding shows in the row itself.
"""

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..types import Kind, Raw
from .image import FITS, MAX_PIXELS, Fit, Header, ImageEncoder, choose_geometry, quiet_decoding, read_header
from .series import SeriesEncoder, choose_series
from .sound import SoundEncoder, choose_sound
from .text import FIRST_TOKEN, TextEncoder, choose_text

if TYPE_CHECKING:
    import torch


class Encodes(Protocol):
    """What every encoder does."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one encoded row as it is stored."""
        ...

    @property
    def storage(self) -> str:
        """The type of its numbers."""
        ...

    @property
    def row_bytes(self) -> int: ...

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one row as a network takes it; see `DataSpec`."""
        ...

    def encode(self, raw: Raw) -> NDArray[Any]:
        """One row, of `shape` and `storage`. Raises RowError."""
        ...

    def lengths(self, encoded: NDArray[Any]) -> NDArray[np.int64] | None:
        """Steps of each of `(N, *shape)` rows; None where rows have none."""
        ...

    def inputs(self, stored: "torch.Tensor") -> "torch.Tensor":
        """`(N, *shape)`, or fewer steps of it, as stored → what a network takes."""
        ...


Encoder: TypeAlias = ImageEncoder | TextEncoder | SoundEncoder | SeriesEncoder
"""What a model file holds; its tag field `kind` tells several apart."""


def padded_length(length: int, most: int) -> int:
    """Steps that a sequence of this length is filled up to: a multiple of 8, and from 64 on at most a quarter more.

    A function of the length alone: few shapes, little padding, and a row is padded alike wherever it stands.
    """
    grain = max(8, 1 << max(0, length.bit_length() - 3))
    return min(most, -(-max(1, length) // grain) * grain)


def kind_of(encoder: Encoder) -> Kind:
    """The kind of row that it encodes."""
    kind: Kind = encoder.__struct_config__.tag  # type: ignore[assignment]
    return kind


def geometry_key(encoder: Encoder) -> str:
    """The encoder as text, but for its statistics: rows stored under the same key are the same."""
    plain = msgspec.to_builtins(encoder)
    return msgspec.json.encode({name: value for name, value in plain.items() if name not in ("mean", "std")}).decode()


def has_statistics(encoder: Encoder) -> bool:
    """Whether there are a mean and a deviation, both possible, for every channel of an encoder that normalises."""
    if isinstance(encoder, TextEncoder):
        return True
    return len(encoder.mean) == len(encoder.std) == encoder.shape[-1] and all(
        abs(mean) < 1e30 and 1e-30 < std < 1e30 for mean, std in zip(encoder.mean, encoder.std, strict=True)
    )


__all__ = [
    "FIRST_TOKEN",
    "FITS",
    "MAX_PIXELS",
    "Encoder",
    "Encodes",
    "Fit",
    "Header",
    "ImageEncoder",
    "SeriesEncoder",
    "SoundEncoder",
    "TextEncoder",
    "choose_geometry",
    "choose_series",
    "choose_sound",
    "choose_text",
    "geometry_key",
    "has_statistics",
    "kind_of",
    "padded_length",
    "quiet_decoding",
    "read_header",
]
