"""A linear model on all words and word groups of a text, alone or beside a deep network.

    ids ─┬─ words, pairs of words, … ─ hashed ─ sum of their weights ─┐
         ├─ how many they are ───────────────────── a weight of it ───┤
         └─ a deep network, or several ────────────────── · share ────┴─ sum

On small sets a linear model on word pairs beats networks trained from nothing (Wang and Manning, "Baselines and
bigrams", ACL 2012), and the two err differently. The wide part is fitted before the first step (`wide_start`), and
knows its training rows nearly by heart: added in training, it would leave the deep part nothing to learn. So in
training mode the deep part answers alone, and the wide part stays as it is; where there is no deep part, the wide one
is trained on.
"""

from __future__ import annotations

import math
from typing import Final, TypeAlias

import torch
from torch import Tensor, nn

from ..space import Dimension
from ..types import Value
from .ensemble import Ensemble
from .rnn import Rnn
from .textcnn import TextCnn

Deep: TypeAlias = TextCnn | Rnn | Ensemble
"""What may stand beside the wide part."""

_PRIME: Final = 2**31 - 1
_FACTOR: Final = 1_597_334_677
_LENGTHS: Final = (*range(2, 33), *(math.ceil(32 * 2 ** (eighth / 8)) for eighth in range(1, 33)))
"""At so many tokens another weight begins: up to 32 at each number, then eight times until it has doubled."""


SPACE: Final = (Dimension(name="tokens", usual=2, low=1, high=4, whole=True),)
"""What a search may vary of it."""


class WideDeep(Value, tag="wide-deep", tag_field="model", frozen=True):
    """Spec of the network.

    Attributes:
        deep: the network beside the wide part; None: the wide part alone.
        share: what the deep logits count; those of the wide part count 1.
        tokens: the longest group of neighbouring tokens that has a weight.
        buckets: weights of groups of two and more tokens, for each class; groups are hashed to them.
        lengths: whether how many tokens a text has is a word as well: some kinds of titles are longer than others.
    """

    deep: Deep | None = None
    share: float = 0.5
    tokens: int = 2
    buckets: int = 2**18
    lengths: bool = False

    def products(self, input_shape: tuple[int, ...]) -> int:
        """Multiplications in one forward pass of a text of `(T, V)`."""
        return input_shape[0] * self.tokens + (self.deep.products(input_shape) if self.deep else 0)

    def build(self, input_shape: tuple[int, ...], num_outputs: int) -> WideNetwork:
        """`(N, T)` token ids → `(N, num_outputs)` logits."""
        deep = self.deep.build(input_shape, num_outputs) if self.deep else None
        return WideNetwork(self, input_shape[1], num_outputs, deep)


class WideNetwork(nn.Module):
    """The network that `WideDeep` describes."""

    def __init__(self, spec: WideDeep, num_tokens: int, num_outputs: int, deep: nn.Module | None) -> None:
        super().__init__()
        self.most_tokens = spec.tokens
        self.num_tokens = num_tokens
        self.buckets = spec.buckets if spec.tokens > 1 else 0
        self.lengths = spec.lengths
        self.weights = nn.Embedding(num_tokens + self.buckets + self.lengths * (len(_LENGTHS) + 1), num_outputs, 0)
        self.bias = nn.Parameter(torch.zeros(num_outputs))
        self.deep = deep
        self.share = spec.share
        nn.init.zeros_(self.weights.weight)
        self.weights.requires_grad_(deep is None)
        self.bias.requires_grad_(deep is None)

    def groups(self, ids: Tensor) -> Tensor:
        """`(N, T)` ids → `(N, P)` places of weights: of tokens, of pairs, …, of the length; 0 where there is none."""
        longer = (self._places(ids, tokens) for tokens in range(2, min(self.most_tokens, ids.shape[1]) + 1))
        return torch.cat([ids, *longer, *([self._length(ids)] if self.lengths else [])], dim=1)

    def number(self, ids: Tensor) -> Tensor:
        """`(N, 1)`: by the root of it the sum of a row's weights is divided, so that long texts are not surer."""
        return (ids != 0).sum(dim=1, keepdim=True).clamp_min(1).float()

    def wide(self, ids: Tensor) -> Tensor:
        """Logits of the wide part, `(N, K)`: the sum of the groups' weights over the root of the tokens' number."""
        total: Tensor = self.weights(self.groups(ids)).sum(dim=1)
        return total * self.number(ids).to(total.dtype).rsqrt() + self.bias

    def forward(self, ids: Tensor) -> Tensor:
        if self.deep is None or not (self.training or self.share):
            return self.wide(ids)
        deep: Tensor = self.deep(ids)
        return deep if self.training else self.wide(ids) + self.share * deep

    def _length(self, ids: Tensor) -> Tensor:
        """`(N, 1)`: the place of how many tokens a row has."""
        number = (ids != 0).sum(dim=1, keepdim=True)
        return self.num_tokens + self.buckets + torch.bucketize(number, ids.new_tensor(_LENGTHS), right=True)

    def _places(self, ids: Tensor, tokens: int) -> Tensor:
        """Polynomial hash modulo a Mersenne prime: whole numbers below 2⁶³ throughout, so alike on every device.

        Both ends of a text count as a token of their own.
        """
        framed = nn.functional.pad(ids, (1, 1))
        steps = framed.shape[1] - tokens + 1
        hashed = torch.full_like(framed[:, :steps], tokens)
        for offset in range(tokens):
            hashed = (hashed * _FACTOR + framed[:, offset : offset + steps] + 1) % _PRIME
        hashed = hashed * _FACTOR % _PRIME
        places = self.num_tokens + (hashed >> 4) % self.buckets
        ended = framed[:, tokens - 2 : tokens - 2 + steps] == 0
        if tokens == 2:
            ended[:, 0] = False
        return places.masked_fill(ended, 0)
