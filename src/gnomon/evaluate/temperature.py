"""The temperature by which a network's outputs are divided, so that its confidences mean what they say.

Guo et al., "On calibration of modern neural networks" (ICML 2017): one number, found on rows that were not trained on.
Dividing all outputs alike changes no answer. As in Platt (1999) the truth counts for a little less than 1, as if one
row of each kind had been seen besides, so that few rows which are all right don't make a network infinitely sure.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..scoring.calibration import gap
from ..tasks import Classify, Regress, Task

FEWEST_ROWS: Final = 10
"""Rows below which nothing is concluded."""
LEAST, MOST = 0.02, 50.0

_STEPS: Final = 50
_CLOSE: Final = 1e-10


def fitted_temperature(task: Task, outputs: NDArray[np.float32], labels: NDArray[Any]) -> float:
    """The temperature of least log loss on these rows; 1 for values, and for very few rows.

    Of classes it must lower the calibration error on these rows too: where a network is calibrated already, what chance
    makes of some hundred rows would only be carried over to others.

    Args:
        task: of classes or labels.
        outputs: `(N, K)` of the network.
        labels: `(N,)` class indices, or `(N, K)` marks.
    """
    if isinstance(task, Regress) or len(labels) < FEWEST_ROWS:
        return 1.0
    wide = outputs.astype(np.float64)
    rare = 1 / (len(labels) + 2)
    if isinstance(task, Classify):
        truth = np.full(wide.shape, rare / (wide.shape[1] - 1))
        truth[np.arange(len(labels)), labels] = 1 - rare
        found = 1 / _least_loss(wide, truth, _moments_of_classes)
        return found if _error(wide / found, labels) < _error(wide, labels) else 1.0
    return 1 / _least_loss(wide, np.where(labels > 0.5, 1 - rare, rare), _moments_of_labels)


def _error(outputs: NDArray[np.float64], labels: NDArray[Any]) -> float:
    """The calibration error."""
    exponentials = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    confidence = (exponentials / exponentials.sum(axis=1, keepdims=True)).max(axis=1)
    return gap(confidence, outputs.argmax(axis=1) == labels)


def _least_loss(outputs: NDArray[np.float64], truth: NDArray[np.float64], moments: Any) -> float:
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


def _moments_of_classes(outputs: NDArray[np.float64], factor: float) -> tuple[float, float]:
    """Σᵢ of the mean and of the variance of a row's outputs under its probabilities at this factor."""
    shifted = factor * (outputs - outputs.max(axis=1, keepdims=True))
    probabilities = np.exp(shifted)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    means = (probabilities * outputs).sum(axis=1)
    variances = (probabilities * np.square(outputs - means[:, None])).sum(axis=1)
    return float(means.sum()), float(variances.sum())


def _moments_of_labels(outputs: NDArray[np.float64], factor: float) -> tuple[float, float]:
    """The same where each label is yes or no for itself."""
    probabilities = 1 / (1 + np.exp(-np.clip(factor * outputs, -700, 700)))
    spread = probabilities * (1 - probabilities)
    return float((probabilities * outputs).sum()), float((spread * np.square(outputs)).sum())
