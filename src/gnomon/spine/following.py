"""What every process of a training does but the first: the same steps on its own shards, as it hears.

`python -m gnomon.spine.following` is such a process, as `launch` starts it.
"""

from __future__ import annotations

import sys

import torch
from torch import nn

from ..batches import Rows
from ..deadline import Deadline
from ..errors import GnomonError
from ..final import task_of
from ..planning.hardware import kept_memory, measure_hardware
from ..planning.plan import Plan
from ..shrinking.distil import taught
from ..tasks import Task
from ..training.launch import Begin, device_of, heard, join, joined, part, say_fault, say_ready, wait_until_over
from ..training.state import begin, snapshot
from ..training.stepping import ground_of, one_step, outputs_of
from ..training.team import Advance, Bend, Gather, GoBack, Keep, Leave, Take, Team, Validate, Wait
from ..training.train import build_model
from .opening import open_parts
from .recipe import Recipe, parse_recipe
from .reopening import read_again


def follow(model: nn.Module, task: Task, rows: Rows, validation: Rows, plan: Plan, team: Team) -> None:
    """Until the leader says that the training is over.

    Args:
        model: as `build_model` gives it; its weights come from the leader.
        task, rows, validation, plan: as for `train`.
        team: of which this process is not the first.

    Raises:
        LostError: the leader, or another process, is lost.
    """
    ground = ground_of(model, task, plan, rows, validation, team)
    state = begin(model, plan, rows, None)
    with kept_memory(), team.watched():
        while True:
            match team.hear():
                case Take() as order:
                    team.divided = plan.fsdp
                    state = begin(model, plan, rows, team.taken(order), over=team.size if plan.fsdp else 1)
                case Advance():
                    one_step(state, ground)
                    state.losses.clear()
                case Bend(change):
                    state.replanned(change)
                    if change.threads is not None:
                        torch.set_num_threads(change.threads)
                case Validate():
                    outputs_of(state.judged, ground, team)
                case Keep(score):
                    state.keep(score)
                case GoBack(change):
                    state.go_back(plan, change)
                case Gather(now):
                    snapshot(state, plan, Deadline(0.0), instead=state.judged.state_dict() if now else None)
                case Wait():
                    continue
                case Leave():
                    return


def main() -> int:
    """Meet the others, read the data, follow. Returns the exit code."""
    try:
        store, rank, size = join()
        said = heard(store, rank)
    except GnomonError as error:
        sys.stderr.write(f"gnomon: {error}\n")
        return 1
    try:
        if rank >= said.size:
            wait_until_over(store, said)
            return 0
        model, task, rows, validation, plan = _prepared(said)
        say_ready(store, rank, said)
        team = joined(store, rank, said)
        try:
            follow(model, task, rows, validation, plan, team)
        finally:
            team.leave()
    except GnomonError as error:
        say_fault(store, rank, said, str(error))
        sys.stderr.write(f"gnomon: process {rank + 1} of {size}: {error}\n")
        return 1
    finally:
        part()
    return 0


def _prepared(said: Begin) -> tuple[nn.Module, Task, Rows, Rows, Plan]:
    """The data as the leader has them, and the network without its weights."""
    recipe: Recipe = parse_recipe(said.recipe)
    plan = said.plan
    dataset = read_again(recipe, said.data, said.split, whose="the first process")
    rows, validation = open_parts(dataset, measure_hardware(device=device_of(plan), threads=plan.threads))
    rows = taught(rows, recipe.training.teacher)
    model = build_model(plan.model, rows, seed=plan.seed, device=device_of(plan), started=False)
    return model, task_of(dataset, plan), rows, validation, plan


if __name__ == "__main__":
    sys.exit(main())
