"""The inside of a recurrent layer over time: state, memory and gates of each unit, computed from its weights.

The formulas are those of `models.recurrence`; the layer itself gives its last states alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from ..models.recurrence import GATES, Cell, Recurrent

VALUES: Final[dict[Cell, tuple[str, ...]]] = {
    "rnn": ("state",),
    "gru": ("state", "reset", "keep", "new"),
    "lstm": ("state", "memory", "input", "forget", "output", "new"),
}
"""What each cell has at a step; the first is what it gives out."""
_MODES: Final[dict[str, Cell]] = {"RNN_TANH": "rnn", "GRU": "gru", "LSTM": "lstm"}


@dataclass(frozen=True, slots=True)
class Unrolled:
    """One layer in one direction.

    Attributes:
        layer: its number from below, 0 first.
        backward: whether it reads from the end.
        cell: the step.
        values: `(len(VALUES[cell]), T, units)`, at the places of the steps that were read.
    """

    layer: int
    backward: bool
    cell: Cell
    values: Tensor


@torch.no_grad()
def unrolled(module: nn.Module, steps: Tensor) -> list[Unrolled]:
    """All layers and directions over one row's steps `(T, D)`, without padding.

    Args:
        module: a `Recurrent`, or PyTorch's own `LSTM`, `GRU` or `RNN` with tanh; of other ones nothing is given.
    """
    found: list[Unrolled] = []
    inputs = steps
    for number, parts in enumerate(_weights(module)):
        outputs = []
        for backward, (cell, weights) in enumerate(parts):
            read = inputs.flip(0) if backward else inputs
            values = _run(cell, read, *weights)
            values = values.flip(1) if backward else values
            found.append(Unrolled(number, bool(backward), cell, values))
            outputs.append(values[0])
        inputs = torch.cat(outputs, dim=1)
    return found


def _weights(module: nn.Module) -> Iterator[list[tuple[Cell, list[Tensor]]]]:
    """Of each layer, for each direction: its cell, and weights and biases as PyTorch names them."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    if isinstance(module, Recurrent):
        for layer in module.parts():
            yield [(module.cell, [getattr(part, name) for name in names]) for part in layer]
    elif isinstance(module, nn.RNNBase) and module.mode in _MODES and module.bias and not module.proj_size:
        for number in range(module.num_layers):
            ends = [f"_l{number}", *([f"_l{number}_reverse"] if module.bidirectional else [])]
            yield [(_MODES[module.mode], [getattr(module, name + end) for name in names]) for end in ends]


def _run(cell: Cell, steps: Tensor, inward: Tensor, across: Tensor, bias: Tensor, other_bias: Tensor) -> Tensor:
    state = memory = steps.new_zeros(across.shape[1])
    projected = steps @ inward.T + bias
    values = []
    for given in projected:
        hidden = across @ state + other_bias
        own, old = given.chunk(GATES[cell]), hidden.chunk(GATES[cell])
        if cell == "rnn":
            state = (own[0] + old[0]).tanh()
            values.append(state[None])
        elif cell == "gru":
            reset, kept = (own[0] + old[0]).sigmoid(), (own[1] + old[1]).sigmoid()
            new = (own[2] + reset * old[2]).tanh()
            state = (1 - kept) * new + kept * state
            values.append(torch.stack((state, reset, kept, new)))
        else:
            let_in, forget, out = ((own[gate] + old[gate]).sigmoid() for gate in (0, 1, 3))
            new = (own[2] + old[2]).tanh()
            memory = forget * memory + let_in * new
            state = out * memory.tanh()
            values.append(torch.stack((state, memory, let_in, forget, out, new)))
    return torch.stack(values, dim=1)
