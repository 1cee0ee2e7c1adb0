"""Which rows are nearly the same: the same picture in two sizes, the same recording louder, a text with a word changed.

Pictures, recordings and series are compared all with all by what they look like at large (8×8 colours; the levels of
16 bands at 12 times), and those that agree once more by their details, what is left when the large is taken away:
different rows of one class may be alike at large, but hardly in detail. Texts are alike if they share most of their
pairs of tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..encoders import kind_of
from ..rows.dataset import Dataset
from ..types import Kind

MOST_PAIRS: Final = 200_000
"""Pairs after which the search ends: rows so much alike are no mistake but the data's nature."""

_BLOCK: Final = 2048
_COARSE: Final = 0.95
_DETAIL: Final[dict[Kind, float]] = {"image": 0.85, "sound": 0.91, "series": 0.97}
"""Measured: the lowest at which hardly any rows are found that a person would call different."""
_SMALL_SIDE, _DETAIL_OF_SMALL = 24, 0.99
_LEAST_SHARED: Final = 0.7
_MOST_COMMON: Final = 200
_SIDE, _PARTS, _BANDS = 8, 12, 16
_FACTOR, _PRIME = 1_000_003, 2**31 - 1


@dataclass(frozen=True, slots=True)
class Alike:
    """Pairs of rows, by their places among those compared: `(P, 2)`, the lower first; and how much alike, `(P,)`."""

    pairs: NDArray[np.int64]
    likeness: NDArray[np.float64]


def alike_rows(dataset: Dataset, rows: NDArray[np.int64]) -> Alike:
    """All pairs of these rows that are nearly the same.

    Args:
        dataset: that they are of.
        rows: ascending indices.
    """
    if len(rows) < 2:  # where there is no time to compare any
        return Alike(np.empty((0, 2), np.int64), np.empty(0))
    first_of = _same(dataset, rows)
    copies = np.flatnonzero(first_of != np.arange(len(rows)))
    single = np.flatnonzero(first_of == np.arange(len(rows)))
    same = np.stack((first_of[copies], copies), axis=1)
    found = _alike_texts if kind_of(dataset.encoder) == "text" else _alike_signals
    near = found(dataset, rows[single])
    pairs = np.concatenate((same, single[near.pairs].reshape(-1, 2)))
    likeness = np.concatenate((np.ones(len(same)), np.minimum(near.likeness, 1.0)))
    return Alike(pairs[:MOST_PAIRS], likeness[:MOST_PAIRS])


def _same(dataset: Dataset, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each row the place of the first that is stored alike."""
    known: dict[bytes, int] = {}
    first, place = np.empty(len(rows), np.int64), 0
    for _, block in dataset.encoded.blocks(rows):
        for row in block:
            first[place] = known.setdefault(row.tobytes(), place)
            place += 1
    return first


def _alike_signals(dataset: Dataset, rows: NDArray[np.int64]) -> Alike:
    looks = (_looks(dataset, block) for _, block in dataset.encoded.blocks(rows))
    coarse, detail = (torch.cat(parts) for parts in zip(*looks, strict=True))
    least = _least_detail(dataset)
    firsts, seconds, known = [], [], 0
    for start in range(0, len(coarse), _BLOCK):
        block = coarse[start : start + _BLOCK]
        close = (block @ coarse[start:].T > _COARSE).nonzero()
        first, second = close[:, 0], close[:, 1]
        first, second = first[second > first] + start, second[second > first] + start
        likeness = (detail[first] * detail[second]).sum(1)
        firsts.append(torch.stack((first, second), dim=1)[likeness > least])
        seconds.append(likeness[likeness > least])
        known += len(firsts[-1])
        if known > MOST_PAIRS:
            break
    return Alike(torch.cat(firsts).numpy(), torch.cat(seconds).double().numpy())


def _least_detail(dataset: Dataset) -> float:
    """Tiny pictures have little detail to tell them apart by."""
    kind, shape = kind_of(dataset.encoder), dataset.encoder.shape
    return _DETAIL_OF_SMALL if kind == "image" and min(shape[:2]) < _SMALL_SIDE else _DETAIL[kind]


def _looks(dataset: Dataset, block: NDArray[Any]) -> tuple[Tensor, Tensor]:
    """At large and in detail, `(n, F)` each, of mean 0 and length 1; rows without any contrast are like none."""
    if kind_of(dataset.encoder) == "image":
        maps = torch.from_numpy(block).permute(0, 3, 1, 2).float()
        large, fine = (nn.functional.adaptive_avg_pool2d(maps, side) for side in (_SIDE, 2 * _SIDE))
        smooth = nn.functional.adaptive_avg_pool2d(maps, _SIDE // 2)
        size = fine.shape[2:]
    else:
        maps = _resampled(block)[:, None]
        bands = min(maps.shape[3], _BANDS)
        large = nn.functional.adaptive_avg_pool2d(maps, (_PARTS, bands))
        fine = maps
        smooth = nn.functional.adaptive_avg_pool2d(maps, (_PARTS // 2, max(1, bands // 2)))
        size = maps.shape[2:]
    return _standard(large), _standard(fine - nn.functional.interpolate(smooth, size, mode="bilinear"))


def _resampled(block: NDArray[Any]) -> Tensor:
    """`(n, T, C)`, padded with NaN → `(n, 4 · 12, C)`: parts of each row's own time."""
    steps = torch.from_numpy(np.nan_to_num(block.astype(np.float32)))
    lengths = torch.from_numpy((~np.isnan(block).all(axis=2)).sum(axis=1)).clamp_min(1)
    edges = torch.arange(4 * _PARTS + 1) * lengths[:, None] / (4 * _PARTS)
    first, last = edges[:, :-1].floor().long(), edges[:, 1:].ceil().long()
    sums = nn.functional.pad(steps.double().cumsum(dim=1), (0, 0, 1, 0))
    wide = (-1, -1, steps.shape[2])
    last = torch.maximum(last, first + 1)
    means = sums.gather(1, last[..., None].expand(wide)) - sums.gather(1, first[..., None].expand(wide))
    return (means / (last - first)[..., None]).float()


def _standard(maps: Tensor) -> Tensor:
    flat = maps.flatten(1)
    centred = flat - flat.mean(dim=1, keepdim=True)
    length = centred.norm(dim=1, keepdim=True)
    return torch.where(length > 1e-3, centred / length.clamp_min(1e-3), torch.zeros_like(centred))


def _alike_texts(dataset: Dataset, rows: NDArray[np.int64]) -> Alike:
    """By Jaccard's index over pairs of neighbouring tokens; pairs that many texts have say nothing."""
    from scipy import sparse

    owners, hashes, sizes = [], [], []
    for place, row in enumerate(dataset.encoded.take(rows).astype(np.int64)):
        tokens = row[row > 0]
        pairs = np.unique((tokens[:-1] * _FACTOR + tokens[1:]) % _PRIME)
        owners.append(np.full(len(pairs), place))
        hashes.append(pairs)
        sizes.append(len(pairs))
    owner, (_, column, count) = (
        np.concatenate(owners),
        np.unique(np.concatenate(hashes), return_inverse=True, return_counts=True),
    )
    telling = (count[column] > 1) & (count[column] <= _MOST_COMMON)
    there = sparse.csr_matrix(
        (np.ones(telling.sum(), np.float32), (owner[telling], column[telling])), shape=(len(rows), len(count))
    )
    size = np.array(sizes, dtype=np.float64)
    shared = sparse.triu(there @ there.T, k=1).tocoo()
    likeness = shared.data / (size[shared.row] + size[shared.col] - shared.data)
    close = likeness >= _LEAST_SHARED
    return Alike(np.stack((shared.row[close], shared.col[close]), axis=1).astype(np.int64), likeness[close])
