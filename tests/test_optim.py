"""Optimizers, schedules and averaging, against their formulas written out in float64 NumPy."""

import copy
import math
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from gnomon.deadline import Deadline
from gnomon.models import Cnn, Plain, channels_last
from gnomon.optim import (
    MovingAverage,
    OptimizerName,
    OptimizerSpec,
    average_of,
    build_optimizer,
    climbed,
    orthogonalise,
)
from gnomon.planning.asked import TrainingSpec
from gnomon.planning.progress import Change, progress
from gnomon.sources import SourceSpec
from gnomon.spine.preparing import prepare
from gnomon.spine.recipe import Recipe
from gnomon.training.state import begin
from gnomon.training.train import build_model
from gnomon.types import returned

Array: TypeAlias = NDArray[np.float64]
Rule: TypeAlias = Callable[[Array, Sequence[Array], Sequence[float], float], Array]
"""(first weights, gradients, learning rates, weight decay) → last weights."""

RATES: Final = (0.1, 0.05, 0.2)
NAMES: Final[tuple[OptimizerName, ...]] = (
    *("gradient-descent", "sgd", "adam", "adamw", "muon"),
    *("schedule-free-sgd", "schedule-free-adamw"),
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def small() -> nn.Module:
    """Convolution, norm and dense layer."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 4)).double()


def stepped(module: nn.Module, spec: OptimizerSpec) -> dict[str, tuple[Array, list[Array], Array]]:
    """Of each weight: what it was, the gradients it was given in three steps, and what it is then."""
    rng = np.random.default_rng(0)
    optimizer = build_optimizer(module, spec)
    named = dict(module.named_parameters())
    first = {name: parameter.detach().numpy().copy() for name, parameter in named.items()}
    given: dict[str, list[Array]] = {name: [] for name in named}
    for rate in RATES:
        for name, parameter in named.items():
            given[name].append(rng.normal(size=parameter.shape))
            parameter.grad = torch.from_numpy(given[name][-1].copy())
        optimizer.step(rate)
        assert all(parameter.grad is None for parameter in named.values())
    return {name: (first[name], given[name], named[name].detach().numpy()) for name in named}


# --- The formulas ----------------------------------------------------------------------------------------------------


def descent(weight: Array, slopes: Sequence[Array], rates: Sequence[float], decay: float) -> Array:
    for slope, rate in zip(slopes, rates, strict=True):
        weight = weight - rate * (slope + decay * weight)
    return weight


def nesterov(momentum: float) -> Rule:
    """v ← μ v + g, w ← w − η (g + μ v)."""

    def rule(weight: Array, slopes: Sequence[Array], rates: Sequence[float], decay: float) -> Array:
        velocity = np.zeros_like(weight)
        for slope, rate in zip(slopes, rates, strict=True):
            slope = slope + decay * weight
            velocity = momentum * velocity + slope
            weight = weight - rate * (slope + momentum * velocity)
        return weight

    return rule


def adam(*, decoupled: bool) -> Rule:
    """Kingma and Ba 2015, algorithm 1; decoupled decay by Loshchilov and Hutter 2019."""

    def rule(weight: Array, slopes: Sequence[Array], rates: Sequence[float], decay: float) -> Array:
        first, second = np.zeros_like(weight), np.zeros_like(weight)
        for step, (slope, rate) in enumerate(zip(slopes, rates, strict=True), start=1):
            if decoupled:
                weight = weight - rate * decay * weight
            else:
                slope = slope + decay * weight
            first = 0.9 * first + 0.1 * slope
            second = 0.999 * second + 0.001 * slope**2
            weight = weight - rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        return weight

    return rule


def schedule_free(*, adaptive: bool) -> Rule:
    """Defazio et al. 2024, algorithm 1: z descends, x is the mean of z, and gradients are those at y between them."""

    def rule(weight: Array, slopes: Sequence[Array], rates: Sequence[float], decay: float) -> Array:
        z, x, y = weight, weight, weight
        second, weights = np.zeros_like(weight), 0.0
        for step, (slope, rate) in enumerate(zip(slopes, rates, strict=True), start=1):
            if adaptive:
                second = 0.999 * second + 0.001 * slope**2
                rate = rate * math.sqrt(1 - 0.999**step)
                slope = slope / (np.sqrt(second) + 1e-8)
            z = z - rate * slope - rate * decay * y
            weights += rate**2
            x = (1 - rate**2 / weights) * x + rate**2 / weights * z
            y = 0.1 * z + 0.9 * x
        return y

    return rule


POLYNOMIALS: Final = ((6.7524, -18.351, 13.2633), (2.5379, -1.8747, 0.4413))


def evened(strengths: Array) -> Array:
    """Singular values behind both steps."""
    for a, b, c in POLYNOMIALS:
        strengths = a * strengths + b * strengths**3 + c * strengths**5
    return strengths


def newton_schulz(matrix: Array) -> Array:
    """U p(q(Σ / ‖Σ‖)) Vᵀ, by the singular values."""
    left, strengths, right = np.linalg.svd(matrix, full_matrices=False)
    turned: Array = (left * evened(strengths / np.sqrt((strengths**2).sum()))) @ right
    return turned


def muon(weight: Array, slopes: Sequence[Array], rates: Sequence[float], _decay: float) -> Array:
    """v ← 0.6 v + g; w ← √out w/‖w‖ − η orthogonal(g + 0.6 v)."""
    velocity = np.zeros_like(weight)
    for slope, rate in zip(slopes, rates, strict=True):
        velocity = 0.6 * velocity + slope
        turned = newton_schulz((slope + 0.6 * velocity).reshape(len(weight), -1)).reshape(weight.shape)
        weight = weight * math.sqrt(len(weight)) / np.linalg.norm(weight) - rate * turned
    return weight


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("gradient-descent", descent),
        ("sgd", nesterov(0.7)),
        ("adam", adam(decoupled=False)),
        ("adamw", adam(decoupled=True)),
        ("schedule-free-sgd", schedule_free(adaptive=False)),
        ("schedule-free-adamw", schedule_free(adaptive=True)),
    ],
    ids=["gradient-descent", "sgd", "adam", "adamw", "schedule-free-sgd", "schedule-free-adamw"],
)
def test_three_steps_are_the_formulas(name: OptimizerName, rule: Rule, decay: float) -> None:
    """Biases and norms without decay."""
    taken = stepped(small(), OptimizerSpec(name=name, momentum=0.7, weight_decay=decay))
    assert len(taken) == 6
    for weight, (first, slopes, last) in taken.items():
        wanted = rule(first, slopes, RATES, decay if first.ndim > 1 else 0.0)
        np.testing.assert_allclose(last, wanted, atol=1e-10, err_msg=weight)


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_muon_turns_filters_and_leaves_the_rest_to_sgd(decay: float) -> None:
    taken = stepped(small(), OptimizerSpec(name="muon", weight_decay=decay))
    for weight, (first, slopes, last) in taken.items():
        rest = nesterov(0.85)(first, slopes, [0.25 * rate for rate in RATES], decay if first.ndim > 1 else 0.0)
        wanted = muon(first, slopes, RATES, decay) if first.ndim == 4 else rest
        np.testing.assert_allclose(last, wanted, atol=1e-6, err_msg=weight)


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_a_network_may_say_how_quickly_it_learns_what_muon_does_not_turn(decay: float) -> None:
    """The head four times as quickly as the filters, the norms' biases 32 times."""
    network = Cnn(widths=(8, 8), convolutions=1).build((3, 8, 8), 4).double().requires_grad_(True)
    taken = stepped(network, OptimizerSpec(name="muon", weight_decay=decay))
    assert {"head.weight", "stages.0.norms.0.bias", "stages.1.norms.0.bias"} < set(taken)
    for weight, (first, slopes, last) in taken.items():
        if first.ndim != 4:
            share = {"head.weight": 4.0, "stem.bias": 0.25}.get(weight, 32.0)
            rates = [share * rate for rate in RATES]
            wanted = nesterov(0.85)(first, slopes, rates, decay if first.ndim > 1 else 0.0)
            np.testing.assert_allclose(last, wanted, atol=1e-6, err_msg=weight)


@pytest.mark.parametrize("name", NAMES)
def test_without_a_gradient_a_weight_stays(name: OptimizerName) -> None:
    module = small()
    optimizer = build_optimizer(module, OptimizerSpec(name=name))
    before = {key: value.clone() for key, value in module.state_dict().items()}
    module[3].weight.grad = torch.ones(4, 8).double()  # type: ignore[index]
    optimizer.step(0.1)
    changed = {key for key, value in module.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"3.weight"}


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_state_goes_on_alike(name: OptimizerName) -> None:
    """Although it was saved in the usual order in memory, and the network's filters lie channels last."""
    torch.manual_seed(0)
    modules = [channels_last(Cnn(widths=(8, 8)).build((3, 8, 8), 4)) for _ in range(2)]
    modules[1].load_state_dict(modules[0].state_dict())
    optimizers = [build_optimizer(module, OptimizerSpec(name=name)) for module in modules]
    for step in range(4):
        if step == 2:
            saved = {key: value.clone().contiguous() for key, value in optimizers[0].state().items()}
            modules[1].load_state_dict(modules[0].state_dict())
            optimizers[1].load_state(saved)
        torch.manual_seed(step)
        for parameters in zip(*(module.parameters() for module in modules), strict=True):
            slopes = torch.randn(parameters[0].shape)
            for parameter in parameters:
                parameter.grad = torch.empty_like(parameter).copy_(slopes) if parameter.requires_grad else None
        optimizers[0].step(0.1)
        if step >= 2:
            optimizers[1].step(0.1)
    for wanted, found in zip(modules[0].parameters(), modules[1].parameters(), strict=True):
        assert torch.equal(wanted, found)


# --- Sharpness -------------------------------------------------------------------------------------------------------


def test_the_gradient_is_taken_at_the_worst_place_nearby() -> None:
    """On L = Σ a w⁴ / 4, whose slope is a w³: that at w + r g/‖g‖; weights and means of norms are as before."""
    network = nn.Sequential(nn.Linear(3, 2, bias=False), nn.BatchNorm1d(2)).double()
    linear, norm = network[0], network[1]
    assert isinstance(linear, nn.Linear)
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.running_mean is not None
    a = torch.tensor([[1.0, 2.0, 3.0], [0.5, 1.5, 2.5]]).double()

    def slope(weights: Array) -> Array:
        return a.numpy() * weights**3

    before = linear.weight.detach().numpy().copy()
    (a * linear.weight**4 / 4).sum().backward()  # type: ignore[no-untyped-call]
    with climbed(network, 0.3):
        moved = linear.weight.detach().numpy().copy()
        network(torch.randn(5, 3).double())
        (a * linear.weight**4 / 4).sum().backward()  # type: ignore[no-untyped-call]
    wanted = before + 0.3 * slope(before) / np.linalg.norm(slope(before))
    np.testing.assert_allclose(moved, wanted, atol=1e-12)
    assert linear.weight.grad is not None
    np.testing.assert_allclose(linear.weight.grad.numpy(), slope(wanted), atol=1e-12)
    assert np.array_equal(linear.weight.detach().numpy(), before)
    assert torch.equal(norm.running_mean, torch.zeros(2).double())
    assert norm.momentum == 0.1


# --- Orthogonalisation -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(8, 27), (27, 8), (16, 16), (5, 1)])
def test_orthogonalising_keeps_directions_and_evens_strengths(shape: tuple[int, int]) -> None:
    matrices = torch.from_numpy(np.random.default_rng(0).normal(size=(6, *shape)))
    turned = orthogonalise(matrices)
    for matrix, found in zip(matrices.numpy(), turned.numpy(), strict=True):
        np.testing.assert_allclose(found, newton_schulz(matrix), atol=1e-5)
    np.testing.assert_allclose(orthogonalise(matrices[2:3])[0], turned[2], atol=1e-12)
    before, after = (np.linalg.svd(stack, compute_uv=False) for stack in (matrices.numpy(), turned.numpy()))
    if min(shape) == 8:
        assert before.max(axis=1).min() / before.min(axis=1).max() > 1.5
        assert after.min() > 0.6
        assert after.max() < 1.3


def test_strong_directions_come_near_one_and_weak_ones_keep_their_order() -> None:
    """Of matrices of norm 1 with a known singular value each."""

    def turned(strengths: Array) -> Array:
        beside = np.sqrt(1 - strengths**2)
        pairs = torch.from_numpy(np.stack((strengths, beside), axis=1))
        found: Array = orthogonalise(torch.diag_embed(pairs)).diagonal(dim1=1, dim2=2)[:, 0].numpy()
        return found

    strong = turned(np.linspace(0.05, 1, 2000))
    assert strong.min() == pytest.approx(0.782, abs=0.001)
    assert strong.max() == pytest.approx(1.218, abs=0.001)
    weak = turned(np.linspace(0, 0.05, 100))
    assert np.all(np.diff(weak) > 0)
    assert weak[20] > 10 * 0.05 * 20 / 99


@pytest.mark.parametrize("shape", [(16, 144), (144, 16)])
def test_short_numbers_turn_nearly_as_long_ones(shape: tuple[int, int]) -> None:
    matrices = torch.from_numpy(np.random.default_rng(0).normal(size=(3, *shape)))
    exact = orthogonalise(matrices)
    assert float((orthogonalise(matrices.bfloat16()).double() - exact).norm() / exact.norm()) < 0.02


def test_a_gradient_of_zero_turns_nothing() -> None:
    assert torch.equal(orthogonalise(torch.zeros(2, 3, 4)), torch.zeros(2, 3, 4))


# --- Averaging and schedules -----------------------------------------------------------------------------------------


def test_the_moving_average() -> None:
    network, copied = (Cnn(widths=(4,)).build((1, 8, 8), 3) for _ in range(2))
    average = MovingAverage(copied, decay=0.75)
    wanted = {name: value.double().numpy().copy() for name, value in copied.state_dict().items()}
    for step in range(3):
        network.train()(torch.randn(8, 1, 8, 8) * (step + 1))
        average.update(network, step + 1)
        for name, value in network.state_dict().items():
            now = value.double().numpy()
            wanted[name] = 0.75 * wanted[name] + 0.25 * now if value.is_floating_point() else now
    for name, value in average.module.state_dict().items():
        np.testing.assert_allclose(value.double().numpy(), wanted[name], atol=1e-6, err_msg=name)
    assert average.module.state_dict()["stages.0.norms.0.num_batches_tracked"] == 3
    assert not any(parameter.requires_grad for parameter in average.module.parameters())


def test_slow_weights_meet_the_quick_ones_at_every_fifth_step() -> None:
    network = nn.Linear(2, 1, bias=False)
    slow = network.weight.detach().clone()
    spec = OptimizerSpec(average="lookahead")
    average = average_of(copy.deepcopy(network), spec, build_optimizer(network, spec), decay=0)
    assert average is not None
    for step in range(1, 11):
        with torch.no_grad():
            network.weight += step
        quick = network.weight.detach().clone()
        average.update(network, step)
        if step % 5 == 0:
            slow = (slow + quick) / 2
            assert torch.allclose(network.weight, slow)
        else:
            assert torch.equal(network.weight, quick)
        assert torch.allclose(next(average.module.parameters()), slow)


def test_what_a_schedule_free_method_keeps_is_its_mean() -> None:
    network, spec = nn.Linear(3, 2).double(), OptimizerSpec(name="schedule-free-sgd")
    optimizer = build_optimizer(network, spec)
    average = average_of(copy.deepcopy(network), spec, optimizer, decay=0.9)
    assert average is not None
    z, weights = network.weight.detach().clone(), 0.0
    mean = z.clone()
    for number, rate in enumerate(RATES, start=1):
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step(rate)
        average.update(network, number)
        z, weights = z - rate, weights + rate**2
        mean = mean + rate**2 / weights * (z - mean)
    np.testing.assert_allclose(next(average.module.parameters()), mean, atol=1e-12)
    assert not torch.allclose(network.weight, mean)


def test_schedules() -> None:
    for schedule, middle, end in (("constant", 1.0, 1.0), ("linear", 0.5, 0.0), ("cosine", 0.5, 0.0)):
        spec = OptimizerSpec(learning_rate=0.4, schedule=schedule)  # type: ignore[arg-type]
        assert spec.rate(0.0) == pytest.approx(0.4)
        assert spec.rate(0.5) == pytest.approx(0.4 * middle)
        assert spec.rate(1.0) == pytest.approx(0.4 * end, abs=1e-9)
    assert OptimizerSpec(learning_rate=1.0, schedule="cosine").rate(0.25) == pytest.approx((1 + 0.5**0.5) / 2)
    warm = OptimizerSpec(learning_rate=0.4, schedule="linear", warmup=0.2)
    assert [warm.rate(share) for share in (0.0, 0.1, 0.2, 0.6, 1.0)] == pytest.approx([0.0, 0.2, 0.4, 0.2, 0.0])


def test_a_spec_is_completed_for_the_network() -> None:
    usual, textbook = (
        OptimizerSpec(name="sgd").completed("image", batch=64, steps=100, textbook=flag) for flag in (False, True)
    )
    assert (usual.schedule, usual.average) == ("linear", "ema")
    assert (textbook.schedule, textbook.average) == ("constant", "none")
    asked = OptimizerSpec(name="sgd", learning_rate=0.3, schedule="cosine", average="none")
    assert asked.completed("image", batch=64, steps=100, textbook=False) == asked


def test_muons_rate_falls_with_the_root_of_the_steps_between_bounds() -> None:
    rates = [
        OptimizerSpec().completed("image", batch=512, steps=steps, textbook=False).peak
        for steps in (10, 400, 900, 10**6)
    ]
    assert rates[1:3] == pytest.approx([0.24, 0.16])
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == pytest.approx(1.4 * rates[1])
    assert rates[3] == pytest.approx(0.6 * rates[1])
    few = OptimizerSpec().completed("image", batch=128, steps=400, textbook=False)
    assert few.peak == pytest.approx(0.12)


def test_progress_bends_at_a_change_and_never_jumps() -> None:
    cut, added = Change(step=50, steps_before=100, steps=75, reason=""), Change(60, 75, 160, "")
    assert [progress(step, 100, []) for step in (0, 25, 100, 120)] == pytest.approx([0.0, 0.25, 1.0, 1.0])
    assert [progress(step, 100, [cut]) for step in (25, 50, 60, 75)] == pytest.approx([0.25, 0.5, 0.7, 1.0])
    assert progress(110, 100, [cut, added]) == pytest.approx(0.7 + 0.3 * 50 / 100)
    shares = [progress(step, 100, [cut, added]) for step in range(161)]
    assert shares[0] == 0.0
    assert shares[-1] == pytest.approx(1.0)
    rises = np.diff(shares)
    assert rises.min() > 0
    assert rises.max() < 0.0201


def test_dropout_and_frozen_weights_are_no_concern_of_the_optimizer() -> None:
    """The stem and the scales of the norms are not trained; everything else is."""
    network = Cnn(widths=(4,)).build((1, 8, 8), 3)
    assert {name for name, parameter in network.named_parameters() if not parameter.requires_grad} == {
        *("stem.weight", "stem.bias", "stages.0.norms.0.weight", "stages.0.norms.1.weight")
    }
    assert all(parameter.requires_grad for parameter in Plain().build((1, 18, 18), 3).parameters())


def test_an_average_reaches_back_over_the_training_as_it_is_now() -> None:
    """A run that is cut short must not be judged by weights from before it had learnt anything."""
    asked = Recipe(
        source=SourceSpec(location="digits"),
        model=Cnn(widths=(8,), convolutions=3),
        optimizer=OptimizerSpec(name="sgd", average="ema"),
        training=TrainingSpec(steps=100_000, threads=1, format="float32"),
    )
    prepared = returned(prepare(asked, Deadline(time.monotonic())))
    model = build_model(prepared.plan.model, prepared.rows, seed=0, device="cpu")
    state = begin(model, prepared.plan, prepared.rows, None)
    assert isinstance(state.average, MovingAverage)
    assert state.average.decay == pytest.approx(1 - 1 / 2001)
    state.replanned(Change(step=0, steps_before=100_000, steps=200, reason="the machine is slower than planned"))
    assert state.average.decay == pytest.approx(1 - 1 / 5)
