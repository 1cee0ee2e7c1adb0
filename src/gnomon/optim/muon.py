"""Muon: momentum that is brought near an orthogonal matrix before the step."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import torch
from torch import Tensor, nn

from ..fsdp import laid_like, last_channels, length, whole

_MOMENTUM: Final = 0.6
_POLYNOMIALS: Final = ((6.7524, -18.351, 13.2633), (2.5379, -1.8747, 0.4413))
"""a, b, c of each step: the odd polynomials aσ + bσ³ + cσ⁵ that, one behind the other, bring singular values from 0.05
to 1 nearest to 1, found by a linear program over 2,000 of them; what comes out lies between 0.78 and 1.22."""
_TINY: Final = 1e-14


class Muon(torch.optim.Optimizer):
    """Momentum whose matrix is brought near the closest orthogonal one (K. Jordan et al. 2024).

    A convolution's filters `(out, in, k, k)` count as a matrix `(out, in·k·k)`. Each weight is held at the norm
    √out, so that a learning rate means the same turn for every layer and no weight decay is needed.

    Args:
        parameters: filters and matrices.
        momentum: share of the momentum that stays at each step.
        products: number format of the iteration's products. The iteration is rough by design, and loses nothing in
            bfloat16.
    """

    def __init__(
        self,
        parameters: list[nn.Parameter],
        *,
        momentum: float = _MOMENTUM,
        products: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(parameters, {"lr": 0.0, "momentum": momentum})
        self._products = products

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            by_shape: dict[tuple[int, int], list[tuple[nn.Parameter, Tensor]]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(parameter)
                torch.add(parameter.grad, state["momentum"], alpha=group["momentum"], out=state["momentum"])
                ahead = last_channels(whole(parameter.grad.add(state["momentum"], alpha=group["momentum"])))
                by_shape[len(ahead), ahead[0].numel()].append((parameter, ahead))
            for shape, pairs in by_shape.items():
                matrices = pairs[0][1].new_empty((len(pairs), *shape), dtype=self._products)
                for matrix, (_, ahead) in zip(matrices, pairs, strict=True):
                    matrix.view(ahead.shape).copy_(ahead)
                for (parameter, ahead), update in zip(pairs, orthogonalise(matrices), strict=True):
                    parameter.mul_(len(parameter) ** 0.5 / length(parameter).clamp_min(1e-7))
                    turn = _first_channels(update.view(ahead.shape)).to(parameter.dtype)
                    parameter.add_(laid_like(turn, parameter), alpha=-group["lr"])


def _first_channels(filters: Tensor) -> Tensor:
    """`(out, k, k, in)` → `(out, in, k, k)`; a matrix stays."""
    return filters.permute(0, 3, 1, 2) if filters.ndim == 4 else filters


def orthogonalise(matrices: Tensor) -> Tensor:
    """`(B, m, n)` → about U Vᵀ of each: its singular values are brought near 1, its directions kept.

    Two steps of Newton-Schulz iteration of fifth order, X ← pX with p = aI + bA + cA² and A = XXᵀ, begun at X / √(trace
    A), each with the coefficients that are best for what the one before it leaves (Amsel et al., "The Polar Express",
    arXiv 2505.16932). Values below 0.05 come out the weaker the smaller they are. All p and A are polynomials of the
    first A, so that A ← pAp and the steps are made on matrices of the smaller side: whole ones take part in two
    products, in place of two for each step.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    wide = matrices.mT if tall else matrices
    gram = wide @ wide.mT
    diagonal = gram.diagonal(dim1=1, dim2=2).to(torch.promote_types(gram.dtype, torch.float32))
    shrink = (diagonal.sum(dim=1)[:, None, None] + _TINY).rsqrt()
    gram = (gram * shrink.square()).to(wide.dtype)
    first, second = _POLYNOMIALS
    turn = _polynomial(gram, *first)
    turn = _polynomial(turn @ gram @ turn, *second) @ turn
    turned = (turn * shrink).to(wide.dtype) @ wide
    return turned.mT if tall else turned


def _polynomial(gram: Tensor, a: float, b: float, c: float) -> Tensor:
    """aI + bA + cA² of each A, `(B, m, m)`."""
    found = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
    found.diagonal(dim1=1, dim2=2).add_(a)
    return found
