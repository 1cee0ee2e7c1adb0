"""From data to a run directory: `fit`, or `resume` where it was left."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import msgspec

from ..deadline import Deadline
from ..errors import RunError
from ..final import task_of
from ..models import describe_network
from ..planning.hardware import describe_environment, measure_hardware
from ..planning.plan import Plan
from ..planning.progress import times_back
from ..rows.dataset import split_table
from ..rundir.checkpoints import Position, position_of, require_fitting
from ..rundir.run import DATA, ENVIRONMENT, NETWORK, PLAN, RECIPE, SEALS, SPLIT, Run
from ..rundir.writing import require_room
from ..shrinking.distil import taught
from ..training.forecast import run_bytes
from ..training.launch import Meeting, meeting, threads_for
from ..training.train import build_model, stopped_early, train, worse_in_a_row
from ..types import Event, Noted, Phased, Planned, plural
from ..version import VERSION
from .opening import NOTHING, InMemory, open_data, open_parts
from .preparing import Prepared, example_of, plan_on
from .recipe import Recipe, check_recipe
from .recording import recorded
from .reopening import (
    by_deadline,
    deadline_of_then,
    on_this_machine,
    recipe_of,
    reopen_dataset,
    what_differs,
    where_it_goes_on,
)
from .sharing import alone, gathered, is_for_speed, quicker


def fit(recipe: Recipe, run: Run, deadline: Deadline, *, given: InMemory = NOTHING) -> Generator[Event, None, Prepared]:
    """Data to run directory. Leaving the loop at any event stops well. Returns what it prepared, for `finish`.

    Args:
        recipe: what was asked.
        run: an empty run directory.
        deadline: set, or not where the recipe says how long.
        given: rows or a network in memory.

    Raises:
        InputError: the data, the recipe or the deadline can't be used.
    """
    check_recipe(recipe)
    run.write(RECIPE, recipe.to_toml())
    return (yield from recorded(run, _fit(recipe, run, deadline, given)))


def resume(
    run: Run, deadline: Deadline, *, given: InMemory = NOTHING, processes: int | None = None
) -> Generator[Event, None, Prepared]:
    """Go on from the last whole checkpoint, or from the beginning where there is none; to the same bits.

    Args:
        run: that was stopped.
        deadline: a new one, or none.
        given: as for `fit`.
        processes: that train together; None for as many as before.

    Raises:
        RunError: the run was never planned, or its data have changed.
    """
    return (yield from recorded(run, _resume(run, deadline, given, processes)))


def _fit(recipe: Recipe, run: Run, deadline: Deadline, given: InMemory) -> Generator[Event, None, Prepared]:
    with meeting(recipe.training) as others:
        return (yield from _fit_with(others, recipe, run, deadline, given))


def _fit_with(
    others: Meeting, recipe: Recipe, run: Run, deadline: Deadline, given: InMemory
) -> Generator[Event, None, Prepared]:
    _note_environment(recipe, run, deadline)
    opened = yield from open_data(recipe, deadline, given=given)
    yield Phased(name="planning", elapsed_s=deadline.elapsed_s())
    prepared, team = plan_on(opened, recipe, deadline, module=given.module), None
    if is_for_speed(recipe.training):
        team, prepared = yield from quicker(others, opened, recipe, prepared, deadline)
        noted = run.read_json(ENVIRONMENT, dict[str, Any])
        run.write_json(ENVIRONMENT, {**noted, "threads": prepared.plan.threads})
    plan, dataset = prepared.plan, prepared.dataset
    model = build_model(
        plan.model, prepared.rows, seed=plan.seed, device=plan.device, module=given.module, known=prepared.starts
    )
    network = describe_network(model, example_of(dataset), name=plan.value_of("network"))
    require_room(run.path, run_bytes(plan, network.bytes), what="the run's checkpoints and model")
    measure_hardware(device=plan.device, threads=plan.threads)
    run.write_json(DATA, dataset.summary)
    run.write_json(NETWORK, network)
    run.write(SPLIT, split_table(dataset))
    run.write_json(PLAN, plan)  # last: what has a plan has the rest
    run.seal()
    yield Planned(decisions=plan.decisions, steps=plan.steps, planned_s=plan.planned_s)
    team = team or (yield from gathered(others, recipe, prepared, deadline))
    yield Phased(name="training", elapsed_s=deadline.elapsed_s())
    events = train(model, prepared.task, prepared.rows, prepared.validation, plan, run, deadline=deadline, team=team)
    yield from stopped_early(events, plan.early_stopping)
    return _with_all_cores(prepared, recipe)


def _with_all_cores(prepared: Prepared, recipe: Recipe) -> Prepared:
    """What follows the training is done by this process alone."""
    if prepared.plan.shards > 1:
        measure_hardware(device=prepared.plan.device, threads=recipe.training.threads)
    return prepared


def _note_environment(recipe: Recipe, run: Run, deadline: Deadline) -> None:
    asked = recipe.training
    hardware = measure_hardware(device=asked.device, threads=threads_for(asked))
    by_s = deadline.total_s if deadline.is_set else None
    run.write_json(ENVIRONMENT, describe_environment(hardware.device, version=VERSION, seed=recipe.seed, by_s=by_s))


def _resume(run: Run, deadline: Deadline, given: InMemory, processes: int | None) -> Generator[Event, None, Prepared]:
    run.require_seals()
    recipe = recipe_of(run)
    run.remove_leftovers()
    training = recipe.training
    if processes:
        training = msgspec.structs.replace(training, processes=processes)
    elif run.has(PLAN) and run.read_json(PLAN, Plan).shards == 1:
        training = alone(training)
    with meeting(training) as others:
        return (yield from _resume_with(others, run, recipe, deadline, given))


def _resume_with(
    others: Meeting, run: Run, recipe: Recipe, deadline: Deadline, given: InMemory
) -> Generator[Event, None, Prepared]:
    if not run.has(PLAN) and run.latest_checkpoint() is None:
        run.drop_events_after(0)  # and with them a line that was torn, which the next one would be glued to
        yield Noted(text="stopped before there was a plan: from the beginning, as the recipe says")
        return (yield from _fit_with(others, recipe, run, deadline_of_then(run, deadline), given))
    plan = by_deadline(on_this_machine(run.read_json(PLAN, Plan)), deadline)
    if not run.has(SEALS):
        yield Noted(text="this run has no seals.json: what may have been damaged since can't be told")
    yield Phased(name="reading", elapsed_s=deadline.elapsed_s())
    dataset = yield from reopen_dataset(run, recipe, deadline, given=given)
    rows, validation = open_parts(dataset, measure_hardware(device=plan.device, threads=plan.threads))
    rows = taught(rows, recipe.training.teacher)
    if rows.teacher != plan.teacher:
        raise RunError("the teacher is not the one of then", remedy="Bring its file back, or train anew.")
    prepared = Prepared(dataset, task_of(dataset, plan), plan, rows, validation)
    if lines := run.unreadable_events():
        yield Noted(
            text=f"{plural(lines, 'line')} of metrics.jsonl can't be read, and {'is' if lines == 1 else 'are'} left out"
        )
    checkpoint, step = run.latest_checkpoint(), 0
    yield from (Noted(text=f"{fault}; the one before it is taken") for fault in run.damaged_checkpoints())
    if checkpoint is None:
        run.drop_events_after(0)
        yield Noted(text="no whole checkpoint: from the beginning")
    else:
        position = position_of(checkpoint)
        step = position.step
        if given.module is None:
            require_fitting(checkpoint, plan.model, dataset.spec.input_shape, prepared.task.num_outputs)
        run.drop_events_after(
            step,
            told_step=position.told_step,
            validated_step=position.validated_step,
            reverted=times_back(position.history),
        )
        yield Noted(text=where_it_goes_on(position, plan, deadline))
        yield from _differences(run, plan, position)
    worse = worse_in_a_row(run.events())
    model = build_model(plan.model, rows, seed=plan.seed, device=plan.device, module=given.module)
    team = yield from gathered(others, recipe, prepared, deadline)
    yield Phased(name="training", elapsed_s=deadline.elapsed_s())
    events = train(
        model, prepared.task, rows, validation, plan, run, deadline=deadline, checkpoint=checkpoint, team=team
    )
    yield from stopped_early(events, plan.early_stopping, step=step, worse=worse)
    return _with_all_cores(prepared, recipe)


def _differences(run: Run, plan: Plan, position: Position) -> Iterator[Event]:
    found = what_differs(run, plan, position)
    if found:
        yield Noted(text=f"from here on not bit for bit what it would have been; changed since: {'; '.join(found)}")
