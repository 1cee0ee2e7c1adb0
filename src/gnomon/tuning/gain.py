"""What the best settings gain over the usual ones, and which are the best.

The best of many noisy scores flatters: it was chosen partly for its luck. So the candidate is the trial that a smooth
model of all scores thinks best, and what it gains is found anew: with fresh seeds, pairwise, on validation rows that
chose nothing.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ..space import Dimension
from .records import Gain, Record

_LEAST_FOR_MODEL: Final = 8
_MOST_FOR_MODEL: Final = 400

Verdict = Literal["better", "likely", "noise", "usual"]


def candidate(dimensions: Sequence[Dimension], over: Sequence[Record], *, deviation: float) -> Record:
    """The finished trial that is best as far as chance lets one see.

    With eight and more of them, the highest mean of a Gaussian process (Rasmussen and Williams 2006, algorithm 2.1)
    over the scores, whose noise is that of a score of so many rows: neighbours vouch for one another. Else the highest
    score, and the least loss among equals.

    Args:
        dimensions: of the space.
        over: all trials; at least one is finished.
        deviation: of a score, by chance.
    """
    finished = [done for done in over if done.state == "finished"]
    if len(finished) < _LEAST_FOR_MODEL:
        return max(finished, key=lambda done: (done.score, -done.loss, -done.number))
    known = sorted(finished, key=lambda done: -done.score)[:_MOST_FOR_MODEL]
    means = _smoothed(encoded(dimensions, known), np.array([done.score for done in known]), deviation)
    return known[int(np.argmax(means))]


def encoded(dimensions: Sequence[Dimension], records: Sequence[Record]) -> NDArray[np.float64]:
    """`(N, D)`: numbers from 0 to 1; each of more than two choices stands on an axis of its own."""
    columns: list[list[float]] = []
    for item in dimensions:
        words = item.choices and not all(isinstance(choice, int | float) for choice in item.choices)
        if words:
            columns += [[float(done.settings[item.name] == choice) for done in records] for choice in item.choices]
        else:
            columns.append([item.place(done.settings[item.name]) for done in records])
    return np.array(columns, dtype=np.float64).T


def _smoothed(places: NDArray[np.float64], scores: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel

    # A trial that went badly says where not to look, not by how much: it must not stretch the scale.
    scale = max(float(np.quantile(scores, 0.75) - np.quantile(scores, 0.25)), deviation, 1e-9)
    middle = float(np.median(scores))
    values = np.clip((scores - middle) / scale, -3, 3)
    kernel = ConstantKernel(1.0, (0.1, 10)) * RBF(0.5, (0.1, 3.0))
    process = GaussianProcessRegressor(kernel, alpha=(deviation / scale) ** 2 + 1e-4, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        means: NDArray[np.float64] = process.fit(places, values).predict(places)
    return means


def compared(usual: Sequence[Sequence[float]], best: Sequence[Sequence[float]]) -> Gain:
    """The mean gain, and its interval over seeds and rows together.

    The variance of the mean is taken as that of its rows (of each row's mean over the seeds) and that of its seeds (of
    each seed's mean over the rows) added, which errs on the large side; the quantile is Student's with the degrees of
    freedom of Satterthwaite (1946) for such a sum.

    Args:
        usual, best: `(S, N)`: of each seed, each row's part in the score; row and seed are the same in both.
    """
    from scipy.stats import t as student

    differences = np.asarray(best, np.float64) - np.asarray(usual, np.float64)
    pairs, rows = differences.shape
    mean = float(differences.mean())
    of_rows = float(differences.mean(axis=0).var(ddof=1)) / rows if rows > 1 else 0.0
    of_seeds = float(differences.mean(axis=1).var(ddof=1)) / pairs if pairs > 1 else 0.0
    variance = of_rows + of_seeds
    freedom = variance**2 / max(1e-300, of_rows**2 / max(1, rows - 1) + of_seeds**2 / max(1, pairs - 1))
    error = math.sqrt(variance)
    half = float(student.ppf(0.975, max(1.0, freedom))) * error if error else 0.0
    verdict: Verdict = "better" if mean - half > 0 else "likely" if mean > error else "noise"
    return Gain(value=mean, low=mean - half, high=mean + half, pairs=pairs, rows=rows, verdict=verdict)


def no_gain() -> Gain:
    """That of the usual settings over themselves."""
    return Gain(value=0.0, low=0.0, high=0.0, pairs=0, rows=0, verdict="usual")
