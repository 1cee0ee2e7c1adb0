"""Rows whose label is likely wrong.

How likely, follows from the probability of a row's own label. If a share ε of all labels was changed to any other of
the K classes by chance, a model that is right about its own probabilities gives the written label y of a row x
p = (1 − ε) q + ε (1 − q) / (K − 1), where q is the probability that y is the true class; so the label is wrong with
probability ε (1 − q) / ((K − 1) p) (after Natarajan et al. 2013). ε is the mean of these, found by repetition. Every ε
up to (K − 1) times the least p would fit, so that where classes are hard to tell apart it is drawn towards 3.4 %, the
mean of ten well-known test sets (Northcutt, Athalye and Mueller 2021); measured, it is mostly on the low side.

That needs models that did not learn from the row. The network itself judges the rows of validation and test. Rows of
the training part are put in order by the mean of the network's probability, which saw their labels many times but was
mostly not persuaded by wrong ones, and that of linear models on the network's features, each fitted without the rows
that it judges; a row is then as doubtful as the row of the same rank among those that were not trained on.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from .. import chance
from ..judgement import Suspect, Suspects
from ..predicting.modelfile import Model
from ..previews import preview
from ..rows.baseline import MOST_ROWS, fit_linear
from ..rows.dataset import Dataset
from ..tasks import Classify
from ..types import Split, plural
from .answers import Judged

MOST_LISTED: Final = 5000
MOST_SHOWN: Final = 24
FEWEST_ROWS: Final = 50
"""Rows that were not trained on, below which nothing is concluded."""

LEAST_PRECISION: Final = 0.4
"""Share of the suspects that are thought wrong."""

_GENEROUS: Final = 4 / 3
"""Suspects for each label that is thought wrong: looking at one more costs a person a moment."""
_FOLDS: Final = 4
_FEWEST_TRAINED, _TRIAL_ROWS = 512, 64
_SHARE_OF_LINEAR: Final = 0.6
_USUAL_SHARE, _USUAL_WEIGHT = 0.034, 0.1
_START, _ROUNDS, _CLOSE = 0.05, 200, 1e-7
_LEAST_TRUE, _LEAST_GIVEN = 1e-4, 1e-6

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Doubted:
    """Rows of one part with the probabilities `(N, K)` of their classes, and how doubtful each label is, `(N,)`."""

    part: Split
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    probabilities: Array
    doubt: Array


def suspects_of(
    dataset: Dataset, model: Model, judged: dict[Split, Judged], *, seed: int, seconds: float | None = None
) -> Suspects:
    """The rows of all parts whose label is most likely wrong.

    Args:
        dataset, model: as the run has them.
        judged: validation and test.
        seed: of folds, and of the choice of training rows where time is short.
        seconds: that the training part may take; None for as long as it takes.
    """
    if not isinstance(model.header.task, Classify):
        return Suspects(judged={}, found=0, expected_wrong=0.0, rows=(), skipped="labels are judged of classes alone")
    rows = sum(map(len, judged.values()))
    if rows < FEWEST_ROWS:
        why = f"{plural(rows, 'row')} to judge by are too few; at least {FEWEST_ROWS} are needed"
        return Suspects(judged={}, found=0, expected_wrong=0.0, rows=(), skipped=why)
    wrong, doubted = _outside(judged)
    known = np.sort(np.concatenate([each.doubt for each in doubted]))
    trained, skipped = _inside(dataset, model, known, seed=seed, seconds=seconds)
    doubted += [trained] if len(trained.rows) else []
    chosen = [(each, place) for each in doubted for place in _most_doubtful(each, wrong)]
    chosen.sort(key=lambda one: -one[0].doubt[one[1]])
    return Suspects(
        judged={str(each.part): len(each.rows) for each in doubted},
        found=len(chosen),
        expected_wrong=wrong,
        rows=tuple(
            _suspect(dataset, model, each, place, shown=rank < MOST_SHOWN)
            for rank, (each, place) in enumerate(chosen[:MOST_LISTED])
        ),
        skipped=skipped,
    )


def share_of_wrong(given: Array, num_classes: int) -> tuple[float, Array]:
    """The share of labels that are wrong, and for each the probability that it is.

    Args:
        given: `(N,)`, the probability of each row's own label.
        num_classes: K.
    """
    given = np.maximum(given, _LEAST_GIVEN)
    share, doubt = _START, np.zeros(len(given))
    for _ in range(_ROUNDS):
        other = share / (num_classes - 1)
        true = np.clip((given - other) / (1 - share - other), _LEAST_TRUE, 1.0)
        doubt = other * (1 - true) / (other * (1 - true) + (1 - share) * true)
        before, share = share, (float(doubt.mean()) + _USUAL_WEIGHT * _USUAL_SHARE) / (1 + _USUAL_WEIGHT)
        share = min(share, (num_classes - 1) / num_classes / 2)
        if abs(share - before) < _CLOSE:
            break
    return float(doubt.mean()), doubt


def _outside(judged: dict[Split, Judged]) -> tuple[float, list[_Doubted]]:
    """Of the rows that were not trained on: the share of wrong labels, and each part."""
    labels = np.concatenate([each.labels for each in judged.values()])
    probabilities = np.concatenate([each.answers for each in judged.values()]).astype(np.float64)
    wrong, doubt = share_of_wrong(probabilities[np.arange(len(labels)), labels], probabilities.shape[1])
    parts, start = [], 0
    for part, each in judged.items():
        place = slice(start, start + len(each))
        parts.append(_Doubted(part, each.rows, each.labels, probabilities[place], doubt[place]))
        start += len(each)
    return wrong, parts


def _inside(dataset: Dataset, model: Model, known: Array, *, seed: int, seconds: float | None) -> tuple[_Doubted, str]:
    """Of the training rows, or of as many as there is time for; doubt is that of the same rank among the known."""
    every = dataset.parts["train"]
    rows, skipped = _affordable(dataset, model, every, seed=seed, seconds=seconds)
    if not len(rows):
        empty = np.empty((0, len(model.classes)))
        return _Doubted("train", rows, rows, empty, np.empty(0)), skipped
    found = [model.passed(block) for _, block in dataset.encoded.blocks(rows)]
    features, outputs = (np.concatenate([getattr(each, part) for each in found]) for part in ("features", "single"))
    labels = dataset.labels[rows]
    probabilities = model.answers_of_outputs(outputs).astype(np.float64)
    if features.shape[1] != outputs.shape[1]:
        probabilities = (probabilities + _crossed(features, labels, len(model.classes), seed=seed)) / 2
    given = probabilities[np.arange(len(rows)), labels]
    ranks = np.empty(len(rows))
    ranks[np.argsort(-given, kind="stable")] = (np.arange(len(rows)) + 0.5) / len(rows)
    return _Doubted("train", rows, labels, probabilities, np.quantile(known, ranks)), skipped


def _affordable(
    dataset: Dataset, model: Model, rows: NDArray[np.int64], *, seed: int, seconds: float | None
) -> tuple[NDArray[np.int64], str]:
    """The rows that can be judged in time, ascending, and what that leaves out."""
    if seconds is None:
        return rows, ""
    count = 0
    if seconds > 0:
        order = rows[chance.permutation(seed, "suspects", 0, len(rows))]
        began = time.monotonic()
        for _, block in dataset.encoded.blocks(np.sort(order[:_TRIAL_ROWS])):
            model.passed(block)
        taken = time.monotonic() - began
        count = int(_TRIAL_ROWS * _SHARE_OF_LINEAR * (seconds - taken) / max(taken, 1e-6))
    if count >= len(rows):
        return rows, ""
    chosen = np.sort(order[:count]) if count >= _FEWEST_TRAINED else rows[:0]
    return chosen, f"time was short: {len(chosen):,} of {len(rows):,} training rows were judged"


def _crossed(features: NDArray[np.float32], labels: NDArray[np.int64], classes: int, *, seed: int) -> Array:
    """Probabilities `(N, K)` by linear models, each fitted to at most 6,000 rows outside of the fold that it judges."""
    fold = chance.permutation(seed, "folds", 0, len(labels)) % _FOLDS
    wide = torch.from_numpy(features)
    probabilities = np.empty((len(labels), classes))
    for number in range(_FOLDS):
        others = np.flatnonzero(fold != number)
        others = others[chance.permutation(seed, "fold", number, len(others))[:MOST_ROWS]]
        linear = fit_linear(wide[others], labels[others], classes)
        own = fold == number
        outputs = torch.from_numpy(linear.outputs(wide[own])).double()
        probabilities[own] = outputs.softmax(1).numpy()
    return probabilities


def _most_doubtful(doubted: _Doubted, wrong: float) -> list[int]:
    """Places of the rows to look at: a third more than are thought wrong, as long as enough of them will be."""
    order = np.argsort(-doubted.doubt, kind="stable")[: round(_GENEROUS * wrong * len(doubted.rows))]
    enough = np.cumsum(doubted.doubt[order]) >= LEAST_PRECISION * np.arange(1, len(order) + 1)
    return [int(place) for place in order[: int(enough.sum())]]


def _suspect(dataset: Dataset, model: Model, doubted: _Doubted, place: int, *, shown: bool) -> Suspect:
    row, probabilities = int(doubted.rows[place]), doubted.probabilities[place]
    suggested = int(np.where(np.arange(len(probabilities)) == doubted.labels[place], -1.0, probabilities).argmax())
    seen = preview(dataset.encoder, dataset.encoded.take(np.array([row]))[0]) if shown else None
    return Suspect(
        key=dataset.rows[row].key,
        part=doubted.part,
        label=dataset.rows[row].label,
        suggested=model.classes[suggested],
        given_probability=float(probabilities[doubted.labels[place]]),
        suggested_probability=float(probabilities[suggested]),
        doubt=float(doubted.doubt[place]),
        thumbnail=seen.png if seen else "",
        text=seen.text if seen else "",
    )
