"""Several processes, or this one alone: what is quicker, where they were asked for to be quick and no more."""

from __future__ import annotations

import math
import statistics
from collections.abc import Generator
from dataclasses import replace
from typing import Final

import msgspec
import torch

from ..deadline import Deadline
from ..planning.asked import TrainingSpec
from ..planning.hardware import measure_hardware, usable_cores
from ..training.launch import Meeting, under_torchrun
from ..training.probing import rehearsed
from ..training.team import Team
from ..training.train import build_model
from ..types import Decision, Event, Noted, Phased, plural
from .opening import Opened
from .preparing import Prepared, plan_on
from .recipe import Recipe

_CLEARLY: Final = 0.95
"""Of some ten steps less may be chance."""


def is_for_speed(training: TrainingSpec) -> bool:
    """Whether processes were asked for that nothing but the time hangs on.

    With `--shards` the bits do, with `--fsdp` the memory; and those that `torchrun` has started are there anyway.
    """
    return training.processes > 1 and not (training.shards or training.fsdp or under_torchrun())


def alone(training: TrainingSpec) -> TrainingSpec:
    """As much of this machine for one process as the several would have had."""
    threads = training.threads and max(training.threads, min(usable_cores(), training.threads * training.processes))
    return msgspec.structs.replace(training, processes=1, threads=threads)


def gathered(others: Meeting, recipe: Recipe, prepared: Prepared, deadline: Deadline) -> Generator[Event, None, Team]:
    """The processes that train; fewer than asked only where they are late, and said."""
    team, late = others.team(recipe.to_toml(), prepared.plan, prepared.dataset, deadline)
    if not team.alike:
        yield Noted(text="the processes run on different kinds of processors: the bits hang on which of them take part")
    if late:
        yield Noted(text=f"{late}: the first one trains alone, to the same bits")
    return team


def quicker(
    others: Meeting, opened: Opened, recipe: Recipe, prepared: Prepared, deadline: Deadline
) -> Generator[Event, None, tuple[Team, Prepared]]:
    """Make some steps of the training by all processes, and by this one with all threads and the batch whole.

    Args:
        others: that were started.
        opened: the data.
        recipe: which `is_for_speed`.
        prepared: planned for several processes.
        deadline: of the training and what follows it.

    Returns:
        The team to train with, of one process where that is quicker; and what is prepared for it: planned anew then.
    """
    asked = plural(recipe.training.processes, "process", "processes")
    plan = prepared.plan
    team, late = others.team(recipe.to_toml(), plan, prepared.dataset, deadline)
    yield Phased(name=f"trying {asked} against one", elapsed_s=deadline.elapsed_s())
    model = build_model(plan.model, prepared.rows, seed=plan.seed, device=plan.device, known=prepared.starts)
    parts = (prepared.task, prepared.rows, prepared.validation)
    together = [] if late else rehearsed(model, *parts, plan, team)
    by_one = msgspec.structs.replace(recipe, training=alone(recipe.training))
    hardware = measure_hardware(device=plan.device, threads=by_one.training.threads)
    by_itself = rehearsed(model, *parts, msgspec.structs.replace(plan, shards=1))
    same = min(len(together), len(by_itself)) or None  # rows differ in length, and so do steps
    together_s, alone_s = statistics.median(together[:same] or [math.inf]), statistics.median(by_itself[:same])
    by_threads = f"{plural(hardware.threads, 'thread')} of one process"
    if team.size > 1 and together_s < _CLEARLY * alone_s:  # one that was lost on the way has left a team of one
        torch.set_num_threads(plan.threads)
        reason = f"{together_s * 1e3:.3g} ms a step, {alone_s * 1e3:.3g} ms with {by_threads}"
        return team, _decided(prepared, plan.value_of("processes"), reason)
    team.leave()
    opened = replace(opened, hardware=hardware, speeds={})
    prepared = plan_on(opened, by_one, deadline)
    value = f"one in place of {recipe.training.processes}"
    if late:
        return Team(), _decided(prepared, value, late)
    reason = f"{alone_s * 1e3:.3g} ms a step with {by_threads}, {together_s * 1e3:.3g} ms by {asked}"
    return Team(), _decided(prepared, value, f"{reason}; --shards {plan.shards} keeps them all the same")


def _decided(prepared: Prepared, value: str, reason: str) -> Prepared:
    """With this said of the processes."""
    before = tuple(item for item in prepared.plan.decisions if item.name != "processes")
    decisions = (*before, Decision(name="processes", value=value, reason=reason))
    return replace(prepared, plan=msgspec.structs.replace(prepared.plan, decisions=decisions))
