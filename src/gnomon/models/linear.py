"""A linear model on what a series is like, beside a network.

    steps ─┬─ means of parts of the time, last step, spread, length ─ linear ─┐
           └─ deep network ───────────────────────────────────────────────────┴─ sum

On few series a linear model is hard to beat, and it errs otherwise than a network. It is fitted before the first step
and stays as it is. Numbers mostly follow the level of what is measured, and go on beyond the levels seen in training,
where a network alone would guess: there it learns what the linear part leaves over. Of classes the linear part knows
its training rows nearly by heart, and would leave nothing: there the network learns alone, and both are added in
predictions. How much the network counts is found on the validation part.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import torch
from torch import Tensor, nn

from ..minimise import minimise
from ..types import Value
from .crnn import Crnn
from .ensemble import Ensemble
from .rnn import Rnn

DeepOfSeries: TypeAlias = Rnn | Crnn | Ensemble
"""What may stand beside the linear part."""

PARTS: Final = 12
"""Of a row's time, each with its mean."""
_PENALTY: Final = 0.01
_DECAY, _ITERATIONS = 1e-3, 60
_LEAST_DEVIATION: Final = 1e-6


class LinearDeep(Value, tag="linear-deep", tag_field="model", frozen=True):
    """Spec of the network.

    Attributes:
        deep: the network beside the linear part.
        share: what its outputs count; those of the linear part count 1.
        residual: whether it learns what the linear part leaves over, instead of learning alone.
    """

    deep: DeepOfSeries = Ensemble((Rnn(width=64), Crnn(widths=(32, 64), cell="none")))
    share: float = 1.0
    residual: bool = True

    def products(self, input_shape: tuple[int, ...]) -> int:
        """Multiplications in one forward pass of a row of `(T, C + 1)`."""
        return self.deep.products(input_shape)

    def build(self, input_shape: tuple[int, ...], num_outputs: int) -> LinearNetwork:
        """`(N, T, C + 1)` steps, the last channel telling them from padding → `(N, K)`."""
        deep = self.deep.build(input_shape, num_outputs)
        return LinearNetwork(self, deep, input_shape[1] - 1, num_outputs)


class LinearNetwork(nn.Module):
    """The network that `LinearDeep` describes."""

    def __init__(self, spec: LinearDeep, deep: nn.Module, channels: int, num_outputs: int) -> None:
        super().__init__()
        self.deep = deep
        self.share = spec.share
        self.residual = spec.residual
        self.linear = nn.Linear((PARTS + 2) * channels + 1, num_outputs).requires_grad_(False)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training and not self.residual:
            return self.deep(inputs)  # type: ignore[no-any-return]
        outputs: Tensor = self.linear(summary_of(inputs))
        share = 1.0 if self.training else self.share
        return outputs + share * self.deep(inputs) if share else outputs


def summary_of(inputs: Tensor) -> Tensor:
    """`(N, T, C + 1)` → `(N, 14 C + 1)`: means of twelve parts of a row's time, last step, spread, and length."""
    steps, there = inputs[..., :-1], inputs[..., -1]
    lengths = there.sum(dim=1).long().clamp_min(1)[:, None]
    sums = nn.functional.pad(steps.cumsum(dim=1), (0, 0, 1, 0))
    edges = torch.arange(PARTS + 1, device=inputs.device) * lengths
    first = edges[:, :-1] // PARTS
    last = torch.maximum(first + 1, -(-edges[:, 1:] // PARTS))
    wide = (-1, -1, steps.shape[2])
    means = sums.gather(1, last[..., None].expand(wide)) - sums.gather(1, first[..., None].expand(wide))
    means = means / (last - first)[..., None]
    centre = sums[:, -1:] / lengths[..., None]
    spread = (((steps - centre) * there[..., None]).square().sum(dim=1) / lengths).sqrt()
    end = steps.gather(1, (lengths - 1)[..., None].expand(wide))[:, 0]
    return torch.cat((means.flatten(1), end, spread, lengths.to(steps.dtype).log()), dim=1)


@torch.no_grad()
def start_linear(network: LinearNetwork, inputs: Tensor, targets: Tensor) -> None:
    """Fit the linear part, in float64: ridge regression of numbers, logistic regression of classes.

    Args:
        network: its linear weights and bias are set.
        inputs: `(N, T, C + 1)` of training rows.
        targets: `(N, K)` standardised numbers, or `(N,)` class indices.
    """
    features = summary_of(inputs.double())
    mean, deviation = features.mean(0), features.std(0, correction=0)
    scale = torch.where(deviation > _LEAST_DEVIATION, 1 / deviation.clamp_min(_LEAST_DEVIATION), 0.0)
    standard = (features - mean) * scale
    if targets.ndim == 1:
        found, bias = _logistic(standard, targets, network.linear.out_features)
    else:
        found, bias = _ridge(standard, targets.double())
    weights = found * scale[:, None]
    network.linear.weight.copy_(weights.T)
    network.linear.bias.copy_(bias - mean @ weights)


def _ridge(features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Weights `(F, K)` and bias `(K,)`, in closed form."""
    centre = targets.mean(0)
    penalty = _PENALTY * len(features) * torch.eye(features.shape[1], dtype=torch.float64)
    return torch.linalg.solve(features.T @ features + penalty, features.T @ (targets - centre)), centre


def _logistic(features: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Weights `(F, K)` and bias `(K,)` of least cross-entropy and squared weights, by L-BFGS from zero."""
    weights = torch.zeros(features.shape[1], classes, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)

    def loss() -> Tensor:
        return nn.functional.cross_entropy(features @ weights + bias, labels) + _DECAY * weights.square().sum()

    minimise(loss, [weights, bias], iterations=_ITERATIONS)
    return weights.detach(), bias.detach()
