"""Optimizers, schedules and weight averaging.

gradient-descent       w ← w − η ∇L over the whole training part at each step
sgd                    the same on a batch, with Nesterov momentum
adam, adamw            per-weight steps from running means of the gradient and its square
muon                   for convolution filters and matrices: the momentum is orthogonalised; the rest takes SGD
schedule-free-sgd, schedule-free-adamw    no schedule: a running mean of the weights is kept

Any of them can be sharpness-aware (`sharpness`), and be judged by another network beside it (`averages`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

import torch
from torch import Tensor, nn

from ..fsdp import laid_like
from ..minimise import spare_compiler, uncompiled
from .averages import Averages, Lookahead, MovingAverage, SlowWeights
from .muon import Muon, orthogonalise
from .schedule_free import ScheduleFree
from .sharpness import climbed
from .spec import LEARNING_RATES, USUAL, Average, OptimizerName, OptimizerSpec, Schedule

_BESIDE_MUON: Final = 0.25
"""Of Muon's rate, that of all that Muon does not turn, where the network does not say otherwise."""
_SGD = uncompiled(torch.optim.SGD)
_Adam = uncompiled(torch.optim.Adam)
_AdamW = uncompiled(torch.optim.AdamW)


class Steps(Protocol):
    """What a training step needs of an optimizer."""

    def step(self, learning_rate: float) -> None:
        """Change the weights by their gradients, and drop the gradients."""
        ...


class Optimizer:
    """One or two PyTorch optimizers under one learning rate, and a flat state that can be saved."""

    def __init__(self, *parts: torch.optim.Optimizer) -> None:
        self._parts = parts

    def step(self, learning_rate: float) -> None:
        """Change the weights by their gradients, and drop the gradients."""
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = learning_rate * group.get("share", 1.0)
            part.step()
            part.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """All tensors of the state by name; empty before the first step."""
        return {
            f"{number}.{index}.{name}": value if isinstance(value, Tensor) else torch.tensor(value)
            for number, part in enumerate(self._parts)
            for index, parameter in enumerate(_parameters(part))
            for name, value in part.state.get(parameter, {}).items()
        }

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take a state that `state` gave."""
        for key, value in state.items():
            number, index, name = key.split(".", 2)
            part = self._parts[int(number)]
            parameter = _parameters(part)[int(index)]
            # On its weight's device and in its memory format: fused steps pair numbers by their place in memory.
            like = torch.empty_like(parameter if value.shape == parameter.shape else value, device=parameter.device)
            part.state[parameter][name] = like.copy_(laid_like(value, like))

    @property
    def schedule_free(self) -> list[ScheduleFree]:
        """Those parts of it that keep a mean of their own."""
        return [part for part in self._parts if isinstance(part, ScheduleFree)]


def build_optimizer(
    model: nn.Module, spec: OptimizerSpec, *, products: torch.dtype = torch.float32, alike: bool = False
) -> Optimizer:
    """An optimizer for the trainable weights. Biases, norms and other vectors have no weight decay.

    Args:
        model: whose weights are changed.
        spec: how.
        products: number format of the products that an optimizer makes of its own; weights stay as they are.
        alike: whether a weight is to change by the same bits in the whole tensor and in a share of it. PyTorch's fused
            Adam does not do so: it rounds the last few numbers of a tensor in another way than those before them.
    """
    spare_compiler()
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    groups = _groups([*trained.values()], spec.weight_decay)
    match spec.name:
        case "gradient-descent":
            return Optimizer(_SGD(groups, lr=spec.peak))
        case "sgd":
            momentum = spec.momentum
            return Optimizer(_SGD(groups, lr=spec.peak, momentum=momentum, nesterov=momentum > 0))
        case "adam":
            return Optimizer(_Adam(groups, lr=spec.peak, fused=not alike))
        case "adamw":
            return Optimizer(_AdamW(groups, lr=spec.peak, fused=not alike))
        case "schedule-free-sgd" | "schedule-free-adamw":
            return Optimizer(ScheduleFree(groups, adaptive=spec.name == "schedule-free-adamw"))
        case _:
            return _with_muon(trained, getattr(model, "beside_muon", {}), spec, products)


def _groups(parameters: list[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Weights with decay, and biases, norms and other vectors without."""
    groups = [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _with_muon(
    trained: dict[str, nn.Parameter], said: Mapping[str, float], spec: OptimizerSpec, products: torch.dtype
) -> Optimizer:
    """Muon for convolution filters; Nesterov SGD for the head, biases and norms.

    Args:
        trained: the weights by their names.
        said: how much of Muon's rate those beside it take, by a part of their names, where the network says so.
        spec, products: as for `build_optimizer`.
    """
    filters = [parameter for parameter in trained.values() if parameter.ndim == 4]
    rest: dict[float, list[nn.Parameter]] = {}
    for name, parameter in trained.items():
        if parameter.ndim != 4:
            share = next((share for part, share in said.items() if part in name.split(".")), _BESIDE_MUON)
            rest.setdefault(share, []).append(parameter)
    parts: list[torch.optim.Optimizer] = []
    if filters:
        parts.append(Muon(filters, products=products))
    if rest:
        groups = [
            group | {"share": share}
            for share, parameters in rest.items()
            for group in _groups(parameters, spec.weight_decay)
        ]
        groups.sort(key=lambda group: -group["params"][0].ndim)  # weights first: a saved state counts them so
        parts.append(_SGD(groups, lr=0.0, momentum=0.85, nesterov=True))
    return Optimizer(*parts)


def average_of(beside: nn.Module, spec: OptimizerSpec, optimizer: Optimizer, *, decay: float) -> Averages | None:
    """The network beside the model that is judged in its place; None for none.

    Args:
        beside: a copy of the model, which becomes it.
        spec: names the average.
        optimizer: of the model; a schedule-free one has its own.
        decay: share of a moving average that stays at each step.
    """
    if optimizer.schedule_free:
        return SlowWeights(beside, optimizer.schedule_free, decay=decay)
    if spec.average == "ema":
        return MovingAverage(beside, decay=decay)
    return Lookahead(beside) if spec.average == "lookahead" else None


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return list(_each(optimizer))


def _each(optimizer: torch.optim.Optimizer) -> Iterator[Tensor]:
    for group in optimizer.param_groups:
        yield from group["params"]


__all__ = [
    "LEARNING_RATES",
    "USUAL",
    "Average",
    "Averages",
    "Lookahead",
    "MovingAverage",
    "Muon",
    "Optimizer",
    "OptimizerName",
    "OptimizerSpec",
    "Schedule",
    "SlowWeights",
    "Steps",
    "average_of",
    "build_optimizer",
    "climbed",
    "orthogonalise",
]
