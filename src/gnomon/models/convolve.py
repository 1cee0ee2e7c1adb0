"""Convolutions, quicker: the activation in the same pass where nothing is learnt, filters' gradients by one product.

An activation of its own reads and writes all maps once more, which takes up to half of the time of a convolution of few
channels (RESULTS.md). oneDNN can apply it before a map is written; PyTorch has that for its compiler alone, so far.

oneDNN takes four to eight times as long for the filters' gradient of tiny maps as for the convolution itself: with AMX,
for 256 rows of 4×4 with 256 channels, 16 ms beside 3. Their patches as one matrix `(N H W, 9 C)` take 6 ms; from 8×8
on, in float32, and without AMX, writing the patches costs as much as is won (RESULTS.md).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.grad import conv2d_input

from .onednn import has_onednn, number_of

Activation: TypeAlias = Literal["gelu", "relu"]

ACTIVATIONS: Final[Mapping[Activation, Callable[[Tensor], Tensor]]] = {
    "gelu": functional.gelu,
    "relu": functional.relu,
}

_TINY: Final = 36
"""Height times width of maps up to which the product is quicker."""


def activated(maps: Tensor, convolution: nn.Conv2d, activation: Activation) -> Tensor:
    """`activation(convolution(maps))`, `(N, C, H, W)` → `(N, D, H, W)`, without the convolution's hooks."""
    weight, bias = convolution.weight, convolution.bias
    number = number_of(maps)
    if not _in_one_pass(maps, weight, number):
        return ACTIVATIONS[activation](convolution._conv_forward(maps, weight, bias))
    parts = maps.to(number), weight.to(number), None if bias is None else bias.to(number)
    geometry = convolution.padding, convolution.stride, convolution.dilation, convolution.groups
    how = "none" if activation == "gelu" else ""  # not by the tanh
    found: Tensor = torch.ops.mkldnn._convolution_pointwise(*parts, *geometry, activation, [], how)
    return found


def _in_one_pass(maps: Tensor, weight: Tensor, number: torch.dtype) -> bool:
    learnt = torch.is_grad_enabled() and (maps.requires_grad or weight.requires_grad)
    fits = maps.device.type == "cpu" and number in (torch.float32, torch.bfloat16) and len(maps) > 0
    return fits and not learnt and has_onednn("mkldnn._convolution_pointwise", number)


def convolve(maps: Tensor, convolution: nn.Conv2d) -> Tensor:
    """`convolution(maps)`, `(N, C, H, W)` → `(N, D, H, W)`; its kernel is 3×3, stride 1, padding 1, without a bias."""
    if not (torch.is_grad_enabled() and _by_product(maps) and convolution.weight.requires_grad):
        found: Tensor = convolution(maps)
        return found
    return _Convolution.apply(maps.bfloat16(), convolution.weight.bfloat16())  # type: ignore[no-untyped-call,no-any-return]


def _by_product(maps: Tensor) -> bool:
    if maps.device.type != "cpu" or maps.shape[2] * maps.shape[3] > _TINY or not _has_tiles():
        return False
    return torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") is torch.bfloat16


@functools.cache
def _has_tiles() -> bool:
    """Whether the processor multiplies tiles of matrices in bfloat16 (AMX)."""
    return bool(torch.cpu.get_capabilities().get("amx_bf16", False))


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(maps, weight)
        return functional.conv2d(maps, weight, padding=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor | None, Tensor]:
        maps, weight = ctx.saved_tensors
        before = None
        if ctx.needs_input_grad[0]:
            before = conv2d_input(maps.shape, weight, slopes, padding=1)  # type: ignore[no-untyped-call]
        return before, weight_gradient(maps, slopes)


def weight_gradient(maps: Tensor, slopes: Tensor) -> Tensor:
    """Of a 3×3 convolution's filters, `(D, C, 3, 3)`:

        dW[d, c, i, j] = Σ slopes[n, d, y, x] · maps[n, c, y + i − 1, x + j − 1]    over n, y, x

    Args:
        maps: what it was applied to, `(N, C, H, W)`, zero outside.
        slopes: of the loss by its outputs, `(N, D, H, W)`.
    """
    (rows, channels, height, width), filters = maps.shape, slopes.shape[1]
    padded = functional.pad(maps.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
    row, line, place, one = padded.stride()
    patches = padded.as_strided((rows, height, width, 3, 3, channels), (row, line, place, line, place, one))
    patches = patches.reshape(rows * height * width, 9 * channels)
    product = patches.t() @ slopes.permute(0, 2, 3, 1).reshape(rows * height * width, filters)
    return product.view(3, 3, channels, filters).permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
