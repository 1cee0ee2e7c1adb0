"""Layers that give a row the same bits whether it comes alone or among others.

Libraries choose other kernels for few rows, which add in another order: oneDNN in some convolutions for a single row,
a matrix product for fewer than twelve. Which ones do so is tried out on the machine at hand, on random rows.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

_ENOUGH: Final = 16


class FewAlike(nn.Linear):
    """A dense layer that always multiplies at least 16 rows, `(N, F)` → `(N, K)`."""

    @classmethod
    def of(cls, layer: nn.Linear) -> FewAlike:
        """With the weights of another."""
        made = cls(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
        made.weight, made.bias = layer.weight, layer.bias
        return made

    def forward(self, input: Tensor) -> Tensor:
        missing = max(0, _ENOUGH - len(input))
        filled = nn.functional.pad(input, (0, 0, 0, missing)) if missing else input
        return nn.functional.linear(filled, self.weight, self.bias)[: len(input)]


class AloneAlike(nn.Module):
    """A convolution that passes a single row `(1, C, H, W)` twice where it would take other kernels for one."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self._alike: dict[tuple[object, ...], bool] = {}

    def forward(self, maps: Tensor) -> Tensor:
        found: Tensor
        if len(maps) > 1 or self._is_alike(maps):
            found = self.layer(maps)
            return found
        found = self.layer(_twice(maps))
        return found[:1]

    def _is_alike(self, maps: Tensor) -> bool:
        situation = (*maps.shape, maps.device.type, maps.dtype, torch.get_num_threads())
        if situation not in self._alike:
            draw = torch.Generator().manual_seed(0)
            one = torch.randn(maps.shape, generator=draw).to(maps).contiguous(memory_format=torch.channels_last)
            self._alike[situation] = torch.equal(self.layer(one), self.layer(_twice(one))[:1])
        return self._alike[situation]


def _twice(maps: Tensor) -> Tensor:
    return torch.cat((maps, maps)).contiguous(memory_format=torch.channels_last)
