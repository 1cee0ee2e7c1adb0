"""One training of a search: a recipe with some settings, for a moment, on data that are open; nothing is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load as from_safetensors
from torch import Tensor, nn

from ..batches import Rows, in_order
from ..deadline import Deadline
from ..errors import DeadlineError, RecipeError
from ..planning.ladder import describe_model
from ..planning.plan import Plan
from ..rundir.checkpoints import WEIGHTS
from ..spine.opening import Opened
from ..spine.preparing import Prepared, plan_on
from ..spine.recipe import Recipe
from ..tasks import Classify, Regress, Tag, Task
from ..training.train import build_model, train
from ..types import Event, Reverted, Validated
from .draw import QUARTERS
from .records import WORST

_JUDGED_TOGETHER: Final = 256


@dataclass(slots=True)
class Kept:
    """The last checkpoint of a training, in memory."""

    files: Mapping[str, bytes] = field(default_factory=dict)

    def save_checkpoint(self, step: int, files: Mapping[str, bytes], *, back: int = 0) -> None:
        """Keep these files, and forget those before, whatever step they are of."""
        self.files = files if step + back >= 0 else {}

    def events(self) -> Iterator[Event]:
        """None are kept."""
        return iter(())

    def drop_events_after(self, step: int) -> None:
        """None are kept."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a training.

    Attributes:
        score, loss: of its end, on the validation rows.
        scores: on the way: (share, score).
        stopped: whether it was stopped on the way.
        reason: why nothing came of it; empty where something did.
        rows: each validation row's part in the score, `(N,)`, where that was asked for.
    """

    score: float
    loss: float
    scores: tuple[tuple[float, float], ...]
    stopped: bool
    steps: int
    seconds: float
    network: str
    reason: str = ""
    rows: tuple[float, ...] = ()


def try_settings(
    opened: Opened,
    recipe: Recipe,
    *,
    seconds: float | None,
    module: nn.Module | None = None,
    is_poor: Callable[[int, float], bool] | None = None,
    each_row: bool = False,
    must_work: bool = False,
) -> Generator[Event, None, Tried]:
    """Train by a recipe for so many seconds, or as long as it says; validate after every quarter.

    Args:
        opened: the data.
        recipe: with the settings laid over.
        seconds: of the training; None: the recipe has steps or epochs.
        module: an untrained network, instead of one that the recipe's model builds.
        is_poor: after so many quarters with such a score, whether to stop.
        each_row: whether to tell each row's part in the score.
        must_work: whether settings that can't be used are an error, not a failed trial.

    Raises:
        InputError: of such settings.
    """
    began = time.monotonic()
    kept = Kept()
    try:
        prepared, deadline = planned(opened, recipe, seconds, module)
        plan = msgspec.structs.replace(prepared.plan, validate_every=-(-prepared.plan.steps // QUARTERS))
        known = opened.starts.setdefault(plan.seed, {})
        model = build_model(plan.model, opened.rows, seed=plan.seed, device=plan.device, module=module, known=known)
        events = train(model, prepared.task, opened.rows, opened.validation, plan, kept, deadline=deadline)
        validations, stopped, reason = yield from _watched(events, is_poor)
    except (RecipeError, DeadlineError) as error:
        if must_work:
            raise
        return _failed(error.problems[0], time.monotonic() - began)
    if not validations:
        return _failed(reason, time.monotonic() - began)
    last = validations[-1]
    rows = _row_scores(kept, opened.validation, plan, prepared.task, module) if each_row else np.zeros(0)
    return Tried(
        score=last.score,
        loss=last.loss,
        scores=tuple((quarter / QUARTERS, each.score) for quarter, each in enumerate(validations, 1)),
        stopped=stopped,
        steps=last.step,
        seconds=time.monotonic() - began,
        network=describe_model(plan.model),
        rows=tuple(float(f"{value:.6g}") for value in rows),
    )


def planned(
    opened: Opened, recipe: Recipe, seconds: float | None, module: nn.Module | None
) -> tuple[Prepared, Deadline]:
    """The plan, and the clock that it goes by. What is found out once, speeds and starting weights, is not the trial's
    time: then it is planned again.

    Raises:
        InputError: the recipe can't be used, or the seconds are too few.
    """
    while True:
        known, now = _known(opened), time.monotonic()
        deadline = Deadline(now) if seconds is None else Deadline(now, now + seconds)
        try:
            prepared = plan_on(opened, recipe, deadline, module=module, finish_s=0.0)
        except DeadlineError:
            if _known(opened) == known:
                raise
            continue
        if _known(opened) == known or seconds is None:
            return prepared, deadline


def _known(opened: Opened) -> tuple[int, int]:
    """How many speeds and starting weights are."""
    return len(opened.speeds), sum(map(len, opened.starts.values()))


def _watched(
    events: Generator[Event, None, None], is_poor: Callable[[int, float], bool] | None
) -> Generator[Event, None, tuple[list[Validated], bool, str]]:
    """Validations, whether it was stopped on the way, and why nothing came of it."""
    validations: list[Validated] = []
    try:
        for event in events:
            yield event
            if isinstance(event, Reverted):
                return [], False, "the loss was no longer a number"
            if isinstance(event, Validated):
                validations.append(event)
                if is_poor is not None and len(validations) < QUARTERS and is_poor(len(validations), event.score):
                    return validations, True, ""
    finally:
        events.close()
    return validations, False, "" if validations else "it was never validated"


def _failed(reason: str, seconds: float) -> Tried:
    return Tried(
        score=WORST, loss=-WORST, scores=(), stopped=False, steps=0, seconds=seconds, network="", reason=reason
    )


def _row_scores(kept: Kept, rows: Rows, plan: Plan, task: Task, module: nn.Module | None) -> NDArray[np.float64]:
    spec = rows.dataset.spec
    network = plan.model.build(spec.input_shape, task.num_outputs) if module is None else module
    network.load_state_dict(from_safetensors(dict(kept.files)[WEIGHTS]))
    outputs, labels = _outputs(network.to(plan.device).eval(), rows)
    return row_scores(task, outputs, labels)


@torch.inference_mode()
def _outputs(network: nn.Module, rows: Rows) -> tuple[Tensor, Tensor]:
    pairs = [(network(inputs).float(), labels) for inputs, labels in in_order(rows, size=_JUDGED_TOGETHER)]
    return torch.cat([outputs for outputs, _ in pairs]).cpu(), torch.cat([labels for _, labels in pairs]).cpu()


def row_scores(task: Task, outputs: Tensor, labels: Tensor) -> NDArray[np.float64]:
    """Each row's part in the score, `(N,)`; their mean is the score, or near it.

    Of classes whether the answer is right; of labels a row's own F1; of values 1 less its squared error over their
    variance.
    """
    if isinstance(task, Classify):
        scores = (outputs.argmax(1) == labels).double()
    elif isinstance(task, Tag):
        given, true = outputs > 0, labels > 0.5
        either = given.sum(1) + true.sum(1)
        scores = torch.where(either > 0, 2 * (given & true).sum(1) / either.clamp_min(1), 1.0).double()
    else:
        assert isinstance(task, Regress)
        targets = task.targets(labels).double()
        spread = (targets - targets.mean(0)).square().mean(0).clamp_min(1e-12)
        scores = (1 - (outputs.double() - targets).square() / spread).mean(1)
    return scores.numpy()
