"""Layers, loss, gradients and one whole step of training, against the formulas written out in float64 NumPy."""

from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import pytest
import scipy.signal
import scipy.special
import torch
from numpy.typing import NDArray
from torch import nn

from gnomon.models import Cnn, Network, Plain, answering, whiten
from gnomon.optim import OptimizerSpec, build_optimizer
from gnomon.tasks import Classify

Array: TypeAlias = NDArray[np.float64]
CLASSES: Final = ("a", "b", "c")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


# --- The formulas ----------------------------------------------------------------------------------------------------


def correlate(inputs: Array, filters: Array, bias: Array | None = None, *, stride: int = 1, padding: int = 0) -> Array:
    """y[n, o, i, j] = Σ_c Σ_m Σ_n x[n, c, s·i + m, s·j + n] w[o, c, m, n] + b[o]."""
    padded = np.pad(inputs, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    pairs = zip(padded.shape[2:], filters.shape[2:], strict=True)
    height, width = ((side - kernel) // stride + 1 for side, kernel in pairs)
    outputs = np.zeros((len(inputs), len(filters), height, width))
    for i in range(height):
        for j in range(width):
            patch = padded[:, :, i * stride : i * stride + filters.shape[2], j * stride : j * stride + filters.shape[3]]
            outputs[:, :, i, j] = np.einsum("ncmk,ocmk->no", patch, filters)
    return outputs if bias is None else outputs + bias[:, None, None]


def correlate_back(
    inputs: Array, filters: Array, slopes: Array, *, stride: int = 1, padding: int = 0
) -> tuple[Array, Array, Array]:
    """Derivatives by inputs, filters and bias, from those by the outputs."""
    padded = np.pad(inputs, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    by_padded, by_filters = np.zeros_like(padded), np.zeros_like(filters)
    for i in range(slopes.shape[2]):
        for j in range(slopes.shape[3]):
            rows = slice(i * stride, i * stride + filters.shape[2])
            columns = slice(j * stride, j * stride + filters.shape[3])
            by_padded[:, :, rows, columns] += np.einsum("no,ocmk->ncmk", slopes[:, :, i, j], filters)
            by_filters += np.einsum("no,ncmk->ocmk", slopes[:, :, i, j], padded[:, :, rows, columns])
    inner = [slice(padding, padding + side) for side in inputs.shape[2:]]
    return by_padded[:, :, inner[0], inner[1]], by_filters, slopes.sum(axis=(0, 2, 3))


def pool(inputs: Array) -> Array:
    """Maximum of each 2×2 block; an odd last row or column is left out."""
    height, width = (side // 2 for side in inputs.shape[2:])
    outputs = np.zeros((*inputs.shape[:2], height, width))
    for i in range(height):
        for j in range(width):
            outputs[:, :, i, j] = inputs[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].max(axis=(2, 3))
    return outputs


def pool_back(inputs: Array, outputs: Array, slopes: Array) -> Array:
    """All of the slope goes to the place of the maximum."""
    back = np.zeros_like(inputs)
    for row, channel, i, j in np.ndindex(*outputs.shape):
        block = inputs[row, channel, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
        place = np.unravel_index(block.argmax(), (2, 2))
        back[row, channel, 2 * i + place[0], 2 * j + place[1]] += slopes[row, channel, i, j]
    return back


def softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Array = powers / powers.sum(axis=1, keepdims=True)
    return shares


def cross_entropy(logits: Array, targets: Array, weights: Array, smoothing: float) -> tuple[float, Array]:
    """Σᵢ Σₖ wₖ tᵢₖ (−log pᵢₖ) / Σᵢ Σₖ wₖ tᵢₖ and its derivative by the logits; t is smoothed."""
    shares, total, norm = softmax(logits), 0.0, 0.0
    slopes = np.zeros_like(logits)
    for row in range(len(logits)):
        for k in range(logits.shape[1]):
            target = weights[k] * ((1 - smoothing) * targets[row, k] + smoothing / logits.shape[1])
            total -= target * np.log(shares[row, k])
            norm += target
            slopes[row] += target * shares[row]
            slopes[row, k] -= target
    return total / norm, slopes / norm


def gelu(inputs: Array) -> Array:
    raised: Array = inputs * 0.5 * (1 + scipy.special.erf(inputs / np.sqrt(2)))
    return raised


def normalised(inputs: Array, bias: Array) -> Array:
    """Batch norm in training: mean 0 and deviation 1 in each channel, then the bias."""
    centred = inputs - inputs.mean(axis=(0, 2, 3), keepdims=True)
    scaled: Array = centred / np.sqrt((centred**2).mean(axis=(0, 2, 3), keepdims=True) + 1e-5)
    return scaled + bias[:, None, None]


def values(module: nn.Module) -> dict[str, Array]:
    """Copies of the weights."""
    return {name: tensor.detach().double().numpy().copy() for name, tensor in module.named_parameters()}


# --- Single layers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", [Cnn(widths=(4,)), Cnn(widths=(4,), stem_stride=2), Cnn(widths=(4,), stem_stride=4)])
def test_the_stem_is_a_cross_correlation(rng: np.random.Generator, spec: Cnn) -> None:
    """Forward and backward, with padding and strides of 1, 2 and 4."""
    layer = spec.build((2, 11, 9), 3).double().stem.requires_grad_(True)
    inputs = rng.normal(size=(3, 2, 11, 9))
    tensor = torch.from_numpy(inputs).requires_grad_(True)
    outputs = layer(tensor)
    assert layer.bias is not None
    filters, bias = values(layer)["weight"], values(layer)["bias"]
    wanted = correlate(inputs, filters, bias, stride=spec.stem_stride, padding=1)
    np.testing.assert_allclose(outputs.detach().numpy(), wanted, atol=1e-12)
    slopes = rng.normal(size=wanted.shape)
    outputs.backward(torch.from_numpy(slopes))
    backward = correlate_back(inputs, filters, slopes, stride=spec.stem_stride, padding=1)
    found = (tensor.grad, layer.weight.grad, layer.bias.grad)
    for slope, reference in zip(found, backward, strict=True):
        assert slope is not None
        np.testing.assert_allclose(slope.numpy(), reference, atol=1e-11)


def test_the_textbooks_convolution_is_the_layer_with_its_filter_flipped(rng: np.random.Generator) -> None:
    """y[i, j] = Σ_m Σ_n x[i − m, j − n] w[m, n], written out, and by SciPy."""
    layer = Plain(widths=(1, 1, 1)).build((1, 18, 18), 3).double()[0]  # type: ignore[index]
    image, kernel = rng.normal(size=(18, 18)), rng.normal(size=(3, 3))
    wanted = np.zeros((16, 16))
    for i in range(16):
        for j in range(16):
            wanted[i, j] = sum(image[i + 2 - m, j + 2 - n] * kernel[m, n] for m in range(3) for n in range(3))
    np.testing.assert_allclose(wanted, scipy.signal.convolve2d(image, kernel, "valid"), atol=1e-12)
    with torch.no_grad():
        layer.bias.zero_()
        layer.weight[0, 0] = torch.from_numpy(kernel[::-1, ::-1].copy())
        flipped = layer(torch.from_numpy(image)[None, None])[0, 0].numpy()
        layer.weight[0, 0] = torch.from_numpy(kernel)
        unflipped = layer(torch.from_numpy(image)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(flipped, wanted, atol=1e-12)
    np.testing.assert_allclose(unflipped, scipy.signal.correlate2d(image, kernel, "valid"), atol=1e-12)
    assert np.abs(unflipped - wanted).max() > 0.1


@pytest.mark.parametrize(("height", "width"), [(6, 8), (7, 5)])
def test_max_pooling(rng: np.random.Generator, height: int, width: int) -> None:
    layer = Plain().build((1, 18, 18), 3).pool1
    inputs = rng.normal(size=(2, 3, height, width))
    tensor = torch.from_numpy(inputs).requires_grad_(True)
    outputs = layer(tensor)  # type: ignore[operator]
    wanted = pool(inputs)
    np.testing.assert_array_equal(outputs.detach().numpy(), wanted)
    slopes = rng.normal(size=wanted.shape)
    outputs.backward(torch.from_numpy(slopes))
    assert tensor.grad is not None
    np.testing.assert_array_equal(tensor.grad.numpy(), pool_back(inputs, wanted, slopes))


# --- The loss --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [(), (1.0, 2.5, 0.25)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("mixed", [False, True])
def test_the_loss_and_its_gradient(
    rng: np.random.Generator, weights: tuple[float, ...], smoothing: float, mixed: bool
) -> None:
    task = Classify(classes=CLASSES, class_weights=weights, label_smoothing=smoothing)
    logits = rng.normal(size=(7, 3)) * 4
    targets = rng.dirichlet([1, 1, 1], size=7) if mixed else np.eye(3)[rng.integers(0, 3, 7)]
    tensor = torch.from_numpy(logits).requires_grad_(True)
    loss = task.losses(tensor, torch.from_numpy(targets)).mean()
    loss.backward()  # type: ignore[no-untyped-call]
    wanted, slopes = cross_entropy(logits, targets, np.array(weights or (1, 1, 1)), smoothing)
    assert float(loss.detach()) == pytest.approx(wanted, abs=1e-12)
    assert tensor.grad is not None
    np.testing.assert_allclose(tensor.grad.numpy(), slopes, atol=1e-12)


def test_the_loss_of_large_logits_is_finite_and_short_formats_are_widened() -> None:
    task = Classify(classes=CLASSES)
    large = torch.tensor([[1e4, 0.0, -1e4]])
    assert float(task.losses(large, torch.tensor([[0.0, 0.0, 1.0]])).mean()) == pytest.approx(2e4)
    short = torch.tensor([[0.5, 0.25, -1.0]], dtype=torch.bfloat16)
    loss = task.losses(short, torch.eye(3)[:1]).mean()
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(float(task.losses(short.float(), torch.eye(3)[:1]).mean()), abs=1e-7)


# --- One step of gradient descent, by hand ---------------------------------------------------------------------------


def _dense_back(inputs: Array, weight: Array, slopes: Array) -> tuple[Array, Array, Array]:
    return slopes @ weight, slopes.T @ inputs, slopes.sum(axis=0)


def plain_by_hand(weights: dict[str, Array], inputs: Array, targets: Array) -> tuple[Array, float, dict[str, Array]]:
    """Logits, loss, and the loss's derivative by each weight of the textbook's network."""
    maps1 = correlate(inputs, weights["conv1.weight"], weights["conv1.bias"])
    pooled1 = pool(np.maximum(maps1, 0))
    maps2 = correlate(pooled1, weights["conv2.weight"], weights["conv2.bias"])
    pooled2 = pool(np.maximum(maps2, 0))
    maps3 = correlate(pooled2, weights["conv3.weight"], weights["conv3.bias"])
    flat = np.maximum(maps3, 0).reshape(len(inputs), -1)
    hidden = flat @ weights["dense1.weight"].T + weights["dense1.bias"]
    active = np.maximum(hidden, 0)
    logits = active @ weights["dense2.weight"].T + weights["dense2.bias"]
    loss, slopes = cross_entropy(logits, targets, np.ones(logits.shape[1]), 0.0)
    back: dict[str, Array] = {}
    slopes, back["dense2.weight"], back["dense2.bias"] = _dense_back(active, weights["dense2.weight"], slopes)
    slopes = slopes * (hidden > 0)
    slopes, back["dense1.weight"], back["dense1.bias"] = _dense_back(flat, weights["dense1.weight"], slopes)
    slopes = slopes.reshape(maps3.shape) * (maps3 > 0)
    slopes, back["conv3.weight"], back["conv3.bias"] = correlate_back(pooled2, weights["conv3.weight"], slopes)
    slopes = pool_back(np.maximum(maps2, 0), pooled2, slopes) * (maps2 > 0)
    slopes, back["conv2.weight"], back["conv2.bias"] = correlate_back(pooled1, weights["conv2.weight"], slopes)
    slopes = pool_back(np.maximum(maps1, 0), pooled1, slopes) * (maps1 > 0)
    _, back["conv1.weight"], back["conv1.bias"] = correlate_back(inputs, weights["conv1.weight"], slopes)
    return logits, loss, back


def test_a_step_of_gradient_descent_is_the_textbooks(rng: np.random.Generator) -> None:
    """w ← w − η ∇L, three times over all rows, each weight to 1e-10."""
    torch.manual_seed(0)
    network = Plain(widths=(2, 3, 4), dense=5).build((2, 20, 22), 3).double()
    task, optimizer = Classify(classes=CLASSES), build_optimizer(network, OptimizerSpec(name="gradient-descent"))
    inputs, targets = rng.normal(size=(6, 2, 20, 22)), np.eye(3)[rng.integers(0, 3, 6)]
    weights = values(network)
    for rate in (0.5, 0.25, 0.125):
        logits = network(torch.from_numpy(inputs))
        loss = task.losses(logits, torch.from_numpy(targets)).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        wanted_logits, wanted_loss, slopes = plain_by_hand(weights, inputs, targets)
        np.testing.assert_allclose(logits.detach().numpy(), wanted_logits, atol=1e-10)
        assert float(loss.detach()) == pytest.approx(wanted_loss, abs=1e-12)
        optimizer.step(rate)
        assert weights.keys() == slopes.keys() == values(network).keys()
        weights = {name: weight - rate * slopes[name] for name, weight in weights.items()}
        for name, found in values(network).items():
            np.testing.assert_allclose(found, weights[name], atol=1e-10, err_msg=name)


# --- The cnn ---------------------------------------------------------------------------------------------------------


def _stage_by_hand(maps: Array, weights: dict[str, Array], stage: int, convolutions: int) -> Array:
    for position in range(convolutions):
        before = maps
        maps = correlate(maps, weights[f"stages.{stage}.convolutions.{position}.weight"], padding=1)
        maps = pool(maps) if position == 0 else maps
        maps = normalised(maps, weights[f"stages.{stage}.norms.{position}.bias"])
        maps = gelu(maps + before if position > 1 else maps)
    return maps


@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_the_cnns_forward_pass(rng: np.random.Generator, activation: str) -> None:
    torch.manual_seed(0)
    spec = msgspec.convert(
        {"model": "cnn", "widths": [5, 6], "convolutions": 3, "stem_width": 7, "stem_activation": activation}, Cnn
    )
    network = spec.build((2, 12, 8), 3).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        for name, parameter in network.named_parameters():
            if "norms" in name and name.endswith("weight"):
                parameter.fill_(1.0)
    inputs, weights = rng.normal(size=(4, 2, 12, 8)), values(network)
    maps = correlate(inputs, weights["stem.weight"], weights["stem.bias"], padding=1)
    maps = gelu(maps) if activation == "gelu" else np.maximum(maps, 0)
    for stage in range(2):
        maps = _stage_by_hand(maps, weights, stage, 3)
    wanted = maps.max(axis=(2, 3)) @ weights["head.weight"].T / 9
    found = network.train()(torch.from_numpy(inputs)).detach().numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-10)


def test_the_cnns_gradient_is_the_slope_of_its_loss() -> None:
    """Against differences of the loss, for every kind of weight."""
    torch.manual_seed(0)
    network = Cnn(widths=(4,), convolutions=3, stem_width=4).build((1, 6, 6), 3).double()
    task, inputs, targets = Classify(classes=CLASSES), torch.randn(5, 1, 6, 6).double(), torch.eye(3)[[0, 1, 2, 0, 1]]
    task.losses(network(inputs), targets).mean().backward()  # type: ignore[no-untyped-call]
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            assert parameter.grad is None
            assert name == "stem.bias" or name.endswith("weight")
            continue
        place = tuple(side // 2 for side in parameter.shape)
        losses = []
        for change in (1e-6, -1e-6):
            with torch.no_grad():
                parameter[place] += change
                losses.append(float(task.losses(network(inputs), targets).mean()))
                parameter[place] -= change
        assert parameter.grad is not None
        assert float(parameter.grad[place]) == pytest.approx((losses[0] - losses[1]) / 2e-6, rel=1e-4, abs=1e-8), name


@pytest.mark.parametrize("stride", [1, 2])
def test_whitened_patches_are_uncorrelated(rng: np.random.Generator, stride: int) -> None:
    """The covariance of the stem's answers to the patches is the identity on the strongest components."""
    noise = rng.normal(size=(40, 3, 24, 24))
    smooth = noise + np.roll(noise, 1, axis=2) + 0.7 * np.roll(noise, 1, axis=3) + 0.3 * noise[:, [1, 2, 0]]
    network = Cnn(widths=(4,), stem_width=24, stem_stride=stride).build((3, 24, 24), 3)
    assert isinstance(network, Network)
    whiten(network, torch.from_numpy(smooth))
    filters = values(network)["stem.weight"]
    np.testing.assert_array_equal(filters[12:], -filters[:12])
    kernel, step = stride + 2, (stride + 2) // 2
    patches = _patches(smooth, kernel, step)
    covariance = np.cov(patches @ filters[:12].reshape(12, -1).T, rowvar=False)
    np.testing.assert_allclose(covariance, np.eye(12), atol=0.01)
    strengths = np.linalg.eigvalsh(np.cov(patches, rowvar=False))[::-1][:12]
    lengths = np.linalg.norm(filters[:12].reshape(12, -1), axis=1)
    np.testing.assert_allclose(lengths, (strengths + 5e-4) ** -0.5, rtol=1e-4)


def _patches(pictures: Array, kernel: int, step: int) -> NDArray[Any]:
    starts = range(0, pictures.shape[2] - kernel + 1, step)
    return np.concatenate(
        [pictures[:, :, i : i + kernel, j : j + kernel].reshape(len(pictures), -1) for i in starts for j in starts]
    )


def test_norms_folded_into_convolutions_change_no_output() -> None:
    torch.manual_seed(0)
    network = Cnn(widths=(8, 16), convolutions=3, stem_activation="relu").build((3, 16, 16), 5).double()
    for _ in range(3):
        network(torch.randn(32, 3, 16, 16, dtype=torch.float64) * 3 + 1)
    inputs = torch.randn(8, 3, 16, 16, dtype=torch.float64)
    quick = answering(network)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in quick.modules())
    assert torch.allclose(quick(inputs), network.eval()(inputs), rtol=1e-10, atol=1e-12)
