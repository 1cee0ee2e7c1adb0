"""Rows go through a network in blocks of a few fixed sizes, so that an answer's bits don't hang on its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from ..encoders import Encoder, ImageEncoder, kind_of, padded_length
from ..types import Kind

T = TypeVar("T")

Chunk: TypeAlias = tuple[NDArray[np.int64], int | None]
"""Places of rows that go through together; and of sequences how many steps of them."""

CHUNKS: Final = (16, 32, 64, 128)
"""Sizes of a forward pass in a prediction of pictures; what is left over is filled up to the next. Below 16 rows a
matrix product takes other kernels and rounds differently, so that a row's answer would depend on its neighbours. Of
sequences there is one size for each length: 64, of recordings 16, or fewer of long ones."""
SMALL_CHUNKS: Final = (1, 2, 4, 8)
"""Further sizes, where they round alike: of convolutional networks, whose layers see to it, on most machines."""

_MOST: Final[dict[Kind, int]] = {"image": 128, "text": 64, "series": 64, "sound": 16}
"""Rows of one pass. Of recordings few have the same length, and each is work enough for a core."""
_CHUNK_PIXELS, _STEP_PIXELS = 2**21, 64


def chunk_rows(encoder: Encoder, steps: int | None = None) -> int:
    """Rows of the largest forward pass in a prediction, by the kind of row; fewer of large rows, at least 16."""
    if isinstance(encoder, ImageEncoder):
        positions = encoder.height * encoder.width
    else:
        positions = _STEP_PIXELS * (steps or encoder.shape[0])
    most = _MOST[kind_of(encoder)]
    return max(size for size in CHUNKS if size == CHUNKS[0] or (size <= most and size * positions <= _CHUNK_PIXELS))


def chunks_of(encoder: Encoder, encoded: NDArray[Any]) -> Iterator[Chunk]:
    """Which rows go through the network together, and of sequences how many steps of them: those of its own length.

    So a row's padding, too, does not depend on its neighbours.
    """
    lengths = encoder.lengths(encoded)
    padded = None if lengths is None else np.array([padded_length(int(n), encoded.shape[1]) for n in lengths])
    for steps in (None,) if padded is None else np.unique(padded).tolist():
        rows = np.arange(len(encoded)) if padded is None else np.flatnonzero(padded == steps)
        size = chunk_rows(encoder, steps)
        for start in range(0, len(rows), size):
            yield rows[start : start + size], steps


def side_by_side(chunks: Sequence[Chunk], made: Callable[[Chunk], T], *, threads: int) -> list[T]:
    """What is made of each block, by several threads of which each computes alone: whoever is done takes the next."""
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(made, chunks))
    finally:
        torch.set_num_threads(threads)  # what a thread sets for itself is what threads to come begin with
