"""Convolutions over sequences: freedom of padding, and norms against the formula."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch

from gnomon.models.crnn import Crnn, MaskedNorm
from gnomon.models.recurrence import Cell

SHAPE = (40, 9)


def rows(lengths: list[int], number: torch.dtype) -> torch.Tensor:
    made, random = torch.zeros(len(lengths), *SHAPE, dtype=number), np.random.default_rng(4)
    for row, length in enumerate(lengths):
        made[row, :length, :-1] = torch.from_numpy(random.normal(size=(length, SHAPE[1] - 1))).to(number)
        made[row, :length, -1] = 1
    return made


@pytest.mark.parametrize(("number", "within"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("cell", ["none", "gru"])
@pytest.mark.parametrize("dimensions", [1, 2])
def test_padding_and_neighbours_change_nothing(
    dimensions: Literal[1, 2], cell: Cell | Literal["none"], number: torch.dtype, within: float
) -> None:
    torch.manual_seed(1)
    model = Crnn(widths=(4, 6), units=5, cell=cell, dimensions=dimensions).build(SHAPE, 3).to(number)
    given = rows([40, 1, 13, 22], number)
    for _ in range(3):
        model(given)  # norms learn what to subtract, so that 0 is not what a norm makes of 0
    model.eval()
    together = model(given)
    alone = torch.cat([model(given[row : row + 1, : max(1, int(given[row, :, -1].sum()))]) for row in range(4)])
    assert torch.allclose(together, alone, rtol=0, atol=within)
    assert torch.allclose(together, model(given.flip(0)).flip(0), rtol=0, atol=within)


def test_what_stands_behind_the_end_does_not_count_in_training_either() -> None:
    """Longer padding: the same outputs, the same gradients, the same running means."""
    found = []
    for steps in (24, 40):
        torch.manual_seed(1)
        model = Crnn(widths=(4,), dropout=0.0, dimensions=2).build(SHAPE, 3).double()
        given = rows([24, 5, 17], torch.float64)[:, :steps]
        output = model(given)
        output.square().sum().backward()
        gradients = [weight.grad.flatten() for weight in model.parameters() if weight.grad is not None]
        found.append(torch.cat([output.flatten().detach(), *gradients, *(b.flatten() for b in model.buffers())]))
    assert torch.allclose(found[0], found[1], rtol=0, atol=1e-10)


def test_norms_are_of_the_steps_that_are_there() -> None:
    norm, random = MaskedNorm(3).double(), np.random.default_rng(2)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    maps, mask = random.normal(size=(2, 3, 5, 4)), np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    there = mask[:, None, :, None].astype(np.float64)
    given = torch.from_numpy(maps).requires_grad_()
    said = norm(given, torch.from_numpy(there))
    chosen = maps.transpose(0, 2, 3, 1)[mask.astype(bool)].reshape(-1, 3)
    mean, variance = chosen.mean(0), chosen.var(0)
    weight, bias = norm.weight.detach().numpy(), norm.bias.detach().numpy()
    normed = (maps - mean[:, None, None]) / np.sqrt(variance + 1e-5)[:, None, None]
    expected = np.maximum(0, normed * weight[:, None, None] + bias[:, None, None]) * there
    assert np.allclose(said.detach().numpy(), expected, rtol=0, atol=1e-12)
    assert np.allclose(norm.mean.numpy(), 0.1 * mean)
    assert np.allclose(norm.variance.numpy(), 0.9 + 0.1 * chosen.var(0, ddof=1))


@pytest.mark.parametrize("dimensions", [1, 2])
def test_multiplications_are_counted(dimensions: Literal[1, 2]) -> None:
    """Against the convolutions' own sizes and outputs."""
    spec, total = Crnn(widths=(4, 6), convolutions=1, cell="none", dimensions=dimensions), 0
    model = spec.build(SHAPE, 3).eval()

    def count(layer: torch.nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal total
        weight = layer.get_parameter("weight")
        total += weight[0].numel() * output[0].numel()

    for layer in model.modules():
        if isinstance(layer, torch.nn.Conv1d | torch.nn.Conv2d):
            layer.register_forward_hook(count)
    model(rows([40], torch.float32))
    assert spec.products(SHAPE) == total


def test_gradients_of_the_norm_are_differences_of_the_formula() -> None:
    norm, mask = MaskedNorm(2).double(), torch.tensor([[1.0, 1, 1], [1, 0, 0]], dtype=torch.float64)[:, None, :, None]
    torch.nn.init.normal_(norm.weight)
    maps = torch.randn(2, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    weigh = torch.randn(2, 2, 3, 2, dtype=torch.float64)

    def loss(maps: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            norm.weight.copy_(weight)
            norm.bias.copy_(bias)
        total: torch.Tensor = (norm(maps, mask) * weigh).sum()
        return total

    loss(maps, norm.weight.detach().clone(), norm.bias.detach().clone()).backward()  # type: ignore[no-untyped-call]
    given = [maps.detach().clone(), norm.weight.detach().clone(), norm.bias.detach().clone()]
    for which, slopes in enumerate((maps.grad, norm.weight.grad, norm.bias.grad)):
        assert slopes is not None
        for place in range(slopes.numel()):
            ends = []
            for step in (1e-6, -1e-6):
                moved = [tensor.clone() for tensor in given]
                moved[which].view(-1)[place] += step
                ends.append(float(loss(moved[0], moved[1], moved[2]).detach()))
            assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(float(slopes.reshape(-1)[place]), rel=1e-5, abs=1e-8)
