"""Filters' gradients by one product: the formula in float64 NumPy, the library's own, and where it is left alone."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnomon.models import channels_last, convolve
from gnomon.models.convolve import Activation, activated, weight_gradient


@pytest.fixture
def tiles(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """As on a processor with AMX; the shapes of the maps whose gradient was taken by a product."""
    seen: list[tuple[int, ...]] = []

    def noted(maps: Tensor, slopes: Tensor) -> Tensor:
        seen.append(tuple(maps.shape))
        return weight_gradient(maps, slopes)

    monkeypatch.setattr(convolve, "_has_tiles", lambda: True)
    monkeypatch.setattr(convolve, "weight_gradient", noted)
    return seen


def by_formula(maps: NDArray[np.float64], slopes: NDArray[np.float64]) -> NDArray[np.float64]:
    rows, channels, height, width = maps.shape
    padded = np.zeros((rows, channels, height + 2, width + 2))
    padded[:, :, 1:-1, 1:-1] = maps
    found = np.zeros((slopes.shape[1], channels, 3, 3))
    for i in range(3):
        for j in range(3):
            found[:, :, i, j] = np.einsum("ndyx,ncyx->dc", slopes, padded[:, :, i : i + height, j : j + width])
    return found


@pytest.mark.parametrize("shape", [(5, 3, 7, 4, 4), (2, 8, 6, 3, 5), (1, 4, 4, 1, 1), (3, 2, 5, 6, 6), (0, 2, 5, 6, 6)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_product_is_the_formula(shape: tuple[int, ...], layout: torch.memory_format) -> None:
    rows, channels, filters, height, width = shape
    chance = np.random.default_rng(3)
    maps = chance.normal(size=(rows, channels, height, width))
    slopes = chance.normal(size=(rows, filters, height, width))
    laid = [torch.from_numpy(array).contiguous(memory_format=layout) for array in (maps, slopes)]
    np.testing.assert_allclose(weight_gradient(*laid).numpy(), by_formula(maps, slopes), rtol=1e-12, atol=1e-12)


def passed(convolution: nn.Conv2d, maps: Tensor, ours: bool) -> list[Tensor]:
    """Outputs, and the slopes of their squares by maps and filters."""
    maps = maps.clone().requires_grad_()
    convolution.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        found = convolve.convolve(maps, convolution) if ours else convolution(maps)
    found.float().square().sum().backward()
    assert maps.grad is not None
    assert convolution.weight.grad is not None
    return [found.detach(), maps.grad, convolution.weight.grad]


@pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(),
    reason="without instructions for bfloat16 the library's own convolution is rougher, and this one is not used",
)
def test_it_agrees_with_the_library_in_bfloat16(tiles: list[tuple[int, ...]]) -> None:
    torch.manual_seed(1)
    convolution = nn.Conv2d(16, 24, 3, padding=1, bias=False)
    channels_last(convolution)
    maps = torch.randn(32, 16, 4, 4).contiguous(memory_format=torch.channels_last)
    ours, usual = passed(convolution, maps, True), passed(convolution, maps, False)
    assert tiles == [(32, 16, 4, 4)]
    for one, other in zip(ours, usual, strict=True):
        assert one.dtype == other.dtype
        assert (one - other).float().norm() <= 2e-3 * other.float().norm()


def test_large_maps_whole_numbers_and_predictions_take_the_usual_way(tiles: list[tuple[int, ...]]) -> None:
    convolution = nn.Conv2d(4, 4, 3, padding=1, bias=False)
    passed(convolution, torch.randn(2, 4, 8, 8), True)
    convolve.convolve(torch.randn(2, 4, 4, 4), convolution).sum().backward()  # type: ignore[no-untyped-call]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        convolve.convolve(torch.randn(2, 4, 4, 4), convolution)
    assert tiles == []


# --- With the activation in one pass ---------------------------------------------------------------------------------

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": nn.functional.gelu, "relu": nn.functional.relu}


@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize(
    ("channels", "side", "stride", "bias", "rows"),
    [(3, 32, 1, True, 64), (3, 24, 1, True, 5), (1, 28, 2, True, 7), (16, 7, 1, False, 1), (3, 9, 4, True, 0)],
)
def test_the_activation_in_one_pass_is_that_of_two(
    activation: Activation, channels: int, side: int, stride: int, bias: bool, rows: int
) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(channels, 32, 3, stride, padding=1, bias=bias)
    maps = torch.randn(rows, channels, side, side).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        wanted = FUNCTIONS[activation](layer(maps))
        torch.testing.assert_close(activated(maps, layer, activation), wanted, rtol=1e-5, atol=1e-5)
        with torch.autocast("cpu", torch.bfloat16):
            short = activated(maps, layer, activation)
    assert short.dtype == torch.bfloat16
    torch.testing.assert_close(short.float(), wanted, rtol=0.02, atol=0.02)


def test_what_is_learnt_and_what_is_longer_goes_the_usual_way() -> None:
    layer, maps = nn.Conv2d(3, 8, 3, padding=1), torch.randn(4, 3, 8, 8)
    activated(maps, layer, "gelu").sum().backward()  # type: ignore[no-untyped-call]
    assert layer.weight.grad is not None
    given = maps.clone().requires_grad_()
    activated(given, layer.requires_grad_(False), "relu").sum().backward()  # type: ignore[no-untyped-call]
    assert given.grad is not None
    long = layer.double()
    torch.testing.assert_close(activated(maps.double(), long, "gelu"), nn.functional.gelu(long(maps.double())))
