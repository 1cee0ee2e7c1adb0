"""Run → scores with intervals and baselines, predictions, and the most confident mistakes."""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from . import chance
from .baseline import MOST_ROWS, LinearModel, features_of, fit_linear
from .dataset import Dataset
from .modelfile import Model
from .previews import preview
from .run import MISTAKES, PREDICTIONS, TEST, VALIDATION, Run
from .tasks.scores import ClassScores, Scores, score, wilson
from .types import Kind, Metric, Split, Value

MOST_MISTAKES: Final = 24
_FEATURES: Final[dict[Kind, str]] = {
    "image": "the picture averaged down to 12×12",
    "text": "the weights (TF-IDF) of its words and word pairs",
    "sound": "the loudness of each band, averaged over twelve parts of the time",
    "series": "each channel, averaged over twelve parts of the time",
}


class Baseline(Value, frozen=True):
    """A simple answer that the network must beat; `what` says what it is."""

    what: str
    accuracy: Metric


class Evaluation(Value, frozen=True):
    """`evaluation/{validation,test}.json`.

    Attributes:
        rows, metrics, classes, confusion: see `Scores`.
        baselines: `majority` and `linear`, on the same rows.
        without_views: the accuracy of a single view, where a prediction averages several.
    """

    rows: int
    metrics: dict[str, Metric]
    classes: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...]
    baselines: dict[str, Baseline]
    without_views: Metric | None = None


class Mistake(Value, frozen=True):
    """A test row that the network names wrongly, with a `Preview` of it: a PNG in base64, or a text."""

    key: str
    label: str
    predicted: str
    confidence: float
    thumbnail: str
    text: str = ""


def evaluate(run: Run, dataset: Dataset, model: Model, *, seed: int) -> Evaluation:
    """Judge on validation and test, and write everything that a reader of the run needs. Returns the test part's."""
    linear = _fit_baseline(dataset, seed)
    results = {}
    predicted: dict[Split, NDArray[np.float32]] = {}
    files: dict[Split, str] = {"validation": VALIDATION, "test": TEST}
    for part, name in files.items():
        predicted[part], single = _predict(dataset, model, part)
        scores = score(predicted[part], dataset.labels[dataset.parts[part]], model.classes)
        results[part] = _evaluation(dataset, part, scores, linear, single if _has_views(model) else None)
        run.write_json(name, results[part])
    run.write(PREDICTIONS, _predictions(dataset, model, predicted))
    run.write_json(MISTAKES, _mistakes(dataset, model, predicted["test"]))
    return results["test"]


def _predict(dataset: Dataset, model: Model, part: Split) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Probabilities `(N, K)` with all views, and with a single one."""
    rows = dataset.parts[part]
    averaged, single = (np.empty((len(rows), len(model.classes)), np.float32) for _ in range(2))
    start = 0
    for chosen, block in dataset.encoded.blocks(rows):
        place = slice(start, start + len(chosen))
        averaged[place], single[place] = model.with_and_without_views(block)
        start += len(chosen)
    return averaged, single


def _has_views(model: Model) -> bool:
    return model.header.task.views != "none"


def _evaluation(
    dataset: Dataset, part: Split, scores: Scores, linear: LinearModel, single: NDArray[np.float32] | None
) -> Evaluation:
    labels = dataset.labels[dataset.parts[part]]
    commonest = int(np.argmax(dataset.spec.train_counts))
    guessed = linear.predict(features_of(dataset.encoded, dataset.parts[part]).flatten(1))
    return Evaluation(
        rows=scores.rows,
        metrics=scores.metrics,
        classes=scores.classes,
        confusion=scores.confusion,
        baselines={
            "majority": Baseline(
                what=f"always {dataset.spec.classes[commonest]!r}, the commonest class in training",
                accuracy=wilson(int((labels == commonest).sum()), len(labels)),
            ),
            "linear": Baseline(
                what=f"logistic regression on {_FEATURES[dataset.spec.kind]}",
                accuracy=wilson(int((guessed == labels).sum()), len(labels)),
            ),
        },
        without_views=None if single is None else wilson(int((single.argmax(1) == labels).sum()), len(labels)),
    )


def _fit_baseline(dataset: Dataset, seed: int) -> LinearModel:
    order = chance.permutation(seed, "baseline", 0, len(dataset.parts["train"]))[:MOST_ROWS]
    rows = np.sort(dataset.parts["train"][order])
    features = features_of(dataset.encoded, rows).flatten(1)
    return fit_linear(features, dataset.labels[rows], len(dataset.spec.classes))


def _predictions(dataset: Dataset, model: Model, predicted: dict[Split, NDArray[np.float32]]) -> bytes:
    """A Parquet table: one line for each row of validation and test, with the probability of every class."""
    rows = np.concatenate([dataset.parts[part] for part in predicted])
    matrix = np.concatenate(list(predicted.values()))
    best = matrix.argmax(axis=1)
    names = np.array(model.classes, dtype=object)
    columns: dict[str, Any] = {
        "row": rows,
        "key": [dataset.rows[row].key for row in rows],
        "split": [part for part, block in predicted.items() for _ in range(len(block))],
        "label": names[dataset.labels[rows]],
        "predicted": names[best],
        "confidence": matrix[np.arange(len(rows)), best],
    }
    columns |= {f"p:{name}": matrix[:, index] for index, name in enumerate(model.classes)}
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), sink, compression="zstd")
    return sink.getvalue()


def _mistakes(dataset: Dataset, model: Model, matrix: NDArray[np.float32]) -> list[Mistake]:
    """The wrong answers given with the greatest confidence, first the most confident."""
    rows = dataset.parts["test"]
    best, labels = matrix.argmax(axis=1), dataset.labels[rows]
    wrong = np.flatnonzero(best != labels)
    confidence = matrix[np.arange(len(rows)), best]
    chosen = wrong[np.argsort(-confidence[wrong], kind="stable")][:MOST_MISTAKES]
    previews = [preview(dataset.encoder, dataset.encoded.take(rows[index : index + 1])[0]) for index in chosen]
    return [
        Mistake(
            key=dataset.rows[rows[index]].key,
            label=model.classes[labels[index]],
            predicted=model.classes[best[index]],
            confidence=float(confidence[index]),
            thumbnail=seen.png,
            text=seen.text,
        )
        for index, seen in zip(chosen, previews, strict=True)
    ]
