"""All that was asked, in one frozen value, TOML in and out; and the spine: `fit`, `resume` and `finish`.

`fit` goes from the data to a run directory, `finish` from the run directory to scores, report and model file. They
meet in the run directory alone, so `finish` works on any run, from any day, after any crash.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
import tomli_w
import torch
from torch import nn

from ..answer_speed import write_answer_speed
from ..batches import Rows
from ..deadline import Deadline, process_start_s
from ..errors import RecipeError, RunError
from ..evaluate import evaluate, search
from ..evaluate.remembering import what_is_forgotten, with_memory
from ..explain.examples import explain_examples
from ..final import final_model, task_of, unplanned
from ..models import ModelSpec, Starts, describe_network, set_recompute
from ..optim import OptimizerSpec
from ..planning.asked import TrainingSpec
from ..planning.estimate import Cluster
from ..planning.hardware import describe_environment, kept_memory, measure_hardware
from ..planning.ladder import ladder, shared, with_passes
from ..planning.memory import kept_for_backward
from ..planning.plan import Plan, make_plan, sparing_memory
from ..planning.progress import times_back
from ..report import Language, write_model_card, write_report
from ..rows.dataset import Dataset, DatasetSpec, split_table
from ..rundir.checkpoints import Position, position_of, require_fitting
from ..rundir.run import DATA, ENVIRONMENT, MODEL, NETWORK, PLAN, RECIPE, SEALS, SPLIT, Run
from ..rundir.writing import require_room
from ..shrinking.distil import taught
from ..sources import SourceSpec, open_source
from ..specimens import write_specimens
from ..tasks import Task
from ..training.forecast import Forecast, Trial, forecast, run_bytes
from ..training.launch import Meeting, meeting, processes_of, shards_of, threads_for
from ..training.probing import try_out
from ..training.team import Team
from ..training.train import build_model, stopped_early, train, worse_in_a_row
from ..types import Event, Finished, Going, Noted, Phased, Planned, Value, plural, returned
from ..version import VERSION
from .opening import NOTHING, InMemory, Opened, find_starts, open_data, open_parts, probe_of, teaching
from .reopening import by_deadline, deadline_of_then, on_this_machine, reopen_dataset, what_differs, where_it_goes_on

T = TypeVar("T")

_REPORTING_S: Final = 1.5
_TRIAL_SHARE: Final = 0.04


class Recipe(Value, frozen=True):
    """Everything asked for. What is None or `auto` is decided by the plan, and said.

    Attributes:
        source: where the data is.
        dataset: split, size, fit.
        model: a network, or None for the ladder.
        optimizer, training: how.
        seed: of everything random.
    """

    source: SourceSpec
    dataset: DatasetSpec = DatasetSpec()
    model: ModelSpec | None = None
    optimizer: OptimizerSpec = OptimizerSpec()
    training: TrainingSpec = TrainingSpec()
    seed: int = 0

    def to_toml(self) -> str:
        """As a file for people; fields that are None are left out."""
        return tomli_w.dumps(_without_none(msgspec.to_builtins(self)))


def parse_recipe(text: str) -> Recipe:
    """Read a recipe; an unknown key or a value of the wrong kind is an error that names it.

    Raises:
        RecipeError: with the place in the file.
    """
    try:
        return msgspec.toml.decode(text, type=Recipe)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RecipeError(
            f"the recipe can't be used: {error}", remedy="Compare it with recipe.toml of any run."
        ) from None


def check_recipe(recipe: Recipe) -> None:
    """Hold a recipe that was put together in Python to the bounds that a file is held to.

    Raises:
        RecipeError: names the first field that is out of them.
    """
    try:
        msgspec.convert(msgspec.to_builtins(recipe), Recipe)
    except msgspec.ValidationError as error:
        said = str(error).replace("`$.", "`").replace("Expected", "expected")
        raise RecipeError(
            f"a value can't be used: {said}", remedy="gnomon train --help lists what can be given."
        ) from None


@dataclass(frozen=True, slots=True)
class Prepared:
    """What stands between reading and training."""

    dataset: Dataset
    task: Task
    plan: Plan
    rows: Rows
    validation: Rows
    starts: Starts | None = None


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
    return (yield from _recorded(run, _fit(recipe, run, deadline, given)))


def prepare(recipe: Recipe, deadline: Deadline, *, given: InMemory = NOTHING) -> Generator[Event, None, Prepared]:
    """Read, split, measure and plan, without training. Returns the plan and what it stands on."""
    opened = yield from open_data(
        recipe.source, recipe.dataset, recipe.training, deadline, seed=recipe.seed, given=given
    )
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
    network, example = plan.model.build(dataset.spec.input_shape, prepared.task.num_outputs), _example(dataset)
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
    return (yield from _recorded(run, _resume(run, deadline, given, processes)))


def finish(
    run: Run,
    deadline: Deadline,
    *,
    dataset: Dataset | None = None,
    given: InMemory = NOTHING,
    language: Language = "en",
) -> Generator[Event, None, None]:
    """Run directory to scores, report and model file.

    Args:
        run: with at least one checkpoint.
        deadline: the clock for the figures.
        dataset: as training had it; built again where it is not given.
        given: as for `fit`.
        language: that the report opens in, and of the model card.

    Raises:
        RunError: the run has no whole checkpoint.
    """
    yield from _recorded(run, _finish(run, deadline, dataset, given, language))


def _fit(recipe: Recipe, run: Run, deadline: Deadline, given: InMemory) -> Generator[Event, None, Prepared]:
    with meeting(recipe.training) as others:
        return (yield from _fit_with(others, recipe, run, deadline, given))


def _fit_with(
    others: Meeting, recipe: Recipe, run: Run, deadline: Deadline, given: InMemory
) -> Generator[Event, None, Prepared]:
    _note_environment(recipe, run, deadline)
    prepared = yield from prepare(recipe, deadline, given=given)
    plan, dataset = prepared.plan, prepared.dataset
    model = build_model(
        plan.model, prepared.rows, seed=plan.seed, device=plan.device, module=given.module, known=prepared.starts
    )
    network = describe_network(model, _example(dataset), name=plan.value_of("network"))
    require_room(run.path, run_bytes(plan, network.bytes), what="the run's checkpoints and model")
    measure_hardware(device=plan.device, threads=plan.threads)
    run.write_json(DATA, dataset.summary)
    run.write_json(NETWORK, network)
    run.write(SPLIT, split_table(dataset))
    run.write_json(PLAN, plan)  # last: what has a plan has the rest
    run.seal()
    yield Planned(decisions=plan.decisions, steps=plan.steps, planned_s=plan.planned_s)
    team = yield from _gathered(others, recipe, prepared, deadline)
    yield Phased(name="training", elapsed_s=deadline.elapsed_s())
    events = train(model, prepared.task, prepared.rows, prepared.validation, plan, run, deadline=deadline, team=team)
    yield from stopped_early(events, plan.early_stopping)
    return _with_all_cores(prepared, recipe)


def _gathered(others: Meeting, recipe: Recipe, prepared: Prepared, deadline: Deadline) -> Generator[Event, None, Team]:
    """The processes that train; fewer than asked only where they are late, and said."""
    team, alone = others.team(recipe.to_toml(), prepared.plan, prepared.dataset, deadline)
    if not team.alike:
        yield Noted(text="the processes run on different kinds of processors: the bits hang on which of them take part")
    if alone:
        yield Noted(text=f"{alone}: the first one trains alone, to the same bits")
    return team


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
    recipe = parse_recipe(run.read_text(RECIPE))
    run.remove_leftovers()
    training = msgspec.structs.replace(recipe.training, processes=processes or recipe.training.processes)
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
    dataset = yield from _reopened(run, recipe, deadline, given)
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
    team = yield from _gathered(others, recipe, prepared, deadline)
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


def dataset_of(run: Run, *, given: InMemory = NOTHING) -> Dataset:
    """The data set of a run, read again and encoded as then.

    Raises:
        RunError: the data have changed since; it says what has.
    """
    return returned(_reopened(run, parse_recipe(run.read_text(RECIPE)), Deadline(process_start_s()), given))


def _reopened(run: Run, recipe: Recipe, deadline: Deadline, given: InMemory) -> Generator[Event, None, Dataset]:
    threads = recipe.training.threads
    return (
        yield from reopen_dataset(
            run, recipe.source, recipe.dataset, deadline, seed=recipe.seed, threads=threads, given=given
        )
    )


def _finish(
    run: Run, deadline: Deadline, dataset: Dataset | None, given: InMemory, language: Language
) -> Generator[Event, None, None]:
    run.require_seals()
    plan, recipe = on_this_machine(run.read_json(PLAN, Plan)), parse_recipe(run.read_text(RECIPE))
    if dataset is None:
        yield Phased(name="reading", elapsed_s=deadline.elapsed_s())
        dataset = yield from _reopened(run, recipe, deadline, given)
        measure_hardware(device=plan.device, threads=plan.threads)
    yield Phased(name="judging", elapsed_s=deadline.elapsed_s())
    model, validation = final_model(run, dataset, plan, deadline, module=given.module)
    for text in unplanned(model.header, plan):
        yield Noted(text=text)
    scored = _before(deadline, plan.judging_least_s)
    model = with_memory(dataset, model, validation, seed=recipe.seed, seconds=_searching_s(scored))
    if forgotten := what_is_forgotten(dataset, model):
        yield Noted(text=forgotten)
    run.seal_judgement(begun=True)
    evaluation, judged = evaluate(run, dataset, model, seed=recipe.seed, validation=validation)
    model.header = msgspec.structs.replace(model.header, metrics=evaluation.metrics)
    run.write(MODEL, model.to_bytes())
    write_answer_speed(run, dataset, model, seconds=_searching_s(deadline))
    search(run, dataset, model, judged, seed=recipe.seed, seconds=_searching_s(deadline))
    heard_s = _searching_s(deadline)
    write_specimens(run, dataset, lambda: given.source or open_source(recipe.source), seconds=heard_s)
    explain_examples(run, dataset, model, _before(deadline, _REPORTING_S))
    run.seal_judgement()
    yield Phased(name="reporting", elapsed_s=deadline.elapsed_s())
    write_report(run.path, language=language)
    write_model_card(run.path, language=language)
    yield Finished(run=str(run.path), metrics=evaluation.metrics, planned_s=plan.planned_s, used_s=deadline.elapsed_s())


def _before(deadline: Deadline, seconds: float) -> Deadline:
    """The deadline of what can be left out, where so many seconds are needed behind it."""
    return Deadline(deadline.start_s, deadline.end_s - seconds)


def _searching_s(deadline: Deadline) -> float | None:
    """Seconds for what can be left out: half of those that are left, the report's not counted."""
    if not deadline.is_set:
        return None
    return max(0.0, min(deadline.remaining_s() / 2, deadline.remaining_s() - _REPORTING_S))


def _recorded(run: Run, events: Generator[Event, None, T]) -> Generator[Event, None, T]:
    """Each event stands in the run directory before anyone sees it; no other process works there meanwhile."""
    with run.locked():
        while True:
            try:
                event = next(events)
            except StopIteration as stop:
                returned: T = stop.value
                return returned
            if not isinstance(event, Going):
                try:
                    run.append(event)
                except BaseException as error:
                    events.throw(error)  # not closed: no checkpoint may know of what was not written
                    raise
            try:
                yield event
            except GeneratorExit:
                events.close()
                raise


def _example(dataset: Dataset) -> torch.Tensor:
    """Two rows as a network takes them."""
    return dataset.encoder.inputs(torch.from_numpy(dataset.encoded.take(dataset.parts["train"][:2])))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_none(part) for name, part in value.items() if part is not None}
    return [_without_none(part) for part in value] if isinstance(value, (list, tuple)) else value
