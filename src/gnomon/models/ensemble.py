"""Several networks that answer together: on few rows their mean errs less than any of them, and time is there for all.

In training each row of a batch goes to one of them, so that a step costs what a step of one costs; each sees other
rows in another order, and they differ (after Breiman's "Bagging predictors", 1996, and Lakshminarayanan et al., "deep
ensembles", 2017). Different kinds of networks differ more than different beginnings of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeAlias

import msgspec
import torch
from torch import Tensor, nn

from ..types import Value
from .crnn import Crnn
from .rnn import Rnn
from .textcnn import TextCnn

Member: TypeAlias = TextCnn | Rnn | Crnn


class Ensemble(Value, tag="ensemble", tag_field="model", frozen=True):
    """Spec of the networks.

    Attributes:
        members: different networks.
        times: how often each is there, with a beginning of its own.
    """

    members: Annotated[tuple[Member, ...], msgspec.Meta(min_length=1, max_length=16)]
    times: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1

    def products(self, input_shape: tuple[int, ...]) -> int:
        """Multiplications in one forward pass of a row in a prediction; in training a row has those of one member."""
        return self.times * sum(member.products(input_shape) for member in self.members)

    def build(self, input_shape: tuple[int, ...], num_outputs: int) -> EnsembleNetwork:
        """Rows as the members take them → `(N, num_outputs)`, the mean of the members' outputs."""
        return EnsembleNetwork(
            [member.build(input_shape, num_outputs) for _ in range(self.times) for member in self.members]
        )


class EnsembleNetwork(nn.Module):
    """The networks that `Ensemble` describes."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            return self._each_its_rows(inputs)
        return torch.stack([member(inputs) for member in self.members]).mean(dim=0)

    def _each_its_rows(self, inputs: Tensor) -> Tensor:
        """Outputs, `(N, K)`: row n is answered by member n modulo their number."""
        rows = torch.arange(len(inputs), device=inputs.device)
        members = len(self.members)
        chosen = [rows[number::members] for number in range(min(members, len(inputs)))]
        answers = [member(inputs[part]) for member, part in zip(self.members, chosen, strict=False)]
        return torch.cat(answers)[torch.cat(chosen).argsort()]
