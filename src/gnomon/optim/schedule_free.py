"""Optimizers without a schedule: the network that is kept is a running mean, and no one must know when the end comes.

After Defazio, Yang, Mehta, Mishchenko, Khaled and Cutkosky, "The road less scheduled" (NeurIPS 2024), algorithm 1:

    y = (1 − β) z + β x              where the gradient is taken, the weights of the network that learns
    z ← z − η g − η λ y              g: the gradient, for AdamW over the root of the mean of its square
    x ← (1 − c) x + c z              c = η² / Σ η²; what is judged and kept
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

_INTERPOLATION = 0.9
_SQUARES = 0.999
_EPSILON = 1e-8


class ScheduleFree(torch.optim.Optimizer):
    """Schedule-free SGD, or AdamW.

    Args:
        groups: of parameters, each with its `weight_decay`.
        adaptive: whether each weight's step is divided by the root mean square of its gradients, as AdamW does.
        interpolation: β, how near the gradient is taken to the mean.
    """

    def __init__(self, groups: list[dict[str, Any]], *, adaptive: bool, interpolation: float = _INTERPOLATION) -> None:
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0})
        self._adaptive, self._interpolation = adaptive, interpolation

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._step(parameter, self._state_of(parameter), group["lr"], group["weight_decay"])

    def averages(self) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """Each parameter and its x; those that were never changed are left out."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter in self.state:
                    yield parameter, self.state[parameter]["x"]

    def _state_of(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.state[parameter]
        if not state:
            state["x"], state["z"] = parameter.clone(), parameter.clone()
            state["step"], state["weight"] = torch.zeros(()), torch.zeros((), dtype=torch.float64)
            if self._adaptive:
                state["squares"] = torch.zeros_like(parameter)
        return state

    def _step(self, parameter: nn.Parameter, state: dict[str, Tensor], rate: float, decay: float) -> None:
        state["step"] += 1
        slope = parameter.grad
        assert slope is not None, "only such are stepped"
        if self._adaptive:
            state["squares"].mul_(_SQUARES).addcmul_(slope, slope, value=1 - _SQUARES)
            rate *= float(1 - _SQUARES ** float(state["step"])) ** 0.5
            slope = slope / (state["squares"].sqrt() + _EPSILON)
        state["z"].add_(slope, alpha=-rate)
        if decay:
            state["z"].add_(parameter, alpha=-rate * decay)
        state["weight"] += rate**2
        share = rate**2 / float(state["weight"]) if rate else 0.0
        state["x"].lerp_(state["z"], share)
        parameter.copy_(torch.lerp(state["z"], state["x"], self._interpolation))
