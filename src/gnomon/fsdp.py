"""Weights divided over processes: fully sharded data parallel, by PyTorch's `fully_shard` (FSDP2).

Each process holds its share of every weight, of its gradient and of what the optimizer keeps for it. A block's weights
are gathered when it is computed and let go afterwards. A share is a `DTensor`, which counts as the whole for arithmetic
on each number by itself; who needs all numbers at once takes them with `whole`, in all processes at the same time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn


def divide(module: nn.Module, processes: int, device: str) -> None:
    """Leave each process with its share of the weights. Gradients are summed over the processes, not averaged.

    The blocks are the members of the module's `nn.Sequential`s, and the module itself for the rest.

    Args:
        module: with the same weights in all processes; it is changed.
        processes: all those of `torch.distributed`, which is ready.
        device: of this process.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard

    mesh = init_device_mesh(torch.device(device).type, (processes,))
    module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    for block in (*_blocks(module), module):
        fully_shard(block, mesh=mesh, reshard_after_forward=True)
        assert isinstance(block, FSDPModule), "fully_shard makes it one"
        block.set_gradient_divide_factor(1.0)
        block.set_force_sum_reduction_for_comms(True)


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The outermost members of sequences; these are called as modules, so that their weights can be gathered then."""
    for child in module.children():
        if isinstance(module, nn.Sequential) and any(True for _ in child.parameters()):
            yield child
        else:
            yield from _blocks(child)


def whole(tensor: Tensor) -> Tensor:
    """All its numbers, gathered from all processes where it is divided, which must all ask for it; else itself."""
    gather: Any = getattr(tensor, "full_tensor", None)
    return tensor if gather is None else gather()


def held(tensor: Tensor) -> Tensor:
    """What this process holds of it."""
    local: Any = getattr(tensor, "to_local", None)
    return tensor if local is None else local()


def laid_like(value: Tensor, pattern: Tensor) -> Tensor:
    """A whole tensor divided as another one of its shape is; itself, if that is whole. Nothing is exchanged."""
    if not hasattr(pattern, "full_tensor"):
        return value
    from torch.distributed.tensor import distribute_tensor

    where: Any = pattern
    return distribute_tensor(value.to(where.device), where.device_mesh, where.placements, src_data_rank=None)


def all_laid_like(values: Mapping[str, Tensor], patterns: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same for the tensors of a state; those that the patterns lack stay as they are."""
    return {name: laid_like(value, patterns[name]) if name in patterns else value for name, value in values.items()}
