"""What a training leaves out for the sake of time: rows that are known already, pixels while the coarse is learnt."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from ..batches import shrunk_side
from ..models import Cnn, ModelSpec
from ..types import DataSpec, Decision
from .ladder import Speed, is_shrunk

SMALL_SCALE: Final = 0.75
"""Of height and width, where pictures are shrunk."""
SKIP_BETWEEN: Final = (0.3, 0.85)
"""Shares of the training between which a new pass leaves out the easy rows, if it does at all. A network that learns
the dear ones alone to its end forgets what the others are like."""

_SKIP_EASY: Final = 0.6
_FEW_PASSES, _MANY_PASSES = 6.0, 14.0
"""Up to so few passes the easiest rows are skipped, from so many on none: measured on CIFAR-10, see RESULTS.md."""
_SMALL_UNTIL = 0.6


@dataclass(frozen=True, slots=True)
class Thrift:
    """What is left out.

    Attributes:
        skip_easy: share of the rows that late passes leave out.
        small_until: share of the training with shrunk pictures.
        small_cost: seconds of such a step for one second of a whole one.
        decisions: both, with their reasons.
    """

    skip_easy: float
    small_until: float
    small_cost: float
    decisions: tuple[Decision, ...]

    @property
    def mean_cost(self) -> float:
        """Of a step; 1 is one with whole pictures."""
        return 1 - self.small_until * (1 - self.small_cost)


def choose_thrift(
    spec: DataSpec,
    model: ModelSpec,
    speed: Speed,
    skip_easy: float | None,
    small_until: float | None,
    *,
    batch: int,
    left_s: float | None,
) -> Thrift:
    """By a deadline, pixels and, where passes are few, rows are spent where they teach most; else every pass is whole.

    Args:
        spec: the data.
        model, speed: the network, and what it costs.
        skip_easy, small_until: as asked for; None leaves it to this.
        batch: rows of a step.
        left_s: seconds of training; None without a deadline.
    """
    auto = left_s is not None and isinstance(model, Cnn)
    usual = _SMALL_UNTIL if auto and is_shrunk(spec) else 0.0
    small = (usual if small_until is None else small_until) if isinstance(model, Cnn) else 0.0
    cost = _small_cost(spec, speed) if small and left_s is not None else 1.0
    passes = (left_s or 0.0) / (speed.step_s * (1 - small * (1 - cost))) * batch / spec.num_train
    skip = (_usual_skip(passes) if auto else 0.0) if skip_easy is None else skip_easy
    why_skip = f"there is time for {passes:.0f} passes" if auto else "every epoch is whole"
    why_small = "by a deadline: the coarse comes first" if small else "every pixel counts"
    rows = Decision(
        name="rows",
        value=f"skip the easiest {skip:.0%} between {SKIP_BETWEEN[0]:.0%} and {SKIP_BETWEEN[1]:.0%} of the steps"
        if skip
        else "all",
        reason="asked for" if skip_easy is not None else why_skip,
    )
    pictures = Decision(
        name="pictures",
        value=f"3/4 of the sides in the first {small:.0%}" if small else "whole",
        reason="asked for" if small_until is not None else why_small,
    )
    decisions = (rows, pictures) if spec.kind == "image" else (rows,)
    return Thrift(skip, small, cost, decisions)


def _usual_skip(passes: float) -> float:
    """The more often rows are seen, the less there is to gain by skipping some, and the more is forgotten of them."""
    return _SKIP_EASY * min(1.0, max(0.0, (_MANY_PASSES - passes) / (_MANY_PASSES - _FEW_PASSES)))


def _small_cost(spec: DataSpec, speed: Speed) -> float:
    area = math.prod(shrunk_side(side, SMALL_SCALE) / side for side in spec.input_shape[1:])
    return (area * (speed.step_s - speed.optimizer_s) + speed.optimizer_s) / speed.step_s
