"""How parts of the test rows fare: by class, group, length, brightness, loudness, and by the table's columns.

Each part is tested against all other rows, one-sided; Holm's correction (1979) holds the chance that any part is called
worse by chance alone to 5 %, however many there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, stdtr

from ..judgement import Slice, Slices
from ..predicting.modelfile import Model
from ..rows.dataset import Dataset
from ..scoring.intervals import Groups, around, groups_among, mean_of, share_of
from ..scoring.paired import SIGNIFICANT
from ..tasks import Classify, Regress, Tag
from ..types import Metric
from .answers import Judged
from .attributes import Attribute, attributes_of
from .mistakes import badness_of

FEWEST_ROWS: Final = 10

_MOST_WORDS: Final = 50
_PARTS: Final = 4
_MOST_KEYS: Final = 5


def slices_of(dataset: Dataset, model: Model, judged: Judged) -> Slices:
    """How parts of these rows fare, the worst named."""
    scores, measure = _scores(model, judged)
    badness = badness_of(model, judged)
    cut = [
        (part, member)
        for attribute in attributes_of(dataset, judged)
        for part, member in _parts(attribute)
        if FEWEST_ROWS <= member.sum() <= len(member) - FEWEST_ROWS
    ]
    found = []
    for part, member in cut:
        worst = np.flatnonzero(member)[np.argsort(-badness[member], kind="stable")[:_MOST_KEYS]]
        keys = tuple(dataset.rows[judged.rows[row]].key for row in worst if badness[row] > 0)
        found.append(_judged(part, member, scores, judged.groups, keys=keys))
    adjusted = holm([each.p for each in found])
    slices = tuple(msgspec.structs.replace(each, p=p) for each, p in zip(found, adjusted, strict=True))
    bad = [place for place, each in enumerate(slices) if each.p < SIGNIFICANT and each.difference.value < 0]
    return Slices(
        measure=measure,
        overall=_score(scores, judged.groups),
        slices=slices,
        worst=tuple(sorted(bad, key=lambda place: slices[place].difference.value)),
    )


def holm(values: list[float]) -> list[float]:
    """Probabilities of several tests, corrected so that the least of them may be believed."""
    order = sorted(range(len(values)), key=values.__getitem__)
    adjusted, most = [0.0] * len(values), 0.0
    for rank, place in enumerate(order):
        most = max(most, min(1.0, (len(values) - rank) * values[place]))
        adjusted[place] = most
    return adjusted


def _scores(model: Model, judged: Judged) -> tuple[NDArray[np.float64], str]:
    """Of each row, the greater the better, and what that is."""
    task = model.header.task
    if isinstance(task, Classify):
        return (judged.answers.argmax(axis=1) == judged.labels).astype(np.float64), "accuracy"
    if isinstance(task, Tag):
        right = task.given(judged.answers) == (judged.labels > 0.5)
        return right.mean(axis=1).astype(np.float64), "share of labels right"
    assert isinstance(task, Regress), "there are three tasks"
    return -np.abs(judged.answers - judged.labels).mean(axis=1).astype(np.float64), "minus the absolute error"


def _parts(attribute: Attribute) -> Iterator[tuple[Slice, NDArray[np.bool_]]]:
    """The parts that an attribute makes, not yet judged, and which rows are in each."""
    nothing = Metric(value=0.0, low=0.0, high=0.0)
    column = attribute.name if attribute.by == "column" else ""
    title = f"{attribute.name} " if attribute.by != "class" else ""
    if attribute.numbers is None:
        words = np.array(attribute.words, dtype=object)
        for word, _ in Counter(attribute.words).most_common(_MOST_WORDS):
            name = f"{title}{word!r}" if attribute.by in ("column", "group") else word
            yield (
                Slice(by=attribute.by, name=name, rows=0, score=nothing, difference=nothing, p=1.0, column=column),
                (words == word),
            )
        return
    numbers, unit = attribute.numbers, f" {attribute.unit}" if attribute.unit else ""
    known = numbers[~np.isnan(numbers)]
    values = np.unique(known)
    if len(values) <= _PARTS:
        for value in values:
            name = f"{title}{value:.4g}{unit}"
            part = Slice(by=attribute.by, name=name, rows=0, score=nothing, difference=nothing, p=1.0, column=column)
            yield part, numbers == value
        return
    edges = np.unique(np.quantile(known, np.linspace(0, 1, _PARTS + 1))) if len(known) else known
    for place, (low, high) in enumerate(pairwise(edges)):
        last = place == len(edges) - 2
        member = (numbers >= low) & ((numbers <= high) if last else (numbers < high))
        yield (
            Slice(
                by=attribute.by,
                name=f"{title}{low:.4g} to {high:.4g}{unit}",
                rows=0,
                score=nothing,
                difference=nothing,
                p=1.0,
                low=float(low),
                high=float(high),
                unit=attribute.unit,
                column=column,
            ),
            member,
        )


def _judged(
    part: Slice,
    member: NDArray[np.bool_],
    scores: NDArray[np.float64],
    groups: Groups | None,
    *,
    keys: tuple[str, ...],
) -> Slice:
    inside, outside = float(scores[member].mean()), float(scores[~member].mean())
    rows, own = len(scores), int(member.sum())
    influence = np.where(member, (scores - inside) * rows / own, -(scores - outside) * rows / (rows - own))
    difference = around(inside - outside, influence, groups)
    if groups is None and np.isin(scores, (0.0, 1.0)).all():
        p = fewer_by_chance(int(scores[member].sum()), own, int(scores.sum()), rows)
    else:
        units = rows if groups is None else int(groups.max()) + 1
        half = difference.high - difference.value
        p = float(stdtr(max(1, units - 1), 1.96 * difference.value / half)) if half > 0 else 1.0
    return msgspec.structs.replace(
        part,
        rows=own,
        score=_score(scores[member], groups_among(groups, member)),
        difference=difference,
        p=p,
        keys=keys,
    )


def _score(scores: NDArray[np.float64], groups: Groups | None) -> Metric:
    if np.isin(scores, (0.0, 1.0)).all():
        return share_of(scores > 0.5, groups)
    return mean_of(scores, groups)


def fewer_by_chance(hits: int, drawn: int, all_hits: int, rows: int) -> float:
    """The probability of at most so many hits among rows drawn from all, without replacement (Fisher's exact test)."""
    counts = np.arange(max(0, drawn - (rows - all_hits)), min(hits, all_hits, drawn) + 1)
    if not len(counts):
        return 0.0

    def ways(of: int, chosen: NDArray[np.int64] | int) -> NDArray[np.float64]:
        many: NDArray[np.float64] = gammaln(of + 1) - gammaln(chosen + 1) - gammaln(of - np.asarray(chosen) + 1)
        return many

    logs = ways(all_hits, counts) + ways(rows - all_hits, drawn - counts) - ways(rows, drawn)
    return float(min(1.0, np.exp(logs).sum()))
