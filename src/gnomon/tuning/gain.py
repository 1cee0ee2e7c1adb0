"""What the best settings gain over the usual ones, and which are the best.

The best of many noisy scores flatters: it was chosen partly for its luck. So the candidate is the trial that a smooth
model of all scores thinks best, and what it gains is found anew: with fresh seeds, pairwise, on validation rows that
chose nothing.

What is gained in a short training need not last: of few steps half the batch, twice the rate and a larger network may
make much, of many nothing. So where the final training is longer, pairs are made of growing length, and the gain is
carried on to the final one. Of a pair whose trainings take t, with T of the final one, the gain as a share of the error

    log(usual error / best error) = a + b · log₂(T / t) + chance

is taken to change by b with each doubling; a is what is left in the end. Both are normal about 0 beforehand, so that
without evidence nothing is promised, and the farther the end, the more evidence it takes (Bayesian linear regression,
Rasmussen and Williams 2006, 2.1). Chance has two parts: rows, whose covariance between pairs is that of each row's
influence on both, since all pairs are judged on the same; and seeds.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..scoring.intervals import Z
from ..space import Dimension
from .division import CONFIRMED_LENGTHS, Division
from .records import Gain, Record, pairs_of

_LEAST_FOR_MODEL: Final = 8
_MOST_FOR_MODEL: Final = 400
_GAIN, _CHANGE, _OF_GAIN, _SEEDS = 0.15, 0.03, 0.3, 0.03
"""Standard deviations, as shares of the error: of what settings gain; of how that changes with each doubling of the
time, at least, and as a share of the greatest gain (what gained 0.085 in 3.5 s of CIFAR-10 lost 0.15 in 190 s,
RESULTS.md); and of a pair by its seeds."""

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


def gain_of(records: Sequence[Record], division: Division | None) -> Gain:
    """What the pairs that were made come to; nothing where a training failed, since then no setting can be relied on.

    Args:
        records: of the search.
        division: of the time; without one all trainings are as long as the final one.
    """
    pairs = _pairs(records, division)
    if not pairs:
        return msgspec.structs.replace(no_gain(), verdict="noise")
    if division is None:
        return compared([pair.usual for pair in pairs], [pair.best for pair in pairs])
    return lasting(pairs, final_s=division.final_s, exponent=division.exponent)


def is_worth(records: Sequence[Record], division: Division, seconds: float) -> bool:
    """Whether a further pair, of so many seconds together, promises more than they are worth to the final training.

    The first one always does.
    """
    if not any(done.stage == "confirm" for done in records):
        return True
    pairs = _pairs(records, division)
    if not pairs:
        return False
    left = expected(pairs, final_s=division.final_s, exponent=division.exponent).left
    return left > division.exponent * seconds / division.final_s


@dataclass(frozen=True, slots=True)
class Pair:
    """A training by the usual settings and one by the best, with one seed: seconds of each, and each row's part in the
    scores, `(N,)`.
    """

    seconds: float
    usual: Sequence[float]
    best: Sequence[float]


@dataclass(frozen=True, slots=True)
class Expected:
    """What pairs say of the final training.

    Attributes:
        left: of the gain there, as the logarithm of the error's ratio.
        deviation: its standard deviation.
        error: of the usual settings there.
    """

    left: float
    deviation: float
    error: float

    def points(self, deviations: float = 0.0) -> float:
        """The gain of the score, so many deviations above what is expected."""
        return self.error * (1 - math.exp(-(self.left + deviations * self.deviation)))


def expected(pairs: Sequence[Pair], *, final_s: float, exponent: float) -> Expected:
    """What is left of a gain in a longer final training.

    Args:
        pairs: one or several, of the same rows.
        final_s: seconds of the final training.
        exponent: by which power of the time the error falls.
    """
    usual, best = _parts(pairs)
    rows = usual.shape[1]
    least = 0.5 / rows
    errors, others = np.maximum(1 - usual.mean(axis=1), least), np.maximum(1 - best.mean(axis=1), least)
    seen = np.log(errors / others)
    doublings = np.log2([max(1.0, final_s / pair.seconds) for pair in pairs])
    influence = best / others[:, None] - usual / errors[:, None]
    of_rows = np.atleast_2d(np.cov(influence)) / rows if rows > 1 else 0.0
    change = max(_CHANGE, _OF_GAIN * float(np.abs(seen).max()))
    design = np.stack((np.ones(len(pairs)), doublings), axis=1)
    weighed = design.T @ np.linalg.inv(of_rows + _SEEDS**2 * np.eye(len(pairs)))
    posterior = np.linalg.inv(weighed @ design + np.diag([_GAIN**-2, change**-2]))
    error = float(errors[-1] * 2 ** (-exponent * doublings[-1]))
    return Expected(float((posterior @ weighed @ seen)[0]), math.sqrt(posterior[0, 0]), error)


def lasting(pairs: Sequence[Pair], *, final_s: float, exponent: float) -> Gain:
    """The gain that is expected of the final training; arguments as of `expected`."""
    found, (usual, best) = expected(pairs, final_s=final_s, exponent=exponent), _parts(pairs)
    low, high = found.points(-Z), found.points(Z)
    verdict: Verdict = "better" if low > 0 else "likely" if found.left > found.deviation else "noise"
    gains = (best - usual).mean(axis=1)
    measured = tuple((pair.seconds, float(gain)) for pair, gain in zip(pairs, gains, strict=True))
    return Gain(
        value=found.points(),
        low=low,
        high=high,
        pairs=len(pairs),
        rows=usual.shape[1],
        verdict=verdict,
        measured=measured,
    )


def _pairs(records: Sequence[Record], division: Division | None) -> list[Pair]:
    made = pairs_of(records)
    whole = all(usual.rows and best.rows for usual, best in made)
    lengths = [1.0 if division is None else length * division.trial_s for length in CONFIRMED_LENGTHS]
    return [Pair(lengths[usual.number // 2], usual.rows, best.rows) for usual, best in made] if whole else []


def _parts(pairs: Sequence[Pair]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each row's part in the scores, `(P, N)`, by the usual settings and by the best."""
    return np.array([pair.usual for pair in pairs], np.float64), np.array([pair.best for pair in pairs], np.float64)


def no_gain() -> Gain:
    """That of the usual settings over themselves."""
    return Gain(value=0.0, low=0.0, high=0.0, pairs=0, rows=0, verdict="usual")
