"""A linear model beside a network of series: its summary and its weights against NumPy and scikit-learn."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, Ridge

from gnomon.models import LinearDeep, Rnn
from gnomon.models.linear import LinearNetwork, start_linear, summary_of

RANDOM = np.random.default_rng(6)


def rows(lengths: list[int], steps: int = 30, channels: int = 2) -> torch.Tensor:
    made = torch.zeros(len(lengths), steps, channels + 1, dtype=torch.float64)
    for row, length in enumerate(lengths):
        made[row, :length, :-1] = torch.from_numpy(RANDOM.normal(size=(length, channels)).cumsum(axis=0))
        made[row, :length, -1] = 1
    return made


def test_the_summary_is_that_of_each_rows_own_steps() -> None:
    given = rows([30, 12, 5, 1])
    for row, length in enumerate([30, 12, 5, 1]):
        steps = given[row, :length, :-1].numpy()
        parts = []
        for part in range(12):
            first = part * length // 12
            last = max(first + 1, -(-(part + 1) * length // 12))
            parts.append(steps[first:last].mean(axis=0))
        expected = np.concatenate([*parts, steps[-1], steps.std(axis=0), [np.log(length)]])
        assert np.allclose(summary_of(given)[row], expected)
        assert torch.allclose(summary_of(given[row : row + 1, :length])[0], summary_of(given)[row])


def network() -> LinearNetwork:
    torch.manual_seed(0)
    return LinearDeep(Rnn(cell="gru", width=4, tokens=False)).build((30, 3), 1).double()


def test_the_linear_part_is_ridge_regression() -> None:
    given = rows(RANDOM.integers(5, 31, 200).tolist())
    targets = torch.from_numpy(RANDOM.normal(size=(200, 1))) + given[:, 3, :1]
    model = network()
    start_linear(model, given, targets)
    features = summary_of(given).numpy()
    standard = (features - features.mean(0)) / features.std(0)
    ridge = Ridge(alpha=0.01 * 200).fit(standard, targets.numpy())
    assert np.allclose(model.linear(summary_of(given)).numpy(), ridge.predict(standard).reshape(-1, 1), atol=1e-8)


def test_the_network_counts_as_much_as_it_is_told() -> None:
    torch.manual_seed(0)
    half = LinearDeep(Rnn(cell="gru", width=4, tokens=False), share=0.5).build((30, 3), 1).double().eval()
    given = rows([30, 7])
    assert torch.allclose(half(given), half.linear(summary_of(given)) + 0.5 * half.deep(given))


def test_of_classes_the_linear_part_is_logistic_regression() -> None:
    given = rows(RANDOM.integers(5, 31, 200).tolist())
    labels = torch.from_numpy(RANDOM.integers(0, 3, 200)) // 2 + (given[:, 3, 0] > 0).long()
    model = LinearDeep(Rnn(width=4, tokens=False), residual=False).build((30, 3), 3).double()
    start_linear(model, given, labels)
    features = summary_of(given).numpy()
    standard = (features - features.mean(0)) / features.std(0)
    # scikit-learn weighs the sum of the losses by C and the half of the squares by 1
    sk = LogisticRegression(C=1 / (2 * 1e-3 * 200), max_iter=1000).fit(standard, labels.numpy())
    said = model.linear(summary_of(given)).softmax(1).numpy()
    assert np.allclose(said, sk.predict_proba(standard), atol=0.02)


def test_of_classes_the_network_learns_alone() -> None:
    given, labels = rows([30, 7, 12, 20]), torch.tensor([0, 1, 1, 0])
    model = LinearDeep(Rnn(width=4, tokens=False, dropout=0.0), residual=False).build((30, 3), 2).double()
    start_linear(model, given, labels)
    assert torch.allclose(model.train()(given), model.deep(given))
    assert torch.allclose(model.eval()(given), model.linear(summary_of(given)) + model.deep(given))


def test_the_network_is_added_and_alone_is_trained() -> None:
    model, given = network().eval(), rows([30, 7])
    start_linear(model, given, torch.tensor([[1.0], [2.0]], dtype=torch.float64))
    assert torch.allclose(model(given), model.linear(summary_of(given)) + model.deep(given))
    model(given).sum().backward()
    assert model.linear.weight.grad is None
    assert all(weight.grad is not None for weight in model.deep.parameters())
