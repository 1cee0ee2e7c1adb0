"""How far a training is, though steps are cut or added on the way."""

from __future__ import annotations

from collections.abc import Sequence

from .types import Value


class Change(Value, frozen=True):
    """Steps were cut or added on the way; `history` of a plan. Part of what makes a run repeatable."""

    step: int
    steps_before: int
    steps: int
    reason: str


def progress(step: int, steps: int, history: Sequence[Change]) -> float:
    """Share of the training that is done, 0 to 1. A change bends the line at its step; it never jumps."""
    done, since = 0.0, 0
    for change in history:
        if change.step > step:
            break
        done += (1 - done) * (change.step - since) / max(1, steps - since)
        since, steps = change.step, change.steps
    return min(1.0, done + (1 - done) * (step - since) / max(1, steps - since))
