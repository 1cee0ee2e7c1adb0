"""How the time of a search is divided: between exploring, confirming what was found, and the final training.

The time that exploring takes is missing in the end, so what it costs is measured: the usual settings are trained for
one length and for twice that, and from how much the error falls follows what a shorter final training loses. With the
share x of the time for the search, the final error is taken to be

    e(x) = (1 − g · x / (x + h)) · (1 − x)^(−a)

a being the measured exponent, g the most that a search gains (as a share of the error) and h the share of the time in
which it gains half of that. The share is the x of least error. Where more time no longer helps, half of it is searched;
where it helps much, a fifth.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from ..types import Value

CONFIRMED_LENGTHS: Final = (1.5, 3.0, 6.0)
"""Of the trainings by which usual and best settings are compared, over a trial's: how a gain changes with the length
tells what is left of it in the end."""
CONFIRMED_PAIRS: Final = len(CONFIRMED_LENGTHS)
"""Each with a fresh seed."""
_PLANNED: Final = CONFIRMED_LENGTHS[:2]
"""Those that are planned for; a longer one is made where a gain has lasted so far."""

_FIRST_SHARE: Final = 0.009
_SHORTEST_S: Final = 1.0
_GAIN, _HALF_AT = 0.12, 0.15
_LEAST, _MOST = 0.2, 0.5
_USUAL_EXPONENT, _ITS_DEVIATION = 0.12, 0.08
_FULL_TRIALS: Final = 12
_FEWEST_TRIALS: Final = 4


class Division(Value, frozen=True):
    """Seconds of the parts of a search.

    Attributes:
        trial_s: of one trial's training.
        around_s: of what else a trial takes: starting weights, validating.
        explore_s: of all exploring; what was measured before is part of it.
        confirm_s: of usual and best settings with fresh seeds.
        final_s: of the final training.
        behind_s: of judging and reporting behind that.
        reason: why so.
        exponent: by which power of the time the error falls.
    """

    trial_s: float
    around_s: float
    explore_s: float
    confirm_s: float
    final_s: float
    behind_s: float
    reason: str
    exponent: float = 0.12


def first_trial_s(free_s: float) -> float:
    """Seconds of the first training, where so many are free for searching and the final training."""
    return max(_SHORTEST_S, _FIRST_SHARE * free_s)


def needed_s(first_s: float) -> float:
    """Seconds without which there is nothing to divide, where a training takes so many at least."""
    trials = 3 + _FEWEST_TRIALS + 2 * sum(_PLANNED)
    return trials * first_s / _MOST


def exponent(error: float, longer_error: float, rows: int) -> float:
    """By which power of the time the error falls, from the errors after one length and after twice that.

    A measurement on so many rows is rough: it is weighed, by its variance, against what is usual.
    """
    error, longer_error = (max(value, 0.5 / max(1, rows)) for value in (error, longer_error))
    measured = math.log2(error / longer_error)
    variance = (1 / (rows * error) + 1 / (rows * longer_error)) / math.log(2) ** 2
    weight = _ITS_DEVIATION**2 / (_ITS_DEVIATION**2 + variance)
    return max(0.0, weight * measured + (1 - weight) * _USUAL_EXPONENT)


def search_share(power: float) -> float:
    """The share of the time for the search, by the exponent."""
    shares = np.linspace(_LEAST, _MOST, 100)
    errors = np.log(1 - _GAIN * shares / (shares + _HALF_AT)) - power * np.log(1 - shares)
    return float(shares[int(np.argmin(errors))])


def divide(free_s: float, first_s: float, power: float, *, behind_s: float, around_s: float = 0.0) -> Division:
    """Divide the seconds that are free before the first training, of which trainings of one and two lengths are made.

    Args:
        free_s: seconds for all trainings.
        first_s: of the first one.
        power: what more time brings, as `exponent` tells it.
        behind_s: of what follows the final training.
        around_s: that each training takes beside its steps.

    Trials are twice as long where there is time for twelve such: the longer, the more they say of the final training.
    """
    share = search_share(power)
    made_s = 3 * first_s + 2 * around_s
    for trial_s in (2 * first_s, first_s):
        confirm_s = 2 * (sum(_PLANNED) * trial_s + len(_PLANNED) * around_s)
        explore_s = share * free_s - confirm_s
        if explore_s >= made_s + _FULL_TRIALS * (trial_s + around_s):
            break
    explore_s = max(explore_s, made_s + min(_FEWEST_TRIALS * (trial_s + around_s), _MOST * free_s - confirm_s - made_s))
    searched = (explore_s + confirm_s) / free_s
    reason = f"twice the time leaves about {2**-power:.0%} of the error, so {searched:.0%} of it goes into the search"
    return Division(
        trial_s=trial_s,
        around_s=around_s,
        explore_s=explore_s,
        confirm_s=confirm_s,
        final_s=free_s - explore_s - confirm_s,
        behind_s=behind_s,
        reason=reason,
        exponent=power,
    )
