"""What is trained. A model spec is a frozen value of plain numbers; `build` turns it into a `torch.nn.Module`.

plain        the textbook network: convolution 32-64-64, max-pooling, dense 64
cnn          whitened stem, stages of 3×3 convolutions; scaled by width, depth and input size
textcnn      convolutions over the words of a text
rnn          recurrent layers over texts, recordings and series: Elman's, GRU, LSTM
crnn         convolutions over recordings and series, and a recurrent layer over what they find
ensemble     several of these that answer together
wide-deep    weights of words and word groups, alone or beside networks
linear-deep  a linear model on what a series is like, beside networks
imported     a module of the user's own, `package.module:Name`
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, Protocol, TypeAlias

import msgspec
import torch
from torch import nn

from ..errors import RecipeError, nearest
from ..space import Dimension
from ..types import NOUNS, Kind, Question
from . import cnn, crnn, plain, rnn, textcnn, wide
from .cnn import Cnn, Folded, Network, whiten
from .crnn import Crnn
from .describe import NetworkSummary, describe_network
from .ensemble import Ensemble
from .imported import Imported
from .linear import LinearDeep, LinearNetwork, start_linear
from .neighbours import start_from_neighbours
from .plain import Plain
from .rnn import RecurrentNetwork, Rnn
from .textcnn import TextCnn, TextNetwork
from .wide import WideDeep, WideNetwork
from .wide_start import start_wide

ModelSpec: TypeAlias = Plain | Cnn | TextCnn | Rnn | Crnn | WideDeep | LinearDeep | Ensemble | Imported
"""What a recipe and a model file may name. The tag field `model` tells them apart."""


Starts: TypeAlias = dict[str, tuple[torch.Tensor, torch.Tensor]]
"""Starting weights that take long to find and hang on the training rows alone, for networks that are built often."""


class Builds(Protocol):
    """What every model spec does."""

    def build(self, input_shape: tuple[int, ...], num_outputs: int) -> nn.Module:
        """A module that maps what an encoder gives, rows of `input_shape`, to `(N, num_outputs)`."""
        ...


_WHITENING_ROWS: Final = 512
_WHITENING_PIXELS: Final = 2**19
_COUNTED_ROWS: Final = 200_000
_COUNTED_STEPS: Final = 2**25
_SUMMED_ROWS: Final = 20_000
SIZED_BY_PLAN: Final = Cnn(widths=(), stem_activation="relu")
"""Some `Cnn`; which one is for the plan to say."""
_NAMED: Final[Mapping[str, ModelSpec | None]] = {
    "auto": None,
    "cnn": SIZED_BY_PLAN,
    "plain": Plain(),
    "textcnn": TextCnn(),
    "wide": WideDeep(lengths=True),
    "wide-deep": WideDeep(deep=Ensemble((TextCnn(embedding=64, filters=64),), times=4), lengths=True),
    "rnn": Rnn(cell="rnn"),
    "gru": Rnn(cell="gru"),
    "lstm": Rnn(cell="lstm"),
    "seqcnn": Crnn(cell="none"),
    "crnn": Crnn(),
    "linear-deep": LinearDeep(),
    "ensemble": Ensemble((Rnn(cell="lstm"), Crnn(cell="none")), times=2),
}
_SEQUENCES: Final[tuple[Kind, ...]] = ("sound", "series")
_KINDS: Final[Mapping[type, tuple[Kind, ...]]] = {
    Plain: ("image",),
    Cnn: ("image",),
    TextCnn: ("text",),
    WideDeep: ("text",),
    Rnn: ("text", *_SEQUENCES),
    Crnn: _SEQUENCES,
    LinearDeep: _SEQUENCES,
}


def sized(widths: tuple[int, ...]) -> Cnn:
    """The network for pictures with these filters of its stages."""
    return msgspec.structs.replace(SIZED_BY_PLAN, widths=widths)


def model_named(name: str) -> ModelSpec | None:
    """What a user means by a model's name; None leaves the choice to the plan.

    Raises:
        RecipeError: neither a known name nor `package.module:Name`.
    """
    if name in _NAMED:
        return _NAMED[name]
    if ":" not in name:
        raise RecipeError(
            f"the model {name!r} is not known", remedy=f"{nearest(name, _NAMED)} Or write package.module:Name."
        )
    return Imported(name=name)


def fitted_to(model: ModelSpec, kind: Kind, question: Question = "classify") -> ModelSpec:
    """The model with what follows from the data: whether steps are tokens, what filters go over, what a network learns.

    Raises:
        RecipeError: it is for other kinds.
    """
    kinds = _KINDS.get(type(model))
    if kinds is not None and kind not in kinds:
        name = str(model.__struct_config__.tag)
        able = [other for other, spec in _NAMED.items() if spec is None or _is_for(spec, kind)]
        raise RecipeError(
            f"the model {name} is for {' and '.join(NOUNS[other][1] for other in kinds)}, not for {NOUNS[kind][1]}",
            remedy=f"For these there are: {', '.join(able)}; or package.module:Name.",
        )
    if isinstance(model, Rnn):
        return msgspec.structs.replace(model, tokens=kind == "text")
    if isinstance(model, Crnn):
        return msgspec.structs.replace(model, dimensions=2 if kind == "sound" else 1)
    if isinstance(model, Ensemble):
        members = tuple(fitted_to(member, kind) for member in model.members)
        return msgspec.structs.replace(model, members=members)
    if isinstance(model, LinearDeep):
        return msgspec.structs.replace(model, deep=fitted_to(model.deep, kind), residual=question == "regress")
    if isinstance(model, WideDeep) and model.deep is not None:
        return msgspec.structs.replace(model, deep=fitted_to(model.deep, kind))
    return model


def _is_for(model: ModelSpec, kind: Kind) -> bool:
    parts: Sequence[ModelSpec] = model.members if isinstance(model, Ensemble) else (model,)
    return all(kind in _KINDS[type(part)] for part in parts)


def space_of(model: ModelSpec) -> tuple[Dimension, ...]:
    """What a search may vary of this model beside its training, from what it is now; nothing of networks in others."""
    spaces: dict[type, tuple[Dimension, ...]] = {
        Cnn: cnn.SPACE,
        Plain: plain.SPACE,
        TextCnn: textcnn.SPACE,
        Rnn: rnn.SPACE,
        Crnn: crnn.SPACE,
        WideDeep: wide.SPACE,
    }
    found = spaces.get(type(model), ())
    return tuple(msgspec.structs.replace(item, usual=getattr(model, item.name)) for item in found)


def rows_to_start_from(module: nn.Module, input_shape: tuple[int, ...]) -> int:
    """How many training rows `start_from` wants; 0 for a network whose weights begin from nothing but chance."""
    if isinstance(module, Network):
        return min(_WHITENING_ROWS, max(16, _WHITENING_PIXELS // math.prod(input_shape[1:])))
    if isinstance(module, LinearNetwork):
        return min(_SUMMED_ROWS, max(1, _COUNTED_STEPS // math.prod(input_shape)))
    if isinstance(module, WideNetwork) or _embeddings(module):
        return min(_COUNTED_ROWS, _COUNTED_STEPS // input_shape[0])
    return 0


def start_from(
    module: nn.Module,
    inputs: torch.Tensor,
    labels: torch.Tensor | None,
    vocabulary: Sequence[str] = (),
    *,
    known: Starts | None = None,
) -> None:
    """Set the weights that begin from training rows.

    Args:
        module: as built.
        inputs: rows as the network takes them.
        labels: `(N,)` class indices, or `(N, K)` standardised numbers; None for rows of several labels.
        vocabulary: the tokens with the ids 2, 3, … of a text.
        known: what was found for the same rows before; it is added to.
    """
    known = {} if known is None else known
    if isinstance(module, Network):
        whiten(module, inputs)
    if isinstance(module, WideNetwork) and labels is not None and labels.ndim == 1:
        key = f"wide {module.most_tokens} {module.buckets} {module.lengths}"
        if key not in known:
            start_wide(module, inputs, labels, vocabulary)
            known[key] = (module.weights.weight.detach().clone(), module.bias.detach().clone())
        with torch.no_grad():
            module.weights.weight.copy_(known[key][0])
            module.bias.copy_(known[key][1])
    if isinstance(module, LinearNetwork) and labels is not None:
        start_linear(module, inputs, labels)
    start_from_neighbours(_embeddings(module), inputs, known)


def _embeddings(module: nn.Module) -> list[nn.Embedding]:
    """Of all networks of texts in it."""
    parts = (part for part in module.modules() if isinstance(part, TextNetwork | RecurrentNetwork))
    return [part.embedding for part in parts if part.embedding is not None]


def answering(network: nn.Module) -> nn.Module:
    """A network for predictions alone: with norms folded into convolutions, where it has some."""
    return Folded(network) if isinstance(network, Network) else network


def set_recompute(module: nn.Module, wanted: bool) -> None:
    """Whether the stages of convolutional networks in it are computed anew in the backward pass."""
    for part in module.modules():
        if isinstance(part, Network):
            part.recompute = wanted


def channels_last(module: nn.Module) -> nn.Module:
    """The module with its weights laid out as convolutions take them quickest, `(N, H, W, C)` in memory."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


__all__ = [
    "SIZED_BY_PLAN",
    "Builds",
    "Cnn",
    "Crnn",
    "Ensemble",
    "Imported",
    "LinearDeep",
    "LinearNetwork",
    "ModelSpec",
    "Network",
    "NetworkSummary",
    "Plain",
    "Rnn",
    "Starts",
    "TextCnn",
    "WideDeep",
    "WideNetwork",
    "answering",
    "channels_last",
    "describe_network",
    "fitted_to",
    "model_named",
    "set_recompute",
    "sized",
    "space_of",
    "whiten",
]
