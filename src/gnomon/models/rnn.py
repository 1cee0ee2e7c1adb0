"""A recurrent network: it reads a sequence step by step, and answers from what it has kept.

    steps, or ids ─ embedding ─┬─ recurrent layers, in one direction or both ─ pooled over time ─ dense
                               └─ (dropout between)

The Elman network is the textbook's: h_t = tanh(W_xh·x_t + W_hh·h_{t−1} + b). LSTM and GRU keep longer what they read.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
import torch
from torch import Tensor, nn

from ..space import Dimension
from ..types import Value
from .recurrence import GATES, Cell, Recurrent
from .textcnn import start_embedding

Pooling: TypeAlias = Literal["last", "mean", "max", "attention"]


SPACE: Final = (
    Dimension(name="width", usual=128, low=32, high=256, log=True, whole=True),
    Dimension(name="layers", usual=1, low=1, high=3, whole=True),
    Dimension(name="pooling", usual="max", choices=("last", "mean", "max", "attention")),
    Dimension(name="dropout", usual=0.5, low=0.1, high=0.7),
)
"""What a search may vary of it."""


class Rnn(Value, tag="rnn", tag_field="model", frozen=True):
    """Spec of the network.

    Attributes:
        cell: the step; `rnn` is Elman's.
        width: units of each layer and direction.
        layers: on top of one another.
        bidirectional: whether the sequence is also read from its end.
        pooling: how the outputs at all steps become one: the last one of each direction, their mean, the maximum of
            each unit, or a mean with weights that are learnt.
        tokens: whether a step is a token; None: as the data are.
        embedding: numbers that stand for a token.
        dropout: share of the numbers dropped between layers and before the last one, in training.
        embedding_dropout: share of the embedding's numbers dropped, in training.
    """

    cell: Cell = "lstm"
    width: int = 128
    layers: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    bidirectional: bool = True
    pooling: Pooling = "max"
    tokens: bool | None = None
    embedding: int = 128
    dropout: float = 0.5
    embedding_dropout: float = 0.0

    def products(self, input_shape: tuple[int, ...]) -> int:
        """Multiplications in one forward pass of a row of `(T, V)` or `(T, C + 1)`."""
        steps, inputs = input_shape
        inputs, directions = self.embedding if self.tokens else inputs - 1, 1 + self.bidirectional
        total = 0
        for _ in range(self.layers):
            total += directions * GATES[self.cell] * self.width * (inputs + self.width)
            inputs = directions * self.width
        return steps * total

    def build(self, input_shape: tuple[int, ...], num_outputs: int) -> RecurrentNetwork:
        """`(N, T)` token ids, or `(N, T, C + 1)` steps, the last channel telling them from padding → `(N, K)`."""
        return RecurrentNetwork(self, input_shape[1], num_outputs)


class RecurrentNetwork(nn.Module):
    """The network that `Rnn` describes."""

    def __init__(self, spec: Rnn, inputs: int, num_outputs: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(inputs, spec.embedding, padding_idx=0) if spec.tokens else None
        self.embedding_dropout = nn.Dropout(spec.embedding_dropout)
        self.recurrent = Recurrent(
            spec.cell,
            spec.embedding if spec.tokens else inputs - 1,
            spec.width,
            layers=spec.layers,
            bidirectional=spec.bidirectional,
            dropout=spec.dropout,
        )
        self.pool = Pool(spec.pooling, self.recurrent.outputs, self.recurrent.directions)
        self.dropout = nn.Dropout(spec.dropout)
        self.head = nn.Linear(self.recurrent.outputs, num_outputs)
        if self.embedding is not None:
            start_embedding(self.embedding)

    def features(self, inputs: Tensor) -> Tensor:
        """What the dense layer sees, `(N, directions · width)`."""
        if self.embedding is None:
            steps, there = inputs[..., :-1], inputs[..., -1] > 0
        else:
            steps, there = self.embedding_dropout(self.embedding(inputs)), inputs != 0
        lengths = there.sum(dim=1).clamp_min(1)
        features: Tensor = self.pool(self.recurrent(steps, lengths), lengths)
        return features

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.head(self.dropout(self.features(inputs)))
        return logits


class Pool(nn.Module):
    """The outputs at a row's steps → one vector; padding counts for nothing.

    Args:
        pooling: how.
        width: numbers of a step.
        directions: the second half of a step's numbers is of the direction that ends at the first step.
    """

    def __init__(self, pooling: Pooling, width: int, directions: int = 1) -> None:
        super().__init__()
        self.pooling: Pooling = pooling
        self.directions = directions
        self.score = nn.Linear(width, 1) if pooling == "attention" else None

    def forward(self, steps: Tensor, lengths: Tensor) -> Tensor:
        """`(N, T, width)`, 0 behind a row's end, and `(N,)` → `(N, width)`."""
        if self.pooling == "last":
            own = (lengths - 1)[:, None, None].expand(-1, 1, steps.shape[2])
            last = steps.gather(1, own)[:, 0]
            half = steps.shape[2] // 2
            return last if self.directions == 1 else torch.cat((last[:, :half], steps[:, 0, half:]), dim=1)
        if self.pooling == "mean":
            return steps.sum(dim=1) / lengths[:, None].to(steps.dtype)
        there = torch.arange(steps.shape[1], device=steps.device) < lengths[:, None]
        if self.score is None:
            return steps.masked_fill(~there[..., None], -torch.inf).amax(dim=1)
        scores = self.score(steps)[..., 0].masked_fill(~there, -torch.inf)
        return torch.einsum("nt,ntw->nw", scores.softmax(dim=1).to(steps.dtype), steps)
