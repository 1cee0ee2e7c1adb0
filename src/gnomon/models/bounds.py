"""What may be built of numbers that came in a file: small enough to take no time, and at first without memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from .cnn import Cnn
from .crnn import Crnn
from .ensemble import Ensemble
from .linear import LinearDeep
from .rnn import Rnn
from .textcnn import TextCnn
from .wide import WideDeep

MOST_PARAMETERS: Final = 2_000_000_000
MOST_LAYERS: Final = 2_000
"""In all networks of an ensemble together."""
_MOST_NUMBERS: Final = 256
_LARGEST_NUMBER: Final = 2**22


def empty_network(spec: Any, input_shape: tuple[int, ...], num_outputs: int) -> nn.Module:
    """The architecture on the meta device: shapes without memory.

    Raises:
        ValueError: impossible or immense; the message is a phrase.
    """
    if not _is_possible(spec):
        raise ValueError("its architecture has impossible numbers")
    try:
        with _Unset(), torch.device("meta"):
            network: nn.Module = spec.build(input_shape, num_outputs)
    except Exception as error:
        raise ValueError(f"its architecture can't be built: {' '.join(str(error).split())}") from error
    if sum(parameter.numel() for parameter in network.parameters()) > MOST_PARAMETERS:
        raise ValueError("its network is too large")
    return network


class _Unset(TorchFunctionMode):
    """Leaves weights as they are: without memory there is nothing to set, and on the meta device PyTorch would import
    its compiler to draw normal numbers, which takes seconds."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def _is_possible(spec: Any) -> bool:
    """Whether the architecture's numbers are small enough that building it, without memory, takes no time."""
    numbers = [value for field in msgspec.structs.astuple(spec) for value in _flat(field)]
    if len(numbers) > _MOST_NUMBERS or not all(0 <= number <= _LARGEST_NUMBER for number in numbers):
        return False
    return (not isinstance(spec, Cnn) or _is_sound(spec)) and _layers(spec) <= MOST_LAYERS


def _is_sound(model: Cnn) -> bool:
    return model.stem_stride >= 1 and len(model.depths) == len(model.widths) and min(model.depths, default=1) >= 1


def _layers(spec: Any) -> int:
    """How many layers building makes, about."""
    match spec:
        case Ensemble():
            return spec.times * sum(map(_layers, spec.members))
        case Rnn():
            return 2 * spec.layers
        case Crnn():
            return 2 * len(spec.widths) * spec.convolutions + 2
        case TextCnn():
            return len(spec.widths)
        case WideDeep() | LinearDeep():
            return 1 if spec.deep is None else 1 + _layers(spec.deep)
        case Cnn():
            return 2 * sum(spec.depths)
        case _:
            return 8


def _flat(field: object) -> Iterator[float]:
    """All numbers in a field; of an ensemble those of its members too."""
    if isinstance(field, (int, float)):
        yield field
    elif isinstance(field, msgspec.Struct):
        yield from _flat(msgspec.structs.astuple(field))
    elif isinstance(field, Iterable) and not isinstance(field, str):
        for part in field:
            yield from _flat(part)
