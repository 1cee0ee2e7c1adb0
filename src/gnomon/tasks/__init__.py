"""What is asked of a model: loss, decoding of its outputs into answers, and scores.

classify   one class out of several
tag        any number of labels out of several
regress    one or several numbers
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias, TypeVar

import msgspec
from torch import Tensor

from ..types import DataSpec
from .classify import Answer, Classify, Views
from .regress import Estimate, Regress
from .tag import Tag, Tags

Task: TypeAlias = Classify | Tag | Regress
"""What a recipe binds and a model file holds; its tag field `task` tells several apart."""
AnyTask = TypeVar("AnyTask", bound=Task)
Answered: TypeAlias = Answer | Tags | Estimate
"""What a model says of one row."""


class Asks(Protocol):
    """What every task does."""

    @property
    def num_outputs(self) -> int:
        """Numbers that a network gives for a row."""
        ...

    @property
    def score_name(self) -> str:
        """The one score that training goes by, as people call it; the greater the better, at most 1."""
        ...

    def targets(self, labels: Tensor) -> Tensor:
        """Labels as the data set holds them → `(N, num_outputs)` float32, which may be mixed linearly."""
        ...

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """`(N,)`; their mean is the loss of the batch."""
        ...

    def activated(self, outputs: Tensor) -> Tensor:
        """Outputs of the network → what people read: probabilities, or values in their unit."""
        ...

    def judged(self, outputs: Tensor, labels: Tensor) -> tuple[float, float]:
        """Loss and score of all rows together."""
        ...

    def standard_error(self, score: float, rows: int) -> float:
        """How far a score of so many rows may be off by chance."""
        ...

    def columns(self, top: int) -> list[str]:
        """Names of the cells of an answer in a table."""
        ...


def bind(
    spec: DataSpec, *, class_weights: tuple[float, ...] = (), label_smoothing: float = 0.0, views: Views = "none"
) -> Task:
    """What the data ask, as a task bound to them; the other arguments are for classes and labels."""
    if spec.question == "tag":
        return Tag(classes=spec.classes, label_smoothing=label_smoothing)
    if spec.question == "regress":
        return Regress(classes=spec.classes, mean=spec.mean, scale=spec.scale)
    return Classify(classes=spec.classes, class_weights=class_weights, label_smoothing=label_smoothing, views=views)


def replaced(task: AnyTask, values: Mapping[str, Any]) -> AnyTask:
    """The task with other values in those of these fields that it has."""
    known = {name: value for name, value in values.items() if name in task.__struct_fields__}
    return msgspec.structs.replace(task, **known)


__all__ = [
    "Answer",
    "Answered",
    "AnyTask",
    "Asks",
    "Classify",
    "Estimate",
    "Regress",
    "Tag",
    "Tags",
    "Task",
    "Views",
    "bind",
    "replaced",
]
