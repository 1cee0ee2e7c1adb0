"""`train_step`, and `train()`: a generator of events.

Whoever runs the loop decides: leaving it at any event stops the training well, with a checkpoint. What must change
the step itself is an argument of `train_step`. Nothing here depends on the clock but the pace: with a deadline, steps
are cut or added as the machine turns out slower or faster, and every such change is recorded.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

import msgspec
import torch
from safetensors.torch import load as from_safetensors
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from . import chance
from .batches import Passes, Rows, batch_of, in_order
from .deadline import Deadline
from .encoders import TextEncoder
from .errors import RecipeError
from .hardware import Format, kept_memory
from .models import ModelSpec, channels_last, rows_to_start_from, start_from
from .optim import MovingAverage, Optimizer, Steps, build_optimizer
from .plan import SMALL_SCALE, Plan
from .progress import Change, progress
from .run import Checkpoint, Run
from .tasks import Task, bind
from .types import Batch, Event, Replanned, Saved, Stepped, Stopped, Validated, Value

WEIGHTS = "model.safetensors"
_STATE, _POSITION = "state.safetensors", "state.json"
_SECONDS_BETWEEN_EVENTS = 0.5
_SECONDS_BETWEEN_CHECKPOINTS = 10.0
_SHORTEST_LOOK_S, _LOOK_SHARE = 0.5, 0.15
_TOLERATED_LATE, _TOLERATED_EARLY, _TOLERATED_S = 0.01, 0.04, 0.2
_AVERAGED_SHARE = 0.02
_JUDGING_BATCH = 256
_WORST = -1e9


class Position(Value, frozen=True):
    """Where a training stands, beside its tensors: `state.json` of a checkpoint."""

    step: int
    history: tuple[Change, ...]
    validated_step: int
    best_step: int
    best_score: float
    elapsed_s: float


@dataclass(slots=True)
class _State:
    """All that a step changes. Lives in `train` alone."""

    model: nn.Module
    optimizer: Optimizer
    average: MovingAverage | None
    history: list[Change]
    passes: Passes
    step: int = 0
    validated_step: int = 0
    best_step: int = -1
    best_score: float = _WORST
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    saved_step: int = -1
    diverged: bool = False

    @property
    def judged(self) -> nn.Module:
        """The network that is judged and kept: the average, where there is one."""
        return self.model if self.average is None else self.average.module


def train_step(
    model: nn.Module, task: Task, optimizer: Steps, batch: Batch, *, learning_rate: float, number_format: Format
) -> Tensor:
    """Forward pass, loss, backward pass, one step of the optimizer. Returns each row's loss, `(N,)` on the device."""
    with torch.autocast(batch.inputs.device.type, torch.bfloat16, enabled=number_format == "bfloat16"):
        logits = model(batch.inputs)
    losses = task.losses(logits, batch.targets)
    losses.mean().backward()  # type: ignore[no-untyped-call]
    optimizer.step(learning_rate)
    return losses.detach()


def build_model(
    spec: ModelSpec, rows: Rows, *, seed: int, device: str, module: nn.Module | None = None, started: bool = True
) -> nn.Module:
    """The network before its first step: random weights from the seed, and what begins from training rows.

    A module that is given is copied instead of building one. One that is not `started` has weights of chance alone,
    enough to see how quick it is.
    """
    data = rows.dataset.spec
    torch.manual_seed(chance.key(seed, "weights"))
    model = spec.build(data.input_shape, len(data.classes)) if module is None else copy.deepcopy(module)
    count = rows_to_start_from(model, data.input_shape)
    if count and started:
        chosen = chance.permutation(seed, "whitening", 0, len(rows))[:count]
        labels = None if data.question == "tag" else rows.labels[torch.from_numpy(chosen)].cpu()
        if labels is not None and data.question == "regress":
            labels = bind(data).targets(labels)
        encoder = rows.dataset.encoder
        vocabulary = encoder.vocabulary if isinstance(encoder, TextEncoder) else ()
        start_from(model, rows.inputs(chosen).cpu(), labels, vocabulary)
    return channels_last(model.to(device))


def train(
    model: nn.Module,
    task: Task,
    rows: Rows,
    validation: Rows,
    plan: Plan,
    run: Run,
    *,
    deadline: Deadline,
    checkpoint: Checkpoint | None = None,
) -> Generator[Event, None, None]:
    """Train by the plan, from the beginning or from a checkpoint.

    Args:
        model: as `build_model` gives it, on the plan's device.
        task: loss and decoding.
        rows, validation: what is trained and judged on.
        plan: what was decided.
        run: where checkpoints go.
        deadline: the clock that the plan's `end_s` counts on.
        checkpoint: where to go on.

    Raises:
        RecipeError: the loss is no longer a number, and no validated network is there to fall back to.
        RunError: a checkpoint can't be written.
    """
    state = _begin(model, plan, rows, checkpoint)
    try:
        with kept_memory():
            yield from _steps(state, task, rows, validation, plan, run, deadline)
    finally:
        if not state.diverged and state.saved_step != state.step:
            _save_where_it_stopped(state, task, validation, plan, run, deadline)


def final_weights(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The weights that a checkpoint would predict with: the best validated ones."""
    return from_safetensors(checkpoint.read(WEIGHTS))


def position_of(checkpoint: Checkpoint) -> Position:
    """Where the training of a checkpoint stands."""
    return msgspec.json.decode(checkpoint.read(_POSITION), type=Position)


def _begin(model: nn.Module, plan: Plan, rows: Rows, checkpoint: Checkpoint | None) -> _State:
    average = None
    if plan.optimizer.average == "ema":
        average = MovingAverage(copy.deepcopy(model), decay=1 - 1 / (1 + _AVERAGED_SHARE * plan.steps))
    optimizer = build_optimizer(model, plan.optimizer, products=products_of(plan.format))
    passes = Passes(len(rows), seed=plan.seed, skip=plan.skip_easy, between=plan.skip_between, lengths=rows.lengths)
    state = _State(model, optimizer, average, list(plan.history), passes)
    if checkpoint is not None:
        _restore(state, checkpoint)
    return state


def _steps(
    state: _State, task: Task, rows: Rows, validation: Rows, plan: Plan, run: Run, deadline: Deadline
) -> Iterator[Event]:
    pace = _Pace(plan, deadline, state.step)
    steps = _steps_in_all(plan, state)
    if _validation_is_due(state, plan, steps):  # stopped between a step and its validation
        yield _judge(state, task, validation, plan, deadline, len(rows))
    while state.step < steps:
        _one_step(state, task, rows, plan, pace)
        change = pace.change(state.step, steps, progress(state.step, plan.steps, state.history))
        if change is not None:
            state.history.append(change)
            steps = change.steps
            yield Replanned(step=change.step, steps_before=change.steps_before, steps=steps, reason=change.reason)
        last = state.step >= steps
        if pace.due() or last:
            stepped = pace.stepped(state, steps, plan, len(rows))
            if not math.isfinite(stepped.loss):
                yield _diverge(state)
                return
            yield stepped
        if _validation_is_due(state, plan, steps):
            began = time.monotonic()
            validated = _judge(state, task, validation, plan, deadline, len(rows))
            pace.judged(time.monotonic() - began)
            yield validated
        if _save_is_due(state, plan, pace) or last:
            _save(state, run, deadline)
            yield Saved(step=state.step)
            pace.saved()
    yield Stopped(step=state.step, reason="planned")


def _validation_is_due(state: _State, plan: Plan, steps: int) -> bool:
    return state.validated_step < state.step and (state.step % plan.validate_every == 0 or state.step >= steps)


def _one_step(state: _State, task: Task, rows: Rows, plan: Plan, pace: _Pace) -> None:
    done = progress(state.step, plan.steps, state.history)
    positions, passes = state.passes.take(plan.batch, done)
    scale = SMALL_SCALE if done < plan.small_until else 1.0
    batch = batch_of(rows, positions, passes, seed=plan.seed, task=task, augment=plan.augment, scale=scale)
    torch.manual_seed(chance.key(plan.seed, "step", state.step))
    state.model.train()
    rate = plan.optimizer.rate(done)
    losses = train_step(state.model, task, state.optimizer, batch, learning_rate=rate, number_format=plan.format)
    state.passes.learnt(positions, losses)
    if state.average is not None:
        state.average.update(state.model)
    state.step += 1
    pace.stepped_once(losses.mean(), rate, plan.step_cost(done))


def _diverge(state: _State) -> Stopped:
    state.diverged = True
    if not state.best_weights:
        raise RecipeError(
            f"the loss is no longer a number after step {state.step}", remedy="Give a smaller --learning-rate."
        )
    return Stopped(step=state.step, reason="the loss is no longer a number; the best network before it is kept")


def _judge(state: _State, task: Task, rows: Rows, plan: Plan, deadline: Deadline, train_rows: int) -> Validated:
    """Validate as planned; keeps the best network.

    That of the planned end, its rate come down, is kept unless it is worse by more than a standard error: validated
    by single views on some hundred rows, an earlier one may seem better by chance.
    """
    loss, score = _validate(state.judged, task, rows, plan)
    state.validated_step = state.step
    ended = state.step >= _steps_in_all(plan, state) and plan.optimizer.schedule != "constant"
    best = score >= state.best_score - (task.standard_error(score, len(rows)) if ended else 0.0)
    if best:
        state.best_step, state.best_score = state.step, score
        state.best_weights = _copied(state.judged)
    return Validated(
        step=state.step,
        epoch=state.step * plan.batch / train_rows,
        loss=loss,
        score=score,
        elapsed_s=deadline.elapsed_s(),
        best=best,
        measure=task.score_name,
    )


@torch.inference_mode()
def _validate(model: nn.Module, task: Task, rows: Rows, plan: Plan) -> tuple[float, float]:
    """Loss (as the task judges it, unsmoothed and unweighted) and score."""
    model.eval()
    outputs, labels = [], []
    for inputs, true in in_order(rows, size=min(_JUDGING_BATCH, max(16, plan.batch))):
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=plan.format == "bfloat16"):
            outputs.append(model(inputs).float())
        labels.append(true)
    return task.judged(torch.cat(outputs), torch.cat(labels))


def _save_where_it_stopped(
    state: _State, task: Task, validation: Rows, plan: Plan, run: Run, deadline: Deadline
) -> None:
    """Stopped between two validations, the network of now may be better than the best validated one.

    It is then what the run predicts with. But going on must not know of it: the run that was never stopped did not
    validate here. So the best one is kept beside it.
    """
    now_better = _validate(state.judged, task, validation, plan)[1] >= state.best_score
    _save(state, run, deadline, instead=_copied(state.judged) if now_better else None)


def _save_is_due(state: _State, plan: Plan, pace: _Pace) -> bool:
    if plan.checkpoint_steps is not None:
        return state.step % plan.checkpoint_steps == 0
    return pace.seconds_since_save() > _SECONDS_BETWEEN_CHECKPOINTS


def _save(state: _State, run: Run, deadline: Deadline, *, instead: dict[str, Tensor] | None = None) -> None:
    """Write a checkpoint. `instead` are weights to predict with in place of the best validated ones."""
    position = Position(
        step=state.step,
        history=tuple(state.history),
        validated_step=state.validated_step,
        best_step=state.best_step,
        best_score=state.best_score,
        elapsed_s=deadline.elapsed_s(),
    )
    tensors = {f"model/{name}": tensor for name, tensor in state.model.state_dict().items()}
    tensors |= {f"optimizer/{name}": tensor for name, tensor in state.optimizer.state().items()}
    tensors |= {f"passes/{name}": tensor for name, tensor in state.passes.state().items()}
    if state.average is not None:
        tensors |= {f"average/{name}": tensor for name, tensor in state.average.module.state_dict().items()}
    if instead is not None:
        tensors |= {f"best/{name}": tensor for name, tensor in state.best_weights.items()}
    weights = instead or state.best_weights or state.judged.state_dict()
    files = {
        WEIGHTS: to_safetensors(_plain(weights)),
        _STATE: to_safetensors(_plain(tensors)),
        _POSITION: msgspec.json.encode(position),
    }
    run.save_checkpoint(state.step, files)
    state.saved_step = state.step


def _restore(state: _State, checkpoint: Checkpoint) -> None:
    position = position_of(checkpoint)
    tensors = from_safetensors(checkpoint.read(_STATE))
    state.model.load_state_dict(_below(tensors, "model/"))
    state.optimizer.load_state(_below(tensors, "optimizer/"))
    state.passes.load_state(_below(tensors, "passes/"))
    if state.average is not None:
        state.average.module.load_state_dict(_below(tensors, "average/"))
    state.history = list(position.history)
    state.step = state.saved_step = position.step
    state.validated_step = position.validated_step
    state.best_step, state.best_score = position.best_step, position.best_score
    if position.best_step >= 0:
        state.best_weights = _below(tensors, "best/") or final_weights(checkpoint)


def products_of(number_format: Format) -> torch.dtype:
    """What an optimizer may multiply in, where the network does so in this format."""
    return torch.bfloat16 if number_format == "bfloat16" else torch.float32


def _copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """On the processor, contiguous in the usual order, and none sharing memory with another."""
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _steps_in_all(plan: Plan, state: _State) -> int:
    return state.history[-1].steps if state.history else plan.steps


class _Pace:
    """Watches the clock: when to tell, when to save, and whether the steps still fit the deadline."""

    def __init__(self, plan: Plan, deadline: Deadline, step: int) -> None:
        self._plan, self._deadline = plan, deadline
        self._told_at = self._saved_at = time.monotonic()
        self._told_step = step
        self._losses: list[Tensor] = []
        self._rate = 0.0
        self._look_at, self._look_step, self._look_cost = self._told_at, step, 0.0
        self._judging_s = 0.0

    def stepped_once(self, loss: Tensor, rate: float, cost: float) -> None:
        self._losses.append(loss)
        self._rate = rate
        self._look_cost += cost

    def due(self) -> bool:
        return time.monotonic() - self._told_at > _SECONDS_BETWEEN_EVENTS

    def pause_ended(self) -> None:
        """What passed since the last event was no training."""
        self._told_at = time.monotonic()

    def judged(self, seconds: float) -> None:
        """A validation took so long. It is no step, and so many more are to come."""
        self._judging_s = seconds
        self._look_at += seconds
        self.pause_ended()

    def saved(self) -> None:
        self._saved_at = time.monotonic()
        self.pause_ended()

    def seconds_since_save(self) -> float:
        return time.monotonic() - self._saved_at

    def stepped(self, state: _State, steps: int, plan: Plan, train_rows: int) -> Stepped:
        """Means since the last event. The one place where the loss is fetched from the device."""
        now = time.monotonic()
        taken = state.step - self._told_step
        event = Stepped(
            step=state.step,
            steps=steps,
            epoch=state.step * plan.batch / train_rows,
            loss=float(torch.stack(self._losses).mean()),
            learning_rate=self._rate,
            rows_per_s=taken * plan.batch / max(1e-9, now - self._told_at),
            elapsed_s=self._deadline.elapsed_s(),
        )
        self._losses.clear()
        self._told_at, self._told_step = now, state.step
        return event

    def change(self, step: int, steps: int, done: float) -> Change | None:
        """Cut or add steps where the speed since the last look does not lead to the planned end.

        The look reaches over a share of what is left, in seconds or in steps, so that a short disturbance early on
        changes little, and the end is not reached unseen.
        """
        if not self._plan.end_s or step >= steps or step == self._look_step:
            return None
        validations = math.ceil((steps - step) / self._plan.validate_every)
        left_s = self._plan.end_s - self._deadline.elapsed_s() - validations * self._judging_s
        seconds = time.monotonic() - self._look_at
        far = step - self._look_step >= max(3, _LOOK_SHARE * (steps - self._look_step))
        if left_s > 0 and not far and seconds < max(_SHORTEST_LOOK_S, _LOOK_SHARE * left_s):
            return None
        step_s = seconds / self._look_cost * self._plan.cost_of_rest(done)
        self._look_at, self._look_step, self._look_cost = time.monotonic(), step, 0.0
        left = max(0, int(left_s / step_s))
        off = abs(step + left - steps)
        tolerated = _TOLERATED_LATE if step + left < steps else _TOLERATED_EARLY
        if off * step_s < _TOLERATED_S or off < tolerated * (steps - step):
            return None
        word = "slower" if step + left < steps else "faster"
        reason = f"the machine is {word} than planned: {step_s * 1000:.1f} ms a step"
        return Change(step=step, steps_before=steps, steps=step + left, reason=reason)
