"""The linear model on words, word groups and lengths: what it begins with, against the formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnomon.models import WideDeep, WideNetwork
from gnomon.models.wide_start import _fitted, count_ratios, letter_groups, start_wide

VOCABULARY = tuple(f"word{number}" for number in range(30))
CLASSES = 3


def texts(rows: int, *, longest: int = 12, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Ids `(N, T)`, and classes that are told by which words stand in a text."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (rows,), generator=draw)
    lengths = torch.randint(3, longest + 1, (rows, 1), generator=draw)
    own = torch.randint(2, 12, (rows, longest), generator=draw) + 9 * labels[:, None]
    common = torch.randint(2, 32, (rows, longest), generator=draw)
    words = torch.where(torch.rand(rows, longest, generator=draw) < 0.3, own, common)
    return words * (torch.arange(longest) < lengths), labels


def built(spec: WideDeep, *, longest: int = 12) -> WideNetwork:
    return spec.build((longest, 2 + len(VOCABULARY)), CLASSES).requires_grad_(False)


def counted(network: WideNetwork, ids: Tensor) -> NDArray[np.float64]:
    """`(N, G)`: how often a row holds each place."""
    table = np.zeros((len(ids), len(network.weights.weight)))
    for row, places in enumerate(network.groups(ids).numpy()):
        np.add.at(table[row], places, 1)
    table[:, 0] = 0
    return table


def test_counts_are_naive_bayes_ratios() -> None:
    network, (ids, labels) = built(WideDeep(buckets=256, lengths=True)), texts(60)
    held = counted(network, ids) > 0
    found = count_ratios(network, ids, labels).numpy()
    for number in range(CLASSES):
        inside, outside = (held[labels.numpy() == number].sum(0) + 1, held[labels.numpy() != number].sum(0) + 1)
        inside[0] = outside[0] = 1
        expected = np.log(inside / inside.sum()) - np.log(outside / outside.sum())
        np.testing.assert_allclose(found[:, number], np.where(held.any(0), expected, 0), atol=1e-5)


def test_groups_are_fitted_by_least_squares() -> None:
    """w = (XᵀX + λ)⁻¹ Xᵀ y of centred rows; X as the docstring says."""
    network, (ids, labels) = built(WideDeep(buckets=256, lengths=True)), texts(80)
    weights, bias = _fitted(network, ids, labels, letter_groups(VOCABULARY))[1]
    table = counted(network, ids)
    rarity = np.log(81 / (1 + (table > 0).sum(0))) + 1
    features = table * rarity / np.sqrt(network.number(ids).numpy().astype(np.float64))
    features /= np.linalg.norm(features, axis=1).mean()
    own = 2.0 * np.eye(CLASSES)[labels.numpy()] - 1
    centred, wanted = features - features.mean(0), own - own.mean(0)
    exact = np.linalg.solve(centred.T @ centred + 0.2 * np.eye(len(table[0])), centred.T @ wanted)
    said = table / np.sqrt(network.number(ids).numpy()) @ weights.double().numpy() + bias.double().numpy()
    np.testing.assert_allclose(said, centred @ exact + own.mean(0), atol=0.02)


def test_the_sum_is_better_than_each_alone() -> None:
    network, (ids, labels) = built(WideDeep(buckets=1024, lengths=True)), texts(1500)
    factors = start_wide(network, ids, labels, VOCABULARY)
    other, other_labels = texts(1000, seed=1)
    together = float(torch.nn.functional.cross_entropy(network.wide(other), other_labels))
    assert min(factors) >= 0
    for weights, bias in _fitted(network, ids, labels, letter_groups(VOCABULARY)):
        network.weights.weight.copy_(weights)
        network.bias.copy_(bias)
        network.weights.weight[0] = 0
        best = min(
            float(torch.nn.functional.cross_entropy(factor * network.wide(other), other_labels))
            for factor in (0.1, 0.3, 1.0, 3.0)
        )
        assert together < best + 0.01


@pytest.mark.parametrize("lengths", [True, False])
def test_what_a_length_tells_is_learnt(lengths: bool) -> None:
    draw = torch.Generator().manual_seed(0)
    number = torch.randint(1, 13, (1200, 1), generator=draw)
    ids = torch.randint(2, 32, (1200, 12), generator=draw) * (torch.arange(12) < number)
    labels = number[:, 0] % 2  # odd or even, which no sum of words tells
    network = built(WideDeep(buckets=1024, lengths=lengths))
    start_wide(network, ids[:800], labels[:800], VOCABULARY)
    right = float((network.wide(ids[800:]).argmax(1) == labels[800:]).float().mean())
    assert right > 0.95 if lengths else right < 0.65


def test_lengths_are_told_apart_up_to_32_and_by_eighths_of_octaves_beyond() -> None:
    network = built(WideDeep(tokens=1, lengths=True), longest=2048)
    ids = torch.full((2048, 2048), 2).tril()
    places = network.groups(ids)[:, -1] - 32
    assert places[:32].tolist() == list(range(32))
    beyond = [31 + math.floor(8 * math.log2(number / 32) + 1e-9) for number in range(33, 513)]
    assert places[32:512].tolist() == beyond
    assert set(places[512:].tolist()) == {63}


def test_a_single_class_is_no_fault() -> None:
    network, (ids, _) = built(WideDeep(buckets=64, lengths=True)), texts(20)
    start_wide(network, ids, torch.ones(20, dtype=torch.int64), VOCABULARY)
    assert torch.isfinite(network.wide(ids)).all()
