"""Run → scores with intervals and baselines, predictions, and the worst mistakes."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from . import chance
from .baseline import MOST_ROWS, features_of, fit_linear, fit_ridge, fit_separately
from .dataset import Dataset
from .judgement import Baseline, Evaluation, Mistake
from .modelfile import Model
from .previews import preview
from .run import MISTAKES, PREDICTIONS, TEST, VALIDATION, Run
from .scoring.classes import score
from .scoring.intervals import wilson
from .scoring.labels import micro_f1, score_labels
from .scoring.values import r2_of, score_values
from .tasks import Classify, Regress, Tag
from .text_baseline import TextBaseline
from .types import Kind, Question, Split

MOST_MISTAKES: Final = 24
HEADLINES: Final[dict[Question, str]] = {"classify": "accuracy", "tag": "micro_f1", "regress": "r2"}
"""The metric that a network and its baselines are compared by."""

_MOST_POINTS: Final = 1000
_MOST_TEXTS: Final = 20_000
_FEATURES: Final[dict[Kind, str]] = {
    "image": "the picture averaged down to 12×12",
    "text": "the weights (TF-IDF) of its words and word pairs",
    "sound": "the loudness of each band, averaged over twelve parts of the time",
    "series": "each channel, averaged over twelve parts of the time",
}
_METHODS: Final[dict[Question, str]] = {
    "classify": "logistic regression on",
    "tag": "a logistic regression for each label on",
    "regress": "ridge regression on",
}


_Linear: TypeAlias = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""Rows of the data set → `(N, K)`, the linear model's outputs."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """Answers `(N, K)` to the rows of one part, as predicted and by single views, and the rows' labels."""

    answers: NDArray[np.float32]
    single: NDArray[np.float32]
    labels: NDArray[Any]


def evaluate(run: Run, dataset: Dataset, model: Model, *, seed: int) -> Evaluation:
    """Judge on validation and test, and write everything that a reader of the run needs. Returns the test part's."""
    linear = _fit_baseline(dataset, seed)
    results: dict[Split, Evaluation] = {}
    judged: dict[Split, _Judged] = {}
    files: dict[Split, str] = {"validation": VALIDATION, "test": TEST}
    for part, name in files.items():
        judged[part] = _predict(dataset, model, part)
        results[part] = _evaluation(dataset, model, part, judged[part], linear)
        run.write_json(name, results[part])
    run.write(PREDICTIONS, _predictions(dataset, model, judged))
    run.write_json(MISTAKES, _mistakes(dataset, model, judged["test"]))
    return results["test"]


def _predict(dataset: Dataset, model: Model, part: Split) -> _Judged:
    rows = dataset.parts[part]
    averaged, single = (np.empty((len(rows), len(model.classes)), np.float32) for _ in range(2))
    start = 0
    for chosen, block in dataset.encoded.blocks(rows):
        place = slice(start, start + len(chosen))
        averaged[place], single[place] = model.with_and_without_views(block)
        start += len(chosen)
    return _Judged(averaged, single, dataset.labels[rows])


def _evaluation(dataset: Dataset, model: Model, part: Split, judged: _Judged, linear: _Linear) -> Evaluation:
    task, labels = model.header.task, judged.labels
    evaluation = Evaluation(
        rows=len(labels),
        metrics={},
        headline=HEADLINES[dataset.spec.question],
        baselines=_baselines(dataset, part, labels, linear),
    )
    change: dict[str, Any]
    if isinstance(task, Classify):
        scores = score(judged.answers, labels, model.classes)
        change = {"metrics": scores.metrics, "classes": scores.classes, "confusion": scores.confusion}
        if task.views != "none":
            change["without_views"] = wilson(int((judged.single.argmax(1) == labels).sum()), len(labels))
    elif isinstance(task, Tag):
        metrics, of_labels, curves = score_labels(judged.answers, task.given(judged.answers), labels, task.classes)
        change = {"metrics": metrics, "classes": of_labels, "curves": curves}
    else:
        chosen = np.unique(np.linspace(0, len(labels) - 1, min(len(labels), _MOST_POINTS)).astype(int))
        pairs = np.stack((labels[chosen, 0], judged.answers[chosen, 0]), axis=1)
        change = {
            "metrics": score_values(judged.answers, labels, task.classes),
            "points": tuple((float(true), float(said)) for true, said in pairs),
        }
    return msgspec.structs.replace(evaluation, **change)


def _baselines(dataset: Dataset, part: Split, labels: NDArray[Any], linear: _Linear) -> dict[str, Baseline]:
    spec = dataset.spec
    what = f"{_METHODS[spec.question]} {_FEATURES[spec.kind]}"
    said = linear(dataset.parts[part])
    if spec.question == "classify":
        commonest = int(np.argmax(spec.train_counts))
        return {
            "majority": Baseline(
                what=f"always {spec.classes[commonest]!r}, the commonest class in training",
                score=wilson(int((labels == commonest).sum()), len(labels)),
            ),
            "linear": Baseline(what=what, score=wilson(int((said.argmax(1) == labels).sum()), len(labels))),
        }
    if spec.question == "tag":
        usual = np.array(spec.train_counts) * 2 > spec.num_train
        everywhere = np.broadcast_to(usual, labels.shape)
        return {
            "majority": Baseline(
                what="the labels that more than half of the training rows have", score=micro_f1(everywhere, labels)
            ),
            "linear": Baseline(what=what, score=micro_f1(said > 0, labels)),
        }
    constant = np.full(len(labels), spec.mean[0])
    return {
        "mean": Baseline(what=f"always {spec.mean[0]:.4g}, the mean in training", score=r2_of(constant, labels[:, 0])),
        "linear": Baseline(what=what, score=r2_of(said[:, 0].astype(np.float64), labels[:, 0])),
    }


def _fit_baseline(dataset: Dataset, seed: int) -> _Linear:
    spec = dataset.spec
    if spec.kind == "text":
        order = chance.permutation(seed, "baseline", 0, len(dataset.parts["train"]))[:_MOST_TEXTS]
        rows = np.sort(dataset.parts["train"][order])
        ids, labels = dataset.encoded.take(rows), dataset.labels[rows]
        texts = TextBaseline(ids, labels, question=spec.question, num_outputs=len(spec.classes))
        return lambda chosen: texts.outputs(dataset.encoded.take(chosen))
    order = chance.permutation(seed, "baseline", 0, len(dataset.parts["train"]))[:MOST_ROWS]
    rows = np.sort(dataset.parts["train"][order])
    features, labels = features_of(dataset.encoded, rows).flatten(1), dataset.labels[rows]
    if spec.question == "regress":
        linear = fit_ridge(features, labels)
    elif spec.question == "tag":
        linear = fit_separately(features, labels)
    else:
        linear = fit_linear(features, labels, len(spec.classes))
    return lambda chosen: linear.outputs(features_of(dataset.encoded, chosen).flatten(1))


def _predictions(dataset: Dataset, model: Model, judged: dict[Split, _Judged]) -> bytes:
    """A Parquet table: one line for each row of validation and test, with all that the model says of it."""
    rows = np.concatenate([dataset.parts[part] for part in judged])
    matrix = np.concatenate([block.answers for block in judged.values()])
    columns: dict[str, Any] = {
        "row": rows,
        "key": [dataset.rows[row].key for row in rows],
        "split": [part for part, block in judged.items() for _ in range(len(block.labels))],
        "label": [dataset.rows[row].label for row in rows],
    }
    task = model.header.task
    if isinstance(task, Classify):
        best = matrix.argmax(axis=1)
        columns["predicted"] = np.array(model.classes, dtype=object)[best]
        columns["confidence"] = matrix[np.arange(len(rows)), best]
    elif isinstance(task, Tag):
        columns["predicted"] = [";".join(answer.labels) for answer in task.answers(matrix)]
    prefix = "value:" if isinstance(task, Regress) else "p:"
    columns |= {f"{prefix}{name}": matrix[:, index] for index, name in enumerate(model.classes)}
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), sink, compression="zstd")
    return sink.getvalue()


def _mistakes(dataset: Dataset, model: Model, judged: _Judged) -> list[Mistake]:
    """The worst first: wrong answers of the greatest confidence, values that are farthest off."""
    rows, badness = dataset.parts["test"], _badness(model, judged)
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


def _badness(model: Model, judged: _Judged) -> NDArray[np.float64]:
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
