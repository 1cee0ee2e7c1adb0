"""A convolutional network that is quick to train: whitened stem, stages of 3×3 convolutions, one dense layer.

    input ─ stem (k×k, whitened on the data, frozen) ─ ReLU
          ─ stage: convolution, 2×2 max-pooling, batch norm, GELU, [convolution, batch norm, GELU]… ─ …
          ─ maximum over what is left of height and width ─ dense

The plan of stem, stages and head follows K. Jordan, "94 % on CIFAR-10 in 3.29 seconds" (arXiv 2404.00498): frozen
whitening filters with their negatives, identity initialisation, batch norm without learnt scale and with low
momentum, a scaled linear head. Changed here: sizes stay even (32×32 → 16 → 8 → 4), any input size and channel count,
a stem that strides over large pictures, and whose bias stays 0: by that nothing is lost, and a step that goes no
farther back than the first stage is up to 13 % shorter. The stem's maps are the largest of all, and a GELU of them
takes three times as long as a ReLU: a tenth of a training, for nothing (RESULTS.md). As everywhere in deep learning,
"convolution" is cross-correlation.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..space import Dimension
from ..types import Value
from .alike import AloneAlike, FewAlike
from .convolve import ACTIVATIONS, Activation, activated, convolve
from .recompute import one_behind_another

_NORM_MOMENTUM = 0.4
_NORM_EPSILON = 1e-5
_WHITEN_EPSILON = 5e-4
_SCALE = 1 / 9


SPACE: Final = (Dimension(name="dropout", usual=0.0, low=0.0, high=0.4),)
"""What a search may vary of it."""


class Cnn(Value, tag="cnn", tag_field="model", frozen=True):
    """Spec of the network.

    Attributes:
        widths: filters of each stage; every stage halves height and width.
        convolutions: 3×3 convolutions in each stage, or one number for all; from the third on they are residual.
        stem_width: filters of the stem, at most two per number in a patch.
        stem_stride: 1, or 2 or 4 for large pictures.
        dropout: share of features dropped before the dense layer, in training.
        stem_activation: of the stem; that of models made before 0.9 was GELU.
    """

    widths: tuple[int, ...] = (32, 64, 128)
    convolutions: int | tuple[int, ...] = 2
    stem_width: int = 32
    stem_stride: int = 1
    dropout: float = 0.0
    stem_activation: Activation = "gelu"

    @property
    def depths(self) -> tuple[int, ...]:
        """Convolutions of each stage."""
        same = isinstance(self.convolutions, int)
        return (self.convolutions,) * len(self.widths) if same else self.convolutions  # type: ignore[return-value]

    def products(self, input_shape: tuple[int, ...]) -> int:
        """Multiplications in one forward pass of a row `(C, H, W)`; a training step takes about thrice as many."""
        channels, height, width = input_shape
        height, width, kernel = height // self.stem_stride, width // self.stem_stride, self.stem_stride + 2
        before, total = self.stem_width, channels * self.stem_width * kernel**2 * height * width
        for filters, depth in zip(self.widths, self.depths, strict=True):
            total += 9 * before * filters * height * width
            height, width, before = max(1, height // 2), max(1, width // 2), filters
            total += 9 * filters * filters * height * width * (depth - 1)
        return total

    def build(self, input_shape: tuple[int, ...], num_outputs: int) -> Network:
        """`(N, C, H, W)` → `(N, num_outputs)` logits."""
        return Network(self, input_shape[0], num_outputs)


class Network(nn.Module):
    """The network that `Cnn` describes.

    Attributes:
        recompute: whether stages are computed anew in the backward pass, which saves memory.
        beside_muon: learning rates of the head and of the norms' biases, for one of the filters under Muon. The head's
            outputs are scaled down, and so is its gradient; and biases that learn quickly are one of the larger gains
            of arXiv 2404.00498. Found on CIFAR-10 (RESULTS.md).
    """

    beside_muon: Final[Mapping[str, float]] = {"head": 4.0, "norms": 32.0}

    def __init__(self, spec: Cnn, channels: int, num_outputs: int) -> None:
        super().__init__()
        self.recompute = False
        self.stem_activation = spec.stem_activation
        kernel = spec.stem_stride + 2
        stem_width = min(spec.stem_width, 2 * channels * kernel * kernel)
        self.stem = nn.Conv2d(channels, stem_width, kernel, spec.stem_stride, padding=1)
        self.stem.requires_grad_(False)
        nn.init.zeros_(self.stem.bias)  # type: ignore[arg-type]
        self.stages = nn.Sequential(
            *(
                Stage(before, width, depth)
                for (before, width), depth in zip(pairwise((stem_width, *spec.widths)), spec.depths, strict=True)
            )
        )
        self.dropout = nn.Dropout(spec.dropout)
        self.head = nn.Linear(spec.widths[-1], num_outputs, bias=False)

    def after_stem(self, inputs: Tensor) -> Tensor:
        """What the first stage sees of `(N, C, H, W)`; in training, where nobody looks between, in one pass."""
        if self.training:
            return activated(inputs, self.stem, self.stem_activation)
        return ACTIVATIONS[self.stem_activation](self.stem(inputs))

    def features(self, inputs: Tensor) -> Tensor:
        """`(N, C, H, W)` → `(N, widths[-1])`, what the dense layer sees."""
        maps = one_behind_another(self.stages, self.after_stem(inputs), recompute=self.recompute)
        features: Tensor = maps.amax(dim=(2, 3))
        return features

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.head(self.dropout(self.features(inputs)))
        return logits * _SCALE


class Stage(nn.Module):
    """Convolutions of one width behind a 2×2 max-pooling; a side that is already 1 is not pooled."""

    def __init__(self, channels: int, width: int, convolutions: int) -> None:
        super().__init__()
        sizes = (channels, *[width] * convolutions)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1, bias=False) for before, after in pairwise(sizes)
        )
        self.norms = nn.ModuleList(_norm(width) for _ in range(convolutions))
        for convolution in self.convolutions:
            _start_as_identity(convolution.weight)  # type: ignore[arg-type]

    def forward(self, maps: Tensor) -> Tensor:
        for position in range(len(self.convolutions)):
            maps = self.after(position, maps)
        return maps

    def after(self, position: int, maps: Tensor) -> Tensor:
        """What the convolution at this position makes of what comes to it, norm and activation included."""
        before = maps
        maps = convolve(maps, self.convolutions[position])  # type: ignore[arg-type]
        if position == 0:
            maps = _pooled(maps)
        maps = self.norms[position](maps)
        if position > 1:
            maps = maps + before
        return nn.functional.gelu(maps)


class Folded(nn.Module):
    """A network for predictions alone: each batch norm is folded into the weights and the bias of its convolution.

    A norm's factor is above 0, so that it makes no difference whether the maximum is taken before it or behind it. Few
    rows get the same bits as many, at no cost but for layers that take other kernels for a single row.
    """

    @torch.no_grad()
    def __init__(self, network: Network) -> None:
        super().__init__()
        whole = copy.deepcopy(network).eval().requires_grad_(False)
        fused: list[nn.Module] = []
        self.places: list[int] = []
        for stage in whole.stages:
            assert isinstance(stage, Stage)
            for place, (convolution, norm) in enumerate(zip(stage.convolutions, stage.norms, strict=True)):
                assert isinstance(convolution, nn.Conv2d)
                assert isinstance(norm, nn.BatchNorm2d)
                fused.append(AloneAlike(fuse_conv_bn_eval(convolution, norm), "gelu" if place == 1 else None))
                self.places.append(place)
        self.stem = AloneAlike(whole.stem, whole.stem_activation)
        self.convolutions = nn.ModuleList(fused)
        self.head = FewAlike(whole.head)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, inputs: Tensor) -> Tensor:
        """`(N, C, H, W)` → `(N, K)` logits."""
        maps = self.stem(inputs)
        for place, convolution in zip(self.places, self.convolutions, strict=True):
            before, maps = maps, convolution(maps)
            if place == 0:
                maps = nn.functional.gelu(_pooled(maps))
            elif place > 1:
                maps = nn.functional.gelu(maps + before)
        logits: Tensor = self.head(maps.amax(dim=(2, 3)))
        return logits * _SCALE


@torch.no_grad()
def whiten(network: Network, inputs: Tensor) -> None:
    """Set the stem's filters to the whitened principal components of the patches of `inputs` `(N, C, H, W)`.

    The filters are the eigenvectors of the patches' covariance, each divided by the root of its eigenvalue, the
    strongest first, and then their negatives: with a rectifying activation a component and its negative are two
    features (arXiv 2404.00498, section 3.1).
    """
    stem = network.stem
    kernel, half = stem.kernel_size[0], stem.out_channels // 2
    patches = nn.functional.unfold(inputs.float(), kernel, stride=max(1, kernel // 2))
    columns = patches.transpose(1, 2).reshape(-1, patches.shape[1]).double()
    columns = columns - columns.mean(dim=0)
    values, vectors = torch.linalg.eigh(columns.T @ columns / max(1, len(columns) - 1))
    filters = (vectors / (values.clamp_min(0) + _WHITEN_EPSILON).sqrt()).T.flip(0)[: max(1, half)]
    filters = torch.cat((filters, -filters))[: stem.out_channels]
    stem.weight[: len(filters)] = filters.view(-1, *stem.weight.shape[1:]).to(stem.weight)


def _pooled(maps: Tensor) -> Tensor:
    """By maxima over 2×2 places; a side that is already 1 stays."""
    kernel = [min(2, side) for side in maps.shape[2:]]
    return nn.functional.max_pool2d(maps, kernel) if max(kernel) > 1 else maps


def _norm(width: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(width, eps=_NORM_EPSILON, momentum=_NORM_MOMENTUM)
    norm.weight.requires_grad_(False)
    return norm


@torch.no_grad()
def _start_as_identity(weight: Tensor) -> None:
    """The first filters pass their channel on unchanged (a Dirac kernel); the others stay random."""
    nn.init.dirac_(weight[: weight.shape[1]])
