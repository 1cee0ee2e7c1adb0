"""TF-IDF and a linear model: what a network on texts must beat, and on small sets often does not.

Each text becomes its tokens and pairs of neighbours, weighed by how rare they are in training (1 + log of the count,
times log((1 + N) / (1 + rows with it)) + 1), at length 1.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..types import Question

_PAIRS: Final = 2**20
_FACTOR: Final = 1_000_003
_INVERSE_PENALTY: Final = 10.0
_RIDGE: Final = 1.0


class TextBaseline:
    """A linear model on TF-IDF weights, fitted when it is made.

    Args:
        ids: `(N, T)` token ids of training rows, 0 for padding.
        labels: of these rows, as `Targets` has them.
        question: what is asked of each row.
        num_outputs: classes, labels or values.
    """

    def __init__(self, ids: NDArray[Any], labels: NDArray[Any], *, question: Question, num_outputs: int) -> None:
        counts = _counts(ids)
        self._used = np.flatnonzero(np.bincount(counts.indices, minlength=counts.shape[1]))
        seen = np.bincount(counts.indices, minlength=counts.shape[1])[self._used]
        self._rarity = np.log((1 + len(ids)) / (1 + seen)) + 1
        self._num_outputs = num_outputs
        self._models = [_fitted(self._weighed(counts), column, question) for column in _columns(labels)]

    def outputs(self, ids: NDArray[Any]) -> NDArray[np.float32]:
        """`(N, T)` → `(N, K)`: scores of classes, of labels (given above 0), or values."""
        features = self._weighed(_counts(ids))
        return np.concatenate([self._said(model, features) for model in self._models], axis=1).astype(np.float32)

    def _said(self, model: Any, features: Any) -> NDArray[np.float64]:
        if isinstance(model, float):
            return np.full((features.shape[0], 1), model)
        if not hasattr(model, "decision_function"):
            return np.asarray(model.predict(features))[:, None]
        scores = np.asarray(model.decision_function(features))
        if len(self._models) > 1 or self._num_outputs == 1:
            return scores[:, None]
        scores = np.stack((-scores, scores), axis=1) if scores.ndim == 1 else scores
        every = np.full((len(scores), self._num_outputs), -np.inf)
        every[:, model.classes_] = scores
        return every

    def _weighed(self, counts: Any) -> Any:
        from scipy import sparse

        chosen = counts[:, self._used].astype(np.float64)
        chosen.data = 1 + np.log(chosen.data)
        weighed = chosen @ sparse.diags(self._rarity)
        length = np.sqrt(np.asarray(weighed.multiply(weighed).sum(axis=1))).ravel()
        return sparse.diags(1 / np.maximum(length, 1e-12)) @ weighed


def _fitted(features: Any, labels: NDArray[Any], question: Question) -> Any:
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.multiclass import OneVsRestClassifier

    if question == "regress":
        return Ridge(alpha=_RIDGE).fit(features, labels)
    if len(np.unique(labels)) == 1:
        return 1.0 if labels[0] else -1.0
    one = LogisticRegression(C=_INVERSE_PENALTY, solver="liblinear", dual=True, random_state=0)
    several = len(np.unique(labels)) > 2  # one against the rest: a tenth of the time of all together
    return (OneVsRestClassifier(one) if several else one).fit(features, labels.astype(np.int64))


def _columns(labels: NDArray[Any]) -> list[NDArray[Any]]:
    return [labels] if labels.ndim == 1 else list(labels.T)


def _counts(ids: NDArray[Any]) -> Any:
    """`(N, V)` sparse: how often each token and each pair of neighbours stands in each row; pairs are hashed."""
    from scipy import sparse

    whole = ids.astype(np.int64)
    pairs = (whole[:, :-1] * _FACTOR + whole[:, 1:]) % _PAIRS + _PAIRS
    pairs[(whole[:, :-1] == 0) | (whole[:, 1:] == 0)] = 0
    places = np.concatenate((whole % _PAIRS, pairs), axis=1)
    row, column = np.nonzero(places)
    ones = np.ones(len(row), dtype=np.float32)
    return sparse.csr_matrix((ones, (row, places[row, column])), shape=(len(ids), 2 * _PAIRS))
