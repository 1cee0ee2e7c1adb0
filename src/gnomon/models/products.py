"""Products of float32 matrices, by the quicker of two libraries; without gradients, which the callers make themselves.

PyTorch multiplies float32 matrices with Intel's library, which uses half of the width of an AMD processor's vectors:
217 GFLOP/s on two cores of a Zen 5, where oneDNN has 466 (RESULTS.md). PyTorch takes oneDNN for convolutions, and for
linear layers that its compiler made; both are used here. Elsewhere, and for other number formats, all is as ever.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from ..rounding import of_processor
from .onednn import has_onednn


def linear(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`inputs · weightᵀ + bias`: `(M, K)`, `(N, K)`, `(N,)` → `(M, N)`."""
    if _by_onednn(inputs):
        found: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")
        return found
    return inputs @ weight.mT if bias is None else torch.addmm(bias, inputs, weight.mT)


def over_steps(left: Tensor, right: Tensor) -> Tensor:
    """`Σ left[t, n]ᵀ · right[t, n]` over both, `(T, N, G)`, `(T, N, D)` → `(G, D)`: a gradient of `linear`'s weight.

    oneDNN has it as that of a 1×1 convolution over maps of `T × N` places, which it reads without turning them round.
    """
    if not _by_onednn(left):
        return left.flatten(0, 1).mT @ right.flatten(0, 1)
    slopes, maps = (part.contiguous()[None].permute(0, 3, 1, 2) for part in (left, right))
    weight = left.new_empty(1).expand(left.shape[2], right.shape[2], 1, 1)
    geometry = [1, 1], [0, 0], [1, 1], False, [0, 0], 1
    found: Tensor = torch.ops.aten.convolution_backward(slopes, maps, weight, None, *geometry, [False, True, False])[1]
    return found.view(left.shape[2], right.shape[2])


def _by_onednn(inputs: Tensor) -> bool:
    return inputs.dtype is torch.float32 and inputs.device.type == "cpu" and inputs.numel() > 0 and _is_quicker()


@functools.cache
def _is_quicker() -> bool:
    """Whether the processor has wide vectors that only oneDNN uses, and PyTorch lets us have it."""
    wide = "avx512f" in of_processor("flags") and of_processor("vendor_id") != "GenuineIntel"
    return wide and has_onednn("mkldnn._linear_pointwise")
