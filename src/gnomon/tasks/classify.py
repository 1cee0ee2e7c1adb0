"""One class out of several: cross-entropy, class weights, label smoothing, and the answer from the outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..types import Value

Views: TypeAlias = Literal["none", "mirror", "four", "mirror+shift", "pitch"]
"""Which views of a row are averaged for a prediction: of pictures one, two, four, six; of recordings three."""

Temperature: TypeAlias = Annotated[float, msgspec.Meta(ge=1e-3, le=1e3)]
Softening: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e6)]

_LEAST_SQUARE: Final = 1e-12


class Answer(Value, frozen=True):
    """What the model says of one row.

    Attributes:
        label: the most probable class.
        confidence: its probability.
        top: the most probable classes with their probabilities, best first.
    """

    label: str
    confidence: float
    top: tuple[tuple[str, float], ...]

    def told(self) -> str:
        """For people: `cat 97.1%, dog 2.0%`."""
        return ", ".join(f"{label} {share:.1%}" for label, share in self.top)

    def cells(self) -> list[str]:
        """For a table, in the order of the task's `columns`."""
        return [cell for label, share in self.top for cell in (label, f"{share:.6f}")]


class Classify(Value, tag="classify", tag_field="task", frozen=True, omit_defaults=True):
    """Classification, bound to the classes of the data.

    Attributes:
        classes: in the order of the model's outputs.
        class_weights: weight of each class in the loss; empty for equal weights.
        label_smoothing: share of each target that is spread over all classes.
        views: views of a row that a prediction averages.
        sure: a row whose first view is given a class with more confidence than this has no others.
        temperature: by which outputs are divided before they become probabilities, so that these mean what they say.
        softening: by how much greater the temperature is of rows whose outputs lie far apart; see `temperatures`.
    """

    classes: tuple[str, ...]
    class_weights: tuple[float, ...] = ()
    label_smoothing: float = 0.0
    views: Views = "none"
    sure: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    temperature: Temperature = 1.0
    softening: Softening = 0.0

    @property
    def num_outputs(self) -> int:
        return len(self.classes)

    def losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """`(N,)` cross-entropy of each row in nats, weighted; their mean is the loss of the batch.

        −Σₖ wₖ tᵢₖ log softmax(zᵢ)ₖ · N / Σᵢ Σₖ wₖ tᵢₖ, where t is smoothed: (1 − ε) t + ε/K.

        Args:
            logits: `(N, K)`; shorter formats than float32 are widened to it.
            targets: `(N, K)`, each row a distribution over the classes.
        """
        logs = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(1)
        smoothed = targets * (1 - self.label_smoothing) + self.label_smoothing / self.num_outputs
        if self.class_weights:
            smoothed = smoothed * logits.new_tensor(self.class_weights, dtype=targets.dtype)
            smoothed = smoothed * (len(smoothed) / smoothed.sum())
        return -(smoothed * logs).sum(1)

    def targets(self, labels: Tensor) -> Tensor:
        """`(N,)` class indices → `(N, K)` float32 distributions."""
        return nn.functional.one_hot(labels, self.num_outputs).float()

    @property
    def score_name(self) -> str:
        """The share of the rows that are named rightly."""
        return "accuracy"

    def activated(self, outputs: Tensor) -> Tensor:
        """`(N, K)` logits → probabilities."""
        return (outputs if self.untempered else outputs / self.temperatures(outputs)).softmax(1)

    @property
    def untempered(self) -> bool:
        """Whether outputs become probabilities as they are."""
        return self.temperature == 1 and not self.softening

    def temperatures(self, outputs: Tensor) -> Tensor:
        """`(N, K)` logits → `(N, 1)`, the temperature of each row: t · (1 + s · spread).

        Its spread is the root mean square of its logits around their mean. One temperature for all rows can't be right
        where a network errs most where it is surest, as sums of many small weights do; with softening the order of
        each row's classes stays, as that of rows which differ in their spread alone.
        """
        centred = outputs - outputs.mean(1, keepdim=True)
        spread = (centred.square().mean(1, keepdim=True) + _LEAST_SQUARE).sqrt()
        return self.temperature * (1 + self.softening * spread)

    def judged(self, outputs: Tensor, labels: Tensor) -> tuple[float, float]:
        """Cross-entropy (nats, unsmoothed, unweighted) and accuracy."""
        loss = nn.functional.cross_entropy(outputs, labels)
        return float(loss), float((outputs.argmax(1) == labels).double().mean())

    def standard_error(self, score: float, rows: int) -> float:
        """Of a share of independent rows."""
        return math.sqrt(score * (1 - score) / rows)

    def columns(self, top: int) -> list[str]:
        """`label`, `confidence`, `label2`, `confidence2`, …"""
        ranks = range(1, top + 1)
        return [f"{name}{'' if rank == 1 else rank}" for rank in ranks for name in ("label", "confidence")]

    def answers(self, probabilities: NDArray[np.float32], *, top: int = 1) -> list[Answer]:
        """`(N, K)` probabilities → one answer a row. Of equal probabilities the first class counts."""
        most = min(max(top, 1), self.num_outputs)
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, :most]
        return [self._answer(row, best) for row, best in zip(probabilities, order, strict=True)]

    def _answer(self, row: NDArray[np.float32], best: Sequence[int] | NDArray[np.intp]) -> Answer:
        ranking = tuple((self.classes[index], float(row[index])) for index in best)
        return Answer(label=ranking[0][0], confidence=ranking[0][1], top=ranking)


@torch.inference_mode()
def outputs(model: nn.Module, inputs: Tensor) -> Tensor:
    """The model's outputs `(N, K)` in float32, for inputs as it takes them."""
    logits: Tensor = model(inputs).float()
    return logits


@torch.inference_mode()
def with_views(model: nn.Module, inputs: Tensor, logits: Tensor, views: Views) -> Tensor:
    """Outputs averaged over views, without gradients; see `averaged_over_views`."""
    return averaged_over_views(model, inputs, logits, views)


def averaged_over_views(model: nn.Module, inputs: Tensor, logits: Tensor, views: Views) -> Tensor:
    """Outputs averaged over views.

    They are the picture and its mirror image. Of `mirror+shift` also both shifted by one pixel up-left and down-right,
    where shifted views count half (arXiv 2404.00498, section 3.5). Of `four` the picture is shifted one way alone, its
    mirror image the other way, and all count alike: as good as six (RESULTS.md), at two thirds of the cost. Of `pitch`
    the recording is moved up and down by half a band, between its neighbours.

    Args:
        model: in evaluation mode.
        inputs: `(N, C, H, W)`, or of recordings `(N, T, bands + 1)`, normalised.
        logits: `(N, K)`, of the rows as they are.
        views: which to average.
    """

    def seen(rows: Tensor) -> Tensor:
        answer: Tensor = model(rows)
        return answer.to(logits.dtype)

    if views == "none":
        return logits
    if views == "pitch":
        bands, there = inputs[..., :-1], inputs[..., -1:]
        framed = torch.cat((bands[..., :1], bands, bands[..., -1:]), dim=2)
        between = (framed[..., 1:] + framed[..., :-1]) / 2
        higher, lower = (seen(torch.cat((part, there), dim=2)) for part in (between[..., :-1], between[..., 1:]))
        return (logits + higher + lower) / 3
    averaged = (logits + seen(inputs.flip(3))) / 2
    if views == "mirror":
        return averaged
    padded = nn.functional.pad(inputs, (1, 1, 1, 1), "replicate")
    height, width = inputs.shape[2:]
    first, second = padded[:, :, :height, :width], padded[:, :, 2:, 2:]
    if views == "four":
        return (averaged + (seen(first) + seen(second.flip(3))) / 2) / 2
    shifted = sum((seen(corner) + seen(corner.flip(3))) / 2 for corner in (first, second)) / 2
    return (averaged + shifted) / 2
