"""Whether an attribution deserves trust.

deletion      what counts most is taken away first: a good order makes the probability fall at once, a small area
insertion     what counts most is put back first into a row of nothing: a large area (Petsiuk and others, "RISE", 2018)
randomised    with a network of random weights the attribution must be another one (Adebayo et al., "Sanity checks for
              saliency maps", 2018)

How well integrated gradients add up is measured with them, in `attribution`.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..chance import generator
from ..predicting.modelfile import Model
from .attribution import Attribution, attribute
from .inputs import Subject, subject_of
from .values import Method

STAGES: Final = 20
"""Parts in which a row is taken away."""


_TILES: Final = 8


@dataclass(frozen=True, slots=True)
class Areas:
    """Areas under the curves of deletion and insertion, over the share of places; of classes and labels 0 to 1.

    Attributes:
        deletion: the smaller the better.
        insertion: the greater the better.
    """

    deletion: float
    insertion: float


def areas(subject: Subject, output: int, importance: NDArray[np.float64]) -> Areas:
    """By an order of places, those of the greatest importance first.

    A picture is taken away by tiles, eight to a side at most: single pixels here and there break it in any order, and
    the curve would tell of that alone. Of values, which have no range, the curves are scaled so that the whole row
    stands at 1 and nothing at 0.

    Args:
        importance: as `Attribution.values`.
    """
    tiles = _tiles(importance.shape) if subject.kind == "image" else np.arange(importance.size)
    means = np.bincount(tiles, importance.ravel()) / np.bincount(tiles)
    order = np.argsort(-means, kind="stable")
    ends = np.unique(np.linspace(0, len(order), STAGES + 1).astype(int))
    masks = np.zeros((len(ends), len(order)), bool)
    for line, end in enumerate(ends):
        masks[line, order[:end]] = True
    taken = torch.from_numpy(masks[:, tiles].reshape(len(ends), *importance.shape)).to(subject.whole.device)
    share = ends / len(order)
    whole, nothing = (float(_answers(subject, output, row)[0]) for row in (subject.whole, subject.nothing))
    curves = []
    for masked in (taken, ~taken):
        curve = _answers(subject, output, _without(subject, masked)).double().cpu().numpy()
        curves.append(_scaled(subject, curve, whole, nothing))
    return Areas(deletion=float(np.trapezoid(curves[0], share)), insertion=float(np.trapezoid(curves[1], share)))


def _tiles(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """`(H·W,)`: to which tile each pixel belongs."""
    down, across = (np.arange(side) // -(-side // _TILES) for side in shape)
    tiles: NDArray[np.int64] = (down[:, None] * (across[-1] + 1) + across[None]).ravel()
    return tiles


def random_areas(subject: Subject, output: int, shape: tuple[int, ...], *, seed: int, times: int = 5) -> Areas:
    """The mean over random orders."""
    draw = generator(seed, "explain")
    found = [areas(subject, output, draw.random(shape)) for _ in range(times)]
    return Areas(
        deletion=float(np.mean([one.deletion for one in found])),
        insertion=float(np.mean([one.insertion for one in found])),
    )


def randomised_likeness(subject: Subject, attribution: Attribution, *, seed: int) -> float:
    """Spearman's correlation with the attribution by a network whose weights are shuffled, each tensor in itself.

    Signs count where the method knows them. Near 0 is well: the attribution tells of what was learnt, not of the row
    alone.
    """
    other = attribute(
        subject_of(_shuffled(subject.model, seed), subject.encoded), attribution.output, attribution.method
    )
    return rank_correlation(attribution.values, other.values)


def rank_correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Spearman's, of all their numbers; 0 where one of them is constant."""
    from scipy.stats import rankdata

    ranks = [rankdata(values.ravel()) for values in (one, other)]
    if min(float(np.ptp(rank)) for rank in ranks) == 0:
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def share_within(attribution: Attribution, places: Any) -> float:
    """Share of what speaks for the output that lies in these places of `values`."""
    positive = np.maximum(attribution.values, 0)
    return float(positive[places].sum() / max(float(positive.sum()), 1e-12))


def methods_compared(subject: Subject, output: int, methods: tuple[Method, ...]) -> dict[Method, Areas]:
    """The areas by each method."""
    return {method: areas(subject, output, attribute(subject, output, method).values) for method in methods}


@torch.no_grad()
def _answers(subject: Subject, output: int, rows: Tensor) -> Tensor:
    size = subject.rows_at_once
    return torch.cat([subject.probability(subject.outputs(part), output) for part in torch.split(rows, size)])


def _without(subject: Subject, masked: Tensor) -> Tensor:
    """`(N, …)` rows of which the masked places are taken away."""
    if subject.kind == "image":
        masked = masked[:, None]
    else:
        behind = subject.whole.shape[1] - masked.shape[1]
        padding = (0, behind) if subject.kind == "text" else (0, 1, 0, behind)
        masked = torch.nn.functional.pad(masked, padding, value=False)
    return torch.where(masked, subject.nothing, subject.whole)


def _scaled(subject: Subject, curve: NDArray[np.float64], whole: float, nothing: float) -> NDArray[np.float64]:
    if subject.model.header.task.__struct_config__.tag != "regress":
        return curve
    return (curve - nothing) / (whole - nothing) if abs(whole - nothing) > 1e-12 else np.zeros_like(curve)


@torch.no_grad()
def _shuffled(model: Model, seed: int) -> Model:
    network = copy.deepcopy(model.network)
    draw = torch.Generator().manual_seed(int(generator(seed, "shuffled weights").integers(2**31)))
    for weights in network.parameters():
        flat = weights.detach().flatten()
        weights.copy_(flat[torch.randperm(len(flat), generator=draw).to(flat.device)].view(weights.shape))
    return Model(model.header, network.eval())
