"""`train()`: a generator of events.

Whoever runs the loop decides: leaving it at any event stops the training well, with a checkpoint. Nothing here depends
on the clock but the pace: with a deadline, steps are cut or added as the machine turns out slower or faster, and every
such change is recorded. So is what was changed because the loss was no longer a number, or because memory ran out.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import torch
from torch import nn

from .. import chance
from ..batches import Rows
from ..deadline import Deadline
from ..encoders import TextEncoder
from ..errors import InputError, RecipeError
from ..models import Imported, ModelSpec, Starts, channels_last, rows_to_start_from, start_from
from ..models.bounds import empty_network
from ..planning.hardware import kept_memory
from ..planning.ladder import products_of
from ..planning.plan import Plan
from ..planning.progress import Change, parts_of, rate_share, threads_of, times_back, told_every
from ..rundir.checkpoints import CheckpointWriter, Keeps, Snapshot, read_checkpoint, write_checkpoint
from ..rundir.run import Checkpoint
from ..tasks import Task, bind
from ..types import Event, Going, Noted, Replanned, Reverted, Saved, Stepped, Stopped, Validated, plural
from .pace import Pace
from .state import NEVER_VALIDATED, State, begin, snapshot
from .stepping import Ground, ground_of, one_step, validate
from .team import Bend, Gather, GoBack, Keep, Team

_SECONDS_BETWEEN_EVENTS = 0.3
_MOST_TIMES_BACK, _LOWER_RATE = 3, 0.3


@dataclass(frozen=True, slots=True)
class _Work:
    """What the steps stand on, and what is done between them. None of it changes."""

    ground: Ground
    run: Keeps
    deadline: Deadline
    writer: CheckpointWriter
    told_every: int

    @property
    def plan(self) -> Plan:
        return self.ground.plan

    @property
    def team(self) -> Team:
        return self.ground.team


def build_model(
    spec: ModelSpec,
    rows: Rows,
    *,
    seed: int,
    device: str,
    module: nn.Module | None = None,
    started: bool = True,
    known: Starts | None = None,
) -> nn.Module:
    """The network before its first step: random weights from the seed, and what begins from training rows.

    A module that is given is copied instead of building one. One that is not `started` has weights of chance alone,
    enough to see how quick it is. `known` is what was found for these rows and this seed before; it is added to.
    """
    data = rows.dataset.spec
    torch.manual_seed(chance.key(seed, "weights"))
    if module is None:
        _require_possible(spec, data.input_shape, len(data.classes))
    model = spec.build(data.input_shape, len(data.classes)) if module is None else copy.deepcopy(module)
    count = rows_to_start_from(model, data.input_shape)
    if count and started:
        chosen = chance.permutation(seed, "whitening", 0, len(rows))[:count]
        labels = None if data.question == "tag" else rows.labels[torch.from_numpy(chosen)].cpu()
        if labels is not None and data.question == "regress":
            labels = bind(data).targets(labels)
        encoder = rows.dataset.encoder
        vocabulary = encoder.vocabulary if isinstance(encoder, TextEncoder) else ()
        start_from(model, rows.inputs(chosen).cpu(), labels, vocabulary, known=known)
    return channels_last(model.to(device))


def _require_possible(spec: ModelSpec, input_shape: tuple[int, ...], num_outputs: int) -> None:
    """Raises RecipeError where a network is impossible or immense, before memory is taken for it."""
    if isinstance(spec, Imported):
        return
    try:
        empty_network(spec, input_shape, num_outputs)
    except ValueError as error:
        if isinstance(error.__cause__, InputError):
            raise error.__cause__ from None
        raise RecipeError(f"the network can't be built: {error}", remedy="Give another --model or --widths.") from None


def train(
    model: nn.Module,
    task: Task,
    rows: Rows,
    validation: Rows,
    plan: Plan,
    run: Keeps,
    *,
    deadline: Deadline,
    checkpoint: Checkpoint | None = None,
    team: Team | None = None,
) -> Generator[Event, None, None]:
    """Train by the plan, from the beginning or from a checkpoint.

    Left at an event, it saves where it stands. After an error nothing is saved any more: the last checkpoint stands.

    Args:
        model: as `build_model` gives it, on the plan's device.
        task: loss and decoding.
        rows, validation: what is trained and judged on.
        plan: what was decided.
        run: where checkpoints go.
        deadline: the clock that the plan's `end_s` counts on.
        checkpoint: where to go on.
        team: the processes that train; None for this one alone. The others `follow`.

    Raises:
        RecipeError: the loss is no longer a number, and no validated network is there to fall back to; or memory does
            not hold one row.
        RunError: a checkpoint can't be written.
    """
    team = team or Team()
    state = begin(model, plan, rows, None if checkpoint is None else read_checkpoint(checkpoint))
    if team.size > 1:
        state = _begun_together(state, plan, rows, team, deadline)
    writer, spec = CheckpointWriter(run), rows.dataset.spec
    often = told_every(products_of(plan.model, spec), plan.batch, device=plan.device, seconds=_SECONDS_BETWEEN_EVENTS)
    work = _Work(ground_of(model, task, plan, rows, validation, team), run, deadline, writer, often)
    try:
        with kept_memory(), team.watched():
            yield from _steps(state, work)
    except GeneratorExit:
        writer.wait()
        if state.saved_step != state.step and _loss_is_a_number(state):
            _save_where_it_stopped(state, work)
        raise
    finally:
        work.team.leave()
        writer.close()
        if any(change.threads is not None for change in state.history):
            torch.set_num_threads(plan.threads)


def _begun_together(state: State, plan: Plan, rows: Rows, team: Team, deadline: Deadline) -> State:
    """The same state in all processes, and each one's share of it where weights are divided."""
    first = snapshot(state, plan, deadline)
    team.give(first)
    if not plan.fsdp or team.size == 1:
        return state
    team.divided, saved_step = True, state.saved_step
    state = begin(state.model, plan, rows, first, over=team.size)
    state.saved_step = saved_step
    return state


def worse_in_a_row(events: Iterator[Event]) -> int:
    """Validations since the best one."""
    worse = 0
    for event in events:
        worse = _worse_after(event, worse)
    return worse


def _worse_after(event: Event, worse: int) -> int:
    if isinstance(event, Reverted):
        return 0
    return (0 if event.best else worse + 1) if isinstance(event, Validated) else worse


def stopped_early(
    events: Generator[Event, None, None], patience: int, *, step: int = 0, worse: int = 0
) -> Iterator[Event]:
    """Early stopping is a loop over events: leave it after `patience` validations without a new best.

    A run that goes on stands at `step`, and has `worse` of them behind it.
    """
    try:
        while not patience or worse < patience:
            event = next(events, None)
            if event is None:
                return
            try:
                yield event
            except GeneratorExit:
                raise
            except BaseException as error:
                events.throw(error)
                raise
            step, worse = getattr(event, "step", step), _worse_after(event, worse)
    finally:
        events.close()
    yield Stopped(step=step, reason=f"no better for {plural(patience, 'validation')}")


def _steps(state: State, work: _Work) -> Iterator[Event]:
    plan, pace = work.plan, _pace(state, work)
    yield from _told_again(state, work)
    while times_back(state.history) <= _MOST_TIMES_BACK:
        change = pace.change(state.step, state.steps(plan), state.done(plan))
        if change is not None:
            yield _replanned(state, work, change)
        last = state.step >= state.steps(plan)
        telling = state.told_step < state.step and (last or state.step % work.told_every == 0)
        judging = state.validated_step < state.step and (last or state.step % plan.validate_every == 0)
        saving = state.saved_step != state.step and (last or _save_is_due(state, work))
        if (telling or judging or saving) and not _loss_is_a_number(state):
            yield _go_back(state, work)
            pace = _pace(state, work)
            continue
        if telling:
            yield _tell(state, work, pace)
        if judging:
            yield _judge(state, work, pace)
            if not work.team.alike and not work.team.divided and not last:
                work.team.give(snapshot(state, plan, work.deadline))
        if saving:
            yield from _save(state, work, now=last)
        if last:
            yield Stopped(step=state.step, reason="planned")
            return
        yield from _heard(state, work, pace)
        cost = plan.step_cost(state.done(plan))
        change = one_step(state, work.ground)
        pace.stepped_once(cost)
        if change is not None:
            yield _replanned(state, work, change)
            yield from _save(state, work, now=True)
    yield Stopped(step=state.step, reason="the loss is no longer a number; the best network before it is kept")


def _told_again(state: State, work: _Work) -> Iterator[Event]:
    """What a run that was killed right after it had gone back could not tell."""
    if not times_back(state.history):
        return
    told = sum(isinstance(event, Reverted) for event in work.run.events())
    ends = [end for end, change in enumerate(state.history, 1) if change.rate_share < 1]
    yield from (_reverted(state.history[:end]) for end in ends[told:])


def _pace(state: State, work: _Work) -> Pace:
    """The clock from here on; operations have the threads that they had when this step was made."""
    plan, threads = work.plan, threads_of(state.history, work.plan.threads)
    if plan.device == "cpu" and threads != plan.threads:
        torch.set_num_threads(threads)
    return Pace(plan, work.deadline, state.step, threads=threads)


def _replanned(state: State, work: _Work, change: Change) -> Replanned:
    state.replanned(change)
    work.team.order(Bend(change))
    if change.threads is not None:
        torch.set_num_threads(change.threads)
    return Replanned(step=change.step, steps_before=change.steps_before, steps=change.steps, reason=change.reason)


def _heard(state: State, work: _Work, pace: Pace) -> Iterator[Event]:
    """What is to be said between two steps: of a checkpoint that is on the disk now, or that all is well."""
    lost = work.team.lost()
    if lost:
        yield Noted(text=f"another process is lost, and this one goes on alone, to the same bits: {lost}")
    written = work.writer.written()
    if written is not None:
        yield Saved(step=written)
    elif pace.sign_is_due():
        yield Going(step=state.step, elapsed_s=work.deadline.elapsed_s())


def _tell(state: State, work: _Work, pace: Pace) -> Stepped:
    """Means since the last account. The one place where the loss is fetched from the device."""
    plan = work.plan
    loss = float(torch.stack(state.losses).mean())
    state.losses.clear()
    state.told_step = state.step
    return Stepped(
        step=state.step,
        steps=state.steps(plan),
        epoch=state.step * plan.batch / len(work.ground.rows),
        loss=loss,
        learning_rate=state.last_rate(plan),
        rows_per_s=pace.steps_per_s(state.step) * plan.batch,
        elapsed_s=work.deadline.elapsed_s(),
    )


def _loss_is_a_number(state: State) -> bool:
    return not state.losses or bool(torch.stack(state.losses).isfinite().all())


def _go_back(state: State, work: _Work) -> Reverted:
    """To the best network, the optimizer as new, the rate lower; at a checkpoint that no one before it can outdo.

    The best one is that of a step which the plan decides, and so is all that follows: a resumed run goes the same way.

    Raises:
        RecipeError: it was done as often as it may be, and there is no network that was ever validated.
    """
    steps, times = state.steps(work.plan), times_back(state.history)
    failed = state.told_step + 1 + torch.stack(state.losses).isfinite().tolist().index(False)
    if state.best_score == NEVER_VALIDATED and times == _MOST_TIMES_BACK:
        raise RecipeError(
            f"the loss is no longer a number in step {failed:,}, not even with "
            f"{rate_share(state.history):.2g} of the learning rate",
            remedy="Give a smaller --learning-rate, and look at the data for values that are far too large.",
        )
    change = Change(
        step=state.best_step,
        steps_before=steps,
        steps=steps,
        reason="the loss was no longer a number",
        rate_share=_LOWER_RATE,
        parts=parts_of(state.history),
        failed_step=failed,
    )
    if work.team.divided:
        work.team.order(GoBack(change))
    state.go_back(work.plan, change)
    work.writer.wait()
    gone_back_to = _taken_down(state, work)
    write_checkpoint(work.run, gone_back_to)
    state.saved_step = state.step
    if not work.team.divided:
        work.team.give(gone_back_to)
    work.run.drop_events_after(state.step)
    return _reverted(state.history)


def _reverted(history: list[Change]) -> Reverted:
    return Reverted(step=history[-1].step, from_step=history[-1].failed_step, rate_share=rate_share(history))


def _judge(state: State, work: _Work, pace: Pace) -> Validated:
    """Validate as planned; keeps the best network.

    That of the planned end, its rate come down, is kept unless it is worse by more than a standard error: validated
    by single views on some hundred rows, an earlier one may seem better by chance.
    """
    began, plan, task = time.monotonic(), work.plan, work.ground.task
    loss, score = validate(state.judged, work.ground, work.team)
    state.validated_step = state.step
    ended = state.step >= state.steps(plan) and plan.optimizer.schedule != "constant"
    best = score >= state.best_score - (task.standard_error(score, len(work.ground.validation)) if ended else 0.0)
    best = best and math.isfinite(loss)
    if best:
        if work.team.divided:
            work.team.order(Keep(score))
        state.keep(score)
    pace.judged(time.monotonic() - began)
    return Validated(
        step=state.step,
        epoch=state.step * plan.batch / len(work.ground.rows),
        loss=loss,
        score=score,
        elapsed_s=work.deadline.elapsed_s(),
        best=best,
        measure=task.score_name,
    )


def _save_where_it_stopped(state: State, work: _Work) -> None:
    """Stopped between two validations, the network of now may be better than the best validated one.

    It is then what the run predicts with. But going on must not know of it: the run that was never stopped did not
    validate here. So the best one is kept beside it.
    """
    team = work.team if work.team.divided else Team()
    now_better = validate(state.judged, work.ground, team)[1] >= state.best_score
    write_checkpoint(work.run, _taken_down(state, work, now=now_better))
    state.saved_step = state.step


def _taken_down(state: State, work: _Work, *, now: bool = False) -> Snapshot:
    """The training as it stands; with the weights of `now` to predict with, or the best ones."""
    if work.team.divided:
        work.team.order(Gather(now))
    return snapshot(state, work.plan, work.deadline, instead=state.judged.state_dict() if now else None)


def _save_is_due(state: State, work: _Work) -> bool:
    if work.plan.checkpoint_steps is not None:
        return state.step % work.plan.checkpoint_steps == 0
    return work.writer.is_due()


def _save(state: State, work: _Work, *, now: bool) -> Iterator[Saved]:
    """Have a checkpoint written while the training goes on, or wait for it."""
    began = time.monotonic()
    before = work.writer.wait()
    if before is not None:
        yield Saved(step=before)
    work.writer.write(_taken_down(state, work), taking_s=time.monotonic() - began)
    state.saved_step = state.step
    if now:
        work.writer.wait()
        yield Saved(step=state.step)
