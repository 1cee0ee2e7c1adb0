"""What a training step takes of memory, by part, found without making one.

A forward pass of a few rows shows what is kept for the backward pass: PyTorch hands out each tensor as it is kept. What
grows with the rows is told from what does not by a second pass of twice as many. RESULTS.md has measurements beside it.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from ..optim import OptimizerSpec
from ..types import Value
from .hardware import Format

_WORK: Final = 2.5
_SCRATCH_BYTES: Final = 12 * 10**6
"""That a step leaves lying in pieces."""


class Kept(Value, frozen=True):
    """Bytes that the backward pass needs, beside weights.

    Attributes:
        fixed: whatever the rows; copies of weights in another number format.
        row: for each row.
        largest: of these, the largest tensor that has slopes; its layer's backward pass works beside it, in about two
            and a half times as much.
    """

    fixed: float
    row: float
    largest: float

    @property
    def of_row(self) -> float:
        """What a row takes at most."""
        return self.row + _WORK * self.largest


def kept_for_backward(network: nn.Module, inputs: Tensor, number_format: Format) -> Kept:
    """Found by two forward passes in training mode, which move running means.

    Args:
        network: on the device of the inputs.
        inputs: some rows, two are enough.
        number_format: of the products.
    """
    network.train()
    once, _ = _kept(network, inputs, number_format)
    twice, largest = _kept(network, torch.cat([inputs, inputs]), number_format)
    rows = len(inputs)
    return Kept(max(0.0, 2 * once - twice), (twice - once) / rows, largest / (2 * rows))


def _kept(network: nn.Module, inputs: Tensor, number_format: Format) -> tuple[float, float]:
    """Of all tensors together, and of the largest that has slopes."""
    own = {tensor.untyped_storage().data_ptr() for tensor in (*network.parameters(), *network.buffers())}
    sizes: dict[int, int] = {}
    sloped: list[int] = [0]

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
            sloped.append(storage.nbytes() * tensor.requires_grad)
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
        torch.autocast(inputs.device.type, torch.bfloat16, enabled=number_format == "bfloat16"),
    ):
        outputs = network(inputs)  # held until all sizes are noted, so that no place is used twice
    found = float(sum(sizes.values())), float(max(sloped))
    del outputs
    return found


def moments_of(optimizer: OptimizerSpec) -> int:
    """Numbers that an optimizer keeps for each weight."""
    usual = {"adam": 2, "adamw": 2, "schedule-free-sgd": 2, "schedule-free-adamw": 3, "gradient-descent": 0}
    return usual.get(optimizer.name or "", 1)


def step_bytes(network: nn.Module, kept: Kept, rows: int, optimizer: OptimizerSpec) -> dict[str, float]:
    """Of a step with so many rows, by part: weights, gradients, optimizer, average, activations, scratch."""
    weights = float(sum(tensor.nbytes for tensor in (*network.parameters(), *network.buffers())))
    trained = float(sum(weight.nbytes for weight in network.parameters() if weight.requires_grad))
    return {
        "weights": weights,
        "gradients": trained,
        "optimizer": trained * moments_of(optimizer),
        "average": weights * optimizer.averaged,
        "activations": kept.fixed + rows * kept.of_row,
        "scratch": float(_SCRATCH_BYTES),
    }
