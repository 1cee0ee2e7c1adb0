"""A convolutional network with fewer filters: those stay from which the others can be told best, and what comes behind
them is fitted anew.

Layer after layer: of what the filters give on training rows, scaled by how much the next layer makes of it, a QR
decomposition with column pivoting takes first what explains most (Chee, Renz, Damle and De Sa, "Model preserving
compression for neural networks", NeurIPS 2022). The weights of the filters that stay are then those with which they
give, from the fewer inputs that are left, what they gave before, by least squares (He, Zhang and Sun, "Channel pruning
for accelerating very deep neural networks", ICCV 2017). Nothing is trained.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
import torch
from scipy.linalg import qr
from torch import Tensor, nn

from ..errors import RecipeError
from ..models import Cnn, Network
from ..models.cnn import Stage

_RIDGE: Final = 1e-4
"""Of the mean square of the inputs."""
_PLACES: Final = 40_000
"""Of maps that are looked at, at most; where they are large, every fourth of so many rows."""
_SPARSE: Final = 4


def thinned(spec: Cnn, network: Network, inputs: Tensor, share: float) -> tuple[Cnn, Network]:
    """Fewer filters in each stage.

    Args:
        spec, network: as trained.
        inputs: training rows, `(N, C, H, W)`.
        share: of the filters that stay.

    Raises:
        RecipeError: nothing would become smaller.
    """
    widths = tuple(max(2, round(share * width)) for width in spec.widths)
    if widths == spec.widths:
        raise RecipeError(f"{share:g} of the filters are all of {'-'.join(map(str, widths))}", remedy="Give less.")
    less = msgspec.structs.replace(spec, widths=widths)
    thin = less.build(tuple(inputs.shape[1:]), network.head.out_features).eval()
    with torch.no_grad():
        thin.stem.load_state_dict(network.stem.state_dict())
        maps = whole = network.after_stem(inputs)
        stages = list(zip(network.stages, thin.stages, strict=True))
        behind = [*(_filters(stage)[0].weight for stage in list(network.stages)[1:]), network.head.weight]
        for (stage, fewer), after in zip(stages, behind, strict=True):
            whole, maps, kept = _thin_stage(stage, fewer, whole, maps, after)
        wanted, features = network.head(whole.amax(dim=(2, 3))), maps.amax(dim=(2, 3))
        thin.head.weight.copy_(_least_squares(features, wanted, start=network.head.weight[:, kept]))
    return less, thin


def _thin_stage(
    stage: nn.Module, fewer: nn.Module, whole: Tensor, maps: Tensor, after: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Fill a thinner stage.

    Args:
        stage, fewer: as trained, and to be filled.
        whole, maps: what each takes.
        after: weights of the layer behind it, `(D, C, …)`.

    Returns:
        What each gives, and the places of the filters that stay.
    """
    assert isinstance(stage, Stage)
    assert isinstance(fewer, Stage)
    trained, given, kept = _filters(stage), _through(stage, whole), torch.arange(0)
    for position, (convolution, thin) in enumerate(zip(trained, _filters(fewer), strict=True)):
        if position < 2:  # from there on filters are added to those before them, and stay the same
            last = len(trained) == 1 or position == 1
            kept = _chosen(given[-1 if last else 0], after if last else trained[1].weight, thin.out_channels)
        wanted = convolution(given[position - 1] if position else whole)[:, kept]
        thin.weight.copy_(_refitted(maps, wanted))
        fewer.norms[position].load_state_dict(
            {name: value[kept] if value.ndim else value for name, value in stage.norms[position].state_dict().items()}
        )
        maps = fewer.after(position, maps)
    return given[-1], maps, kept


def _filters(stage: nn.Module) -> list[nn.Conv2d]:
    """The convolutions of a stage."""
    return [layer for layer in stage.modules() if isinstance(layer, nn.Conv2d)]


def _through(stage: Stage, maps: Tensor) -> list[Tensor]:
    """What each convolution of a stage gives in the end."""
    found = []
    for position in range(len(stage.convolutions)):
        maps = stage.after(position, maps)
        found.append(maps)
    return found


def _chosen(maps: Tensor, following: Tensor, count: int) -> Tensor:
    """The places of the filters from which the others can be told best, in their order."""
    columns = _some(maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1]))
    weights = following.transpose(0, 1).flatten(1).norm(dim=1)
    scaled = (columns * weights).double().numpy()
    factor = np.linalg.qr(scaled, mode="r")  # the columns' lengths and angles alone
    order = qr(factor, mode="r", pivoting=True)[1]
    return torch.from_numpy(np.sort(order[:count]))


def _refitted(maps: Tensor, wanted: Tensor) -> Tensor:
    """Filters `(D, C, 3, 3)` that give `wanted` `(N, D, H, W)` from `maps` `(N, C, H, W)` as nearly as can be."""
    rows, channels, height, width = maps.shape
    few = min(rows, 1 + _SPARSE * _PLACES // (height * width))
    step = max(1, few * height * width // _PLACES)
    patches = nn.functional.unfold(maps[:few], 3, padding=1).transpose(1, 2).reshape(-1, 9 * channels)[::step]
    outputs = wanted[:few].permute(0, 2, 3, 1).reshape(-1, wanted.shape[1])[::step]
    return _least_squares(patches, outputs).view(-1, channels, 3, 3)


def _least_squares(inputs: Tensor, wanted: Tensor, start: Tensor | None = None) -> Tensor:
    """`(D, C)` weights with which `inputs` `(M, C)` give `wanted` `(M, D)`; pulled to `start`, or to 0."""
    wide = inputs.double()
    gram = wide.T @ wide
    pull = _RIDGE * gram.diagonal().mean()
    aim = wide.T @ wanted.double()
    if start is not None:
        aim = aim + pull * start.T.double()
    gram.diagonal().add_(pull)
    found: Tensor = torch.linalg.solve(gram, aim).T.float()
    return found


def _some(rows: Tensor) -> Tensor:
    return rows[:: max(1, len(rows) // _PLACES)]
