"""What a network has made of a row just before it answers: the numbers that its last linear layers weigh."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@torch.inference_mode()
def features_and_outputs(network: nn.Module, inputs: Tensor, *, num_outputs: int) -> tuple[Tensor, Tensor]:
    """Features `(N, F)` and outputs `(N, num_outputs)`, both float32, of one forward pass.

    Several networks that answer together have their features side by side; a network without linear layers at its end
    has none but its outputs.

    Args:
        network: in evaluation mode.
        inputs: rows as it takes them.
        num_outputs: of the network.
    """
    with _heard(network, num_outputs) as heard:
        outputs: Tensor = network(inputs).float()
    found = [features.float() for features in heard if features.ndim == 2 and len(features) == len(outputs)]
    return torch.cat(found, dim=1) if found else outputs, outputs


@contextmanager
def _heard(network: nn.Module, num_outputs: int) -> Iterator[list[Tensor]]:
    """What goes into the linear layers of so many outputs."""
    heard: list[Tensor] = []

    def listen(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        heard.append(inputs[0])

    layers = (layer for layer in network.modules() if isinstance(layer, nn.Linear))
    handles = [layer.register_forward_pre_hook(listen) for layer in layers if layer.out_features == num_outputs]
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()
