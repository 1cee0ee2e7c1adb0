"""What happens to a row inside a network: each operation with what goes in and comes out, in the order of running.

Any module can be traced: operations are seen as PyTorch is called, whether a layer does it or a plain function. What a
recurrent layer does counts as one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..models.recurrence import GATES, Recurrent

Operation: TypeAlias = Literal[
    "convolution", "pooling", "norm", "activation", "dense", "embedding", "recurrent", "sum", "reduction"
]

_FUNCTIONS: Final[Mapping[str, Operation]] = {
    **dict.fromkeys(("conv1d", "conv2d"), "convolution"),
    **dict.fromkeys(("max_pool1d", "max_pool2d", "avg_pool1d", "avg_pool2d"), "pooling"),
    **dict.fromkeys(("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool2d"), "pooling"),
    **dict.fromkeys(("batch_norm", "layer_norm", "group_norm", "instance_norm"), "norm"),
    **dict.fromkeys(
        ("relu", "relu_", "gelu", "silu", "leaky_relu", "elu", "tanh", "sigmoid", "hardtanh"), "activation"
    ),
    **dict.fromkeys(("amax", "mean"), "reduction"),
    **dict.fromkeys(("add", "__add__", "add_", "__iadd__"), "sum"),
    "linear": "dense",
    "embedding": "embedding",
}
_RECURRENT: Final = (Recurrent, nn.RNNBase)


@dataclass(frozen=True, slots=True)
class Step:
    """One operation.

    Attributes:
        path: of the module in which it runs; "" where that is the whole network.
        operation: what it is.
        name: of the function, or of the recurrent layer's cell.
        module: in which it runs.
        inputs, output: `(N, …)`.
        weight, bias: where it has them.
        options: stride, padding, dilation, groups of a convolution; kernel, stride of a pooling.
        products: multiplications for one row.
        parameters: numbers that are learnt.
    """

    path: str
    operation: Operation
    name: str
    module: nn.Module
    inputs: Tensor
    output: Tensor
    weight: Tensor | None
    bias: Tensor | None
    options: dict[str, tuple[int, ...]]
    products: int
    parameters: int


@torch.no_grad()
def trace(network: nn.Module, inputs: Tensor) -> list[Step]:
    """Run rows through the network and note each operation."""
    watch = _Watch(network)
    names = {module: name for name, module in network.named_modules()}
    handles = []
    for module in network.modules():
        handles.append(module.register_forward_pre_hook(watch.enter))
        handles.append(module.register_forward_hook(watch.leave(names[module])))
    try:
        with watch:
            network(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return watch.steps


class _Watch(TorchFunctionMode):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self._names = {module: name for name, module in network.named_modules()}
        self._inside: list[nn.Module] = []
        self._hidden = 0

    def __torch_function__(
        self,
        function: Callable[..., Any],
        _types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        operation = _FUNCTIONS.get(getattr(function, "__name__", ""))
        if operation and not self._hidden and self._inside and isinstance(result, Tensor):
            module = self._inside[-1]
            step = _step(operation, function.__name__, module, self._names[module], args, kwargs or {}, result)
            if step is not None:
                self.steps.append(step)
        return result

    def enter(self, module: nn.Module, _inputs: object) -> None:
        self._inside.append(module)
        self._hidden += isinstance(module, _RECURRENT)

    def leave(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def left(module: nn.Module, inputs: Any, output: Any) -> None:
            self._inside.pop()
            if isinstance(module, _RECURRENT):
                self._hidden -= 1
                if not self._hidden:
                    self.steps.append(_recurrent(name, module, inputs[0], output))

        return left


def _step(
    operation: Operation,
    name: str,
    module: nn.Module,
    path: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    output: Tensor,
) -> Step | None:
    first = args[0] if args else kwargs.get("input")
    tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
    if not isinstance(first, Tensor) or (operation == "sum" and not _is_sum(tensors)):
        return None
    if operation == "pooling" and first.ndim < 3:
        return None
    if operation == "reduction" and not _is_over_places(args, kwargs, first, output):
        return None
    weight = bias = None
    options: dict[str, tuple[int, ...]] = {}
    products = 0
    inputs = first
    if operation in ("convolution", "dense"):
        weight, bias = tensors[1], tensors[2] if len(tensors) > 2 else None
        products = output[0].numel() * math.prod(weight.shape[1:])
    if operation == "convolution":
        options = _convolution_options(args, kwargs, weight.ndim - 2 if weight is not None else 1)
    elif operation == "embedding":
        weight, inputs = next((tensor for tensor in tensors if tensor.is_floating_point()), None), first
    elif operation == "pooling":
        options = _pooling_options(args, kwargs, first, output)
    learnt = [tensor for tensor in (weight, bias) if tensor is not None]
    if operation == "norm":
        learnt = list(module.parameters(recurse=False))
    parameters = sum(tensor.numel() for tensor in learnt)
    # Cloned, since a later operation may write in place.
    return Step(path, operation, name, module, inputs, output.clone(), weight, bias, options, products, parameters)


def _is_over_places(args: tuple[Any, ...], kwargs: dict[str, Any], inputs: Tensor, output: Tensor) -> bool:
    """Whether a maximum or mean leaves rows and units apart: over other networks' answers it would not."""
    over = kwargs.get("dim", args[1] if len(args) > 1 else ())
    over = over if isinstance(over, (tuple, list)) else (over,)
    return inputs.ndim >= 3 and output.ndim < inputs.ndim and 0 not in over and -inputs.ndim not in over


def _is_sum(tensors: list[Tensor]) -> bool:
    """Whether two paths through the network meet there."""
    return len(tensors) == 2 and tensors[0].shape == tensors[1].shape and tensors[0].ndim >= 3


def _recurrent(name: str, module: nn.Module, inputs: Tensor, output: Any) -> Step:
    found: Tensor = output[0] if isinstance(output, tuple) else output
    parameters = sum(weights.numel() for weights in module.parameters())
    cell = module.cell if isinstance(module, Recurrent) else str(getattr(module, "mode", "")).lower()
    matrices = sum(weights.numel() for weights in module.parameters() if weights.ndim == 2)
    steps = inputs.shape[1]
    kept = "rnn" if cell not in GATES else cell
    return Step(name, "recurrent", kept, module, inputs, found, None, None, {}, steps * matrices, parameters)


def _convolution_options(args: tuple[Any, ...], kwargs: dict[str, Any], sides: int) -> dict[str, tuple[int, ...]]:
    names = ("stride", "padding", "dilation", "groups")
    given = dict(zip(names, args[3:7], strict=False)) | {name: kwargs[name] for name in names if name in kwargs}
    defaults: dict[str, Any] = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
    return {name: _sides(given.get(name, default), sides) for name, default in defaults.items()}


def _pooling_options(
    args: tuple[Any, ...], kwargs: dict[str, Any], inputs: Tensor, output: Tensor
) -> dict[str, tuple[int, ...]]:
    sides = inputs.ndim - 2
    ratio = tuple(max(1, -(-before // after)) for before, after in zip(inputs.shape[2:], output.shape[2:], strict=True))
    kernel = kwargs.get("kernel_size", args[1] if len(args) > 1 else ratio)
    stride = kwargs.get("stride", args[2] if len(args) > 2 else None) or kernel
    adaptive = tuple(output.shape[2:]) == _sides(kernel, sides) and tuple(output.shape[2:]) != ratio
    return {
        "kernel": ratio if adaptive else _sides(kernel, sides),
        "stride": ratio if adaptive else _sides(stride, sides),
    }


def _sides(value: Any, sides: int) -> tuple[int, ...]:
    if isinstance(value, str):
        return (-1,) * sides
    numbers = tuple(value) if isinstance(value, (tuple, list)) else (value,) * sides
    return tuple(int(number) for number in numbers)
