"""What PyTorch lets us have of oneDNN's operations on a processor, and in which number format a layer computes."""

from __future__ import annotations

import functools

import torch
from torch import Tensor


def number_of(inputs: Tensor) -> torch.dtype:
    """The number format that a layer of these inputs has on a processor."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else inputs.dtype


@functools.cache
def has_onednn(operation: str, number: torch.dtype = torch.float32) -> bool:
    """Whether PyTorch has an operation, `library.name` under `torch.ops`, and the processor instructions for float32 or
    bfloat16.
    """
    library, name = operation.split(".")
    known: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not known or not hasattr(getattr(torch.ops, library), name):
        return False
    return number is torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
