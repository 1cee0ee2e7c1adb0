"""The worst mistakes, with what they look like."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..judgement import Mistake
from ..predicting.modelfile import Model
from ..previews import preview
from ..rows.dataset import Dataset
from ..tasks import Classify, Tag
from .answers import Judged

MOST_MISTAKES: Final = 24


def mistakes(dataset: Dataset, model: Model, judged: Judged) -> list[Mistake]:
    """The worst first: wrong answers of the greatest confidence, values that are farthest off."""
    rows, badness = judged.rows, badness_of(model, judged)
    chosen = np.argsort(-badness, kind="stable")[: min(MOST_MISTAKES, int((badness > 0).sum()))]
    previews = [preview(dataset.encoder, dataset.encoded.take(rows[index : index + 1])[0]) for index in chosen]
    answers: list[Any] = [*model.header.task.answers(judged.answers[chosen])]
    return [
        Mistake(
            key=dataset.rows[rows[index]].key,
            label=dataset.rows[rows[index]].label,
            predicted=answer.told() if not isinstance(model.header.task, Classify) else answer.label,
            confidence=float(badness[index]),
            thumbnail=seen.png,
            text=seen.text,
        )
        for index, seen, answer in zip(chosen, previews, answers, strict=True)
    ]


def badness_of(model: Model, judged: Judged) -> NDArray[np.float64]:
    """How wrong the answer to each row is, `(N,)`; 0 for a right one."""
    task, answers, labels = model.header.task, judged.answers, judged.labels
    if isinstance(task, Classify):
        best = answers.argmax(axis=1)
        return np.where(best != labels, answers[np.arange(len(labels)), best], 0.0).astype(np.float64)
    if isinstance(task, Tag):
        wrong = task.given(answers) != (labels > 0.5)
        return np.where(wrong.any(axis=1), np.abs(answers - labels).max(axis=1), 0.0).astype(np.float64)
    off: NDArray[np.float64] = np.abs(answers - labels).max(axis=1).astype(np.float64)
    return off
