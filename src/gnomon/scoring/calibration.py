"""Whether probabilities mean what they say: reliability curve, expected calibration error, Brier score, temperature."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..judgement import Calibration, ReliabilityBin
from ..types import Metric
from .intervals import Array, Groups, Z, groups_among, mean_of, share_of, weights_of

BINS: Final = 15
FEWEST_OF_A_BIN: Final = 20

_DRAWS: Final = 200


def reliability(
    confidence: Array, right: NDArray[np.bool_], groups: Groups | None = None
) -> tuple[ReliabilityBin, ...]:
    """Bins of equally many rows in the order of their confidence: at most 15, each of about 20 rows or more.

    Args:
        confidence: `(N,)`.
        right: `(N,)`.
        groups: of the rows.
    """
    return tuple(
        ReliabilityBin(
            rows=len(rows),
            confidence=float(confidence[rows].mean()),
            accuracy=share_of(right[rows], groups_among(groups, rows)),
        )
        for rows in _bins(confidence)
    )


def gap(confidence: Array, right: NDArray[np.bool_]) -> float:
    """The expected calibration error alone."""
    gaps = confidence - right
    return float(sum(abs(gaps[rows].sum()) for rows in _bins(confidence)) / len(gaps))


def calibration_error(confidence: Array, right: NDArray[np.bool_], groups: Groups | None = None) -> Metric:
    """Expected calibration error over the bins of `reliability` (Naeini et al. 2015, with bins of equal mass).

    Distances are never negative, so that chance alone makes the error greater: of few rows it is overstated. The
    interval lies around the error less what chance adds to it on the mean, by a bootstrap; its width is the greatest of
    that of the error, of the distances of all bins together, and of their sum. It reaches up to the error itself at
    least.
    """
    gaps = confidence - right
    bins = _bins(confidence)
    member = np.zeros((len(gaps), len(bins)))
    for place, rows in enumerate(bins):
        member[rows, place] = gaps[rows]
    exact = member.sum(axis=0) / len(gaps)
    error = float(np.abs(exact).sum())
    weights = weights_of(len(gaps), draws=_DRAWS, groups=groups)
    noise = (weights @ member) / weights.sum(axis=1, keepdims=True) - exact
    drawn = np.abs(exact + noise).sum(axis=1)
    centre = 2 * error - float(drawn.mean())
    half = Z * max(float(drawn.std()), float(np.sqrt(noise.var(axis=0).sum())), float(noise.sum(axis=1).std()))
    return Metric(value=error, low=min(error, max(0.0, centre - half)), high=max(error, centre + half))


def error_by_chance(confidence: Array) -> float:
    """What the expected calibration error is on the mean where every confidence means what it says.

    How many of a bin's rows are right is then off by about a normal number of variance Σ c·(1 − c), and the mean size
    of such a number is √(2/π) of its deviation.

    Args:
        confidence: `(N,)`, of rows that are right or wrong independently of one another.
    """
    variances = confidence * (1 - confidence)
    deviations = [float(np.sqrt(variances[rows].sum())) for rows in _bins(confidence)]
    return math.sqrt(2 / math.pi) * sum(deviations) / len(confidence)


def brier_scores(probabilities: Array, labels: NDArray[np.int64]) -> Array:
    """`(N,)`: the squared distance of probabilities from the truth (Brier 1950); of two classes that of one of them."""
    truth = np.eye(probabilities.shape[1])[labels]
    squares: Array = np.square(probabilities - truth).sum(axis=1)
    return squares / 2 if probabilities.shape[1] == 2 else squares


def calibration_of(
    after: tuple[Array, NDArray[np.bool_], Array],
    before: tuple[Array, NDArray[np.bool_], Array],
    temperature: float,
    groups: Groups | None = None,
) -> Calibration:
    """The calibration at a temperature beside that at 1.

    Args:
        after, before: confidences, which answers are right, and losses, `(N,)` each.
        temperature: of `after`.
        groups: of the rows.
    """
    return Calibration(
        temperature=temperature,
        error=calibration_error(after[0], after[1], groups),
        error_before=calibration_error(before[0], before[1], groups),
        log_loss_before=mean_of(before[2], groups),
        bins=reliability(after[0], after[1], groups),
        bins_before=reliability(before[0], before[1], groups),
        error_by_chance=error_by_chance(after[0]),
    )


def _bins(confidence: Array) -> list[NDArray[np.intp]]:
    order = np.argsort(confidence, kind="stable")
    return np.array_split(order, max(1, min(BINS, len(order) // FEWEST_OF_A_BIN)))
