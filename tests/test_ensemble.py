"""Several networks that answer together: the mean of them in predictions, each its own rows in training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gnomon.models import Crnn, Ensemble, Rnn, TextCnn, WideDeep, neighbours, start_from

SPEC = Ensemble(
    (Rnn(cell="gru", width=4, tokens=False, dropout=0.0), Crnn(widths=(4,), cell="none", dimensions=1)), times=2
)


def rows(count: int) -> torch.Tensor:
    made = torch.randn(count, 16, 4, generator=torch.Generator().manual_seed(0))
    made[..., -1] = 1
    return made


def test_a_prediction_is_the_mean() -> None:
    torch.manual_seed(0)
    network = SPEC.build((16, 4), 3).eval()
    given = rows(5)
    assert len(network.members) == 4
    expected = sum(member(given) for member in network.members) / 4
    assert torch.allclose(network(given), expected, atol=1e-6)


def test_members_begin_apart() -> None:
    torch.manual_seed(0)
    network = SPEC.build((16, 4), 3).eval()
    given = rows(2)
    assert not torch.allclose(network.members[0](given), network.members[2](given))


def test_each_row_trains_one_member() -> None:
    torch.manual_seed(0)
    network = Ensemble((Rnn(cell="rnn", width=4, tokens=False, dropout=0.0),), times=3).build((16, 4), 2).train()
    given = rows(7)
    output = network(given)
    for row in range(7):
        assert torch.allclose(output[row], network.members[row % 3](given)[row], atol=1e-6)
    output[[1, 4]].sum().backward()
    touched = [any(weight.grad is not None for weight in member.parameters()) for member in network.members]
    moved = [
        sum(float(weight.grad.abs().sum()) for weight in member.parameters() if weight.grad is not None)
        for member in network.members
    ]
    assert touched == [True, True, True]
    assert [amount > 0 for amount in moved] == [False, True, False]


def test_fewer_rows_than_members() -> None:
    network = SPEC.build((16, 4), 3).train()
    assert network(rows(3)).shape == (3, 3)


def test_products_are_those_of_all() -> None:
    one = sum(member.products((16, 4)) for member in SPEC.members)
    assert SPEC.products((16, 4)) == 2 * one


def test_texts_of_several_networks_begin_from_the_same_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """What tokens stand beside is found once for all members that are equally wide."""
    found: list[int] = []
    exact = neighbours._largest_vectors

    def counted(matrix: object, count: int) -> NDArray[np.float64]:
        found.append(count)
        return exact(matrix, count)

    monkeypatch.setattr(neighbours, "_largest_vectors", counted)
    torch.manual_seed(0)
    members = (TextCnn(embedding=4, filters=3), Rnn(width=3, embedding=4, tokens=True))
    network = WideDeep(deep=Ensemble(members, times=2)).build((12, 30), 2)
    ids = torch.randint(2, 20, (60, 12), generator=torch.Generator().manual_seed(1))
    before = [part.weight.clone() for part in network.modules() if isinstance(part, torch.nn.Embedding)][1:]
    start_from(network, ids, None)
    after = [part.weight for part in network.modules() if isinstance(part, torch.nn.Embedding)][1:]
    assert found == [4]
    assert len(after) == 4
    assert all(torch.equal(after[0][2:20], weights[2:20]) for weights in after)
    assert all(torch.equal(old[20:], new[20:]) for old, new in zip(before, after, strict=True))
