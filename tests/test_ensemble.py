"""Several networks that answer together: the mean of them in predictions, each its own rows in training."""

from __future__ import annotations

import torch

from gnomon.models import Crnn, Ensemble, Rnn

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
