"""What a step takes of memory: by hand for a small network, and the optimizers' moments as they are."""

from typing import get_args

import pytest
import torch
from torch import nn

from gnomon.models import Cnn, set_recompute
from gnomon.optim import OptimizerSpec, build_optimizer
from gnomon.optim.spec import OptimizerName
from gnomon.planning.memory import Kept, kept_for_backward, moments_of, step_bytes


def _network() -> nn.Module:
    return nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 3))


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_what_the_backward_pass_needs_is_counted_once(rows: int) -> None:
    """Of a row its 10 numbers and the 20 behind the activation, which are also the last layer's inputs."""
    kept = kept_for_backward(_network(), torch.randn(rows, 10), "float32")
    assert kept == Kept(fixed=0.0, row=4.0 * 30, largest=4.0 * 20)


def test_in_another_format_copies_of_weights_are_kept_too() -> None:
    """Of the last layer's alone: nobody asks for the slopes of the inputs."""
    kept = kept_for_backward(_network(), torch.randn(4, 10), "bfloat16")
    assert kept.row == 2.0 * 30
    assert kept.fixed == 2.0 * 20 * 3


@pytest.mark.parametrize("name", get_args(OptimizerName))
def test_moments_are_those_that_an_optimizer_keeps(name: OptimizerName) -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.Flatten(), nn.Linear(8, 4, bias=False))
    spec = OptimizerSpec(name=name)
    optimizer = build_optimizer(network, spec)
    network(torch.randn(2, 3, 3, 3)).sum().backward()
    optimizer.step(0.01)
    sizes = {tuple(weight.shape): weight.numel() for weight in network.parameters()}
    kept = sum(value.numel() for value in optimizer.state().values() if tuple(value.shape) in sizes)
    momentum = spec.momentum > 0 or name != "gradient-descent"
    assert kept == (moments_of(spec) if momentum else 0) * sum(sizes.values())


def test_the_parts_of_a_step() -> None:
    network, kept = _network(), Kept(fixed=7.0, row=100.0, largest=10.0)
    weights = 4.0 * (10 * 20 + 20 + 20 * 3 + 3)
    said = step_bytes(network, kept, 8, OptimizerSpec(name="adamw", average="ema"))
    assert said.pop("scratch") > 0
    assert said == {
        "weights": weights,
        "gradients": weights,
        "optimizer": 2 * weights,
        "average": weights,
        "activations": 7.0 + 8 * 125.0,
    }
    frozen = _network().requires_grad_(False)
    assert step_bytes(frozen, kept, 8, OptimizerSpec(name="sgd"))["gradients"] == 0


def test_what_is_computed_anew_has_the_same_bits_and_takes_less() -> None:
    """Gradients, running means and their counts; of the activations, what each stage starts from."""
    inputs, labels = torch.randn(8, 3, 16, 16), torch.arange(8) % 3
    networks = []
    for recompute in (False, True):
        torch.manual_seed(0)
        network = Cnn(widths=(8, 16), convolutions=3, dropout=0.3).build((3, 16, 16), 3)
        set_recompute(network, recompute)
        kept = kept_for_backward(network, inputs, "float32")
        torch.manual_seed(1)
        nn.functional.cross_entropy(network(inputs), labels).backward()  # type: ignore[no-untyped-call]
        networks.append((network, kept))
    (usual, more), (anew, less) = networks
    for name, value in usual.state_dict().items():
        assert torch.equal(value, anew.state_dict()[name]), name
    for one, other in zip(usual.parameters(), anew.parameters(), strict=True):
        assert (one.grad is None and other.grad is None) or torch.equal(one.grad, other.grad)  # type: ignore[arg-type]
    assert less.row < 0.6 * more.row
