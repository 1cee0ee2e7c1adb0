"""Products of float32 matrices by either library, against float64."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gnomon.models import products
from gnomon.models.products import linear, over_steps


@pytest.fixture(params=["onednn", "usual"])
def _library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "onednn" and not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        pytest.skip("this PyTorch has no oneDNN")
    monkeypatch.setattr(products, "_is_quicker", lambda: request.param == "onednn")


def _assert_close(found: torch.Tensor, wanted: NDArray[np.float64]) -> None:
    bound = 1e-4 if found.dtype is torch.float32 else 1e-12
    np.testing.assert_allclose(found.numpy(), wanted, rtol=bound, atol=bound)


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize(("rows", "inner", "columns"), [(1, 1, 1), (7, 5, 3), (130, 33, 17), (2048, 64, 384)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_linear(rows: int, inner: int, columns: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    inputs, weight, bias = (torch.randn(*shape).to(dtype) for shape in ((rows, inner), (columns, inner), (columns,)))
    wanted = inputs.double().numpy() @ weight.double().numpy().T
    _assert_close(linear(inputs, weight), wanted)
    _assert_close(linear(inputs, weight, bias), wanted + bias.double().numpy())
    turned = weight.mT.contiguous().mT
    _assert_close(linear(inputs, turned), wanted)


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize(("steps", "rows", "left", "right"), [(1, 1, 1, 1), (3, 5, 7, 2), (40, 16, 96, 33)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_over_steps(steps: int, rows: int, left: int, right: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    first, second = torch.randn(steps, rows, left).to(dtype), torch.randn(steps, rows, right).to(dtype)
    wanted = np.einsum("tng,tnd->gd", first.double().numpy(), second.double().numpy())
    _assert_close(over_steps(first, second), wanted)
    rows_first = second.transpose(0, 1).contiguous().transpose(0, 1)
    _assert_close(over_steps(first, rows_first), wanted)


@pytest.mark.parametrize(
    ("vendor", "flags", "quicker"),
    [("AuthenticAMD", "avx2 avx512f", True), ("GenuineIntel", "avx2 avx512f", False), ("AuthenticAMD", "avx2", False)],
)
def test_the_processor_decides(vendor: str, flags: str, quicker: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        pytest.skip("this PyTorch has no oneDNN")
    monkeypatch.setattr(products, "of_processor", {"vendor_id": vendor, "flags": flags}.__getitem__)
    assert products._is_quicker.__wrapped__() is quicker
