"""Recurrent layers against float64 NumPy written from the formulas, and against their own freedom of padding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gnomon.models.recurrence import Cell, Direction, Recurrent
from gnomon.models.rnn import Pool, Pooling, Rnn

CELLS: tuple[Cell, ...] = ("rnn", "gru", "lstm")
POOLINGS: tuple[Pooling, ...] = ("last", "mean", "max", "attention")
Array = NDArray[np.float64]


def sigmoid(values: Array) -> Array:
    result: Array = 1 / (1 + np.exp(-values))
    return result


def one_row(cell: Cell, part: Direction, steps: Array) -> Array:
    """The states of one row `(T, D)`, by the formulas, one step after the other: `(T, H)`."""
    inward, across, bias, other = (
        getattr(part, name).detach().double().numpy() for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    state, memory, states = np.zeros(part.width), np.zeros(part.width), []
    for step in steps:
        own, carried = inward @ step + bias, across @ state + other
        if cell == "rnn":
            state = np.tanh(own + carried)
        elif cell == "gru":
            (x_r, x_z, x_n), (h_r, h_z, h_n) = np.split(own, 3), np.split(carried, 3)
            reset, keep = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
            state = (1 - keep) * np.tanh(x_n + reset * h_n) + keep * state
        else:
            entry, forget, new, out = np.split(own + carried, 4)
            memory = sigmoid(forget) * memory + sigmoid(entry) * np.tanh(new)
            state = sigmoid(out) * np.tanh(memory)
        states.append(state)
    return np.array(states)


def by_formula(module: Recurrent, inputs: Array, lengths: list[int]) -> Array:
    """All rows and layers; 0 behind a row's end."""
    result = np.zeros((*inputs.shape[:2], module.outputs))
    for row, length in enumerate(lengths):
        steps = inputs[row, :length]
        for parts in module.parts():
            found = [one_row(module.cell, parts[0], steps)]
            found += [one_row(module.cell, part, steps[::-1])[::-1] for part in parts[1:]]
            steps = np.concatenate(found, axis=1)
        result[row, :length] = steps
    return result


def made(cell: Cell, *, layers: int = 2, bidirectional: bool = True) -> Recurrent:
    torch.manual_seed(5)
    module = Recurrent(cell, 3, 4, layers=layers, bidirectional=bidirectional).double()
    for parameter in module.parameters():  # biases too
        torch.nn.init.normal_(parameter, std=0.6)
    return module


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_states_are_those_of_the_formulas(cell: Cell, layers: int, bidirectional: bool) -> None:
    module, lengths = made(cell, layers=layers, bidirectional=bidirectional), [9, 1, 6]
    inputs = torch.randn(3, 9, 3, dtype=torch.float64)
    states = module(inputs, torch.tensor(lengths)).detach().numpy()
    assert np.allclose(states, by_formula(module, inputs.numpy(), lengths), rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_are_the_differences_of_the_formulas(cell: Cell) -> None:
    """Central differences of the loss by NumPy, for every weight and every input number."""
    module, lengths = made(cell), [5, 2]
    inputs = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    weigh = np.random.default_rng(1).normal(size=(2, 5, module.outputs))
    (module(inputs, torch.tensor(lengths)) * torch.from_numpy(weigh)).sum().backward()

    def loss() -> float:
        return float((by_formula(module, inputs.detach().numpy(), lengths) * weigh).sum())

    for tensor in (inputs, *module.parameters()):
        assert tensor.grad is not None
        flat, slope = tensor.detach().view(-1), tensor.grad.reshape(-1)
        for place in range(0, len(flat), max(1, len(flat) // 12)):
            kept = float(flat[place])
            flat[place] = kept + 1e-6
            above = loss()
            flat[place] = kept - 1e-6
            below = loss()
            flat[place] = kept
            assert (above - below) / 2e-6 == pytest.approx(float(slope[place]), rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("cell", CELLS)
def test_long_sequences_go_backwards_in_stretches(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many steps are worked on at once, the gradients are the same."""
    gradients = []
    for numbers in (2**18, 1):
        monkeypatch.setattr("gnomon.models.recurrence._WITHIN_CACHE", numbers)
        module = made(cell)
        inputs = torch.randn(2, 13, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
        module(inputs, torch.tensor([13, 4])).square().sum().backward()
        gradients.append(
            torch.cat([weight.grad.flatten() for weight in module.parameters() if weight.grad is not None])
        )
    assert torch.allclose(gradients[0], gradients[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_pytorchs_own_kernels_say_the_same(cell: Cell, bidirectional: bool) -> None:
    """The way of accelerators, taken here on the processor."""
    module = made(cell, layers=1, bidirectional=bidirectional)
    inputs = torch.randn(3, 6, 3, dtype=torch.float64)
    states = module(inputs, torch.tensor([6, 6, 6]))
    parts = module.parts()[0]
    forwards = parts[0].fused(inputs.transpose(0, 1)).transpose(0, 1)
    assert torch.allclose(states[..., :4], forwards, rtol=0, atol=1e-12)
    if bidirectional:
        backwards = parts[1].fused(inputs.transpose(0, 1).flip(0)).flip(0).transpose(0, 1)
        assert torch.allclose(states[..., 4:], backwards, rtol=0, atol=1e-12)


def network(cell: Cell, pooling: Pooling, *, tokens: bool, number: torch.dtype) -> torch.nn.Module:
    torch.manual_seed(7)
    spec = Rnn(cell=cell, width=6, layers=2, pooling=pooling, tokens=tokens, embedding=5)
    return spec.build((24, 40 if tokens else 4), 3).to(number).eval()


@pytest.mark.parametrize(("number", "within"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("cell", CELLS)
def test_padding_and_neighbours_change_nothing(
    cell: Cell, pooling: Pooling, tokens: bool, number: torch.dtype, within: float
) -> None:
    """Each row alone, without padding, gives what it gives among others, whatever their order and length."""
    model, random = network(cell, pooling, tokens=tokens, number=number), np.random.default_rng(3)
    lengths = [24, 1, 9, 17]
    if tokens:
        rows = torch.zeros(4, 24, dtype=torch.int64)
        for row, length in enumerate(lengths):
            rows[row, :length] = torch.from_numpy(random.integers(1, 40, length))
    else:
        rows = torch.zeros(4, 24, 4, dtype=number)
        for row, length in enumerate(lengths):
            rows[row, :length, :3] = torch.from_numpy(random.normal(size=(length, 3))).to(number)
            rows[row, :length, 3] = 1
    together = model(rows)
    alone = torch.cat([model(rows[row : row + 1, :length]) for row, length in enumerate(lengths)])
    turned = model(rows[[2, 0, 3, 1]])[[1, 3, 0, 2]]
    assert torch.allclose(together, alone, rtol=0, atol=within)
    assert torch.allclose(together, turned, rtol=0, atol=within)


def test_poolings_are_what_their_names_say() -> None:
    steps = torch.tensor([[[1.0, 8.0], [5.0, -2.0], [0.0, 0.0]], [[-3.0, -4.0], [0.0, 0.0], [0.0, 0.0]]])
    lengths = torch.tensor([2, 1])
    said = {pooling: Pool(pooling, 2, directions=2)(steps, lengths).tolist() for pooling in ("last", "mean", "max")}
    assert said["last"] == [[5.0, 8.0], [-3.0, -4.0]]
    assert said["mean"] == [[3.0, 3.0], [-3.0, -4.0]]
    assert said["max"] == [[5.0, 8.0], [-3.0, -4.0]]
    attention = Pool("attention", 2)
    assert attention.score is not None
    torch.nn.init.zeros_(attention.score.weight)
    assert torch.allclose(attention(steps, lengths), torch.tensor(said["mean"]))


@pytest.mark.parametrize("cell", CELLS)
def test_multiplications_are_counted(cell: Cell) -> None:
    """Against the sizes of the matrices: each is multiplied once a step."""
    spec = Rnn(cell=cell, width=6, layers=2, tokens=False)
    model = spec.build((10, 4), 3)
    matrices = sum(weight.numel() for name, weight in model.named_parameters() if "weight_" in name)
    assert spec.products((10, 4)) == 10 * matrices
