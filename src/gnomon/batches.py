"""A stream of `Batch`: any step's batch in O(1), from (seed, step) alone.

Rows are laid out epoch behind epoch, each in its own random order, and cut into batches of one fixed size: no row is
dropped, and no shape changes. A batch may reach over the end of an epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from . import chance
from .augment import ImageAugment
from .dataset import Dataset
from .encoders import ImageEncoder
from .tasks import Task
from .types import Batch, Split

RESIDENT_SHARE: Final = 0.25
"""Share of a GPU's free memory that encoded rows may take to lie there whole."""
RESIDENT_BYTES: Final = 256 * 2**20
"""What encoded rows may take in the processor's memory; larger parts stay in the mapped file."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one part: where they lie, and their labels.

    Attributes:
        indices: `(N,)`, into the data set.
        labels: `(N,)`, class indices.
        resident: `(N, H, W, C)` in memory on the device, or None: then rows are read from the mapped file.
    """

    dataset: Dataset
    indices: NDArray[np.int64]
    labels: Tensor
    resident: Tensor | None

    def __len__(self) -> int:
        return len(self.indices)

    def stored(self, positions: NDArray[np.int64]) -> Tensor:
        """`(n, C, H, W)` in stored units, channels last."""
        if self.resident is not None:
            chosen = self.resident[torch.from_numpy(positions).to(self.resident.device)]
        else:
            chosen = torch.from_numpy(self.dataset.encoded.take(self.indices[positions])).to(self.labels.device)
        return chosen.permute(0, 3, 1, 2)


def open_rows(dataset: Dataset, part: Split, *, device: torch.device, free_bytes: int) -> Rows:
    """The rows of one part, in memory where they are small enough."""
    indices = dataset.parts[part]
    needed = len(indices) * dataset.encoded.row_bytes
    most = RESIDENT_SHARE * free_bytes if device.type == "cuda" else min(RESIDENT_BYTES, RESIDENT_SHARE * free_bytes)
    resident = _read_all(dataset, indices).to(device) if needed <= most else None
    return Rows(dataset, indices, torch.from_numpy(dataset.labels[indices]).to(device), resident)


def batch_at(rows: Rows, step: int, *, size: int, seed: int, task: Task, augment: ImageAugment) -> Batch:
    """The batch of one step, the same whenever and wherever it is asked for."""
    places = np.arange(step * size, (step + 1) * size)
    epochs, within = np.divmod(places, len(rows))
    positions = np.concatenate(
        [_order(seed, int(epoch), len(rows))[within[epochs == epoch]] for epoch in np.unique(epochs)]
    )
    inputs = rows.dataset.encoder.normalise(rows.stored(positions))
    targets = task.targets(rows.labels[torch.from_numpy(positions).to(rows.labels.device)])
    indices = rows.indices[positions]
    inputs, targets = augment.apply(inputs, targets, seed=seed, epochs=epochs, rows=indices)
    return Batch(inputs=inputs, targets=targets, rows=indices)


def in_order(rows: Rows, *, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """All rows once, unaugmented: inputs `(n, C, H, W)` and labels `(n,)`; the last batch is smaller."""
    encoder: ImageEncoder = rows.dataset.encoder
    for start in range(0, len(rows), size):
        positions = np.arange(start, min(start + size, len(rows)))
        inputs = encoder.normalise(rows.stored(positions)).contiguous(memory_format=torch.channels_last)
        yield inputs, rows.labels[start : start + size]


def _read_all(dataset: Dataset, indices: NDArray[np.int64]) -> Tensor:
    whole: NDArray[Any] = np.empty((len(indices), *dataset.encoder.shape), dataset.encoder.storage)
    start = 0
    for chosen, block in dataset.encoded.blocks(indices):
        whole[start : start + len(chosen)] = block
        start += len(chosen)
    return torch.from_numpy(whole)


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, size: int) -> NDArray[np.int64]:
    return chance.permutation(seed, "order", epoch, size)
