"""Sharpness-aware minimisation: the gradient is that of the worst place nearby, which leads to flat minima.

Foret, Kleiner, Mobahi and Neyshabur, "Sharpness-aware minimization for efficiently improving generalization" (ICLR
2021), algorithm 1: with g the gradient at w, the step is made by the gradient at w + r g / ‖g‖. It costs two passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..fsdp import length


@contextmanager
def climbed(model: nn.Module, radius: float) -> Iterator[None]:
    """The model's weights moved by `radius` up their gradients, which are dropped; afterwards, back to the same bits.

    What is computed meanwhile leaves the running means of batch norms alone.
    """
    trained = [parameter for parameter in model.parameters() if parameter.grad is not None]
    slopes = [parameter.grad for parameter in trained if parameter.grad is not None]
    before = [parameter.detach().clone() for parameter in trained]
    norms = [(module, module.momentum) for module in model.modules() if isinstance(module, _BatchNorm)]
    with torch.no_grad():
        norm = torch.stack([length(slope) for slope in slopes]).norm().clamp_min(1e-12)
        torch._foreach_add_([parameter.data for parameter in trained], torch._foreach_mul(slopes, radius / norm))
    for parameter in trained:
        parameter.grad = None
    for module, _ in norms:
        module.momentum = 0.0
    try:
        yield
    finally:
        for module, momentum in norms:
            module.momentum = momentum
        for parameter, weights in zip(trained, before, strict=True):
            parameter.data.copy_(weights)
