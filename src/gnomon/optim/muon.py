"""Muon: momentum that is brought near an orthogonal matrix before the step."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import torch
from torch import Tensor, nn

from ..fsdp import laid_like, last_channels, length, whole

_MOMENTUM: Final = 0.6
_NEWTON_SCHULZ_STEPS: Final = 3
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
                state["momentum"].mul_(group["momentum"]).add_(parameter.grad)
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


def orthogonalise(matrices: Tensor, steps: int = _NEWTON_SCHULZ_STEPS) -> Tensor:
    """`(B, m, n)` → about U Vᵀ of each: its singular values are brought near 1, its directions kept.

    Newton-Schulz iteration of fifth order, X ← (aI + bA + cA²)X with A = XXᵀ and the coefficients of Muon
    (K. Jordan 2024), which trade exactness for a steep slope at 0: singular values end between about 0.7 and 1.2. It
    begins at X / √(trace A), which is folded into the first step, so that all that is done beside the products is done
    on matrices of the smaller side.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    for step in range(steps):
        gram = x @ x.mT
        if step == 0:
            diagonal = gram.diagonal(dim1=1, dim2=2).to(torch.promote_types(gram.dtype, torch.float32))
            shrink = (diagonal.sum(dim=1)[:, None, None] + _TINY).rsqrt()
            gram = (gram * shrink.square()).to(x.dtype)
        turn = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        turn.diagonal(dim1=1, dim2=2).add_(a)
        if step == 0:
            turn = (turn * shrink).to(x.dtype)
        x = turn @ x
    turned: Tensor = x.mT if tall else x
    return turned
