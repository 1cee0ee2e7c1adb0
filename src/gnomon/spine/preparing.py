"""What stands between reading and training: the rows, and the plan that was made for them."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Final

import msgspec
import torch
from torch import nn

from ..batches import Rows
from ..deadline import Deadline
from ..errors import RecipeError
from ..final import task_of
from ..models import Starts, describe_network, set_recompute
from ..planning.estimate import Cluster
from ..planning.hardware import kept_memory
from ..planning.ladder import ladder, shared, with_passes
from ..planning.memory import kept_for_backward
from ..planning.plan import Plan, make_plan, sparing_memory
from ..rows.dataset import Dataset
from ..tasks import Task
from ..training.forecast import Forecast, Trial, forecast
from ..training.launch import processes_of, shards_of
from ..training.probing import try_out
from ..types import Event, Phased
from .opening import NOTHING, InMemory, Opened, find_starts, open_data, probe_of, teaching
from .recipe import Recipe, check_recipe

_TRIAL_SHARE: Final = 0.04


@dataclass(frozen=True, slots=True)
class Prepared:
    """What stands between reading and training."""

    dataset: Dataset
    task: Task
    plan: Plan
    rows: Rows
    validation: Rows
    starts: Starts | None = None


def prepare(recipe: Recipe, deadline: Deadline, *, given: InMemory = NOTHING) -> Generator[Event, None, Prepared]:
    """Read, split, measure and plan, without training. Returns the plan and what it stands on."""
    opened = yield from open_data(recipe, deadline, given=given)
    yield Phased(name="planning", elapsed_s=deadline.elapsed_s())
    return plan_on(opened, recipe, deadline, module=given.module)


def plan_on(
    opened: Opened,
    recipe: Recipe,
    deadline: Deadline,
    *,
    module: nn.Module | None = None,
    finish_s: float | None = None,
) -> Prepared:
    """Plan one training on data that are open.

    Args:
        opened: the data; remembers the speeds that are measured.
        recipe: what was asked.
        deadline: of the training and what follows it.
        module: an untrained network, instead of one that the recipe's model builds.
        finish_s: seconds kept after the last step; None: what judging and saving take.

    Raises:
        DeadlineError: too little time.
    """
    dataset = opened.dataset
    probe = probe_of(opened, module, recompute=recipe.training.recompute)
    with kept_memory():
        starts = find_starts(opened, recipe.model, seed=recipe.seed) if module is None else None
        plan = make_plan(
            dataset.spec,
            opened.hardware,
            deadline,
            model=recipe.model,
            optimizer=recipe.optimizer,
            training=recipe.training,
            probe=shared(with_passes(probe, recipe.optimizer), processes_of(recipe.training)),
            symmetry=opened.symmetry,
            num_validation=len(opened.validation),
            num_test=len(dataset.parts["test"]),
            seed=recipe.seed,
            finish_s=finish_s,
        )
    shards, shared_out = shards_of(recipe.training, plan.batch, module)
    fsdp, recompute = recipe.training.fsdp, recipe.training.recompute
    decisions = (
        *dataset.decisions,
        *plan.decisions,
        *shared_out,
        *sparing_memory(plan.model, fsdp=fsdp, recompute=recompute),
        *teaching(opened, deadline),
    )
    plan = msgspec.structs.replace(
        plan, decisions=decisions, teacher=opened.rows.teacher, shards=shards, fsdp=fsdp, recompute=recompute
    )
    return Prepared(dataset, task_of(dataset, plan), plan, opened.rows, opened.validation, starts)


def look_ahead(
    recipe: Recipe, deadline: Deadline, *, cluster: Cluster | None = None
) -> Generator[Event, None, Forecast]:
    """Plan, try the smallest network on the data for a moment, and say what to expect. Writes nothing but the cache.

    Raises:
        InputError: as `fit`; also where no deadline is given, since without one there is nothing to plan by.
    """
    if not deadline.is_set:
        raise RecipeError("there is nothing to plan by without a deadline", remedy="Give one: --by 5m.")
    check_recipe(recipe)
    prepared = yield from prepare(recipe, deadline)
    plan, dataset = prepared.plan, prepared.dataset
    train_s = plan.end_s - deadline.elapsed_s()
    yield Phased(name="trying the smallest network", elapsed_s=deadline.elapsed_s())
    with kept_memory():
        error, seconds = try_out(
            ladder(dataset.spec)[0].model,
            prepared.rows,
            prepared.validation,
            prepared.task,
            batch=plan.batch,
            number_format=plan.format,
            augment=plan.augment,
            seconds=_TRIAL_SHARE * deadline.total_s,
        )
    network, example = plan.model.build(dataset.spec.input_shape, prepared.task.num_outputs), example_of(dataset)
    set_recompute(network, plan.recompute)
    return forecast(
        plan,
        dataset.spec,
        describe_network(network, example, name=plan.value_of("network")),
        None if cluster is None else kept_for_backward(network, example, plan.format),
        Trial(error=error, seconds=seconds),
        train_s=train_s,
        total_s=deadline.total_s,
        cache_bytes=len(dataset.encoded) * dataset.encoded.row_bytes,
        cluster=cluster,
    )


def example_of(dataset: Dataset) -> torch.Tensor:
    """Two rows as a network takes them."""
    return dataset.encoder.inputs(torch.from_numpy(dataset.encoded.take(dataset.parts["train"][:2])))
