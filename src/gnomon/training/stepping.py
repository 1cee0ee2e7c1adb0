"""One step of a training: forward pass, loss, backward pass, optimizer; by one process or by several (`team`)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .. import chance
from ..batches import Rows, batch_of, in_order
from ..errors import LostError, RecipeError
from ..optim import Steps, climbed
from ..planning.hardware import Format, is_out_of_memory
from ..planning.plan import Plan
from ..planning.progress import Change, parts_of
from ..planning.thrift import SMALL_SCALE
from ..tasks import Task
from ..types import Batch, plural
from .state import State
from .team import Advance, Shards, Team, Validate

_JUDGING_BATCH = 256


@dataclass(frozen=True, slots=True)
class Ground:
    """What the steps of one training stand on, and none of them changes.

    Attributes:
        task, plan: of the training.
        rows, validation: what is trained and judged on.
        team: the processes that train.
        shards: of a batch; None where it is computed whole.
    """

    task: Task
    plan: Plan
    rows: Rows
    validation: Rows
    team: Team
    shards: Shards | None


def ground_of(model: nn.Module, task: Task, plan: Plan, rows: Rows, validation: Rows, team: Team) -> Ground:
    """For this network."""
    divided = plan.fsdp and team.size > 1
    shards = Shards(model, plan.shards, plan.batch, divided=divided) if plan.shards > 1 else None
    return Ground(task, plan, rows, validation, team, shards)


def gradients(
    model: nn.Module, task: Task, batch: Batch, *, number_format: Format, parts: int = 1, rows: int | None = None
) -> Tensor:
    """Forward pass, loss, backward pass. Returns each row's loss, `(N,)` on the device.

    Args:
        model: gradients are added to those of its weights.
        task: whose loss.
        batch: N rows.
        number_format: of the products.
        parts: that the batch is cut into, one behind the other, so that memory holds one of them. The sum of their
            gradients is that of the whole batch but for rounding, where a network treats each row by itself; norms over
            a batch are then over a part of it, and dropout falls on other features.
        rows: that the mean is over, where these are a share of a batch.
    """
    if parts == 1:
        with torch.autocast(batch.inputs.device.type, torch.bfloat16, enabled=number_format == "bfloat16"):
            logits = model(batch.inputs)
        losses = task.losses(logits, batch.targets)
        mean = losses.mean() if rows is None else losses.sum() / rows
        mean.backward()  # type: ignore[no-untyped-call]
        return losses.detach()
    found, rows = [], rows or len(batch.inputs)
    for inputs, targets in zip(batch.inputs.tensor_split(parts), batch.targets.tensor_split(parts), strict=True):
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=number_format == "bfloat16"):
            logits = model(inputs)
        losses = task.losses(logits, targets)
        (losses.sum() / rows).backward()  # type: ignore[no-untyped-call]
        found.append(losses.detach())
    return torch.cat(found)


def train_step(
    model: nn.Module, task: Task, optimizer: Steps, batch: Batch, *, learning_rate: float, number_format: Format
) -> Tensor:
    """Forward pass, loss, backward pass, one step of the optimizer. Returns each row's loss, `(N,)` on the device."""
    losses = gradients(model, task, batch, number_format=number_format)
    optimizer.step(learning_rate)
    return losses


def one_step(state: State, ground: Ground) -> Change | None:
    """The next step of a training, by all processes. Returns how the plan changes where memory ran out on the way.

    Raises:
        RecipeError: memory does not hold one row.
        LostError: another process is lost, and this one does not lead.
    """
    plan, done = ground.plan, state.done(ground.plan)
    ground.team.order(Advance())
    positions, passes = state.passes.take(plan.batch, done)
    scale = SMALL_SCALE if done < plan.small_until else 1.0

    @functools.cache
    def shard(number: int) -> Batch:
        where = _where(plan, number)
        return batch_of(
            ground.rows,
            positions[where],
            passes[where],
            seed=plan.seed,
            task=ground.task,
            augment=plan.augment,
            scale=scale,
        )

    state.model.train()
    before = parts_of(state.history)
    losses, parts = _slopes(state, ground, shard, before)
    if plan.optimizer.sharpness:
        with climbed(state.model, plan.optimizer.sharpness):
            losses, parts = _slopes(state, ground, shard, parts)
    state.optimizer.step(state.rate(plan))
    state.passes.learnt(positions, losses)
    state.losses.append(losses.mean())
    state.step += 1
    if state.average is not None:
        state.average.update(state.model, state.step)
    if parts == before:
        return None
    steps, reason = state.steps(plan), f"memory ran out: a batch is taken in {parts} parts from here on"
    return Change(step=state.step, steps_before=steps, steps=steps, reason=reason, parts=parts)


def outputs_of(model: nn.Module, ground: Ground, team: Team) -> tuple[Tensor, Tensor]:
    """The outputs for the validation rows, `(N, K)`, and their labels; each process computes a share of the batches."""
    while True:
        outputs, labels = _own_outputs(model, ground, team)
        try:
            return (outputs if team.size == 1 else team.summed(outputs.reshape(-1)).view(outputs.shape)), labels
        except LostError:
            if team.rank or team.divided:
                raise


def validate(model: nn.Module, ground: Ground, team: Team) -> tuple[float, float]:
    """Loss (as the task judges it, unsmoothed and unweighted) and score."""
    team.order(Validate())
    return ground.task.judged(*outputs_of(model, ground, team))


def _where(plan: Plan, shard: int) -> slice:
    """The rows of a shard in its batch."""
    return slice(shard * plan.batch // plan.shards, (shard + 1) * plan.batch // plan.shards)


def _slopes(state: State, ground: Ground, shard: Callable[[int], Batch], parts: int) -> tuple[Tensor, int]:
    """The gradients of a batch, in more parts where memory does not hold so few."""
    plan = ground.plan
    if ground.shards is None:
        seed = chance.key(plan.seed, "step", state.step)
        return _in_parts(state.model, ground, shard(0), parts, seed=seed, rows=None)

    def computed(number: int, parts: int) -> tuple[Tensor, slice, int]:
        seed = chance.key(plan.seed, "step", state.step, number)
        losses, parts = _in_parts(state.model, ground, shard(number), parts, seed=seed, rows=plan.batch)
        return losses, _where(plan, number), parts

    return ground.shards.gradients(ground.team, computed, parts)


def _in_parts(
    model: nn.Module, ground: Ground, batch: Batch, parts: int, *, seed: int, rows: int | None
) -> tuple[Tensor, int]:
    while True:
        torch.manual_seed(seed)
        try:
            return gradients(model, ground.task, batch, number_format=ground.plan.format, parts=parts, rows=rows), parts
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if ground.team.divided:  # the others count on so many passes
                rows_there = plural(len(batch.inputs), "row")
                raise RecipeError(
                    f"memory does not hold {rows_there} of {tuple(batch.inputs.shape[1:])} in training",
                    remedy="Give more --shards, or more processes.",
                ) from error
            if 2 * parts > len(batch.inputs):
                raise RecipeError(
                    f"memory does not hold one row of {tuple(batch.inputs.shape[1:])} in training",
                    remedy="Give a smaller --size or a smaller network, or free memory.",
                ) from error
        parts *= 2
        model.zero_grad(set_to_none=True)
        if batch.inputs.is_cuda:
            torch.cuda.empty_cache()


@torch.no_grad()
def _own_outputs(model: nn.Module, ground: Ground, team: Team) -> tuple[Tensor, Tensor]:
    """Those of every n-th batch, and zeros elsewhere; of all, for one process."""
    model.eval()
    outputs, labels, rows = [], [], ground.validation
    size = min(_JUDGING_BATCH, max(16, ground.plan.batch))
    for number, (inputs, true) in enumerate(in_order(rows, size=size)):
        labels.append(true)
        if number % team.size != team.rank:
            outputs.append(torch.zeros(len(true), ground.task.num_outputs, device=true.device))
            continue
        outputs.append(_answers(model, ground, inputs))
    if team.divided and 0 < len(outputs) % team.size <= team.rank:  # all gather weights equally often
        _answers(model, ground, inputs)
    return torch.cat(outputs), torch.cat(labels)


def _answers(model: nn.Module, ground: Ground, inputs: Tensor) -> Tensor:
    with torch.autocast(inputs.device.type, torch.bfloat16, enabled=ground.plan.format == "bfloat16"):
        found: Tensor = model(inputs).float()
    return found
