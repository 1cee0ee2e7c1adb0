"""A few numbers by L-BFGS; and PyTorch's optimizers without the compiler that they bring along."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

AnyOptimizer = TypeVar("AnyOptimizer", bound=torch.optim.Optimizer)


def minimise(loss: Callable[[], Tensor], weights: Sequence[Tensor], *, iterations: int, history: int = 100) -> None:
    """Change weights, in place, to where a smooth loss is least: L-BFGS with a line search for the strong Wolfe
    conditions (Nocedal & Wright, "Numerical Optimization", 2006, chapters 3 and 7).

    Args:
        loss: of the weights as they are, a scalar.
        weights: that require gradients; where it starts.
        iterations: at most.
        history: steps that the curvature is estimated from.
    """
    spare_compiler()
    method = torch.optim.LBFGS([*weights], max_iter=iterations, history_size=history, line_search_fn="strong_wolfe")

    def closure() -> float:
        method.zero_grad()
        found = loss()
        found.backward()  # type: ignore[no-untyped-call]
        return float(found.detach())

    with torch.enable_grad():
        method.step(closure)  # type: ignore[no-untyped-call]


def spare_compiler() -> None:
    """Have optimizers do without `torch._dynamo`, which they load when the first one is made, to say that they are not
    to be compiled: 1.3 to 2 seconds, out of a deadline that may be 15. Nothing is compiled here, so nobody is to be
    told. Should PyTorch keep its note of that elsewhere one day, the compiler is loaded as before, and a test says so.
    """
    for method in vars(torch.optim.Optimizer).values():
        inner = getattr(method, "__wrapped__", None)
        if inner is not None and not hasattr(inner, "__dynamo_disable"):
            inner.__dynamo_disable = inner


def uncompiled(kind: type[AnyOptimizer]) -> type[AnyOptimizer]:
    """PyTorch's optimizer with the same step, which does not load the compiler either; nothing can be differentiated
    through it.
    """
    step = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), {"step": step})
