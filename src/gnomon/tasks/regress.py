"""One or several numbers for each row: a robust loss on standardised values, and an interval with each answer."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..types import Value
from .classify import Views

_HUBER: Final = 1.0


class Estimate(Value, frozen=True):
    """What the model says of one row.

    Attributes:
        values: one number for each target, in its unit.
        low, high: bounds that hold the true number in 90 % of cases like those of the validation part.
        names: of the targets.
    """

    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    names: tuple[str, ...]

    @property
    def value(self) -> float:
        """The first, and mostly only, number."""
        return self.values[0]

    def told(self) -> str:
        """For people: `12.3 (11.0 to 13.6)`, with the targets' names where there are several."""
        parts = [
            f"{value:.4g} ({low:.4g} to {high:.4g})"
            for value, low, high in zip(self.values, self.low, self.high, strict=True)
        ]
        if len(parts) == 1:
            return parts[0]
        return ", ".join(f"{name} {part}" for name, part in zip(self.names, parts, strict=True))

    def cells(self) -> list[str]:
        """For a table, in the order of the task's `columns`."""
        triples = zip(self.values, self.low, self.high, strict=True)
        return [f"{number:.7g}" for triple in triples for number in triple]


class Regress(Value, tag="regress", tag_field="task", frozen=True):
    """Regression, bound to the targets of the data.

    Attributes:
        classes: the names of the targets, in the order of the model's outputs.
        mean, scale: of each target in the training part; a network gives (value − mean) / scale.
        margin: what is added and taken away for the bounds: the 90 % quantile of the absolute error on the validation
            part (split conformal prediction, Lei et al. 2018); empty before that is known.
    """

    classes: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    margin: tuple[float, ...] = ()

    @property
    def num_outputs(self) -> int:
        return len(self.classes)

    @property
    def score_name(self) -> str:
        """The share of the variance that is explained, averaged over the targets; a constant gets 0."""
        return "R²"

    @property
    def views(self) -> Views:
        """Numbers are predicted from the row as it is."""
        return "none"

    def targets(self, labels: Tensor) -> Tensor:
        """`(N, D)` in units → standardised, float32."""
        return ((labels.double() - self._mean(labels)) / self._scale(labels)).float()

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """`(N,)`: Huber's loss (1964), e²/2 up to one deviation and |e| − 1/2 beyond, so that no outlier rules."""
        wide = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
        return nn.functional.huber_loss(wide, targets, reduction="none", delta=_HUBER).mean(1)

    def activated(self, outputs: Tensor) -> Tensor:
        """`(N, D)` standardised → in units, float32."""
        return (outputs.double() * self._scale(outputs) + self._mean(outputs)).float()

    def judged(self, outputs: Tensor, labels: Tensor) -> tuple[float, float]:
        """Huber's loss, and R²."""
        targets = self.targets(labels)
        errors = (outputs - targets).double().square().sum(0)
        spread = (targets - targets.mean(0)).double().square().sum(0).clamp_min(1e-12)
        return float(self.losses(outputs, targets).mean()), float((1 - errors / spread).mean())

    def standard_error(self, score: float, rows: int) -> float:
        """The relative error of a variance of so many rows, √(2/n), on the variance that is left."""
        return (1 - min(1.0, score)) * math.sqrt(2 / rows)

    def columns(self, top: int) -> list[str]:
        """`value`, `low`, `high`; of several targets with their names before."""
        if self.num_outputs == 1:
            return ["value", "low", "high"]
        return [f"{name}:{part}" for name in self.classes for part in ("value", "low", "high")]

    def answers(self, values: NDArray[np.float32], *, top: int = 1) -> list[Estimate]:
        """`(N, D)` in units → one answer a row."""
        margin = np.array(self.margin or (math.inf,) * self.num_outputs)
        wide = values.astype(np.float64)
        return [
            Estimate(values=tuple(row), low=tuple(low), high=tuple(high), names=self.classes)
            for row, low, high in zip(wide.tolist(), (wide - margin).tolist(), (wide + margin).tolist(), strict=True)
        ]

    def _mean(self, like: Tensor) -> Tensor:
        return torch.tensor(self.mean, dtype=torch.float64, device=like.device)

    def _scale(self, like: Tensor) -> Tensor:
        return torch.tensor(self.scale, dtype=torch.float64, device=like.device)


def margins(values: NDArray[np.float32], labels: NDArray[np.float64], *, share: float = 0.9) -> list[float]:
    """For each target the absolute error that so large a share of rows stays below, `(N, D)` each.

    The ⌈(n + 1) · share⌉-th smallest of n errors, with which the bounds hold at least so often on rows drawn alike (Lei
    et al., "Distribution-free predictive inference for regression", JASA 2018).
    """
    errors = np.sort(np.abs(values.astype(np.float64) - labels), axis=0)
    place = min(len(errors), math.ceil((len(errors) + 1) * share)) - 1
    bounds: list[float] = errors[place].tolist()
    return bounds
