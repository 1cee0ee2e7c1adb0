"""Convolutions over a sequence, then a recurrent layer over what they found; or either of the two left out.

    steps ─ stages of convolution, norm, ReLU, maximum ─ (recurrent layer) ─ pooled over time ─ dense

A recording's log-mel picture is convolved over time and bands, a series over time alone (after Cho et al., ICASSP
2017, for music). The convolutions see what happens within a few steps, wherever it stands; the recurrent layer sees in
which order it happens. What stands behind a row's end is set to 0 after each convolution and does not count in the
norms, so that an answer does not depend on how much padding there is.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
import torch
from torch import Tensor, nn

from ..space import Dimension
from ..types import Value
from .recurrence import GATES, Cell, Recurrent
from .rnn import Pool, Pooling

_FEWEST_STEPS: Final = 16
_FEWEST_BANDS: Final = 4
_EPSILON, _MOMENTUM = 1e-5, 0.1


SPACE: Final = (
    Dimension(name="convolutions", usual=2, low=1, high=3, whole=True),
    Dimension(name="reach", usual=3, choices=(3, 5, 7)),
    Dimension(name="units", usual=128, low=32, high=256, log=True, whole=True),
    Dimension(name="pooling", usual="mean", choices=("last", "mean", "max", "attention")),
    Dimension(name="dropout", usual=0.3, low=0.05, high=0.6),
)
"""What a search may vary of it."""


class Crnn(Value, tag="crnn", tag_field="model", frozen=True):
    """Spec of the network.

    Attributes:
        widths: filters of each stage.
        convolutions: in each stage.
        reach: steps that a filter sees.
        cell: of the recurrent layer; `none` leaves it out.
        units: of the recurrent layer, in each direction.
        pooling: over time.
        dropout: share of the numbers dropped before the recurrent and the last layer, in training.
        dimensions: that filters go over: 1 time, 2 time and bands; None: as the data are.
    """

    widths: tuple[int, ...] = (32, 64, 128)
    convolutions: Annotated[int, msgspec.Meta(ge=1, le=8)] = 2
    reach: int = 3
    cell: Cell | Literal["none"] = "gru"
    units: int = 128
    pooling: Pooling = "mean"
    dropout: float = 0.3
    dimensions: Literal[1, 2] | None = None

    def products(self, input_shape: tuple[int, ...]) -> int:
        """Multiplications in one forward pass of a row of `(T, C + 1)`."""
        steps, bands = input_shape[0], input_shape[1] - 1
        before, places = (1, bands) if self.dimensions == 2 else (bands, 1)
        size = self.reach**2 if self.dimensions == 2 else self.reach
        total = 0
        for width, halved in zip(self.widths, self._halved(input_shape), strict=True):
            for _ in range(self.convolutions):
                total += steps * places * size * before * width
                before = width
            steps, places = (
                -(-side // 2) if half else side for side, half in zip((steps, places), halved, strict=True)
            )
        if self.cell != "none":
            total += steps * 2 * GATES[self.cell] * self.units * (before * places + self.units)
        return total

    def build(self, input_shape: tuple[int, ...], num_outputs: int) -> SequenceNetwork:
        """`(N, T, C + 1)` steps, the last channel telling them from padding → `(N, K)`."""
        return SequenceNetwork(self, input_shape, num_outputs, self._halved(input_shape))

    def _halved(self, input_shape: tuple[int, ...]) -> list[tuple[bool, bool]]:
        """Whether each stage halves the steps, and the bands: no further than to 16 and 4."""
        steps, bands = input_shape[0], input_shape[1] - 1
        chosen = []
        for _ in self.widths:
            half = steps >= 2 * _FEWEST_STEPS, self.dimensions == 2 and bands >= 2 * _FEWEST_BANDS
            steps, bands = (-(-side // 2) if yes else side for side, yes in zip((steps, bands), half, strict=True))
            chosen.append(half)
        return chosen


class SequenceNetwork(nn.Module):
    """The network that `Crnn` describes."""

    def __init__(
        self, spec: Crnn, input_shape: tuple[int, ...], num_outputs: int, halved: list[tuple[bool, bool]]
    ) -> None:
        super().__init__()
        self.flat = spec.dimensions != 2
        bands = input_shape[1] - 1
        before, places = (bands, 1) if self.flat else (1, bands)
        stages = []
        for width, half in zip(spec.widths, halved, strict=True):
            stages.append(Stage(before, width, spec, half))
            before, places = width, -(-places // 2) if half[1] else places
        self.stages = nn.ModuleList(stages)
        features = before * places
        self.dropout = nn.Dropout(spec.dropout)
        self.recurrent = None
        if spec.cell != "none":
            self.recurrent = Recurrent(spec.cell, features, spec.units, bidirectional=True)
        outputs = self.recurrent.outputs if self.recurrent else features
        self.pool = Pool(spec.pooling, outputs, directions=2 if self.recurrent else 1)
        self.head = nn.Linear(outputs, num_outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        there = inputs[..., -1]
        maps = inputs[..., :-1].mT if self.flat else inputs[..., :-1].unsqueeze(1)
        for stage in self.stages:
            maps, there = stage(maps, there)
        steps = maps.mT if self.flat else maps.permute(0, 2, 1, 3).flatten(2)
        lengths = there.sum(dim=1).long().clamp_min(1)
        if self.recurrent is not None:
            steps = self.recurrent(self.dropout(steps), lengths)
        logits: Tensor = self.head(self.dropout(self.pool(steps, lengths)))
        return logits


class Stage(nn.Module):
    """Convolutions, each with its norm and ReLU, and then the maximum of two neighbours.

    Args:
        inputs, width: channels before and after.
        spec: of the network.
        halved: whether the steps are halved, and the bands.
    """

    def __init__(self, inputs: int, width: int, spec: Crnn, halved: tuple[bool, bool]) -> None:
        super().__init__()
        kind = nn.Conv2d if spec.dimensions == 2 else nn.Conv1d
        self.convolutions = nn.ModuleList(
            kind(inputs if number == 0 else width, width, spec.reach, padding=spec.reach // 2, bias=False)
            for number in range(spec.convolutions)
        )
        self.norms = nn.ModuleList(MaskedNorm(width) for _ in range(spec.convolutions))
        self.halved = halved

    def forward(self, maps: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """`(N, C, T)` or `(N, C, T, F)`, and `(N, T)` of ones and zeros → the same with fewer steps and bands."""
        mask = there[:, None] if maps.ndim == 3 else there[:, None, :, None]
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            maps = norm(convolution(maps), mask)
        if not any(self.halved):
            return maps, there
        window = [1 + half for half in self.halved]
        if self.halved[0]:
            there = nn.functional.max_pool1d(there, 2, ceil_mode=True)
        if maps.ndim == 3:  # nothing is below 0, so that what stands behind the end never is the maximum
            return nn.functional.max_pool1d(maps, window[0], ceil_mode=True), there
        return nn.functional.max_pool2d(maps, window, ceil_mode=True), there


class MaskedNorm(nn.Module):
    """Batch norm (Ioffe and Szegedy, 2015) over the steps that are no padding, then ReLU; padding becomes 0.

    In training the steps are taken out, normed and put back: half as dear as norming by masks and sums.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.mean: Tensor
        self.variance: Tensor
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))

    def forward(self, maps: Tensor, mask: Tensor) -> Tensor:
        """`(N, C, T)` or `(N, C, T, F)`, and a mask that fits but for one channel and band."""
        whole = bool(mask.all())
        if whole or not self.training:
            normed = self._normed(maps)
            return normed if whole else normed * mask.to(maps.dtype)
        by_step = maps.permute(0, 2, 3, 1) if maps.ndim == 4 else maps.mT
        flat = by_step.flatten(0, 1).flatten(1)
        there = mask.flatten().nonzero()[:, 0]
        normed = self._normed(flat.index_select(0, there).view(-1, maps.shape[1])).view(len(there), -1)
        steps = torch.zeros_like(flat).index_copy(0, there, normed).view(by_step.shape)
        return steps.permute(0, 3, 1, 2) if maps.ndim == 4 else steps.mT

    def _normed(self, maps: Tensor) -> Tensor:
        normed = nn.functional.batch_norm(
            maps, self.mean, self.variance, self.weight, self.bias, self.training, _MOMENTUM, _EPSILON
        )
        return nn.functional.relu(normed)
