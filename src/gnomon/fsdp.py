"""Weights divided over processes: fully sharded data parallel, by PyTorch's `fully_shard` (FSDP2).

Each process holds its share of every weight, of its gradient and of what the optimizer keeps for it. A block's weights
are gathered when it is computed and let go afterwards. A share is a `DTensor`, which counts as the whole for arithmetic
on each number by itself; who needs all numbers at once takes them with `whole`, in all processes at the same time.
Gradients are summed over the processes in the order of a tree (`tree_sum`) and not as a library happens to, so that
the bits of a training do not hang on how many processes hold it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn


def tree_sum(parts: Sequence[Tensor]) -> Tensor:
    """The sum in the order of a binary tree: of the left half and of the right half, each in the same way."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    return tree_sum(parts[:half]) + tree_sum(parts[half:])


class Branches:
    """The gradients that one process has of its shards, added in the order of the tree. Call `grow` after each shard.

    Two neighbouring shards are added by the backward pass itself; of larger branches one of each size is kept.

    Args:
        weights: whose gradients; shares, where they are divided.
    """

    def __init__(self, weights: Sequence[nn.Parameter]) -> None:
        self._weights, self._shards = weights, 0
        self._kept: list[list[Tensor | None]] = []

    def grow(self) -> None:
        """The gradients of one more shard are there."""
        self._shards += 1
        if self._shards % 2:
            return
        branch, size = [weight.grad for weight in self._weights], self._shards
        while size % 4 == 0:
            branch = [_sum(one, other) for one, other in zip(self._kept.pop(), branch, strict=True)]
            size //= 2
        self._kept.append(branch)
        for weight in self._weights:
            weight.grad = None

    def end(self) -> None:
        """All shards are there, one or a power of two: their sums are left with the weights."""
        for branch in self._kept:
            for weight, slope in zip(self._weights, branch, strict=True):
                weight.grad = slope


def _sum(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    return one + other if one is not None and other is not None else one if other is None else other


class _InOrder:
    """PyTorch's `ReduceScatter`, whose sum of four processes would have an order of its own."""

    def allocate(self, size: Sequence[int], *, dtype: torch.dtype, device: torch.device) -> Tensor:
        return torch.empty(*size, dtype=dtype, device=device)

    def __call__(
        self, output_tensor: Tensor, input_tensor: Tensor, group: Any, op: Any, async_op: bool = False
    ) -> None:
        import torch.distributed as dist

        assert op == dist.ReduceOp.SUM, "divide asks for sums"
        assert not async_op, "fully_shard waits by streams"
        parts = torch.empty_like(input_tensor)
        dist.all_to_all_single(parts, input_tensor, group=group)
        output_tensor.copy_(tree_sum(parts.view(group.size(), -1).unbind()))


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

    in_order: Any = _InOrder()
    mesh = init_device_mesh(torch.device(device).type, (processes,))
    module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    for block in (*_blocks(module), module):
        fully_shard(block, mesh=mesh, reshard_after_forward=True)
        assert isinstance(block, FSDPModule), "fully_shard makes it one"
        block.set_gradient_divide_factor(1.0)
        block.set_force_sum_reduction_for_comms(True)
        block.set_custom_reduce_scatter(in_order)


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


def length(tensor: Tensor) -> Tensor:
    """Its Euclidean norm, a scalar. Rows are summed first, so that it has the same bits however they are divided."""
    if not tensor.ndim:
        return tensor.abs()
    rows = last_channels(tensor).reshape(len(tensor), -1)
    found: Tensor = whole(rows.norm(dim=1)).norm()
    return found


def last_channels(filters: Tensor) -> Tensor:
    """`(out, in, k, k)` → `(out, k, k, in)`, in whose order the filters of a network for pictures lie in memory; what
    has not four dimensions stays.
    """
    return filters.permute(0, 2, 3, 1) if filters.ndim == 4 else filters


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
