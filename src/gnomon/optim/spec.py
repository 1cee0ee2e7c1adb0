"""What is said of an optimizer, and what is decided where nothing is."""

from __future__ import annotations

import math
from typing import Annotated, Literal, TypeAlias

import msgspec

from ..types import Kind, Positive, Share, Value

OptimizerName: TypeAlias = Literal[
    "gradient-descent", "sgd", "adam", "adamw", "muon", "schedule-free-sgd", "schedule-free-adamw"
]
Schedule: TypeAlias = Literal["constant", "linear", "cosine"]
Average: TypeAlias = Literal["none", "ema", "lookahead"]

LEARNING_RATES: dict[OptimizerName, float] = {
    "gradient-descent": 0.1,
    "sgd": 0.05,
    "adam": 1e-3,
    "adamw": 2e-3,
    "muon": 0.24,
    "schedule-free-sgd": 0.5,
    "schedule-free-adamw": 3e-3,
}
"""Learning rate where none is given, the highest of the schedule; of muon for 400 batches of 512 rows."""

USUAL: dict[Kind, OptimizerName] = {"image": "muon", "text": "adam", "sound": "muon", "series": "adam"}
"""The optimizer where none is asked for."""

_FREE_WARMUP = 0.05
_MUON_STEPS, _MUON_LONG = 400, (0.6, 1.4)


class OptimizerSpec(Value, frozen=True):
    """How weights are changed.

    Attributes:
        name: the method. None: muon for pictures and recordings, adam for texts and series.
        learning_rate: the highest of the schedule; None takes the method's own.
        weight_decay: decoupled for adamw, an L2 term else; never on biases and norms, nor on filters under muon,
            whose norm is held.
        momentum: of sgd.
        schedule: how the learning rate goes on after the warm-up; linear and cosine end at 0. None: linear, or
            constant for the textbook's network.
        warmup: share of the steps in which it rises from 0.
        average: `ema` judges and keeps an exponential moving average of the weights; `lookahead` slow weights, to which
            the quick ones come back. None: ema, or none for the textbook's network; a schedule-free method keeps a mean
            of its own.
        sharpness: how far up the slope the gradient is taken, the radius of sharpness-aware minimisation; 0 for where
            the weights are. Each step then costs two.
    """

    name: OptimizerName | None = None
    learning_rate: Positive | None = None
    weight_decay: Annotated[float, msgspec.Meta(ge=0, le=1e3)] = 0.0
    momentum: Share = 0.9
    schedule: Schedule | None = None
    warmup: Share = 0.0
    average: Average | None = None
    sharpness: Annotated[float, msgspec.Meta(ge=0, le=10)] = 0.0

    @property
    def peak(self) -> float:
        """The highest learning rate."""
        return LEARNING_RATES[self.name or USUAL["image"]] if self.learning_rate is None else self.learning_rate

    @property
    def averaged(self) -> bool:
        """Whether another network than the one that learns is judged and kept."""
        return self.average not in (None, "none") or (self.name or "").startswith("schedule-free")

    def completed(self, kind: Kind, *, batch: int, steps: int, textbook: bool, factor: float = 1.0) -> OptimizerSpec:
        """With every field decided.

        Args:
            kind: of the rows.
            batch: rows of a step; Muon's rate follows its root, since the noise of a step does.
            steps: of the training; Muon's rate falls with their root, between bounds: more steps reach as far.
            textbook: train as the textbook does: constant rate, no averaging.
            factor: of the learning rate.
        """
        name, scale = self.name or USUAL[kind], 1.0
        if name == "muon":
            least, most = _MUON_LONG
            scale = min(1.0, (batch / 512) ** 0.5) * min(most, max(least, (_MUON_STEPS / steps) ** 0.5))
        free = name.startswith("schedule-free")
        return msgspec.structs.replace(
            self,
            name=name,
            learning_rate=factor * (self.learning_rate or scale * LEARNING_RATES[name]),
            schedule=self.schedule or ("constant" if textbook or free else "linear"),
            warmup=self.warmup or (_FREE_WARMUP if free else 0.0),
            average=self.average or ("none" if textbook or free else "ema"),
        )

    def rate(self, progress: float) -> float:
        """The learning rate after this share of the training, 0 to 1."""
        if progress < self.warmup:
            return self.peak * progress / self.warmup
        rest = (progress - self.warmup) / max(1e-9, 1 - self.warmup)
        if self.schedule == "constant":
            return self.peak
        if self.schedule == "cosine":
            return self.peak * 0.5 * (1 + math.cos(math.pi * min(1.0, rest)))
        return self.peak * max(0.0, 1 - rest)
