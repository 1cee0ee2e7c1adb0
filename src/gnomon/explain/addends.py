"""How an answer adds up where a linear part stands in the network: what each word group or channel gives.

Such networks are sums: of the linear part's terms, its bias, and the deep networks' answer times its share. So nothing
is estimated here; the terms' sum is the score itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..encoders import SeriesEncoder, TextEncoder
from ..encoders.text import Unit, spelled
from ..models.linear import PARTS, LinearNetwork, summary_of
from ..models.wide import WideNetwork
from .inputs import Subject
from .sheet import Addend, AddendKind, Addends

MOST_ADDENDS: Final = 20
EDGE: Final = "│"
"""Stands for an end of the text in a word group."""

_ROUNDED: Final = 5

_Named: TypeAlias = tuple[AddendKind, str, int]
"""Kind, text and number of an `Addend`."""


def linear_part(network: nn.Module) -> nn.Module | None:
    """The module of the linear part that stands in or beside a network."""
    if isinstance(network, WideNetwork):
        return network.weights
    return network.linear if isinstance(network, LinearNetwork) else None


@torch.no_grad()
def addends_of(subject: Subject, outputs: Sequence[int], tokens: Sequence[str]) -> Addends | None:
    """The terms of these outputs' scores (`Subject.score`), the greatest first; None without a linear part.

    Args:
        subject: the row.
        outputs: of the network, by number.
        tokens: of a text, as they are to be shown.
    """
    network, encoder = subject.model.network, subject.model.header.encoder
    if isinstance(network, WideNetwork):
        unit = encoder.unit if isinstance(encoder, TextEncoder) else "words"
        named = list(_group_names(network, subject.whole.shape[1], tokens, unit))
        found = network.weights(network.groups(subject.whole))[0] * network.number(subject.whole).rsqrt()
        bias = network.bias
    elif isinstance(network, LinearNetwork):
        named = list(_channel_names(encoder.channels if isinstance(encoder, SeriesEncoder) else ()))
        found = summary_of(subject.whole)[0][:, None] * network.linear.weight.T
        bias = network.linear.bias
    else:
        return None
    nothing = _scores(subject, outputs, torch.zeros_like(bias)[None])
    terms = _merged(named, _scores(subject, outputs, found) - nothing)
    terms = _shortened(sorted(terms, key=lambda term: -float(np.abs(term[1]).max())))
    terms.append((("bias", "", 0), _scores(subject, outputs, bias[None])[0]))
    if network.deep is not None:
        given = _scores(subject, outputs, network.share * network.deep(subject.whole)) - nothing
        terms.append((("networks", f"{network.share:g}", 0), given[0]))
    return Addends(
        tuple(outputs),
        tuple(Addend(*name, tuple(round(float(value), _ROUNDED) for value in values)) for name, values in terms),
    )


def _scores(subject: Subject, outputs: Sequence[int], given: Tensor) -> NDArray[np.float64]:
    """`(N, K)` of what a network gives → `(N, outputs)`; a sum's terms give this less what nothing gives."""
    found: NDArray[np.float64] = torch.stack([subject.score(given.double(), one) for one in outputs], 1).cpu().numpy()
    return found


def _group_names(network: WideNetwork, steps: int, tokens: Sequence[str], unit: Unit) -> Iterator[_Named | None]:
    """Of each place of `WideNetwork.groups`; None where nothing stands."""
    framed = [EDGE, *tokens, EDGE]
    for size in range(1, min(network.most_tokens, steps) + 1):
        for first in range(int(size == 1), steps + 1 if size == 1 else steps + 3 - size):
            group = framed[first : first + size]
            there = len(group) == size and not (size == 1 and first > len(tokens))
            yield ("group", spelled(group, unit), 1) if there else None
    if network.lengths:
        yield "tokens", "", len(tokens)


def _channel_names(channels: Sequence[str]) -> Iterator[_Named | None]:
    """Of each number of `summary_of`: the means of its parts, the last step and the spread, channel by channel."""
    for _ in range(PARTS + 2):
        yield from (("channel", channel, 0) for channel in channels)
    yield "duration", "", 0


def _merged(named: Sequence[_Named | None], values: NDArray[np.float64]) -> list[tuple[_Named, NDArray[np.float64]]]:
    """One term for all places of a group, with how often it stands there, and one for all that a channel gives."""
    found: dict[_Named, tuple[int, NDArray[np.float64]]] = {}
    for name, value in zip(named, values, strict=True):
        if name is not None:
            number, total = found.get(name, (0, np.zeros_like(value)))
            found[name] = (number + 1, total + value)
    return [
        ((kind, text, times if kind == "group" else number), total)
        for (kind, text, number), (times, total) in found.items()
    ]


def _shortened(terms: list[tuple[_Named, NDArray[np.float64]]]) -> list[tuple[_Named, NDArray[np.float64]]]:
    """The first of them, and the sum of all others."""
    shown, others = terms[:MOST_ADDENDS], terms[MOST_ADDENDS:]
    if others:
        shown.append((("others", "", len(others)), np.sum([values for _, values in others], axis=0)))
    return shown
