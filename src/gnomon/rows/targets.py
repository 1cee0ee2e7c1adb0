"""What is to be learnt of each row, as numbers: a class index, a mark for each label, or a value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..sources.questions import labels_of
from ..types import Question, Row, Split

_BINS, _ROWS_A_BIN = 10, 10
_TARGET: Final = "value"


@dataclass(frozen=True, slots=True)
class Targets:
    """The targets of all rows, as the training part knows them.

    Attributes:
        classes: the classes, labels, or names of the values, in the order of a model's outputs.
        labels: `(N,)` int64 class index, −1 for rows of no part; `(N, K)` float32 marks; or `(N, 1)` float64 values.
        counts: for each part, rows of each class or with each label; of values the number of rows.
        mean, scale: of each value over the training part; empty for classes and labels.
    """

    classes: tuple[str, ...]
    labels: NDArray[Any]
    counts: dict[Split, tuple[int, ...]]
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()


def read_targets(rows: Sequence[Row], parts: Mapping[Split, NDArray[np.int64]], question: Question) -> Targets:
    """The targets of these rows; classes, labels, mean and scale are those of the training part.

    Args:
        rows: of the source; those in a part answer the question.
        parts: indices of the rows of each.
        question: what is asked.
    """
    if question == "regress":
        return _values(rows, parts)
    if question == "tag":
        return _marks(rows, parts)
    classes = sorted({rows[row].label for row in parts["train"]}, key=_natural)
    position = {name: index for index, name in enumerate(classes)}
    labels = np.full(len(rows), -1, dtype=np.int64)
    for indices in parts.values():
        labels[indices] = [position[rows[row].label] for row in indices]
    counts = {
        part: tuple(np.bincount(labels[chosen], minlength=len(classes)).tolist()) for part, chosen in parts.items()
    }
    return Targets(tuple(classes), labels, counts)


def with_strata(rows: Sequence[Row], question: Question) -> Sequence[Row]:
    """The rows with a label by which parts can be drawn in equal shares.

    Values fall into ten bins of equal size, fewer for few rows; several labels are stood for by the rarest of them.
    """
    if question == "classify":
        return rows
    if question == "tag":
        several = [labels_of(row.label) for row in rows]
        counts = Counter(label for labels in several for label in labels)
        rarest = [min(labels, key=lambda label: (counts[label], label), default="") for labels in several]
        return [replace(row, label=label) for row, label in zip(rows, rarest, strict=True)]
    values = np.array([float(row.label) for row in rows])
    bins = max(1, min(_BINS, len(rows) // _ROWS_A_BIN))
    edges = np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1])
    return [replace(row, label=str(place)) for row, place in zip(rows, np.searchsorted(edges, values), strict=True)]


def as_classes(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Classes by which rows differ, `(N,)`, for whoever needs some: quarters of the first value; of labels the one that
    divides the rows best."""
    if labels.ndim == 1:
        return labels.astype(np.int64)
    if labels.dtype == np.float32:
        middling = int(np.argmin(np.abs(labels.mean(axis=0) - 0.5)))
        return labels[:, middling].astype(np.int64)
    return np.searchsorted(np.quantile(labels[:, 0], (0.25, 0.5, 0.75)), labels[:, 0])


def _values(rows: Sequence[Row], parts: Mapping[Split, NDArray[np.int64]]) -> Targets:
    values = np.array([[float(row.label)] for row in rows])
    trained = values[parts["train"]]
    scale = trained.std(axis=0)
    return Targets(
        classes=(_TARGET,),
        labels=values,
        counts={part: (len(chosen),) for part, chosen in parts.items()},
        mean=tuple(trained.mean(axis=0).tolist()),
        scale=tuple(np.where(scale > 0, scale, 1.0).tolist()),
    )


def _marks(rows: Sequence[Row], parts: Mapping[Split, NDArray[np.int64]]) -> Targets:
    several = [labels_of(row.label) for row in rows]
    classes = sorted({label for row in parts["train"] for label in several[row]}, key=_natural)
    position = {name: index for index, name in enumerate(classes)}
    labels = np.zeros((len(rows), len(classes)), np.float32)
    for row, names in enumerate(several):
        labels[row, [position[name] for name in names if name in position]] = 1
    counts = {part: tuple(labels[chosen].sum(axis=0).astype(int).tolist()) for part, chosen in parts.items()}
    return Targets(tuple(classes), labels, counts)


def _natural(name: str) -> tuple[int, float, str]:
    """Numbers in the order of their value, before words in the order of their letters."""
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name
