"""How a training went: its curves, and what the network answered at the checkpoints that are still there."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import RunError
from ..predicting.modelfile import Model
from ..rundir.checkpoints import read_checkpoint
from ..rundir.run import Run
from ..types import Stepped, Validated
from .packing import Packer
from .sheet import Course, Kept

_MOST_POINTS: Final = 400
_MOST_FILTERS: Final = 32
_MOST_CHANNELS: Final = 3


def course_of(run: Run, model: Model, rows: Sequence[NDArray[Any]], packer: Packer) -> Course:
    """The curves of a run, and the answers to these encoded rows at its checkpoints."""
    losses: list[tuple[int, float]] = []
    validations: list[tuple[int, float, float]] = []
    measure = ""
    for event in run.events():
        if isinstance(event, Stepped):
            losses.append((event.step, _digits(event.loss)))
        elif isinstance(event, Validated):
            validations.append((event.step, _digits(event.loss), _digits(event.score)))
            measure = event.measure
    return Course(
        loss=_thinned(losses),
        validations=_thinned(validations),
        measure=measure,
        kept=tuple(_kept(run, model, rows, packer)),
    )


def _kept(run: Run, model: Model, rows: Sequence[NDArray[Any]], packer: Packer) -> Iterator[Kept]:
    for checkpoint in run.whole_checkpoints():
        try:
            tensors = read_checkpoint(checkpoint).tensors
        except RunError:  # of another version; the page does without
            continue
        network = _with(model.network, tensors)
        if network is None:
            continue
        then = Model(model.header, network)
        answers = np.concatenate([then.probabilities_of_encoded(row[None]) for row in rows])
        filters = _first_filters(network)
        yield Kept(
            step=checkpoint.step,
            answers=packer.eighths(answers, each=False),
            filters=None if filters is None else packer.eighths(filters),
        )


def _with(network: nn.Module, tensors: dict[str, Tensor]) -> nn.Module | None:
    """The network with the weights that were judged then, the average where there was one; None where none fit."""
    for prefix in ("average/", "model/"):
        weights = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        if set(weights) == set(network.state_dict()):
            then = copy.deepcopy(network)
            then.load_state_dict(weights)
            return then.eval()
    return None


def _first_filters(network: nn.Module) -> NDArray[np.float32] | None:
    """Those of the first convolution over two dimensions, of up to three channels, `(n, channels, height, width)`."""
    first = next((module for module in network.modules() if isinstance(module, nn.Conv2d)), None)
    if first is None or first.weight.shape[1] > _MOST_CHANNELS or max(first.weight.shape[2:]) < 2:
        return None
    with torch.no_grad():
        filters: NDArray[np.float32] = first.weight[:_MOST_FILTERS].float().cpu().numpy()
    return filters


def _digits(value: float) -> float:
    return float(f"{value:.5g}")


def _thinned(points: list[Any]) -> tuple[Any, ...]:
    places = np.unique(np.linspace(0, len(points) - 1, min(len(points), _MOST_POINTS)).astype(int))
    return tuple(points[place] for place in places) if points else ()
