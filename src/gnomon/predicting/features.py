"""What a network has made of a row just before it answers: the numbers that its last linear layers weigh."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident

import torch
from torch import Tensor, nn


def joined(found: list[Tensor], outputs: Tensor) -> Tensor:
    """Features `(N, F)` out of what was heard of a forward pass that gave these outputs."""
    features = [part.float() for part in found if part.ndim == 2 and len(part) == len(outputs)]
    return torch.cat(features, dim=1) if features else outputs


def ends_of(network: nn.Module, num_outputs: int) -> list[nn.Linear]:
    """Its linear layers of so many outputs."""
    layers = (layer for layer in network.modules() if isinstance(layer, nn.Linear))
    return [layer for layer in layers if layer.out_features == num_outputs]


@contextmanager
def heard(ends: list[nn.Linear]) -> Iterator[dict[int, list[Tensor]]]:
    """What goes into these layers, by the thread that it happens in."""
    heard: dict[int, list[Tensor]] = defaultdict(list)

    def listen(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        heard[get_ident()].append(inputs[0])

    handles = [layer.register_forward_pre_hook(listen) for layer in ends]
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()
