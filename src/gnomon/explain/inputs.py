"""A row as something that gradients can be taken of.

Gradients need real numbers. Pictures, recordings and series are such once they are scaled; of them the channel that
tells steps from padding stays out. A text is a row of token ids: its real numbers are what each embedding looks up for
it, the wide part's weights of word groups included, since that part is an embedding too. They are taken from the
network as it runs, and put back into it by hooks, so that any network with embeddings can be explained.

"Nothing" in a place is the mean of the training data in pictures, recordings and series, in texts the unknown token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..encoders import TextEncoder, kind_of, padded_length
from ..encoders.text import UNKNOWN
from ..predicting.modelfile import Model
from ..tasks import Classify, Regress
from ..tasks.classify import averaged_over_views
from ..types import Kind

Forward: TypeAlias = Callable[..., Tensor]
"""Parts of rows, each `(N, …)` → outputs `(N, K)`."""
Read: TypeAlias = Callable[[Tensor], Tensor]

_LARGEST_PASS: Final = 2**22
"""Numbers of the rows that go through the network at once."""
_FEWEST_ROWS, _MOST_ROWS = 4, 128


@dataclass(frozen=True, slots=True)
class Subject:
    """One row, ready to be explained.

    Attributes:
        model: that answers.
        encoded: the row as the encoder stores it.
        whole: `(1, …)`, the row as the network takes it; ids of a text.
        nothing: `(1, …)`, the same where everything is taken away.
        parts: real numbers, each `(1, …)`, of which the output is a function; empty for a text without embeddings.
        without: the same for a row with nothing in it.
        forward: the function of these parts.
        outputs: the network's outputs `(N, K)` for rows as it takes them, views included.
        alone: the same without views.
        views: of this row.
        owners: of each part of a text the shares `(P, T)` of its places that belong to each token; else empty.
        length: steps that are no padding; 0 for pictures.
    """

    model: Model
    encoded: NDArray[Any]
    whole: Tensor
    nothing: Tensor
    parts: tuple[Tensor, ...]
    without: tuple[Tensor, ...]
    forward: Forward
    outputs: Read
    alone: Read
    views: str
    owners: tuple[Tensor, ...]
    length: int

    @property
    def kind(self) -> Kind:
        """What the row is."""
        return kind_of(self.model.header.encoder)

    @property
    def rows_at_once(self) -> int:
        """That go through the network together."""
        return int(min(_MOST_ROWS, max(_FEWEST_ROWS, _LARGEST_PASS // max(1, 64 * self.whole.numel()))))

    def score(self, outputs: Tensor, output: int) -> Tensor:
        """What is explained, `(N, K)` → `(N,)`.

        Of a class its logit above the mean of the others', which no constant added to all logits moves, and of which a
        linear model is a plain sum; of a label its logit; of a value the value in its unit.
        """
        task = self.model.header.task
        if isinstance(task, Classify):
            share = outputs.shape[1] / (outputs.shape[1] - 1)
            return (outputs[:, output] - outputs.mean(dim=1)) * share
        if isinstance(task, Regress):
            return outputs[:, output] * task.scale[output] + task.mean[output]
        return outputs[:, output]

    def probability(self, outputs: Tensor, output: int) -> Tensor:
        """`(N, K)` → `(N,)`: of a class or label; of a value the value itself."""
        return self.model.header.task.activated(outputs)[:, output]

    @torch.no_grad()
    def answered(self) -> Tensor:
        """Outputs of the row as it is, `(K,)`."""
        return self.outputs(self.whole)[0]


def subject_of(model: Model, encoded: NDArray[Any]) -> Subject:
    """One encoded row, of the encoder's shape, for this model."""
    encoder = model.header.encoder
    counted = encoder.lengths(encoded[None])
    length = 0 if counted is None else max(1, int(counted[0]))
    stored = encoded[None] if counted is None else encoded[None, : padded_length(length, len(encoded))]
    whole = inputs_of(model, stored)
    views = _views(model, whole)

    def alone(rows: Tensor) -> Tensor:
        answers: Tensor = model.network(rows)
        return answers if answers.dtype == torch.float64 else answers.float()

    def outputs(rows: Tensor) -> Tensor:
        return averaged_over_views(model.network, rows, alone(rows), views)  # type: ignore[arg-type]

    shared = (model, encoded, whole)
    if isinstance(encoder, TextEncoder):
        nothing = torch.where(whole != 0, UNKNOWN, 0)
        looked_up = _lookups(model.network, whole)
        owners = tuple(_owners(module, whole, part) for module, part in looked_up)
        parts = tuple(part for _, part in looked_up)
        without = tuple(part for _, part in _lookups(model.network, nothing))
        if not all(len(owner) for owner in owners):  # an embedding of something else than tokens
            parts = without = owners = ()
        forward = _forward_of_texts(model.network, whole)
        return Subject(*shared, nothing, parts, without, forward, outputs, alone, views, owners, length)
    if length:
        there = whole[..., -1:]

        def of_steps(steps: Tensor) -> Tensor:
            return outputs(torch.cat((steps, there.expand(len(steps), -1, -1)), dim=2))

        steps = whole[..., :-1].contiguous()
        nothing = torch.cat((torch.zeros_like(steps), there), dim=2)
        return Subject(
            *shared, nothing, (steps,), (torch.zeros_like(steps),), of_steps, outputs, alone, views, (), length
        )
    nothing = torch.zeros_like(whole)
    return Subject(*shared, nothing, (whole,), (nothing,), outputs, outputs, alone, views, (), 0)


def inputs_of(model: Model, stored: NDArray[Any]) -> Tensor:
    """Rows as stored → as the network takes them, where it is and in its format."""
    device, dtype = _where(model.network)
    inputs = model.header.encoder.inputs(torch.from_numpy(np.array(stored)).to(device))
    return inputs.to(dtype) if inputs.is_floating_point() else inputs


@contextmanager
def differentiable() -> Iterator[None]:
    """Gradients are taken, also where the caller has switched them off, and through recurrent layers on a GPU.

    cuDNN's recurrent layers can't be gone through backward in evaluation mode; PyTorch's own can.
    """
    with torch.inference_mode(False), torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        yield


def _where(network: nn.Module) -> tuple[torch.device, torch.dtype]:
    floats = (tensor for tensor in network.parameters() if tensor.is_floating_point())
    first = next(floats, torch.zeros(()))
    return first.device, first.dtype


@torch.no_grad()
def _views(model: Model, whole: Tensor) -> str:
    """Those that a prediction of this row averages."""
    task = model.header.task
    if not isinstance(task, Classify) or task.views == "none":
        return "none"
    unsure = float(model.network(whole).softmax(1).amax()) <= task.sure
    return task.views if unsure else "none"


# --- Texts -----------------------------------------------------------------------------------------------------------


@torch.no_grad()
def _lookups(network: nn.Module, ids: Tensor) -> list[tuple[nn.Module, Tensor]]:
    """What each embedding gives for these ids, in the order in which they are asked."""
    found: list[tuple[nn.Module, Tensor]] = []

    def note(module: nn.Module, _inputs: object, output: Tensor) -> None:
        found.append((module, output.detach().clone()))

    handles = [module.register_forward_hook(note) for module in network.modules() if isinstance(module, nn.Embedding)]
    try:
        network(ids)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _forward_of_texts(network: nn.Module, ids: Tensor) -> Forward:
    """The network as a function of what its embeddings give."""

    def forward(*parts: Tensor) -> Tensor:
        left = list(parts)

        def put(_module: nn.Module, _inputs: object, _output: Tensor) -> Tensor:
            return left.pop(0)

        embeddings = [module for module in network.modules() if isinstance(module, nn.Embedding)]
        handles = [module.register_forward_hook(put) for module in embeddings]
        try:
            answers: Tensor = network(ids.expand(len(parts[0]), -1))
        finally:
            for handle in handles:
                handle.remove()
        return answers if answers.dtype == torch.float64 else answers.float()

    return forward


def _owners(module: nn.Module, ids: Tensor, part: Tensor) -> Tensor:
    """Shares `(P, T)` of an embedding's P places that belong to each token; a group belongs to its tokens alike.

    Empty where its places are not known to stand for tokens.
    """
    steps = ids.shape[1]
    if part.ndim == 3 and part.shape[1] == steps:
        return torch.eye(steps, dtype=part.dtype, device=part.device)
    return _groups(ids, part) if isinstance(module, nn.Embedding) and part.ndim == 3 else part.new_zeros(0, steps)


def _groups(ids: Tensor, part: Tensor) -> Tensor:
    """Of word groups as `WideNetwork.groups` lays them out: single tokens, then pairs from one before the first, …, and
    the length, which is that of all tokens.
    """
    rows: list[Tensor] = []
    steps, tokens, left = ids.shape[1], 1, part.shape[1]
    there = (ids[0] != 0).to(part.dtype)
    while left > 1:
        first = torch.arange(steps if tokens == 1 else steps + 3 - tokens, device=ids.device) - int(tokens > 1)
        places = torch.arange(steps, device=ids.device)
        covered = (places >= first[:, None]) & (places < first[:, None] + tokens)
        rows.append(covered.to(part.dtype) * there)
        left -= len(first)
        tokens += 1
    rows += [there[None]] * left
    owners = torch.cat(rows)
    if len(owners) != part.shape[1]:
        return part.new_zeros(0, steps)
    return owners / owners.sum(dim=1, keepdim=True).clamp_min(1)
