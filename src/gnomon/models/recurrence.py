"""Recurrent layers over padded sequences, each cell by the quickest way that is correct.

    rnn    h_t = tanh(W_xh·x_t + W_hh·h_{t−1} + b)                                      Elman (1990)
    lstm   i, f, o = σ(…), g = tanh(…), c_t = f·c_{t−1} + i·g, h_t = o·tanh(c_t)        Hochreiter, Schmidhuber (1997)
    gru    r, z = σ(…), n = tanh(x-part + r·(h-part)), h_t = (1 − z)·n + z·h_{t−1}      Cho et al. (2014)

The gates stand in PyTorch's order, so that its fused kernels can take over: always for the LSTM, which reaches oneDNN
on a processor, and on an accelerator for all. For the other two PyTorch has no such kernel on a processor and runs
about a dozen small operations a step, forward and backward. Here the product with the inputs is one for all steps;
what is left of a step writes into memory that was allocated once (GRU: five operations, Elman: two); backward, what
does not hang on the step after it is multiplied for many steps at once, so that three and two operations are left.
In training an LSTM of few rows and units is made by one thread where several would wait for each other at each step
for longer than it takes. `benchmarks/sequences.py` measures it.

Padding stands behind a row's steps, and nothing has to be held over it: outputs there are set to 0, so that no gradient
comes from them, and backwards a sequence is read from its own last step on. Nothing is packed, cut or sorted.
"""

from __future__ import annotations

import functools
import math
import time
import warnings
from typing import Any, Final, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .onednn import has_onednn, number_of
from .products import linear, over_steps
from .threads import OneOrAll, by_threads

Cell: TypeAlias = Literal["rnn", "gru", "lstm"]
GATES: Final[dict[Cell, int]] = {"rnn": 1, "gru": 3, "lstm": 4}
"""Rows of a weight matrix for each unit."""

_FORGET: Final = 1.0
_LSTM: Final = 2
"""PyTorch's number of the cell."""
_WITHIN_CACHE: Final = 2**18
"""Numbers that a stretch of steps works on at once."""
_LITTLE: Final = {torch.float32: 2**19, torch.bfloat16: 2**22}
"""Multiplications of an LSTM's step, by the number format, up to which one thread may be quicker than all."""


class Recurrent(nn.Module):
    """Recurrent layers on top of one another, in one direction or in both.

    Args:
        cell: the step.
        inputs: numbers of a step of the input.
        width: units of each layer and direction.
        layers: on top of one another.
        bidirectional: whether each layer also reads from the end; its outputs stand behind the others.
        dropout: share of the outputs dropped between layers, in training.
    """

    def __init__(
        self, cell: Cell, inputs: int, width: int, *, layers: int = 1, bidirectional: bool = False, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.cell: Cell = cell
        self.directions = 2 if bidirectional else 1
        self.outputs = self.directions * width
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                Direction(cell, inputs if layer == 0 else self.outputs, width) for _ in range(self.directions)
            )
            for layer in range(layers)
        )

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Outputs of the last layer.

        Args:
            inputs: `(N, T, D)`.
            lengths: `(N,)`, steps of each row; what stands behind them counts for nothing.

        Returns:
            `(N, T, directions · width)`; 0 behind a row's end.
        """
        steps = inputs.transpose(0, 1)
        time = torch.arange(len(steps), device=inputs.device)[:, None]
        padding = (time >= lengths)[..., None] if bool((lengths < len(steps)).any()) else None
        turn = _turned_places(time, lengths) if self.directions == 2 else None
        for number, parts in enumerate(self.parts()):
            steps = self.dropout(steps) if number else steps
            steps = self._layer(parts, steps, turn)
            if padding is not None:
                steps = steps.masked_fill(padding, 0.0)
        return steps.transpose(0, 1)

    def parts(self) -> list[list[Direction]]:
        """The directions of each layer."""
        return [list(layer) for layer in self.layers]  # type: ignore[call-overload]

    def _layer(self, parts: list[Direction], steps: Tensor, turn: Tensor | None) -> Tensor:
        """`(T, N, D)` → `(T, N, directions · width)`; `turn` as `_turned_places` gives it, for a second direction."""
        seen = [steps] if turn is None else [steps, _turned(steps, turn)]
        if self.cell == "lstm" or steps.device.type != "cpu":
            outputs = [part.fused(own) for part, own in zip(parts, seen, strict=True)]
        else:
            both = _stepwise(self.cell, parts, seen)
            outputs = [both.squeeze(0)] if turn is None else list(both)  # to a view the gradient comes uncopied
        if turn is None:
            return outputs[0]
        return torch.cat((outputs[0], _turned(outputs[1], turn)), dim=2)


class Direction(nn.Module):
    """The weights of one layer in one direction, named and ordered as in `torch.nn.LSTM`, `GRU` and `RNN`."""

    def __init__(self, cell: Cell, inputs: int, width: int) -> None:
        super().__init__()
        self.cell: Cell = cell
        self.width = width
        rows = GATES[cell] * width
        self.weight_ih = nn.Parameter(torch.empty(rows, inputs))
        self.weight_hh = nn.Parameter(torch.empty(rows, width))
        self.bias_ih = nn.Parameter(torch.zeros(rows))
        self.bias_hh = nn.Parameter(torch.zeros(rows))
        self._begin()

    @torch.no_grad()
    def _begin(self) -> None:
        """Orthogonal from state to state (Saxe et al., 2014), scaled uniform from the inputs; an LSTM begins by
        remembering (Gers et al., 2000).
        """
        for gate in self.weight_hh.chunk(GATES[self.cell]):
            nn.init.orthogonal_(gate)
        bound = math.sqrt(6 / (self.weight_ih.shape[1] + self.width))
        nn.init.uniform_(self.weight_ih, -bound, bound)
        if self.cell == "lstm":
            self.bias_ih[self.width : 2 * self.width] = _FORGET

    def fused(self, steps: Tensor) -> Tensor:
        """`(T, N, D)` → `(T, N, width)`, by PyTorch's kernel."""
        weights = [self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh]
        number = number_of(steps)
        if self.cell == "lstm" and torch.is_grad_enabled() and _is_little(steps, self.width, number):
            with torch.autocast("cpu", enabled=False):
                states: Tensor = _Lstm.apply(*(each.to(number) for each in (steps, *weights)))  # type: ignore[no-untyped-call]
            return states
        state = steps.new_zeros(1, steps.shape[1], self.width)
        names = {"rnn": torch.rnn_tanh, "gru": torch.gru, "lstm": torch.lstm}
        kernel: Any = names[self.cell]
        with warnings.catch_warnings():  # that the weights don't lie in one piece, which costs a copy
            warnings.filterwarnings("ignore", "RNN module weights are not part of single contiguous chunk")
            begun = (state, state) if self.cell == "lstm" else state
            outputs: Tensor = kernel(steps, begun, weights, True, 1, 0.0, self.training, False, False)[0]
        return outputs


def _is_little(steps: Tensor, width: int, number: torch.dtype) -> bool:
    """Whether an LSTM's step is so little work that one thread may be quicker than all."""
    little = steps.shape[1] * GATES["lstm"] * width * width <= _LITTLE.get(number, 0)
    return little and steps.device.type == "cpu" and steps.numel() > 0 and has_onednn("aten.mkldnn_rnn_layer", number)


@functools.cache
def _threads_for(_rows: int, _width: int, _number: torch.dtype, _length: int) -> OneOrAll:
    """For LSTMs of about this size."""
    return OneOrAll()


class _Lstm(Function):
    """oneDNN's LSTM by as many threads as are quickest: steps `(T, N, D)` → states `(T, N, H)`, from h = c = 0."""

    @staticmethod
    def forward(ctx: Any, steps: Tensor, *weights: Tensor) -> Tensor:
        begun = steps.new_zeros(steps.shape[1], weights[1].shape[1])
        inputs = [each.detach() for each in (steps.contiguous(), *weights, begun, begun)]
        ctx.choice = _threads_for(*begun.shape, steps.dtype, len(steps).bit_length())
        ctx.threads = ctx.choice.threads(torch.get_num_threads())
        began = time.perf_counter()
        with by_threads(ctx.threads), torch.enable_grad():  # else it keeps nothing for the backward pass
            found = torch.ops.aten.mkldnn_rnn_layer(
                *(*inputs, False, []), _LSTM, begun.shape[1], 1, True, False, False, True
            )
        ctx.seconds = time.perf_counter() - began
        ctx.save_for_backward(*inputs[:-1], *found)
        states: Tensor = found[0]
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor, ...]:
        *inputs, begun, states, last, cell, kept = ctx.saved_tensors
        no_slope = torch.zeros_like(last)
        began = time.perf_counter()
        with by_threads(ctx.threads):
            found = torch.ops.aten.mkldnn_rnn_layer_backward(
                *(*inputs, begun, begun, states, last, cell, given.contiguous(), no_slope, no_slope, False),
                *(_LSTM, begun.shape[1], 1, True, True, False, [], False, kept),
            )
        ctx.choice.took(ctx.threads, (ctx.seconds + time.perf_counter() - began) / len(states))
        return tuple(found[: len(inputs)])


def _stepwise(cell: Cell, parts: list[Direction], seen: list[Tensor]) -> Tensor:
    """All directions step by step together: `(directions, T, N, width)`."""
    steps = _of_directions(seen)
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    weights = [_of_directions([getattr(part, name) for part in parts]) for name in names]
    with torch.autocast("cpu", enabled=False):
        layer: Any = _Elman if cell == "rnn" else _Gru
        outputs: Tensor = layer.apply(steps.to(weights[0].dtype), *weights)
    return outputs


class _Elman(Function):
    """h_t = tanh(x_t·Wᵀ + h_{t−1}·Uᵀ + b + c) from h = 0.

    R directions, each with its own weights: steps `(R, T, N, D)` → states `(R, T, N, H)`.

    PyTorch's σ takes a fifth to a tenth of the time of its tanh. With h = 2s − 1 the formula is

        s_t = σ(2·(x_t·Wᵀ + b + c − Σ U) + 4·s_{t−1}·Uᵀ) from s = 1/2,

    where Σ U is a row's sum; so it is two operations a step, and one over all steps at the end.
    """

    @staticmethod
    def forward(ctx: Any, steps: Tensor, inward: Tensor, across: Tensor, bias: Tensor, other_bias: Tensor) -> Tensor:
        states = _projected(steps, inward, bias + other_bias - across.sum(dim=2))
        turned, share = across.mT.contiguous(), states.new_full(states[:, 0].shape, 0.5)
        for new in states.unbind(1):
            share = new.baddbmm_(share, turned, beta=2, alpha=4).sigmoid_()
        torch.add(states.new_tensor(-1), states, alpha=2, out=states)
        ctx.save_for_backward(steps, inward, across, states)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor, ...]:
        steps, inward, across, states = ctx.saved_tensors
        found = given.clone(memory_format=torch.contiguous_format)
        through_tanh: Any = torch.ops.aten.tanh_backward.grad_input
        later = None
        for flow, state in zip(reversed(found.unbind(1)), reversed(states.unbind(1)), strict=True):
            if later is not None:
                flow.baddbmm_(later, across)
            later = through_tanh(flow, state, grad_input=flow)
        bias = found.sum(dim=(1, 2))
        return *_into_inputs(found, steps, inward), _into_across(found[:, 1:], states[:, :-1]), bias, bias


class _Gru(Function):
    """h_t = (1 − z)·n + z·h_{t−1} from h = 0; r, z = σ(x·Wᵀ + h·Uᵀ + b + c), n = tanh(x·Wᵀ + b + r·(h·Uᵀ + c)).

    R directions, each with its own weights: steps `(R, T, N, D)` → states `(R, T, N, H)`.
    """

    @staticmethod
    def forward(ctx: Any, steps: Tensor, inward: Tensor, across: Tensor, bias: Tensor, other_bias: Tensor) -> Tensor:
        width = across.shape[2]
        both = torch.cat((bias[:, : 2 * width] + other_bias[:, : 2 * width], bias[:, 2 * width :]), dim=1)
        gates = _projected(steps, inward, both)
        news = gates[..., 2 * width :].clone()
        gates[..., 2 * width :] = other_bias[:, None, None, 2 * width :]
        states = torch.empty_like(news)
        reset, kept, hidden = (part.unbind(1) for part in gates.chunk(3, dim=-1))
        opened, sigmoids, new, out = (
            gates.unbind(1),
            gates[..., : 2 * width].unbind(1),
            news.unbind(1),
            states.unbind(1),
        )
        turned, state = across.mT.contiguous(), states.new_zeros(out[0].shape)
        for step, following in enumerate(out):
            opened[step].baddbmm_(state, turned)
            sigmoids[step].sigmoid_()
            new[step].addcmul_(reset[step], hidden[step]).tanh_()
            state = torch.lerp(new[step], state, kept[step], out=following)
        ctx.save_for_backward(steps, inward, across, gates, news, states)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor, ...]:
        steps, inward, across, gates, news, states = ctx.saved_tensors
        width, length = across.shape[2], states.shape[1]
        found, flows = torch.empty_like(gates), given.clone(memory_format=torch.contiguous_format)
        into_across, into_bias = torch.zeros_like(across), torch.zeros_like(across[:, :, 0])
        before = torch.cat((torch.zeros_like(states[:, :1]), states[:, :-1]), dim=1)
        flow, kept = flows.unbind(1), gates[..., width : 2 * width].unbind(1)
        by_gates, out = found.view(*states.shape[:-1], 3, width).unbind(1), found.unbind(1)
        stretch = max(1, _WITHIN_CACHE // gates[:, 0].numel())
        for end in range(length, 0, -stretch):
            here = slice(max(0, end - stretch), end)
            slopes, slope_new = _gru_slopes(gates[:, here], news[:, here], before[:, here])
            slope = slopes.view(*slope_new.shape[:-1], 3, width).unbind(1)
            for step in range(end - 1, here.start - 1, -1):
                torch.mul(flow[step].unsqueeze(-2), slope[step - here.start], out=by_gates[step])
                if step:
                    flow[step - 1].addcmul_(flow[step], kept[step]).baddbmm_(out[step], across)
            into_across += _into_across(found[:, here], before[:, here])
            into_bias += found[:, here].sum(dim=(1, 2))
            torch.mul(flows[:, here], slope_new, out=found[:, here, :, 2 * width :])
        bias = torch.cat((into_bias[:, : 2 * width], found[..., 2 * width :].sum(dim=(1, 2))), dim=1)
        return *_into_inputs(found, steps, inward), into_across, bias, into_bias


def _gru_slopes(gates: Tensor, news: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    """By how much r, z and the state's part of n, and n itself, are moved by what flows into h, before σ and tanh."""
    reset, kept, hidden = gates.chunk(3, dim=-1)
    slopes = torch.empty_like(gates)
    of_reset, of_kept, of_hidden = slopes.chunk(3, dim=-1)
    of_new = (1 - kept).mul_(1 - news.square())
    torch.mul(of_new, reset, out=of_hidden)
    torch.mul(of_hidden, hidden * (1 - reset), out=of_reset)
    torch.mul(before - news, kept * (1 - kept), out=of_kept)
    return slopes, of_new


def _projected(steps: Tensor, inward: Tensor, bias: Tensor) -> Tensor:
    """What the inputs give at all steps: `(R, T, N, D)`, `(R, G, D)`, `(R, G)` → `(R, T, N, G)`."""
    found = [linear(*parts) for parts in zip(steps.flatten(1, 2), inward, bias, strict=True)]
    return _of_directions(found).view(*steps.shape[:3], -1)


def _into_inputs(found: Tensor, steps: Tensor, inward: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of `_projected` with respect to the steps and to the matrices, from those of its result."""
    into = [linear(flat, matrix.mT) for flat, matrix in zip(found.flatten(1, 2), inward, strict=True)]
    return _of_directions(into).view(*steps.shape[:3], -1), _into_across(found, steps)


def _into_across(found: Tensor, before: Tensor) -> Tensor:
    """Gradient of the matrices `(R, G, H)` by which each step's state goes into the next, one product for all steps."""
    return _of_directions([over_steps(*parts) for parts in zip(found, before, strict=True)])


def _of_directions(parts: list[Tensor]) -> Tensor:
    """Directions behind one another; of a single one nothing is copied."""
    return parts[0][None] if len(parts) == 1 else torch.stack(parts)


# --- Reading from the end --------------------------------------------------------------------------------------------


def _turned_places(time: Tensor, lengths: Tensor) -> Tensor:
    """For each step of each row, where in `(T · N)` the step stands that takes its place when rows are turned round."""
    rows = torch.arange(len(lengths), device=lengths.device)
    places = torch.where(time < lengths, lengths - 1 - time, time)
    return (places * len(lengths) + rows).flatten()


def _turned(steps: Tensor, places: Tensor) -> Tensor:
    """`(T, N, D)` with each row's own steps in reverse; padding stays where it is."""
    return _Turn.apply(steps, places)  # type: ignore[no-any-return, no-untyped-call]


class _Turn(Function):
    """Turning twice changes nothing, so that the gradient is turned likewise."""

    @staticmethod
    def forward(ctx: Any, steps: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        return steps.flatten(0, 1).index_select(0, places).view(steps.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor, None]:
        (places,) = ctx.saved_tensors
        return given.flatten(0, 1).index_select(0, places).view(given.shape), None
