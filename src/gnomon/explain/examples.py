"""Explanations of a handful of test rows, for the report: confident mistakes, and right answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import zip_longest
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from ..deadline import Deadline
from ..encoders import Encoder, SoundEncoder, TextEncoder
from ..errors import RunError
from ..evaluate.table import read_predictions
from ..predicting.modelfile import Model
from ..previews import preview
from ..rows.dataset import Dataset
from ..rundir.run import EXAMPLES, Run
from ..tasks import Classify, Regress, Tag
from ..types import counted
from .rows import explain_encoded
from .values import Example, Examples, Said

MOST_SECONDS: Final = 9.0
WRONG, RIGHT = 4, 4
_ASKED: Final = 256
_MOST_POINTS: Final = 64
"""Of integrated gradients: time is short here."""


class _OutOfTimeError(Exception):
    """What is being explained is not worth being late."""


def explain_examples(run: Run, dataset: Dataset, model: Model, deadline: Deadline) -> Examples:
    """Explain some test rows and write `explain/examples.json`.

    It takes at most nine seconds, and is broken off between two passes of the network where the deadline comes first: a
    recording may take ten times as long as the one before it. A note then says so.

    Args:
        run: where the file goes.
        dataset: as training had it.
        model: the run's final one.
        deadline: by which all must be done; where none is set, nine seconds are the only bound.
    """
    began = time.monotonic()
    room_s = min(MOST_SECONDS, deadline.total_s - deadline.elapsed_s()) if deadline.is_set else MOST_SECONDS
    chosen: list[int] = []
    if room_s > 0:
        wrong, right = chosen_rows(dataset, model, said_of_test(run, dataset, model))
        chosen = [row for pair in zip_longest(wrong, right) for row in pair if row is not None]
    examples: list[Example] = []
    with suppress(_OutOfTimeError), _stopped(model.network, began + room_s):
        for row in chosen:
            examples.append(_example(dataset, model, row))
    examples.sort(key=lambda example: example.right is True)
    note = None
    if len(examples) < len(chosen) or not chosen:
        note = Said(
            f"the time allowed the explanation of {counted(len(examples), dataset.spec.kind)}; "
            f"gnomon explain {run.path.name} explains any",
            f"时间只够解释{len(examples)}个样本；用 gnomon explain {run.path.name} 可解释任何样本",
        )
    made = Examples(kind=dataset.spec.kind, examples=tuple(examples), note=note)
    run.write_json(EXAMPLES, made)
    return made


@contextmanager
def _stopped(network: nn.Module, end_s: float) -> Iterator[None]:
    """No pass begins after this time on the monotonic clock."""

    def look(*_: object) -> None:
        if time.monotonic() > end_s:
            raise _OutOfTimeError

    handle = network.register_forward_pre_hook(look)
    try:
        yield
    finally:
        handle.remove()


def said_of_test(run: Run, dataset: Dataset, model: Model) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Test rows and the answers to them `(N, K)`: all of them as the run was judged, or else some, asked anew."""
    rows = dataset.parts["test"]
    try:
        known = read_predictions(run, "test")
    except RunError:  # not judged yet
        known = None
    if known is not None and known.keys == tuple(dataset.rows[row].key for row in rows):
        return rows, known.answers
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _ASKED)).astype(int))]
    return rows, np.concatenate([model.probabilities_of_encoded(part) for _, part in dataset.encoded.blocks(rows)])


def chosen_rows(
    dataset: Dataset,
    model: Model,
    said: tuple[NDArray[np.int64], NDArray[Any]],
    *,
    wrong: int = WRONG,
    right: int = RIGHT,
) -> tuple[list[int], list[int]]:
    """Rows worth looking at: the worst mistakes, one of each kind first; and sure right answers of different classes.

    Args:
        said: rows and answers, as of `said_of_test`.
        wrong, right: how many, at most.
    """
    rows, answers = said
    badness, groups = _badness(model, answers, dataset.labels[rows])
    worst = _varied(np.argsort(-badness, kind="stable")[: int((badness > 0).sum())], groups, wrong)
    confident = answers.max(axis=1) if not isinstance(model.header.task, Regress) else -badness
    best = [place for place in np.argsort(-confident, kind="stable") if badness[place] <= 0 or place not in worst]
    if not isinstance(model.header.task, Regress):
        best = [place for place in best if badness[place] <= 0]
    good = _varied(np.array(best, dtype=int), groups, right)
    return [int(rows[place]) for place in worst], [int(rows[place]) for place in good]


def _badness(model: Model, answers: NDArray[Any], labels: NDArray[Any]) -> tuple[NDArray[np.float64], list[Any]]:
    """How wrong each answer is, 0 for a right one; and what rows should differ in, to be shown beside one another."""
    task = model.header.task
    if isinstance(task, Classify):
        best = answers.argmax(axis=1)
        badness = np.where(best != labels, answers.max(axis=1), 0.0)
        return badness, [(int(said), int(true)) for said, true in zip(best, labels, strict=True)]
    if isinstance(task, Tag):
        off = np.abs(answers - labels).max(axis=1)
        right = (task.given(answers) == (labels > 0.5)).all(axis=1)
        return np.where(right, 0.0, off), [tuple(row) for row in (labels > 0.5).tolist()]
    off = np.abs(answers - labels).max(axis=1).astype(np.float64)
    return off, list(range(len(off)))


def _varied(order: NDArray[np.int64], groups: list[Any], most: int) -> list[int]:
    """The first of each group in this order, then the seconds, and so on."""
    seen: dict[Any, int] = {}
    turns = []
    for place in order:
        group = groups[int(place)]
        seen[group] = seen.get(group, 0) + 1
        turns.append(seen[group])
    ranked = sorted(range(len(order)), key=lambda index: (turns[index], index))
    return [int(order[index]) for index in ranked[:most]]


def _example(dataset: Dataset, model: Model, row: int) -> Example:
    encoded = dataset.encoded.take(np.array([row]))[0]
    answers = model.probabilities_of_encoded(encoded[None])
    encoder = model.header.encoder
    seen = preview(encoder, encoded)
    said, confidence, right = judged(model, answers, dataset.labels[row])
    return Example(
        key=dataset.rows[row].key,
        label=dataset.rows[row].label,
        predicted=said,
        confidence=confidence,
        right=right,
        explanations=explain_encoded(
            model,
            encoded,
            methods=() if isinstance(encoder, TextEncoder) else ("integrated-gradients",),
            most_points=_MOST_POINTS,
        ),
        picture=seen.png,
        text=seen.text,
        seconds=seconds_of(encoder, encoded),
    )


def judged(model: Model, answers: NDArray[np.float32], label: Any = None) -> tuple[str, float | None, bool | None]:
    """The answer in words, its confidence, and whether it is right, as `Example` has them; `answers` is `(1, K)`."""
    task = model.header.task
    if isinstance(task, Classify):
        best = int(answers[0].argmax())
        return model.classes[best], float(answers[0, best]), None if label is None else best == int(label)
    if isinstance(task, Tag):
        given = task.given(answers)[0]
        said = ";".join(name for name, yes in zip(model.classes, given, strict=True) if yes)
        right = None if label is None else bool((given == (label > 0.5)).all())
        return said, float(np.where(given, answers[0], 1 - answers[0]).min()), right
    return f"{answers[0, 0]:.4g}", None, None


def seconds_of(encoder: Encoder, encoded: NDArray[Any]) -> float:
    """That a recording lasts, as far as the network hears it; 0 of other kinds."""
    if not isinstance(encoder, SoundEncoder):
        return 0.0
    return float(encoder.lengths(encoded[None])[0] * encoder.hop / encoder.rate)
