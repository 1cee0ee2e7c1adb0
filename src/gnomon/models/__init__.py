"""What is trained. A model spec is a frozen value of plain numbers; `build` turns it into a `torch.nn.Module`.

plain     the textbook network: convolution 32-64-64, max-pooling, dense 64
cnn       whitened stem, stages of 3×3 convolutions; scaled by width, depth and input size
imported  a module of the user's own, `package.module:Name`
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

import torch
from torch import nn

from ..errors import RecipeError, nearest
from .cnn import Cnn, Network, whiten
from .describe import NetworkSummary, describe_network
from .imported import Imported
from .plain import Plain

ModelSpec: TypeAlias = Plain | Cnn | Imported
"""What a recipe and a model file may name. The tag field `model` tells them apart."""


class Builds(Protocol):
    """What every model spec does."""

    def build(self, input_shape: tuple[int, int, int], num_outputs: int) -> nn.Module:
        """A module that maps `(N, C, H, W)` to `(N, num_outputs)` logits."""
        ...


_NAMED: dict[str, ModelSpec | None] = {"auto": None, "cnn": None, "plain": Plain()}


def model_named(name: str) -> ModelSpec | None:
    """What a user means by a model's name; None leaves the size to the plan.

    Raises:
        RecipeError: neither a known name nor `package.module:Name`.
    """
    if name in _NAMED:
        return _NAMED[name]
    if ":" not in name:
        raise RecipeError(
            f"the model {name!r} is not known", remedy=f"{nearest(name, _NAMED)} Or write package.module:Name."
        )
    return Imported(name=name)


def channels_last(module: nn.Module) -> nn.Module:
    """The module with its weights laid out as convolutions take them quickest, `(N, H, W, C)` in memory."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


__all__ = [
    "Builds",
    "Cnn",
    "Imported",
    "ModelSpec",
    "Network",
    "NetworkSummary",
    "Plain",
    "channels_last",
    "describe_network",
    "model_named",
    "whiten",
]
