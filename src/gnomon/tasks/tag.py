"""Any number of labels out of several, each yes or no for itself."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..types import Value
from .classify import Temperature, Views


class Tags(Value, frozen=True):
    """What the model says of one row.

    Attributes:
        labels: those whose probability reaches their threshold, the most probable first.
        top: the most probable labels with their probabilities, best first.
    """

    labels: tuple[str, ...]
    top: tuple[tuple[str, float], ...]

    def told(self) -> str:
        """For people: `drums, voice (drums 97.1%, voice 80.2%, piano 11.0%)`."""
        shares = ", ".join(f"{label} {share:.1%}" for label, share in self.top)
        return f"{', '.join(self.labels) or 'none'} ({shares})"

    def cells(self) -> list[str]:
        """For a table, in the order of the task's `columns`."""
        return [";".join(self.labels), *(cell for label, share in self.top for cell in (label, f"{share:.6f}"))]


class Tag(Value, tag="tag", tag_field="task", frozen=True):
    """Tagging, bound to the labels of the data.

    Attributes:
        classes: the labels, in the order of the model's outputs.
        thresholds: from which probability on each label is given; empty for 0.5.
        label_smoothing: share of each target that is moved towards one half.
        temperature: by which outputs are divided before they become probabilities, so that these mean what they say.
    """

    classes: tuple[str, ...]
    thresholds: tuple[float, ...] = ()
    label_smoothing: float = 0.0
    temperature: Temperature = 1.0

    @property
    def num_outputs(self) -> int:
        return len(self.classes)

    @property
    def score_name(self) -> str:
        """F1 over all labels of all rows together, at a threshold of one half."""
        return "micro F1"

    @property
    def views(self) -> Views:
        """Labels are predicted from the row as it is."""
        return "none"

    def targets(self, labels: Tensor) -> Tensor:
        """`(N, K)` zeros and ones, as they are."""
        return labels.float()

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """`(N,)`: −Σₖ tₖ log sₖ + (1 − tₖ) log (1 − sₖ), s the sigmoid of the outputs, t smoothed: (1 − ε) t + ε/2."""
        smoothed = targets * (1 - self.label_smoothing) + self.label_smoothing / 2
        wide = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
        return nn.functional.binary_cross_entropy_with_logits(wide, smoothed, reduction="none").sum(1)

    def activated(self, outputs: Tensor) -> Tensor:
        """`(N, K)` logits → the probability of each label."""
        return (outputs if self.temperature == 1 else outputs / self.temperature).sigmoid()

    def judged(self, outputs: Tensor, labels: Tensor) -> tuple[float, float]:
        """Binary cross-entropy (nats a row, unsmoothed), and micro F1."""
        loss = nn.functional.binary_cross_entropy_with_logits(outputs, labels.float(), reduction="none").sum(1).mean()
        given, true = outputs > 0, labels > 0.5
        both, either = int((given & true).sum()), int(given.sum()) + int(true.sum())
        return float(loss), 2 * both / either if either else 1.0

    def standard_error(self, score: float, rows: int) -> float:
        """As if F1 were a share of the rows, which errs on the large side."""
        return math.sqrt(max(0.0, score * (1 - score)) / rows)

    def columns(self, top: int) -> list[str]:
        """`labels`, `label`, `confidence`, `label2`, `confidence2`, …"""
        ranks = range(1, top + 1)
        pairs = [f"{name}{'' if rank == 1 else rank}" for rank in ranks for name in ("label", "confidence")]
        return ["labels", *pairs]

    def given(self, probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
        """`(N, K)` probabilities → which labels are given."""
        thresholds = np.array(self.thresholds or (0.5,) * self.num_outputs, np.float32)
        given: NDArray[np.bool_] = probabilities >= thresholds
        return given

    def answers(self, probabilities: NDArray[np.float32], *, top: int = 1) -> list[Tags]:
        """`(N, K)` probabilities → one answer a row."""
        most = min(max(top, 1), self.num_outputs)
        order = np.argsort(-probabilities, axis=1, kind="stable")
        given = self.given(probabilities)
        return [
            Tags(
                labels=tuple(self.classes[place] for place in best if chosen[place]),
                top=tuple((self.classes[place], float(row[place])) for place in best[:most]),
            )
            for row, best, chosen in zip(probabilities, order, given, strict=True)
        ]


def best_thresholds(
    probabilities: NDArray[np.float32], labels: NDArray[np.float32], *, fewest: int = 10
) -> list[float]:
    """For each label the threshold of greatest F1; one for all labels where a label has too few rows of its own.

    Args:
        probabilities: `(N, K)` of rows that were not trained on.
        labels: `(N, K)`, zeros and ones.
        fewest: rows with a label, and rows without it, from which on it has its own threshold.
    """
    common = _best_threshold(probabilities.ravel(), labels.ravel())
    counts = labels.sum(axis=0)
    own = (counts >= fewest) & (len(labels) - counts >= fewest)
    return [
        _best_threshold(probabilities[:, place], labels[:, place]) if own[place] else common
        for place in range(labels.shape[1])
    ]


def _best_threshold(probabilities: NDArray[np.float32], labels: NDArray[np.float32]) -> float:
    """Half-way between the last probability that is to be given and the next."""
    order = np.argsort(-probabilities, kind="stable")
    sorted_probabilities, hits = probabilities[order], np.cumsum(labels[order])
    if not hits[-1]:
        return 0.5
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + hits[-1])
    ends = np.append(np.diff(sorted_probabilities) != 0, True)
    best = int(np.argmax(np.where(ends, f1, -1.0)))
    below = sorted_probabilities[best + 1] if best + 1 < len(hits) else 0.0
    return float(sorted_probabilities[best] + below) / 2
