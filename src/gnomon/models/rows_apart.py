"""An LSTM whose rows are divided among threads, each of which goes through all steps alone.

PyTorch's kernel has all threads share the products of each step: they wait for one another several times a step, and
longest where another process takes a core. Rows don't hang on one another, so that a thread with rows of its own waits
for the others once, at the end; the gradients of the weights are added there. `benchmarks/sequences.py` measures it.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

_FEWEST: Final = 8
"""Rows of a thread."""

Graph: TypeAlias = tuple[list[Tensor], Tensor]
"""Of some rows: steps and weights, and what came of them."""


def lstm(steps: Tensor, weights: Sequence[Tensor], *, training: bool) -> Tensor:
    """One layer in one direction from a state of 0, by PyTorch's kernel: `(T, N, D)` → `(T, N, H)`.

    Args:
        steps: of the input.
        weights: of the input, of the state, and both biases, as in `torch.nn.LSTM`.
        training: whether there will be a backward pass.
    """
    parts = min(torch.get_num_threads(), steps.shape[1] // _FEWEST)
    if parts < 2 or steps.device.type != "cpu" or not (training and torch.is_grad_enabled()):
        with unchunked_weights():
            return _kernel(steps, weights, training=training)
    outputs: Tensor = _Apart.apply(parts, steps, *weights)  # type: ignore[no-untyped-call]
    return outputs


def _kernel(steps: Tensor, weights: Sequence[Tensor], *, training: bool) -> Tensor:
    state = steps.new_zeros(1, steps.shape[1], weights[1].shape[1])
    outputs: Tensor = torch.lstm(steps, (state, state), tuple(weights), True, 1, 0.0, training, False, False)[0]
    return outputs


@contextmanager
def unchunked_weights() -> Iterator[None]:
    """Inside, PyTorch's kernels don't warn that weights don't lie in one piece, which costs a copy."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "RNN module weights are not part of single contiguous chunk")
        yield


class _Apart(Function):
    """As `_kernel`, by so many threads."""

    @staticmethod
    def forward(ctx: Any, parts: int, steps: Tensor, *weights: Tensor) -> Tensor:
        number, short = torch.get_autocast_dtype("cpu"), torch.is_autocast_enabled("cpu")

        def passed(own: Tensor) -> Graph:
            given = [part.detach().requires_grad_() for part in (own, *weights)]
            with torch.enable_grad(), torch.autocast("cpu", number, enabled=short):
                return given, _kernel(given[0], given[1:], training=True)

        ctx.graphs = list(_threads(parts).map(passed, steps.tensor_split(parts, dim=1)))
        return torch.cat([outputs.detach() for _, outputs in ctx.graphs], dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor | None, ...]:
        graphs: list[Graph] = ctx.graphs
        del ctx.graphs

        def passed(graph: Graph, own: Tensor) -> tuple[Tensor, ...]:
            given, outputs = graph
            return torch.autograd.grad(outputs, given, own)

        found = list(_threads(len(graphs)).map(passed, graphs, slopes.tensor_split(len(graphs), dim=1)))
        first, *others = found
        sums = [sum((part[place] for part in others), first[place]) for place in range(1, len(first))]
        return None, torch.cat([part[0] for part in found], dim=1), *sums


@functools.cache
def _threads(count: int) -> ThreadPoolExecutor:
    """Threads of which each computes alone."""
    before, all_there = torch.get_num_threads(), Barrier(count)
    pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))
    list(pool.map(lambda _: all_there.wait(), range(count)))
    torch.set_num_threads(before)  # what a thread sets for itself is what threads to come begin with
    return pool
