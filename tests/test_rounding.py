"""A row's product has the same bits wherever the row stands."""

import os

import pytest
import torch

from gnomon.rounding import round_alike


@pytest.mark.parametrize("rows", [16, 64, 128])
def test_a_row_rounds_alike_wherever_it_stands(rows: int) -> None:
    made = torch.Generator().manual_seed(0)
    for inputs in (3, 5, 10, 33, 64):
        for outputs in (1, 3, 5, 10, 64):
            block, weights = torch.randn(rows, inputs, generator=made), torch.randn(outputs, inputs, generator=made)
            order = torch.randperm(rows, generator=made)
            product = torch.nn.functional.linear(block, weights)
            assert torch.equal(product[order], torch.nn.functional.linear(block[order], weights)), (inputs, outputs)


def test_what_the_user_has_set_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    round_alike()
    assert os.environ["MKL_CBWR"] == "COMPATIBLE"
    monkeypatch.delenv("MKL_CBWR")
    round_alike()
    assert os.environ["MKL_CBWR"] in ("AVX2", "AVX512")
