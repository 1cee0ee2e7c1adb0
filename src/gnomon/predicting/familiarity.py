"""How far a row lies from the training data: whether a network was ever taught about the like of it.

By two distances. That in the network's own features: one minus the cosine of the angle to the tenth nearest of some
training rows (Sun et al., "Out-of-distribution detection with deep nearest neighbors", ICML 2022). And that of simple
numbers of the row itself, such as brightness, contrast and the differences of neighbouring pixels, or the share of
unknown tokens: Mahalanobis's (1936). Each is counted in multiples of what 99 % of rows like the validation rows stay
below together, and the greater of the two counts: above 1, a row is unlike the training data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..encoders import FIRST_TOKEN, Encoder, kind_of
from ..types import Value

NEIGHBOUR: Final = 10
MOST_NUMBERS: Final = 64
"""To which features are projected."""
MOST_ROWS: Final = 1000

_BANDS: Final = 8
_PICTURES_AT_ONCE: Final = 64
_NEARLY_NOTHING: Final = 0.01
_PREFIX: Final = "familiar/"

_Size = Annotated[int, msgspec.Meta(ge=0, le=2**20)]
_Distance = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
Array = NDArray[np.float64]


class Familiar(Value, frozen=True):
    """What a model file's header says of its training rows; the numbers themselves are tensors.

    Attributes:
        rows: how many are kept; 0 where the network has no features.
        features: of the network.
        numbers: to which these are projected.
        statistics: simple numbers of a row.
        far, odd: the distance in features, and that of the simple numbers, which count as 1.
    """

    rows: _Size
    features: _Size
    numbers: _Size
    statistics: _Size
    far: _Distance = 1.0
    odd: _Distance = 1.0

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the tensors, by name; all are float32 but the rows, which are float16."""
        shapes: dict[str, tuple[int, ...]] = {
            "mean": (self.statistics,),
            "whitening": (self.statistics, self.statistics),
        }
        if self.rows:
            shapes |= {"rows": (self.rows, self.numbers), "projection": (self.features, self.numbers)}
        return {f"{_PREFIX}{name}": shape for name, shape in shapes.items()}

    @property
    def types(self) -> dict[str, torch.dtype]:
        """Of the tensors, by name."""
        return {name: torch.float16 if name == f"{_PREFIX}rows" else torch.float32 for name in self.shapes}


@dataclass(frozen=True, slots=True)
class Familiarity:
    """The training rows as they are remembered. `tensors` are those that `Familiar` names."""

    spec: Familiar
    tensors: dict[str, Tensor]

    def distances(self, encoder: Encoder, encoded: NDArray[Any], features: NDArray[np.float32]) -> NDArray[np.float32]:
        """How unlike the training data rows are, `(N,)`: above 1 they count as such.

        Args:
            encoder: that stored the rows.
            encoded: `(N, *shape)`.
            features: `(N, F)`, of the network.
        """
        odd = self._oddness(statistics_of(encoder, encoded)) / self.spec.odd
        if self.spec.rows:
            odd = np.maximum(odd, self._remoteness(features) / self.spec.far)
        return odd.astype(np.float32)

    def both(
        self, encoder: Encoder, encoded: NDArray[Any], features: NDArray[np.float32]
    ) -> tuple[Array | None, Array]:
        """The two distances as they are, before any threshold; None where the network has no features."""
        return (self._remoteness(features) if self.spec.rows else None), self._oddness(statistics_of(encoder, encoded))

    def _oddness(self, statistics: Array) -> Array:
        centred = statistics - self._read("mean")
        length: Array = np.sqrt(np.square(centred @ self._read("whitening")).sum(axis=1))
        return length

    def _remoteness(self, features: NDArray[np.float32]) -> Array:
        own = torch.from_numpy(features) @ self.tensors[f"{_PREFIX}projection"]
        near = (_unit(own) @ self.tensors[f"{_PREFIX}rows"].float().T).topk(min(NEIGHBOUR, self.spec.rows), dim=1)
        remote: Array = (1 - near.values[:, -1]).clamp_min(0).double().numpy()
        return remote

    def _read(self, name: str) -> Array:
        values: Array = self.tensors[f"{_PREFIX}{name}"].double().numpy()
        return values


def remembered(
    statistics: Array, features: NDArray[np.float32] | None, *, generator: np.random.Generator
) -> Familiarity:
    """Training rows, to be asked about others.

    Args:
        statistics: `(N, S)`, of `statistics_of`.
        features: `(N, F)` of the network; None where it has none. The first thousand are kept.
        generator: of the random projection (Johnson & Lindenstrauss 1984) where features are many.
    """
    centre = statistics.mean(axis=0)
    spread = np.cov(statistics.T).reshape(statistics.shape[1], -1)
    spread += np.eye(len(spread)) * (1e-6 + 1e-3 * float(np.trace(spread)) / len(spread))
    tensors = {"mean": centre, "whitening": np.linalg.cholesky(np.linalg.inv(spread))}
    rows = wide = numbers = 0
    if features is not None:
        kept = features[:MOST_ROWS]
        rows, wide = kept.shape
        numbers = min(wide, MOST_NUMBERS)
        projection = np.eye(wide) if wide == numbers else generator.normal(size=(wide, numbers)) / numbers**0.5
        tensors |= {"projection": projection, "rows": _unit(torch.from_numpy(kept @ projection)).numpy()}
    spec = Familiar(rows=rows, features=wide, numbers=numbers, statistics=len(centre))
    return Familiarity(
        spec,
        {
            name: torch.from_numpy(np.ascontiguousarray(tensors[name.removeprefix(_PREFIX)])).to(kind)
            for name, kind in spec.types.items()
        },
    )


def statistics_of(encoder: Encoder, encoded: NDArray[Any]) -> Array:
    """Simple numbers of rows as they are stored, `(N, S)`."""
    kind = kind_of(encoder)
    if kind == "text":
        lengths = (encoded > 0).sum(axis=1)
        unknown = (encoded == FIRST_TOKEN - 1).sum(axis=1) / np.maximum(1, lengths)
        return np.stack((unknown, np.log1p(lengths)), axis=1)
    return _of_pictures(encoded) if kind == "image" else _of_sequences(encoded)


def _of_pictures(pictures: NDArray[Any]) -> Array:
    """Mean, spread, and differences of neighbours down and across, of each channel.

    A few pictures at a time, which a processor's cache holds; bytes are added up as whole numbers, without rounding.
    """
    parts = torch.split(torch.from_numpy(pictures), _PICTURES_AT_ONCE)
    return np.concatenate([_of_some_pictures(part).numpy() for part in parts])


def _of_some_pictures(pictures: Tensor) -> Tensor:
    scale, exact = (255.0, torch.int32) if pictures.dtype == torch.uint8 else (1.0, torch.float64)
    values, positions = pictures.to(exact), pictures.shape[1] * pictures.shape[2]
    means = values.sum((1, 2)).double() / positions
    variances = (values * values).sum((1, 2)).double() / positions - means.square()
    spreads = [variances.clamp_min(0).sqrt()]
    for axis in (1, 2):
        between = max(1, positions - positions // pictures.shape[axis])
        spreads.append(values.diff(dim=axis).abs_().sum((1, 2)).double() / between)
    return torch.cat((means / scale, *(torch.log(spread / scale + _NEARLY_NOTHING) for spread in spreads)), dim=1)


def _of_sequences(sequences: NDArray[Any]) -> Array:
    """Mean and spread of up to eight groups of neighbouring channels, and the length."""
    there = ~np.isnan(sequences).all(axis=2)
    lengths = np.maximum(1, there.sum(axis=1))
    values = np.nan_to_num(sequences.astype(np.float64))
    means = values.sum(axis=1) / lengths[:, None]
    squares = (np.square(values - means[:, None]) * there[:, :, None]).sum(axis=1) / lengths[:, None]
    groups = np.array_split(np.arange(values.shape[2]), min(_BANDS, values.shape[2]))
    levels = np.stack([means[:, group].mean(axis=1) for group in groups], axis=1)
    spreads = np.stack([np.log(np.sqrt(squares[:, group]).mean(axis=1) + _NEARLY_NOTHING) for group in groups], axis=1)
    return np.concatenate((levels, spreads, np.log(lengths)[:, None]), axis=1)


def _unit(vectors: Tensor) -> Tensor:
    return torch.nn.functional.normalize(vectors.float(), dim=1)
