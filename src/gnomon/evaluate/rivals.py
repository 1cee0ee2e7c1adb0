"""The simple answers that a network must beat: the commonest class or the mean, and a linear model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import chance
from ..judgement import Baseline
from ..rows.baseline import MOST_ROWS, features_of, fit_linear, fit_ridge, fit_separately
from ..rows.dataset import Dataset
from ..rows.text_baseline import TextBaseline
from ..scoring.intervals import share_of
from ..scoring.labels import micro_f1
from ..scoring.values import r2_of
from ..types import DataSpec, Kind, Question
from .answers import Judged

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


Linear: TypeAlias = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""Rows of the data set → `(N, K)`, the linear model's outputs."""


def baselines_of(dataset: Dataset, judged: Judged, linear: Linear) -> dict[str, Baseline]:
    """Their scores on these rows, by the headline's metric."""
    spec = dataset.spec
    what = f"{_METHODS[spec.question]} {_FEATURES[spec.kind]}"
    labels, groups = judged.labels, judged.groups
    said = linear(judged.rows)
    if spec.question == "classify":
        score = share_of(said.argmax(1) == labels, groups)
    elif spec.question == "tag":
        score = micro_f1(said > 0, labels, groups)
    else:
        score = r2_of(said[:, 0].astype(np.float64), labels[:, 0], groups)
    return constant_baseline(spec, judged) | {"linear": Baseline(what=what, score=score)}


def constant_baseline(spec: DataSpec, judged: Judged) -> dict[str, Baseline]:
    """`majority`, or of values `mean`: what says the same of every row."""
    labels, groups = judged.labels, judged.groups
    if spec.question == "classify":
        commonest = int(np.argmax(spec.train_counts))
        what = f"always {spec.classes[commonest]!r}, the commonest class in training"
        return {"majority": Baseline(what=what, score=share_of(labels == commonest, groups))}
    if spec.question == "tag":
        usual = np.broadcast_to(np.array(spec.train_counts) * 2 > spec.num_train, labels.shape)
        what = "the labels that more than half of the training rows have"
        return {"majority": Baseline(what=what, score=micro_f1(usual, labels, groups))}
    constant = np.full(len(labels), spec.mean[0])
    what = f"always {spec.mean[0]:.4g}, the mean in training"
    return {"mean": Baseline(what=what, score=r2_of(constant, labels[:, 0], groups))}


def fit_baseline(dataset: Dataset, seed: int) -> Linear:
    """A linear model on simple features of the training part."""
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
