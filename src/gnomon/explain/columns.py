"""Operations of a network → the columns of the page: what norms, sums and activations do unit by unit is one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from .addends import linear_part
from .sheet import Look, Work
from .trace import Operation, Step, trace

MOST_MEMBERS: Final = 3
_PLACED: Final[dict[Operation, str]] = {"norm": "norm", "sum": "+"}
_NAMES: Final = {
    "relu": "ReLU",
    "relu_": "ReLU",
    "gelu": "GELU",
    "silu": "SiLU",
    "elu": "ELU",
    "leaky_relu": "leaky ReLU",
}
_POOLINGS: Final = {"max": "max", "avg": "mean"}


@dataclass(frozen=True, slots=True)
class Column:
    """One layer as people see it.

    Attributes:
        steps: the operations in it.
        work, detail, look: as in `Layer`.
        member: of which network.
        by_unit: whether each unit follows from the same unit of the column before.
    """

    steps: tuple[Step, ...]
    work: Work
    detail: str
    look: Look
    member: int
    by_unit: bool

    @property
    def output(self) -> Tensor:
        """`(N, …)`, of its last operation."""
        return self.steps[-1].output

    def numbers(self, row: int) -> NDArray[np.float32]:
        """What it gives for a row, `(units, height, width)`."""
        return laid_out(self.output[row], self.steps[-1].operation)


def columns_of(network: nn.Module, inputs: Tensor) -> list[Column]:
    """What rows go through, of the first networks, where several answer together; not the linear part beside them."""
    found: list[Column] = []
    open_steps: list[Step] = []
    apart = linear_part(network)
    kept = [step for step in trace(network, inputs) if _is_shown(step) and step.module is not apart]
    for step, following in zip(kept, (*kept[1:], *(None for _ in kept[:1])), strict=True):
        if step.operation not in ("norm", "sum", "activation"):
            found.append(_column((step,)))
            continue
        open_steps.append(step)
        if following is None or following.operation not in ("norm", "sum", "activation"):
            found.append(_column(tuple(open_steps)))
            open_steps = []
    return found


def laid_out(numbers: Tensor, operation: Operation) -> NDArray[np.float32]:
    """`(units, height, width)` of one row: `(C, H, W)` as it is; `(C, T)` and `(T, D)` along the width."""
    plain = numbers.detach().float().cpu().numpy()
    if plain.ndim == 3:
        return np.ascontiguousarray(plain)
    if plain.ndim == 2:
        steps_first = operation in ("embedding", "recurrent", "dense")
        return np.ascontiguousarray((plain.T if steps_first else plain)[:, None, :])
    return plain.reshape(-1, 1, 1)


def member_of(path: str) -> int:
    """The number of the network that a module belongs to; 0 where there is one."""
    found = re.search(r"(?:^|\.)members\.(\d+)", path)
    return int(found[1]) if found else 0


def _is_shown(step: Step) -> bool:
    return member_of(step.path) < MOST_MEMBERS and 2 <= step.output.ndim <= 4


def _column(steps: tuple[Step, ...]) -> Column:
    last = steps[-1]
    shape = last.output.shape[1:]
    look: Look = "vector" if len(shape) == 1 else "strips" if len(shape) == 2 else "maps"
    operation = last.operation
    work: Work = "activation" if operation == "norm" or operation == "sum" else operation
    by_unit = work in ("activation", "pooling", "reduction")
    return Column(steps, work, _detail(steps), look, member_of(last.path), by_unit)


def _detail(steps: tuple[Step, ...]) -> str:
    first = steps[0]
    if first.operation == "convolution" and first.weight is not None:
        return "×".join(map(str, first.weight.shape[2:]))
    if first.operation == "pooling":
        kind = next((name for key, name in _POOLINGS.items() if key in first.name), "")
        return f"{kind} {'×'.join(map(str, first.options['kernel']))}".strip()
    if first.operation == "reduction":
        return "max" if first.name == "amax" else "mean"
    if first.operation == "recurrent":
        return {"lstm": "LSTM", "gru": "GRU"}.get(first.name, "Elman")
    if first.operation in ("norm", "sum", "activation"):
        return " · ".join(_PLACED.get(step.operation) or _NAMES.get(step.name, step.name) for step in steps)
    return ""
