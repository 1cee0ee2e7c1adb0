"""Networks beside the one that learns, that are judged and kept in its place."""

from __future__ import annotations

from typing import Final, Protocol

import torch
from torch import Tensor, nn

from ..fsdp import held
from .schedule_free import ScheduleFree

_LOOKAHEAD_STEPS: Final = 5
_LOOKAHEAD_SHARE: Final = 0.5


class Averages(Protocol):
    """What every average does."""

    @property
    def module(self) -> nn.Module:
        """The network that is judged."""
        ...

    def update(self, model: nn.Module, step: int) -> None:
        """Follow the model after its step of this number."""
        ...


class MovingAverage:
    """Exponential moving average of a model's weights and buffers, itself a model that can be judged.

    Args:
        module: a copy of the model; it is changed.
        decay: share of the average that stays at each update.
    """

    def __init__(self, module: nn.Module, *, decay: float) -> None:
        self.module = module.requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move the average towards the model."""
        _move(self.module, model, 1 - self.decay)


class Lookahead:
    """Slow weights, to which the quick ones come back: every fifth step both meet half-way (M. Zhang, Lucas, Hinton and
    Ba, "Lookahead optimizer: k steps forward, 1 step back", NeurIPS 2019, algorithm 1).

    Args:
        module: a copy of the model; it is changed.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module.requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """At every fifth step."""
        if step % _LOOKAHEAD_STEPS:
            return
        _move(self.module, model, _LOOKAHEAD_SHARE)
        for slow, quick in zip(self.module.parameters(), model.parameters(), strict=True):
            quick.copy_(slow)


class SlowWeights:
    """The averaged weights of a schedule-free optimizer; buffers, of which it knows nothing, follow by a moving mean.

    Args:
        module: a copy of the model; it is changed.
        optimizers: what changes the model's weights.
        decay: share of the buffers that stays at each update.
    """

    def __init__(self, module: nn.Module, optimizers: list[ScheduleFree], *, decay: float) -> None:
        self.module = module.requires_grad_(False)
        self.decay = decay
        self._optimizers = optimizers

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take the averages over."""
        averages = {id(parameter): mean for part in self._optimizers for parameter, mean in part.averages()}
        for slow, quick in zip(self.module.parameters(), model.parameters(), strict=True):
            slow.copy_(averages.get(id(quick), quick))
        _follow(list(self.module.buffers()), list(model.buffers()), 1 - self.decay)


def _move(module: nn.Module, model: nn.Module, share: float) -> None:
    """All weights and buffers by this share of the way to the model's."""
    _follow(list(module.state_dict().values()), list(model.state_dict().values()), share)


def _follow(averages: list[Tensor], currents: list[Tensor], share: float) -> None:
    pairs = [(held(average), held(current)) for average, current in zip(averages, currents, strict=True)]
    floating = [(average, current) for average, current in pairs if average.is_floating_point()]
    if floating:
        torch._foreach_lerp_([average for average, _ in floating], [current for _, current in floating], share)
    for average, current in pairs:
        if not average.is_floating_point():
            average.copy_(current)
