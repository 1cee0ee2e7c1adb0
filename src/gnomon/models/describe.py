"""A network in words: its layers, their parameters, and the shape of what each gives."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..types import Value


class Layer(Value, frozen=True):
    """One layer. `output_shape` is without the batch, and empty where the layer gives no single tensor."""

    name: str
    kind: str
    parameters: int
    output_shape: tuple[int, ...]


class NetworkSummary(Value, frozen=True):
    """`network.json`. `bytes` counts weights and buffers."""

    model: str
    parameters: int
    bytes: int
    layers: tuple[Layer, ...]


def describe_network(network: nn.Module, inputs: Tensor, *, name: str) -> NetworkSummary:
    """Run rows, two are enough, through the network, and note what comes out of each layer."""
    shapes: dict[str, tuple[int, ...]] = {}
    leaves = {path: layer for path, layer in network.named_modules() if path and not list(layer.children())}
    hooks = [layer.register_forward_hook(_remember(shapes, path)) for path, layer in leaves.items()]
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    was_training = network.training
    try:
        with torch.inference_mode():
            network.eval()(inputs.to(device))
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return NetworkSummary(
        model=name,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        bytes=sum(tensor.nbytes for tensor in network.state_dict().values()),
        layers=tuple(
            Layer(path, type(layer).__name__, sum(p.numel() for p in layer.parameters()), shapes.get(path, ()))
            for path, layer in leaves.items()
        ),
    )


def _remember(shapes: dict[str, tuple[int, ...]], path: str) -> Callable[[nn.Module, object, object], None]:
    def hook(_layer: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            shapes[path] = tuple(output.shape[1:])

    return hook
