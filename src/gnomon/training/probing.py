"""What a network costs and promises on this machine, found out by doing it for a moment."""

from __future__ import annotations

import copy
import time

import torch
from torch import Tensor, nn

from ..augment import Augment
from ..batches import Passes, Rows, batch_of, in_order
from ..deadline import Deadline
from ..models import ModelSpec, answering
from ..optim import USUAL, Optimizer, OptimizerSpec, build_optimizer
from ..planning.hardware import Format
from ..planning.ladder import Speed
from ..planning.plan import Plan
from ..predicting.chunks import chunk_rows
from ..tasks import Task
from .state import begin, number_type_of, snapshot
from .stepping import ground_of, one_step, train_step
from .team import Team
from .train import build_model

_WARM_UP = 2
_PROBED_ROWS = 128
_JUDGED_ROWS = 2000
_REHEARSED_S, _REHEARSED_STEPS = 1.0, (3, 12)


def measure_speed(
    model: nn.Module, rows: Rows, task: Task, *, batch: int, number_format: Format, augment: Augment
) -> Speed:
    """Time real steps of a model, augmentation included, and its forward pass in float32. Changes the model.

    On a processor a few rows tell the time of many, so no more than 128 are taken; the optimizer's share, which does
    not grow with the rows, is timed for itself.
    """
    device = next(model.parameters()).device
    pictures = rows.dataset.spec.kind == "image"
    size = min(batch, _PROBED_ROWS) if device.type == "cpu" and pictures else batch
    optimizer = _Timed(build_optimizer(model, _usual(rows), products=number_type_of(number_format)), device)
    passes = Passes(len(rows), seed=0, lengths=rows.lengths)
    times: list[float] = []
    steps: list[float] = []
    model.train()
    while len(times) < _WARM_UP + 3 or (len(times) < _WARM_UP + 12 and sum(times) < 0.15):
        began = time.perf_counter()
        positions, numbers = passes.take(size, 0.0)
        made = batch_of(rows, positions, numbers, seed=0, task=task, augment=augment)
        losses = train_step(model, task, optimizer, made, learning_rate=1e-3, number_format=number_format)
        float(losses.sum())
        times.append(time.perf_counter() - began - optimizer.seconds[-1])
        steps.append(1.0 if pictures else made.inputs.shape[1])
    # What disturbs a step only makes it longer: the quick ones tell what it costs. Longer rows cost more.
    of_length = [seconds / length for seconds, length in zip(times, steps, strict=True)]
    compute_s = _quick(of_length[_WARM_UP:]) * sum(steps) / len(steps) * batch / size
    optimizer_s = _quick(optimizer.seconds[_WARM_UP:])
    rate = _forward_rate(model, made.inputs, rows)
    if rows.lengths is not None:  # rows are judged among those of their own length
        rate *= made.inputs.shape[1] / float(rows.lengths.mean())
    return Speed(compute_s + optimizer_s, rate, optimizer_s)


class _Timed:
    """An optimizer that takes the time of its steps."""

    def __init__(self, optimizer: Optimizer, device: torch.device) -> None:
        self._optimizer, self._device = optimizer, device
        self.seconds: list[float] = []

    def step(self, learning_rate: float) -> None:
        self._wait()
        began = time.perf_counter()
        self._optimizer.step(learning_rate)
        self._wait()
        self.seconds.append(time.perf_counter() - began)

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


@torch.inference_mode()
def _forward_rate(model: nn.Module, inputs: Tensor, rows: Rows) -> float:
    """Rows a second of a prediction's forward pass."""
    model = answering(model.eval())
    size = chunk_rows(rows.dataset.encoder)
    chunk = inputs[torch.arange(size) % len(inputs)]
    chunk = chunk.contiguous(memory_format=torch.channels_last) if chunk.ndim == 4 else chunk
    times = []
    for _ in range(3):
        began = time.perf_counter()
        float(model(chunk).sum())
        times.append(time.perf_counter() - began)
    return size / min(times[1:])


def _usual(rows: Rows) -> OptimizerSpec:
    return OptimizerSpec(name=USUAL[rows.dataset.spec.kind])


def _quick(times: list[float]) -> float:
    """The lower quartile."""
    return sorted(times)[len(times) // 4]


def rehearsed(
    model: nn.Module, task: Task, rows: Rows, validation: Rows, plan: Plan, team: Team | None = None
) -> list[float]:
    """Seconds of each of the first steps of this very training, by the team or by this process alone.

    They are made on a copy for about a second: the training's own network does not change, and the other processes
    begin anew with the next state that they are given.

    Args:
        model, task, rows, validation, plan: as for `train`.
        team: of which this process is the first, all others ready.
    """
    team = team or Team()
    state = begin(copy.deepcopy(model), plan, rows, None)
    team.give(snapshot(state, plan, Deadline(0.0)))
    ground = ground_of(state.model, task, plan, rows, validation, team)
    least, most = _REHEARSED_STEPS
    times: list[float] = []
    while len(times) < _WARM_UP + least or (len(times) < _WARM_UP + most and sum(times) < _REHEARSED_S):
        began = time.perf_counter()
        one_step(state, ground)
        float(state.losses[-1])
        times.append(time.perf_counter() - began)
    return times[_WARM_UP:]


def try_out(
    spec: ModelSpec,
    rows: Rows,
    validation: Rows,
    task: Task,
    *,
    batch: int,
    number_format: Format,
    augment: Augment,
    seconds: float,
) -> tuple[float, float]:
    """Train a network for some seconds, its rate falling to 0, and judge it. Changes nothing of the run.

    Returns:
        What its score lacks to 1 on at most 2,000 validation rows; and the seconds it trained.
    """
    model = build_model(spec, rows, seed=0, device=str(rows.labels.device))
    optimizer = build_optimizer(model, _usual(rows), products=number_type_of(number_format))
    peak = OptimizerSpec().completed(rows.dataset.spec.kind, batch=batch, steps=100, textbook=False)
    began, done, passes = time.perf_counter(), 0.0, Passes(len(rows), seed=0, lengths=rows.lengths)
    model.train()
    while done < 1:
        positions, numbers = passes.take(batch, 0.0)
        made = batch_of(rows, positions, numbers, seed=0, task=task, augment=augment)
        train_step(model, task, optimizer, made, learning_rate=peak.rate(done), number_format=number_format)
        done = (time.perf_counter() - began) / seconds
    trained_s = time.perf_counter() - began
    return _error(model, task, validation), trained_s


@torch.inference_mode()
def _error(model: nn.Module, task: Task, rows: Rows) -> float:
    model.eval()
    outputs, labels, judged = [], [], 0
    for inputs, true in in_order(rows, size=128):
        outputs.append(model(inputs))
        labels.append(true)
        judged += len(true)
        if judged >= _JUDGED_ROWS:
            break
    return min(1.0, 1 - task.judged(torch.cat(outputs), torch.cat(labels))[1])
