"""The temperature by which a network's outputs are divided, so that its confidences mean what they say.

Guo et al., "On calibration of modern neural networks" (ICML 2017): one number, found on rows that were not trained on.
Of classes a second one says how much greater it is of rows whose outputs lie far apart (`Classify.temperatures`). That
rows differ in it is known from Joy et al., "Sample-dependent adaptive temperature scaling" (AAAI 2023); a single number
is what few rows can tell of it. Neither changes an answer. As in Platt (1999) the truth counts for a little less than
1, as if one row of each kind had been seen besides, so that few rows which are all right don't make a network
infinitely sure.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from ..tasks import AnyTask, Classify, Regress, Tag

FEWEST_ROWS: Final = 10
"""Rows below which nothing is concluded."""
LEAST, MOST = 0.02, 50.0

_STEPS: Final = 50
_CLOSE: Final = 1e-10
_PULLS: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""What share of a change of its spread a row of middle spread is to lose."""
_PULL_PENALTY: Final = 4.0
"""Nats, times the square of it: a normal distribution of deviation 0.35 before any row was seen."""
_LEAST_GAIN: Final = 1.0
"""Nats by which the log loss of all rows together must fall for each number that is found (Akaike 1974)."""
_MOST_NUMBERS: Final = 500_000
"""Outputs on which the softening is found; the temperature is found on all."""

Wide: TypeAlias = NDArray[np.float64]


def tempered(task: AnyTask, outputs: NDArray[np.float32], labels: NDArray[Any]) -> AnyTask:
    """The task with the temperature, and of classes the softening, of least log loss on these rows.

    It stays as it is of values, of very few rows, and of classes where nothing lowers the log loss of these rows by
    more than one nat in all: where a network is calibrated already, what chance makes of some hundred rows would only
    be carried over to others.

    Args:
        task: with temperature 1.
        outputs: `(N, K)` of the network.
        labels: `(N,)` class indices, or `(N, K)` marks.
    """
    if isinstance(task, Regress) or len(labels) < FEWEST_ROWS:
        return task
    wide = outputs.astype(np.float64)
    rare = 1 / (len(labels) + 2)
    if isinstance(task, Tag):
        factor = _least_loss(wide, np.where(labels > 0.5, 1 - rare, rare), _moments_of_labels)
        return msgspec.structs.replace(task, temperature=1 / factor)
    truth = np.full(wide.shape, rare / (wide.shape[1] - 1))
    truth[np.arange(len(labels)), labels] = 1 - rare
    softened = msgspec.structs.replace(task, softening=_softening(task, wide, truth))
    factor = _least_loss(_divided(softened, wide), truth, _moments_of_classes)
    found = msgspec.structs.replace(softened, temperature=1 / factor)
    return found if log_loss(task, wide, labels) - log_loss(found, wide, labels) > _LEAST_GAIN else task


def _softening(task: Classify, outputs: Wide, truth: Wide) -> float:
    """The softening of least loss on some of the rows, each with its own best temperature."""
    step = -(-outputs.size // _MOST_NUMBERS)
    some, wanted = outputs[::step], truth[::step]
    middle = float(np.median(_temperatures(msgspec.structs.replace(task, softening=1.0), some) - 1))
    if not middle > 0:
        return 0.0
    losses = []
    softenings = [pull / (1 - pull) / middle for pull in _PULLS]
    for pull, softening in zip(_PULLS, softenings, strict=True):
        softened = _divided(msgspec.structs.replace(task, softening=softening), some)
        scaled = softened * _least_loss(softened, wanted, _moments_of_classes)
        losses.append(-float((wanted * _logs(scaled)).sum()) + _PULL_PENALTY * pull**2 + _LEAST_GAIN * (pull > 0))
    return softenings[int(np.argmin(losses))]


def _divided(task: Classify, outputs: Wide) -> Wide:
    return outputs / _temperatures(task, outputs)


def _temperatures(task: Classify, outputs: Wide) -> Wide:
    found: Wide = task.temperatures(torch.from_numpy(outputs)).numpy()
    return found


def log_loss(task: Classify, outputs: NDArray[np.floating[Any]], labels: NDArray[Any]) -> float:
    """Nats of all rows together, of `(N, K)` outputs of the network and `(N,)` class indices."""
    return -float(_logs(_divided(task, outputs.astype(np.float64)))[np.arange(len(labels)), labels].sum())


def _logs(outputs: Wide) -> Wide:
    """Logarithms of the probabilities."""
    shifted = outputs - outputs.max(axis=1, keepdims=True)
    logs: Wide = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logs


def _least_loss(outputs: Wide, truth: Wide, moments: Any) -> float:
    """The factor of least loss. The loss is convex in it; Newton's method, held inside a shrinking bracket."""
    low, high, factor = 1 / MOST, 1 / LEAST, 1.0
    wanted = float((outputs * truth).sum())
    for _ in range(_STEPS):
        mean, variance = moments(outputs, factor)
        slope = mean - wanted
        low, high = (low, factor) if slope > 0 else (factor, high)
        step = factor - slope / max(variance, 1e-300)
        following = step if low < step < high else (low * high) ** 0.5
        if abs(following - factor) <= _CLOSE * factor:
            break
        factor = following
    return factor


def _moments_of_classes(outputs: Wide, factor: float) -> tuple[float, float]:
    """Σᵢ of the mean and of the variance of a row's outputs under its probabilities at this factor."""
    shifted = factor * (outputs - outputs.max(axis=1, keepdims=True))
    probabilities = np.exp(shifted)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    means = (probabilities * outputs).sum(axis=1)
    variances = (probabilities * np.square(outputs - means[:, None])).sum(axis=1)
    return float(means.sum()), float(variances.sum())


def _moments_of_labels(outputs: Wide, factor: float) -> tuple[float, float]:
    """The same where each label is yes or no for itself."""
    probabilities = 1 / (1 + np.exp(-np.clip(factor * outputs, -700, 700)))
    spread = probabilities * (1 - probabilities)
    return float((probabilities * outputs).sum()), float((spread * np.square(outputs)).sum())
