"""Convolutions over the words of a text, the strongest answer of each filter wherever it stands, one dense layer.

    ids ─ embedding ─ convolutions of several widths ─ ReLU ─ maximum over the text ─ dense

After Y. Kim, "Convolutional neural networks for sentence classification" (EMNLP 2014), without word vectors from
elsewhere. A filter may reach over both ends of a text, where it sees zeros: so a text shorter than the widest filter
is an ordinary one, and a filter can tell that a text begins or ends. What stands after the end counts for nothing.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from ..space import Dimension
from ..types import Value

_EMBEDDING_DEVIATION = 0.1


SPACE: Final = (
    Dimension(name="embedding", usual=128, low=32, high=256, log=True, whole=True),
    Dimension(name="filters", usual=128, low=32, high=256, log=True, whole=True),
    Dimension(name="dropout", usual=0.5, low=0.1, high=0.7),
    Dimension(name="embedding_dropout", usual=0.0, low=0.0, high=0.4),
)
"""What a search may vary of it."""


class TextCnn(Value, tag="textcnn", tag_field="model", frozen=True):
    """Spec of the network.

    Attributes:
        embedding: numbers that stand for a token.
        widths: tokens that a filter sees.
        filters: of each width.
        dropout: share of features dropped before the dense layer, in training.
        embedding_dropout: share of the embedding's numbers dropped, in training.
    """

    embedding: int = 128
    widths: tuple[int, ...] = (1, 2, 3, 4)
    filters: int = 128
    dropout: float = 0.5
    embedding_dropout: float = 0.0

    def products(self, input_shape: tuple[int, ...]) -> int:
        """Multiplications in one forward pass of a text of `(T, V)`; a training step takes about thrice as many."""
        return input_shape[0] * self.embedding * self.filters * sum(self.widths)

    def build(self, input_shape: tuple[int, ...], num_outputs: int) -> TextNetwork:
        """`(N, T)` token ids → `(N, num_outputs)` logits."""
        return TextNetwork(self, input_shape[1], num_outputs)


class TextNetwork(nn.Module):
    """The network that `TextCnn` describes."""

    def __init__(self, spec: TextCnn, num_tokens: int, num_outputs: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, spec.embedding, padding_idx=0)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(spec.embedding, spec.filters, width, padding=width - 1) for width in spec.widths
        )
        self.embedding_dropout = nn.Dropout(spec.embedding_dropout)
        self.dropout = nn.Dropout(spec.dropout)
        self.head = nn.Linear(spec.filters * len(spec.widths), num_outputs)
        start_embedding(self.embedding)

    def features(self, ids: Tensor) -> Tensor:
        """`(N, T)` → `(N, filters · widths)`, what the dense layer sees."""
        words = self.embedding_dropout(self.embedding(ids)).mT
        there = (ids != 0).to(words.dtype)[:, None]
        return torch.cat([_strongest(convolution(words), there) for convolution in self.convolutions], dim=1)

    def forward(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.head(self.dropout(self.features(ids)))
        return logits


@torch.no_grad()
def start_embedding(embedding: nn.Embedding) -> None:
    """Small random numbers; zeros for padding."""
    nn.init.normal_(embedding.weight, std=_EMBEDDING_DEVIATION)
    embedding.weight[0] = 0.0


def _strongest(answers: Tensor, there: Tensor) -> Tensor:
    """Maximum over the places where a filter sees any token.

    Args:
        answers: `(N, F, T + width − 1)`; the last `T` places are those at which the filter begins on a token.
        there: `(N, 1, T)`, 1 where a token is.
    """
    before = answers.shape[2] - there.shape[2]
    seen = nn.functional.pad(there, (before, 0), value=1.0)
    return (nn.functional.relu(answers) * seen).amax(dim=2)
