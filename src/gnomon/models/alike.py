"""Layers that give a row the same bits whether it comes alone or among others.

Libraries choose other kernels for few rows, which add in another order: oneDNN in some convolutions for a single row,
a matrix product for fewer than twelve. Which ones do so is tried out on the machine at hand, on random rows.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn

from .convolve import Activation, activated

_ENOUGH: Final = 16


class FewAlike(nn.Linear):
    """A dense layer that always multiplies at least 16 rows, `(N, F)` → `(N, K)`."""

    def __init__(self, layer: nn.Linear) -> None:
        """With the weights of another layer."""
        super().__init__(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, input: Tensor) -> Tensor:
        missing = max(0, _ENOUGH - len(input))
        filled = nn.functional.pad(input, (0, 0, 0, missing)) if missing else input
        return nn.functional.linear(filled, self.weight, self.bias)[: len(input)]


class AloneAlike(nn.Conv2d):
    """A convolution that passes a single row `(1, C, H, W)` twice where it would take other kernels for one."""

    def __init__(self, layer: nn.Conv2d, activation: Activation | None = None) -> None:
        """With the weights of another layer, and an activation behind them."""
        kernel: Any = layer.kernel_size
        step: Any = layer.stride
        padding: Any = layer.padding
        super().__init__(
            layer.in_channels, layer.out_channels, kernel, step, padding, bias=layer.bias is not None, device="meta"
        )
        self.weight, self.bias = layer.weight, layer.bias
        self._activation: Activation | None = activation
        self._known: dict[tuple[object, ...], bool] = {}

    def forward(self, input: Tensor) -> Tensor:
        if len(input) > 1 or self._is_alike(input):
            return self._applied(input)
        return self._applied(_twice(input))[:1]

    def _applied(self, maps: Tensor) -> Tensor:
        if self._activation is not None:
            return activated(maps, self, self._activation)
        found: Tensor = self._conv_forward(maps, self.weight, self.bias)
        return found

    def _is_alike(self, maps: Tensor) -> bool:
        situation = (maps.shape, maps.device, maps.dtype, torch.get_num_threads())
        if situation not in self._known:
            draw = torch.Generator().manual_seed(0)
            one = torch.randn(maps.shape, generator=draw).to(maps).contiguous(memory_format=torch.channels_last)
            alone, paired = (self._applied(rows) for rows in (one, _twice(one)))
            self._known[situation] = torch.equal(alone, paired[:1])
        return self._known[situation]


def _twice(maps: Tensor) -> Tensor:
    return torch.cat((maps, maps)).contiguous(memory_format=torch.channels_last)
