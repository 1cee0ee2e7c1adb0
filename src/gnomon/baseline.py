"""A linear model on simple features: the least that a network must beat, and a probe of what the data allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .cache import EncodedRows

MOST_ROWS: Final = 6_000
"""Rows that the model is fitted on; more of them change little and cost time of the deadline."""

_SIDE = 12
_ITERATIONS = 60
_PENALTY = 1e-3


@dataclass(frozen=True, slots=True)
class LinearModel:
    """Softmax regression on standardised features. `weights` is `(F + 1, K)`, the last row the bias."""

    mean: Tensor
    scale: Tensor
    weights: Tensor

    def predict(self, features: Tensor) -> NDArray[np.int64]:
        """`(N, F)` → `(N,)` class indices."""
        result: NDArray[np.int64] = _scores((features - self.mean) * self.scale, self.weights).argmax(1).numpy()
        return result


def simple_features(pictures: NDArray[Any]) -> Tensor:
    """`(N, H, W, C)` → `(N, C, h, w)` float32, averaged down to at most 12×12."""
    maps = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float()
    return nn.functional.adaptive_avg_pool2d(maps, (min(_SIDE, maps.shape[2]), min(_SIDE, maps.shape[3])))


def features_of(encoded: EncodedRows, rows: NDArray[np.int64]) -> Tensor:
    """Simple features of these rows, `(N, C, h, w)`, without holding the rows themselves."""
    height, width, channels = encoded.shape
    # One place for all of them: a small result kept behind each large block would leave the blocks' memory in pieces.
    features = torch.empty(len(rows), channels, min(_SIDE, height), min(_SIDE, width))
    start = 0
    for chosen, pictures in encoded.blocks(rows):
        features[start : start + len(chosen)] = simple_features(pictures)
        start += len(chosen)
    return features


def fit_linear(features: Tensor, labels: NDArray[np.int64], num_classes: int) -> LinearModel:
    """Multinomial logistic regression with a small L2 penalty, by L-BFGS from zero.

    Args:
        features: `(N, F)` float32.
        labels: `(N,)` class indices.
        num_classes: K.
    """
    mean, deviation = features.mean(0), features.std(0, correction=0)
    scale = torch.where(deviation > 1e-6, 1 / deviation.clamp_min(1e-6), torch.zeros_like(deviation))
    inputs, targets = (features - mean) * scale, torch.from_numpy(labels)
    weights = torch.zeros(features.shape[1] + 1, num_classes, requires_grad=True)
    method = torch.optim.LBFGS([weights], max_iter=_ITERATIONS, history_size=10, line_search_fn="strong_wolfe")

    def closure() -> float:
        method.zero_grad()
        loss = nn.functional.cross_entropy(_scores(inputs, weights), targets) + _PENALTY * weights[:-1].square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    method.step(closure)  # type: ignore[no-untyped-call]
    return LinearModel(mean, scale, weights.detach())


def _scores(inputs: Tensor, weights: Tensor) -> Tensor:
    return inputs @ weights[:-1] + weights[-1]
