"""A linear model on what a sequence is like, and a network for what it leaves over.

    steps ─┬─ means of parts of the time, last step, spread, length ─ linear ─┐
           └─ deep network ───────────────────────────────────────────────────┴─ sum

Numbers that are to be estimated mostly follow the level of what is measured, and go on beyond the levels seen in
training; a network alone learns that slowly, and beyond them it guesses. The linear part is fitted by ridge regression
before the first step and stays as it is, so that the network learns what is left.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import torch
from torch import Tensor, nn

from ..types import Value
from .crnn import Crnn
from .ensemble import Ensemble
from .rnn import Rnn

DeepOfSeries: TypeAlias = Rnn | Crnn | Ensemble
"""What may stand beside the linear part."""

_PARTS: Final = 12
_PENALTY: Final = 0.01
_LEAST_DEVIATION: Final = 1e-6


class LinearDeep(Value, tag="linear-deep", tag_field="model", frozen=True):
    """Spec of the network.

    Attributes:
        deep: the network beside the linear part.
        share: what its outputs count; those of the linear part count 1.
    """

    deep: DeepOfSeries = Ensemble((Rnn(width=64), Crnn(widths=(32, 64), cell=None)))
    share: float = 1.0

    def products(self, input_shape: tuple[int, ...]) -> int:
        """Multiplications in one forward pass of a row of `(T, C + 1)`."""
        return self.deep.products(input_shape)

    def build(self, input_shape: tuple[int, ...], num_outputs: int) -> LinearNetwork:
        """`(N, T, C + 1)` steps, the last channel telling them from padding → `(N, K)`."""
        deep = self.deep.build(input_shape, num_outputs)
        return LinearNetwork(deep, input_shape[1] - 1, num_outputs, self.share)


class LinearNetwork(nn.Module):
    """The network that `LinearDeep` describes."""

    def __init__(self, deep: nn.Module, channels: int, num_outputs: int, share: float) -> None:
        super().__init__()
        self.deep = deep
        self.share = share
        self.linear = nn.Linear((_PARTS + 2) * channels + 1, num_outputs).requires_grad_(False)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        share = 1.0 if self.training else self.share
        together: Tensor = self.linear(summary_of(inputs)) + share * self.deep(inputs)
        return together


def summary_of(inputs: Tensor) -> Tensor:
    """`(N, T, C + 1)` → `(N, 14 C + 1)`: means of twelve parts of a row's time, last step, spread, and length."""
    steps, there = inputs[..., :-1], inputs[..., -1]
    lengths = there.sum(dim=1).long().clamp_min(1)[:, None]
    sums = nn.functional.pad(steps.cumsum(dim=1), (0, 0, 1, 0))
    edges = torch.arange(_PARTS + 1, device=inputs.device) * lengths
    first = edges[:, :-1] // _PARTS
    last = torch.maximum(first + 1, -(-edges[:, 1:] // _PARTS))
    wide = (-1, -1, steps.shape[2])
    means = sums.gather(1, last[..., None].expand(wide)) - sums.gather(1, first[..., None].expand(wide))
    means = means / (last - first)[..., None]
    centre = sums[:, -1:] / lengths[..., None]
    spread = (((steps - centre) * there[..., None]).square().sum(dim=1) / lengths).sqrt()
    end = steps.gather(1, (lengths - 1)[..., None].expand(wide))[:, 0]
    return torch.cat((means.flatten(1), end, spread, lengths.to(steps.dtype).log()), dim=1)


@torch.no_grad()
def start_linear(network: LinearNetwork, inputs: Tensor, targets: Tensor) -> None:
    """Fit the linear part by ridge regression, in float64 and closed form.

    Args:
        network: its linear weights and bias are set.
        inputs: `(N, T, C + 1)` of training rows.
        targets: `(N, K)`, standardised.
    """
    features, wanted = summary_of(inputs.double()), targets.double()
    mean, deviation = features.mean(0), features.std(0, correction=0)
    scale = torch.where(deviation > _LEAST_DEVIATION, 1 / deviation.clamp_min(_LEAST_DEVIATION), 0.0)
    standard, centre = (features - mean) * scale, wanted.mean(0)
    penalty = _PENALTY * len(inputs) * torch.eye(features.shape[1], dtype=torch.float64)
    weights = torch.linalg.solve(standard.T @ standard + penalty, standard.T @ (wanted - centre)) * scale[:, None]
    network.linear.weight.copy_(weights.T)
    network.linear.bias.copy_(centre - mean @ weights)
