"""A row's product has the same bits wherever the row stands, and whether it stands alone."""

import os

import pytest
import torch

from gnomon.models.alike import AloneAlike, FewAlike
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


@pytest.mark.parametrize("threads", [1, 2])
def test_a_picture_alone_rounds_as_among_others(threads: int) -> None:
    made, before = torch.Generator().manual_seed(0), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for channels, filters, side in ((3, 32, 32), (16, 64, 16), (32, 96, 16), (64, 128, 8), (128, 128, 4)):
            layer = torch.nn.Conv2d(channels, filters, 3, padding=1).requires_grad_(False)
            layer = layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            maps = torch.randn(16, channels, side, side, generator=made).contiguous(memory_format=torch.channels_last)
            alike, many = AloneAlike(layer), layer(maps)
            for row in range(3):
                alone = maps[row : row + 1].contiguous(memory_format=torch.channels_last)
                assert torch.equal(alike(alone), many[row : row + 1]), (channels, filters, side)
                blank = torch.zeros_like(alone)
                assert torch.equal(alike(blank), layer(torch.cat((blank, blank)))[:1])
    finally:
        torch.set_num_threads(before)


def test_few_rows_round_as_many_do() -> None:
    made = torch.Generator().manual_seed(0)
    for features in (32, 128, 192, 384):
        layer = torch.nn.Linear(features, 10, bias=False).requires_grad_(False)
        rows = torch.randn(64, features, generator=made)
        for count in (1, 2, 3, 8, 15, 16, 17):
            assert torch.equal(FewAlike(layer)(rows[:count]), layer(rows)[:count]), (features, count)


def test_what_the_user_has_set_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    round_alike()
    assert os.environ["MKL_CBWR"] == "COMPATIBLE"
    monkeypatch.delenv("MKL_CBWR")
    round_alike()
    assert os.environ["MKL_CBWR"] in ("AVX2", "AVX512")
