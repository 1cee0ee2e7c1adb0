"""Tensors in eight bits: whole numbers from −127 to 127, and a scale for each row or column of them.

A tensor `w` becomes `round(w / s)` with s = max |w| / 127, taken over each output (first dimension), which is what a
filter or a row of a matrix is to the next layer; or over each column where rows are so short that their scales would
take more than they save. What is read back is off by at most s / 2 (Jacob et al., "Quantization and training of neural
networks for efficient integer-arithmetic-only inference", CVPR 2018; here weights alone, and products stay float32).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

SCALE: Final = "/scale"
"""What the name of a tensor's scales ends with."""

_FEWEST: Final = 256
_SHORT_ROW: Final = 16
_MOST: Final = 127

Kind = tuple[tuple[int, ...], torch.dtype]
"""Shape and type of a tensor."""


def stored(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """As a small file holds them: large tensors of floating numbers as int8 with scales, the others as they are."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        shape = _scale_shape(tuple(tensor.shape), tensor.dtype)
        if shape is None:
            found[name] = tensor
            continue
        wide = tensor.detach().float()
        most = wide.abs().amax([axis for axis, size in enumerate(shape) if size == 1], keepdim=True)
        scale = most.clamp_min(torch.finfo(torch.float32).tiny) / _MOST
        found[name] = (wide / scale).round().clamp(-_MOST, _MOST).to(torch.int8)
        found[name + SCALE] = scale.flatten()
    return found


def kinds_stored(wanted: Mapping[str, Kind]) -> dict[str, Kind]:
    """What a small file holds in place of these tensors, by name."""
    found: dict[str, Kind] = {}
    for name, (shape, dtype) in wanted.items():
        scales = _scale_shape(shape, dtype)
        found[name] = (shape, dtype if scales is None else torch.int8)
        if scales is not None:
            found[name + SCALE] = ((max(scales),), torch.float32)
    return found


def restored(tensors: Mapping[str, Tensor], wanted: Mapping[str, Kind]) -> dict[str, Tensor]:
    """Tensors of a small file in the shapes and types that are wanted."""
    found: dict[str, Tensor] = {}
    for name, (shape, dtype) in wanted.items():
        scales = _scale_shape(shape, dtype)
        tensor = tensors[name]
        found[name] = tensor if scales is None else (tensor.float() * tensors[name + SCALE].view(scales)).to(dtype)
    return found


def _scale_shape(shape: tuple[int, ...], dtype: torch.dtype) -> tuple[int, ...] | None:
    """Of a tensor's scales, to be spread over it; None where it stays as it is."""
    size = torch.Size(shape).numel()
    if len(shape) < 2 or size < _FEWEST or not dtype.is_floating_point:
        return None
    by_row = size // shape[0] >= _SHORT_ROW or len(shape) > 2
    kept = 0 if by_row else 1
    return tuple(length if axis == kept else 1 for axis, length in enumerate(shape))
