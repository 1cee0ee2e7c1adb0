"""A linear model on simple features: the least that a network must beat, and a probe of what the data allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..minimise import minimise
from .cache import EncodedRows

MOST_ROWS: Final = 6_000
"""Rows that the model is fitted on; more of them change little and cost time of the deadline."""

_SIDE = 12
_ITERATIONS = 60
_PENALTY, _RIDGE = 1e-3, 1e-2


@dataclass(frozen=True, slots=True)
class LinearModel:
    """A linear map of standardised features. `weights` is `(F + 1, K)`, the last row the bias."""

    mean: Tensor
    scale: Tensor
    weights: Tensor

    def outputs(self, features: Tensor) -> NDArray[np.float32]:
        """`(N, F)` → `(N, K)`."""
        result: NDArray[np.float32] = _scores((features - self.mean) * self.scale, self.weights).numpy()
        return result

    def predict(self, features: Tensor) -> NDArray[np.int64]:
        """`(N, F)` → `(N,)`, which output is the greatest."""
        result: NDArray[np.int64] = self.outputs(features).argmax(1)
        return result


def simple_features(pictures: NDArray[Any]) -> Tensor:
    """`(N, H, W, C)` → `(N, C, h, w)` float32, averaged down to at most 12×12."""
    maps = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float()
    return nn.functional.adaptive_avg_pool2d(maps, (min(_SIDE, maps.shape[2]), min(_SIDE, maps.shape[3])))


def simple_features_of_sequences(sequences: NDArray[Any]) -> Tensor:
    """`(N, T, C)`, padded with NaN, → `(N, 13 C + 1)` float32: means of twelve parts of the time, spread, length."""
    there = ~np.isnan(sequences).all(axis=2)
    lengths = np.maximum(1, there.sum(axis=1))
    values = np.nan_to_num(sequences.astype(np.float64))
    sums = np.concatenate((np.zeros_like(values[:, :1]), values.cumsum(axis=1)), axis=1)
    edges = np.arange(_SIDE + 1)[None] * lengths[:, None] / _SIDE
    first = np.floor(edges[:, :-1]).astype(int)
    last = np.maximum(first + 1, np.ceil(edges[:, 1:]).astype(int))
    rows = np.arange(len(values))[:, None]
    means = (sums[rows, last] - sums[rows, first]) / (last - first)[:, :, None]
    centre = sums[:, -1] / lengths[:, None]
    spread = np.sqrt(((values - centre[:, None]) ** 2 * there[:, :, None]).sum(axis=1) / lengths[:, None])
    features = np.concatenate((means.reshape(len(values), -1), spread, np.log(lengths)[:, None]), axis=1)
    return torch.from_numpy(features.astype(np.float32))


def features_of(encoded: EncodedRows, rows: NDArray[np.int64]) -> Tensor:
    """Simple features of these rows, without holding the rows themselves: `(N, C, h, w)` of pictures, else `(N, F)`."""
    simple = simple_features if len(encoded.shape) == 3 else simple_features_of_sequences
    blocks = ((chosen, simple(block)) for chosen, block in encoded.blocks(rows))
    features, start = torch.empty(0), 0
    for chosen, found in blocks:
        # One place for all: a small result kept behind each large block would leave the blocks' memory in pieces.
        features = features if start else torch.empty(len(rows), *found.shape[1:])
        features[start : start + len(chosen)] = found
        start += len(chosen)
    return features


def fit_linear(features: Tensor, labels: NDArray[np.int64], num_classes: int) -> LinearModel:
    """Multinomial logistic regression with a small L2 penalty, by L-BFGS from zero.

    Args:
        features: `(N, F)` float32.
        labels: `(N,)` class indices.
        num_classes: K.
    """
    return _fitted(features, torch.from_numpy(labels), num_classes, nn.functional.cross_entropy)


def fit_separately(features: Tensor, labels: NDArray[np.float32]) -> LinearModel:
    """A logistic regression for each label, `(N, K)` zeros and ones, with a small L2 penalty, by L-BFGS from zero."""

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none").sum(1).mean()

    return _fitted(features, torch.from_numpy(labels), labels.shape[1], loss)


def fit_ridge(features: Tensor, values: NDArray[np.float64]) -> LinearModel:
    """Least squares with an L2 penalty on the weights, in closed form and float64; `values` is `(N, D)`."""
    mean, scale = _standard(features)
    inputs, targets = ((features - mean) * scale).double(), torch.from_numpy(values)
    centre = targets.mean(0)
    gram = inputs.T @ inputs + _RIDGE * len(inputs) * torch.eye(inputs.shape[1], dtype=torch.float64)
    weights = torch.linalg.solve(gram, inputs.T @ (targets - centre))
    return LinearModel(mean, scale, torch.cat((weights, centre[None])).float())


def _fitted(
    features: Tensor, targets: Tensor, num_outputs: int, measure: Callable[[Tensor, Tensor], Tensor]
) -> LinearModel:
    mean, scale = _standard(features)
    inputs = (features - mean) * scale
    weights = torch.zeros(features.shape[1] + 1, num_outputs, requires_grad=True)

    def loss() -> Tensor:
        return measure(_scores(inputs, weights), targets) + _PENALTY * weights[:-1].square().sum()

    minimise(loss, [weights], iterations=_ITERATIONS, history=10)
    return LinearModel(mean, scale, weights.detach())


def _standard(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of each feature, and the inverse of its deviation, 0 for a constant."""
    mean, deviation = features.mean(0), features.std(0, correction=0)
    return mean, torch.where(deviation > 1e-6, 1 / deviation.clamp_min(1e-6), torch.zeros_like(deviation))


def _scores(inputs: Tensor, weights: Tensor) -> Tensor:
    return inputs @ weights[:-1] + weights[-1]
