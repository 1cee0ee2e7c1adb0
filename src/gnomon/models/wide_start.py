"""Starting weights of the wide part, fitted to the training rows in seconds and before any step.

Three linear models that err differently are added:

    counts      naive-Bayes log-count ratios of tokens and groups of tokens (Wang and Manning, ACL 2012)
    groups      least squares on the same tokens and groups, the rare ones counting more
    spellings   a support-vector machine on the groups of 3 to 6 letters in each token; since a text's features are sums
                over its tokens, the result is one weight for each token, and words of one stem share what was learnt

How much each counts is fitted on rows that none has seen (stacking), so that the logits are probabilities' logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..minimise import minimise
from .wide import WideNetwork

_HELD_OUT: Final = 5
"""Every fifth row judges how much the models count."""
_MOST_FITTED: Final = 20_000
_LETTERS: Final = range(3, 7)
_SMOOTHING: Final = 1.0
_GROUPS_PENALTY: Final = 0.2
_LETTERS_PENALTY: Final = 3.0
_FACTOR_PENALTY: Final = 1e-4


Weights: TypeAlias = tuple[Tensor, Tensor]
"""Weights `(G, K)` and bias `(K,)` of one linear model."""


@torch.no_grad()
def start_wide(network: WideNetwork, ids: Tensor, labels: Tensor, vocabulary: Sequence[str]) -> tuple[float, ...]:
    """Set the wide weights; returns the factors of counts, groups and spellings.

    Args:
        network: its wide weights and bias are changed.
        ids: `(N, T)` of training rows.
        labels: `(N,)` class indices.
        vocabulary: the tokens with the ids 2, 3, …
    """
    letters = letter_groups(vocabulary)
    held = torch.arange(len(ids)) % _HELD_OUT == 0
    answers = []
    for model in _fitted(network, ids[~held], labels[~held], letters):
        _put(network, [model], [1.0])
        answers.append(torch.cat([network.wide(block) for block in torch.split(ids[held][:_MOST_FITTED], 1024)]))
    factors = _factors(answers, labels[held][:_MOST_FITTED])
    _put(network, _fitted(network, ids, labels, letters), factors)
    return factors


def _fitted(network: WideNetwork, ids: Tensor, labels: Tensor, letters: Any) -> list[Weights]:
    counts = count_ratios(network, ids, labels)
    step = -(-len(ids) // _MOST_FITTED)
    few, few_labels = ids[::step], labels[::step].numpy()
    groups = _sums(network.groups(few).numpy(), len(counts))
    spelt = _sums(few.numpy(), letters.shape[0]) @ letters
    models: list[Weights] = [(counts, torch.zeros(counts.shape[1]))]
    present = np.unique(few_labels)
    for features, spread, fit in ((groups, None, _least_squares), (spelt, letters, _vector_machine)):
        weighed = _Weighed.of(features, network.number(few).numpy())
        found, biases = (
            fit(weighed, few_labels) if len(present) > 1 else (np.zeros((1, len(weighed.used))), np.zeros(1))
        )
        of_features = np.zeros((features.shape[1], counts.shape[1]))
        of_features[np.ix_(weighed.used, present)] = (found * weighed.factors).T
        every, bias = torch.zeros_like(counts), torch.zeros(counts.shape[1])
        of_tokens = of_features if spread is None else spread @ of_features
        every[: len(of_tokens)] = torch.from_numpy(of_tokens)
        bias[present] = torch.from_numpy(biases).float()
        models.append((every, bias))
    return models


def _put(network: WideNetwork, models: Sequence[Weights], factors: Sequence[float]) -> None:
    network.weights.weight.zero_()
    network.bias.zero_()
    for (weights, bias), factor in zip(models, factors, strict=True):
        network.weights.weight.add_(weights, alpha=factor)
        network.bias.add_(bias, alpha=factor)
    network.weights.weight[0] = 0.0


def _factors(answers: Sequence[Tensor], labels: Tensor) -> tuple[float, ...]:
    """Factors of the models' logits, 0 or more, under which their sum has the least cross-entropy."""
    raw = torch.zeros(len(answers), dtype=torch.float64, requires_grad=True)
    logits = torch.stack([answer.double() for answer in answers], dim=2)

    def loss() -> Tensor:
        factors = nn.functional.softplus(raw)
        return nn.functional.cross_entropy(logits @ factors, labels) + _FACTOR_PENALTY * factors.square().sum()

    minimise(loss, [raw], iterations=50)
    return tuple(nn.functional.softplus(raw.detach()).tolist())


@torch.no_grad()
def count_ratios(network: WideNetwork, ids: Tensor, labels: Tensor) -> Tensor:
    """`(G, K)` naive-Bayes log-count ratios; 0 for groups that no row holds.

    For class k and group g: log of (rows of k with g + 1) over their sum, minus the same of all other classes together.
    """
    counts = torch.zeros(network.weights.weight.shape, dtype=torch.float32)
    for start in range(0, len(ids), 1024):
        places = network.groups(ids[start : start + 1024]).sort(dim=1).values
        places[:, 1:][places[:, 1:] == places[:, :-1]] = 0
        classes = labels[start : start + 1024, None].expand_as(places)
        flat = places.flatten() * counts.shape[1] + classes.flatten()
        counts.view(-1).index_add_(0, flat, torch.ones(len(flat)))
    counts[0] = 0
    seen = counts.sum(dim=1, keepdim=True)
    inside, outside = counts + _SMOOTHING, seen - counts + _SMOOTHING
    ratios = (inside / inside.sum(0)).log() - (outside / outside.sum(0)).log()
    return torch.where(seen > 0, ratios, 0.0)


# --- Spellings -------------------------------------------------------------------------------------------------------


def letter_groups(vocabulary: Sequence[str]) -> Any:
    """`(V, F)` sparse matrix: which groups of letters each token holds, its borders marked, and the token itself."""
    from scipy import sparse

    known: dict[str, int] = {}
    rows: list[int] = []
    columns: list[int] = []
    for number, token in enumerate(vocabulary, start=2):
        marked = f" {token[:32]} "
        groups = {marked[start : start + size] for size in _LETTERS for start in range(len(marked) - size + 1)}
        for group in sorted(groups | {marked}):
            rows.append(number)
            columns.append(known.setdefault(group, len(known)))
    ones = np.ones(len(rows), dtype=np.float32)
    return sparse.csr_matrix((ones, (rows, columns)), shape=(len(vocabulary) + 2, max(1, len(known))))


def _sums(places: NDArray[np.int64], size: int) -> Any:
    """`(N, size)` sparse matrix: how often each row holds each place; 0 is none."""
    from scipy import sparse

    row, column = np.nonzero(places)
    ones = np.ones(len(row), dtype=np.float32)
    return sparse.csr_matrix((ones, (row, places[row, column])), shape=(len(places), size))


@dataclass(frozen=True, slots=True)
class _Weighed:
    """Features of rows, weighted by their rarity, at a mean length of 1.

    Attributes:
        rows: `(N, U)` sparse, of the features that are used.
        used: `(U,)`, which they are.
        factors: `(U,)`, by which each was multiplied after its row's division by the root of the row's `number`.
    """

    rows: Any
    used: NDArray[np.int64]
    factors: NDArray[np.float64]

    @classmethod
    def of(cls, features: Any, number: NDArray[np.float32]) -> _Weighed:
        from scipy import sparse

        seen = np.bincount(features.indices, minlength=features.shape[1])
        used = np.flatnonzero(seen)
        rarity = np.log((1 + features.shape[0]) / (1 + seen[used])) + 1
        scaled = sparse.diags(1 / np.sqrt(number.ravel())) @ features[:, used] @ sparse.diags(rarity)
        size = float(np.sqrt(scaled.multiply(scaled).sum(axis=1)).mean()) or 1.0
        return cls(scaled / size, used, rarity / size)


def _vector_machine(features: _Weighed, labels: NDArray[np.int64]) -> tuple[Any, Any]:
    """Weights `(K, U)` and biases `(K,)` of the classes that occur: a linear support-vector machine."""
    from sklearn.svm import LinearSVC

    model = LinearSVC(C=1 / _LETTERS_PENALTY, random_state=0, tol=1e-3).fit(features.rows, labels)
    found, bias = model.coef_, model.intercept_
    if len(found) == 1:
        return np.concatenate([-found, found]) / 2, np.array([-1.0, 1.0]) * bias / 2
    return found, bias


def _least_squares(features: _Weighed, labels: NDArray[np.int64]) -> tuple[Any, Any]:
    """The same by ridge regression of 1 for a row's own class, −1 for the others."""
    from sklearn.linear_model import Ridge

    own = 2.0 * (labels[:, None] == np.unique(labels)) - 1
    model = Ridge(_GROUPS_PENALTY, solver="sparse_cg", tol=1e-3).fit(features.rows, own)
    return model.coef_, model.intercept_
