"""Less memory for more time: what a stage gives inside is dropped after the forward pass, and computed anew when the
backward pass needs it (Chen, Xu, Zhang and Guestrin, "Training deep nets with sublinear memory cost", 2016).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def one_behind_another(stages: nn.Sequential, maps: Tensor, *, recompute: bool) -> Tensor:
    """`stages(maps)`; with `recompute` nothing but the inputs of each stage is kept for the backward pass.

    The gradients have the same bits, and running means move once.
    """
    if not recompute or not torch.is_grad_enabled():
        found: Tensor = stages(maps)
        return found
    for stage in stages:
        maps = checkpoint(stage, maps, use_reentrant=False, context_fn=partial(_contexts, stage))
    return maps


def _contexts(stage: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """For the forward pass, and for when it is made again."""
    return nullcontext(), _norms_at_rest(stage)


@contextmanager
def _norms_at_rest(stage: nn.Module) -> Iterator[None]:
    norms = [module for module in stage.modules() if isinstance(module, _BatchNorm)]
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, momentum, count in before:
            norm.momentum, norm.num_batches_tracked = momentum, count
