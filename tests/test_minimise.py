"""L-BFGS against a closed form; optimizers step as PyTorch's own do, and load no compiler."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from gnomon.minimise import minimise
from gnomon.optim import OptimizerName, OptimizerSpec, build_optimizer
from test_layers import loaded_by


def test_the_least_squares_solution_is_found() -> None:
    generator = np.random.default_rng(3)
    inputs, targets = generator.normal(size=(50, 4)), generator.normal(size=50)
    weights = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    pair = torch.from_numpy(inputs), torch.from_numpy(targets)
    with torch.no_grad():  # as a caller may have it
        minimise(lambda: (pair[0] @ weights - pair[1]).square().mean(), [weights], iterations=100)
    np.testing.assert_allclose(weights.detach().numpy(), np.linalg.lstsq(inputs, targets)[0], atol=1e-5)


Own = Callable[[list[nn.Parameter]], torch.optim.Optimizer]


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("sgd", lambda weights: torch.optim.SGD(weights, lr=0.1, momentum=0.9, nesterov=True)),
        ("adam", lambda weights: torch.optim.Adam(weights, lr=0.1, fused=True)),
        ("adamw", lambda weights: torch.optim.AdamW(weights, lr=0.1, weight_decay=0.0, fused=True)),
    ],
)
def test_a_step_has_the_bits_of_pytorchs(name: OptimizerName, own: Own) -> None:
    ours = nn.Linear(3, 2)
    theirs = copy.deepcopy(ours)
    spec = OptimizerSpec(name=name, learning_rate=0.1, momentum=0.9, weight_decay=0.0)
    optimizer = build_optimizer(ours, spec.completed("image", batch=8, steps=5, textbook=False))
    reference = own([*theirs.parameters()])
    for seed in range(5):
        inputs = torch.randn(8, 3, generator=torch.Generator().manual_seed(seed))
        for network in (ours, theirs):
            network(inputs).square().mean().backward()
        optimizer.step(0.1)
        reference.step()
        reference.zero_grad()
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


@pytest.mark.parametrize("name", ["gradient-descent", "sgd", "adam", "adamw", "muon", "schedule-free-adamw"])
def test_no_optimizer_loads_the_compiler(name: str) -> None:
    code = f"""
import torch
from gnomon.minimise import minimise
from gnomon.optim import OptimizerSpec, build_optimizer
model = torch.nn.Conv2d(1, 2, 3)
spec = OptimizerSpec(name={name!r}).completed("image", batch=8, steps=5, textbook=False)
optimizer = build_optimizer(model, spec)
model(torch.ones(1, 1, 4, 4)).sum().backward()
optimizer.step(0.1)
weights = torch.ones(1, requires_grad=True)
minimise(lambda: weights.square().sum(), [weights], iterations=5)
"""
    assert "torch._dynamo" not in loaded_by(code)
