"""Texts: single tokens, and runs of them, replaced by "unknown"; so that a network can't lean on single words.

Nothing else is done: other words in a sentence may make another class of it, and nobody would be told.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import chance
from ..types import Decision, Value
from .strengths import read_strengths

_PADDING: Final = 0
_UNKNOWN: Final = 1
_RUN: Final = 3
_MOST_STEPS: Final = 2**20
_USUAL: Final = {"token-dropout": 0.2, "ngram-dropout": 0.05}
_MOST: Final = 0.9
_FEW_ROWS: Final = 100_000


class TextAugment(Value, tag="text", tag_field="augment", frozen=True):
    """What is done to a training batch of token ids.

    Attributes:
        token_dropout: share of tokens replaced by "unknown" (word dropout, Iyyer et al., ACL 2015).
        ngram_dropout: share of tokens at which a run of 3 tokens begins that is replaced as a whole.
    """

    token_dropout: float = 0.0
    ngram_dropout: float = 0.0

    def apply(
        self, inputs: Tensor, targets: Tensor, *, seed: int, epochs: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> tuple[Tensor, Tensor]:
        """Augmented inputs; the targets as they are.

        Args:
            inputs: `(N, T)` token ids; padding stays padding.
            targets: `(N, K)`.
            seed: of the training.
            epochs: `(N,)`, how often the row has been seen before.
            rows: `(N,)`, which rows of the data these are.
        """
        dropped = torch.zeros_like(inputs, dtype=torch.bool)
        if self.token_dropout:
            dropped |= _drawn(seed, "text token", epochs, rows, inputs) < self.token_dropout
        if self.ngram_dropout:
            begun = _drawn(seed, "text run", epochs, rows, inputs) < self.ngram_dropout
            for offset in range(min(_RUN, inputs.shape[1])):
                dropped[:, offset:] |= begun[:, : inputs.shape[1] - offset]
        return inputs.masked_fill(dropped & (inputs != _PADDING), _UNKNOWN), targets


def parse_text_augment(text: str) -> TextAugment:
    """What `--augment` says of texts: `none`, or names out of token-dropout, ngram-dropout, separated by commas.

    Args:
        text: each name may have a strength, `token-dropout=0.3`.

    Raises:
        RecipeError: an unknown name or an unreadable strength.
    """
    most = dict.fromkeys(_USUAL, _MOST)
    strengths = read_strengths(text, _USUAL, most=most, what=" for texts", example="token-dropout=0.2")
    return TextAugment(
        token_dropout=strengths.get("token-dropout", 0.0), ngram_dropout=strengths.get("ngram-dropout", 0.0)
    )


def choose_text_augment(rows: int, classes: int) -> tuple[TextAugment, Decision]:
    """What so many training rows call for, and why.

    Args:
        rows: of the training part.
        classes: their number.
    """
    share = 0.2 if classes == 2 else 0.1
    if rows > _FEW_ROWS:
        share /= 2
    reason = f"{rows:,} texts are {'few' if rows <= _FEW_ROWS else 'many'}: single words should not decide alone"
    value = f"token dropout {share:.0%}"
    return TextAugment(token_dropout=share), Decision(name="augmentation", value=value, reason=reason)


def _drawn(seed: int, purpose: str, epochs: NDArray[np.int64], rows: NDArray[np.int64], inputs: Tensor) -> Tensor:
    """A number in [0, 1) for each token, `(N, T)`: of row, epoch and place alone, however long the batch is."""
    steps = inputs.shape[1]
    drawn = np.empty((len(rows), steps), dtype=np.float32)
    places = rows[:, None] * _MOST_STEPS + np.arange(steps)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        drawn[here] = chance.uniform(seed, purpose, int(epoch), places[here].ravel(), 1).reshape(-1, steps)
    return torch.from_numpy(drawn).to(inputs.device)
