"""A linear model on all words and word groups of a text, alone or beside a deep network.

    ids ─┬─ words, pairs of words, … ─ hashed ─ mean of their weights ─┐
         └─ deep network (`textcnn`, …) ───────────────────────────────┴─ sum

On small sets a linear model on word pairs beats networks trained from nothing (Wang and Manning, "Baselines and
bigrams", ACL 2012), and the two err differently. The wide part begins at the naive-Bayes weights of that paper, which
are counted, not trained.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import torch
from torch import Tensor, nn

from ..types import Value
from .textcnn import TextCnn

Deep: TypeAlias = TextCnn
"""What may stand beside the wide part."""

_PRIME: Final = 2**31 - 1
_FACTOR: Final = 1_597_334_677
_SMOOTHING: Final = 1.0


class WideDeep(Value, tag="wide-deep", tag_field="model", frozen=True):
    """Spec of the network.

    Attributes:
        deep: the network beside the wide part; None: the wide part alone.
        tokens: the longest group of neighbouring tokens that has a weight.
        buckets: weights of groups of two and more tokens, for each class; groups are hashed to them.
    """

    deep: Deep | None = None
    tokens: int = 2
    buckets: int = 2**18

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
        self.weights = nn.Embedding(num_tokens + self.buckets, num_outputs, padding_idx=0)
        self.bias = nn.Parameter(torch.zeros(num_outputs))
        self.deep = deep
        nn.init.zeros_(self.weights.weight)

    def groups(self, ids: Tensor) -> Tensor:
        """`(N, T)` ids → `(N, tokens · T)` places of weights; 0 where there is no group."""
        return torch.cat(
            [ids, *(self._places(ids, tokens) for tokens in range(2, min(self.most_tokens, ids.shape[1]) + 1))], dim=1
        )

    def wide(self, ids: Tensor) -> Tensor:
        """Logits of the wide part, `(N, K)`: Σ of the groups' weights over the root of their number."""
        places = self.groups(ids)
        number = (places != 0).sum(dim=1, keepdim=True)
        total: Tensor = self.weights(places).sum(dim=1)
        return total * number.clamp_min(1).to(total.dtype).rsqrt() + self.bias

    def forward(self, ids: Tensor) -> Tensor:
        logits = self.wide(ids)
        return logits if self.deep is None else logits + self.deep(ids)

    def _places(self, ids: Tensor, tokens: int) -> Tensor:
        """Polynomial hash modulo a Mersenne prime: whole numbers below 2⁶³ throughout, so alike on every device."""
        steps = ids.shape[1] - tokens + 1
        hashed = torch.full_like(ids[:, :steps], tokens)
        for offset in range(tokens):
            hashed = (hashed * _FACTOR + ids[:, offset : offset + steps] + 1) % _PRIME
        hashed = hashed * _FACTOR % _PRIME
        places = self.num_tokens + (hashed >> 4) % self.buckets
        return places.masked_fill(ids[:, tokens - 1 :] == 0, 0)


@torch.no_grad()
def start_from_counts(network: WideNetwork, ids: Tensor, labels: Tensor) -> None:
    """Set the wide weights to naive-Bayes log-count ratios of the training rows.

    For class k and group g: log (1 + rows of k with g) / Σ_g(...) minus the same of all other classes together.

    Args:
        ids: `(N, T)` of training rows.
        labels: `(N,)` class indices.
    """
    counts = torch.zeros_like(network.weights.weight, dtype=torch.float32)
    for start in range(0, len(ids), 1024):
        places = network.groups(ids[start : start + 1024]).sort(dim=1).values
        places[:, 1:][places[:, 1:] == places[:, :-1]] = 0
        classes = labels[start : start + 1024, None].expand_as(places)
        flat = places.flatten() * counts.shape[1] + classes.flatten()
        counts.view(-1).index_add_(0, flat, torch.ones(len(flat)))
    counts[0] = 0
    seen = counts.sum(dim=1, keepdim=True)
    inside, outside = counts + _SMOOTHING, seen - counts + _SMOOTHING
    ratio = (inside / inside.sum(0)).log() - (outside / outside.sum(0)).log()
    network.weights.weight.copy_(torch.where(seen > 0, ratio, 0.0))
