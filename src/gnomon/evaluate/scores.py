"""The scores of one part of the data."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from ..judgement import Baseline, Calibration, Evaluation, Kept, Unlike
from ..predicting.modelfile import Model
from ..scoring.calibration import calibration_of
from ..scoring.classes import row_losses, score
from ..scoring.intervals import Groups, groups_among, share_of
from ..scoring.labels import label_losses, score_labels
from ..scoring.values import residuals_of, score_values, spread_over
from ..tasks import Classify, Regress, Tag, Task, replaced
from ..types import Question
from .answers import Judged

HEADLINES: Final[dict[Question, str]] = {"classify": "accuracy", "tag": "micro_f1", "regress": "r2"}
"""The metric that a network and its baselines are compared by."""

_KEPT_SHARES: Final = tuple(part / 20 for part in range(20, 0, -1))
_FEWEST_KEPT: Final = 10


def evaluation_of(model: Model, judged: Judged, baselines: dict[str, Baseline]) -> Evaluation:
    """All scores of these rows, beside the baselines on the same rows."""
    task = model.header.task
    evaluation = Evaluation(
        rows=len(judged),
        metrics={},
        headline=HEADLINES[question_of(task)],
        baselines=baselines,
        unlike=None
        if judged.outputs.unlikeness is None
        else Unlike(threshold=1.0, share=share_of(judged.outputs.unlikeness > 1, judged.groups)),
        groups=judged.num_groups,
    )
    if isinstance(task, Classify):
        found = _of_classes(task, model, judged)
    else:
        found = _of_labels(task, judged) if isinstance(task, Tag) else _of_values(task, judged)
    return msgspec.structs.replace(evaluation, **found)


def question_of(task: Task) -> Question:
    """What a task asks."""
    return "classify" if isinstance(task, Classify) else "tag" if isinstance(task, Tag) else "regress"


def _of_classes(task: Classify, model: Model, judged: Judged) -> dict[str, Any]:
    labels, groups = judged.labels, judged.groups
    scores = score(judged.answers, labels, model.classes, groups=groups)
    calibration = _calibration(task, judged)
    change: dict[str, Any] = {
        "metrics": scores.metrics | {"calibration_error": calibration.error},
        "classes": scores.classes,
        "confusion": scores.confusion,
        "curves": scores.curves,
        "calibration": calibration,
        "kept": kept_of(judged.answers.max(axis=1), judged.answers.argmax(axis=1) == labels, groups),
    }
    if task.views != "none":
        change["without_views"] = share_of(judged.outputs.single.argmax(1) == labels, groups)
    return change


def _of_labels(task: Tag, judged: Judged) -> dict[str, Any]:
    metrics, of_labels, curves = score_labels(
        judged.answers, task.given(judged.answers), judged.labels, task.classes, groups=judged.groups
    )
    calibration = _calibration(task, judged)
    metrics |= {"calibration_error": calibration.error}
    return {"metrics": metrics, "classes": of_labels, "curves": curves, "calibration": calibration}


def _of_values(task: Regress, judged: Judged) -> dict[str, Any]:
    labels, answers = judged.labels, judged.answers
    pairs = np.stack((labels[:, 0], answers[:, 0]), axis=1)[spread_over(len(labels))]
    return {
        "metrics": score_values(answers, labels, task.classes, margin=task.margin, groups=judged.groups),
        "points": tuple((float(true), float(said)) for true, said in pairs),
        "residuals": residuals_of(answers[:, 0].astype(np.float64), labels[:, 0]),
    }


def kept_of(confidence: NDArray[Any], right: NDArray[np.bool_], groups: Groups | None = None) -> tuple[Kept, ...]:
    """Accuracy on what is kept if answers below a confidence are withheld: all rows, then the surest 95 %, 90 %, …

    Args:
        confidence: `(N,)`.
        right: `(N,)`.
        groups: of the rows.
    """
    falling = np.sort(confidence)[::-1]
    ends = [round(share * len(falling)) for share in _KEPT_SHARES]
    thresholds = [falling[end - 1] for end in ends if end >= min(_FEWEST_KEPT, len(falling))]
    return tuple(
        Kept(
            confidence=float(least),
            share=float(kept.mean()),
            accuracy=share_of(right[kept], groups_among(groups, kept)),
        )
        for least in dict.fromkeys(thresholds)
        for kept in (confidence >= least,)
    )


def _calibration(task: Classify | Tag, judged: Judged) -> Calibration:
    before = _answers_at_one(task, judged)
    return calibration_of(
        _confidences(task, judged.answers, judged.labels),
        _confidences(task, before, judged.labels),
        _typical_temperature(task, judged),
        _label_groups(task, judged),
    )


def _typical_temperature(task: Classify | Tag, judged: Judged) -> float:
    """Of the rows' temperatures the one in the middle."""
    if isinstance(task, Tag) or not task.softening:
        return task.temperature
    return float(task.temperatures(torch.from_numpy(judged.outputs.averaged)).median())


def _answers_at_one(task: Classify | Tag, judged: Judged) -> NDArray[np.float32]:
    untempered = replaced(task, {"temperature": 1.0, "softening": 0.0})
    answers: NDArray[np.float32] = untempered.activated(torch.from_numpy(judged.outputs.averaged)).numpy()
    return answers


def _confidences(
    task: Task, answers: NDArray[np.float32], labels: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """Confidences, what is right of them, and losses; of labels each label of each row for itself."""
    wide = answers.astype(np.float64)
    if isinstance(task, Classify):
        return wide.max(axis=1), wide.argmax(axis=1) == labels, row_losses(answers, labels)
    true = labels > 0.5
    return wide.ravel(), true.ravel(), label_losses(wide, true).ravel()


def _label_groups(task: Task, judged: Judged) -> Groups | None:
    """Of what `_confidences` gives: several labels of one row are one group at least."""
    if isinstance(task, Classify):
        return judged.groups
    of_rows = np.arange(len(judged), dtype=np.int64) if judged.groups is None else judged.groups
    return np.repeat(of_rows, judged.labels.shape[1])
