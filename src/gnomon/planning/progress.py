"""How far a training is, though steps are cut or added and rates come down on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..types import Value

_NOMINAL_PER_S: Final = {"cpu": 1e10, "cuda": 1e13}
_SHORTEST_STEP_S: Final = 1e-3


class Change(Value, frozen=True):
    """What was changed on the way; `history` of a plan. Part of what makes a run repeatable.

    Attributes:
        step: that it holds from.
        steps_before, steps: of the whole training.
        reason: for people.
        rate_share: what the learning rate is multiplied with from here on; below 1 where the training went back to its
            best network, since it no longer gave numbers.
        failed_step: in which it no longer did.
        parts: into which a batch is cut from here on, since it does not fit into memory whole.
        threads: of an operation from here on, where that changed, since other programs took cores or gave them back.
    """

    step: int
    steps_before: int
    steps: int
    reason: str
    rate_share: float = 1.0
    failed_step: int = 0
    parts: int = 1
    threads: int | None = None


def progress(step: int, steps: int, history: Sequence[Change]) -> float:
    """Share of the training that is done, 0 to 1. A change bends the line at its step; it never jumps."""
    done, since = 0.0, 0
    for change in history:
        if change.step > step:
            break
        done += (1 - done) * (change.step - since) / max(1, steps - since)
        since, steps = change.step, change.steps
    return min(1.0, done + (1 - done) * (step - since) / max(1, steps - since))


def rate_share(history: Sequence[Change]) -> float:
    """What is left of the learning rate."""
    share = 1.0
    for change in history:
        share *= change.rate_share
    return share


def times_back(history: Sequence[Change]) -> int:
    """How often the training went back to its best network."""
    return sum(change.rate_share < 1 for change in history)


def parts_of(history: Sequence[Change]) -> int:
    """Into how many parts a batch is cut."""
    return max((change.parts for change in history), default=1)


def threads_of(history: Sequence[Change], planned: int) -> int:
    """Threads of an operation."""
    return next((change.threads for change in reversed(history) if change.threads is not None), planned)


def told_every(products: int, batch: int, *, device: str, seconds: float) -> int:
    """Steps between two accounts of a training: about so many seconds apart, by what a step multiplies.

    Measured times would make the accounts of two equal trainings differ.
    """
    step_s = max(_SHORTEST_STEP_S, 3 * products * batch / _NOMINAL_PER_S[device.split(":")[0]])
    return max(1, round(seconds / step_s))
