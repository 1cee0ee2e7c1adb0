"""All that a step of a training changes, and how it is taken down and put together again."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..batches import Passes, Rows
from ..deadline import Deadline
from ..errors import RunError
from ..fsdp import all_laid_like, divide, held, whole
from ..models import set_recompute
from ..optim import Averages, MovingAverage, Optimizer, average_of, build_optimizer
from ..planning.hardware import Format, surroundings
from ..planning.plan import Plan
from ..planning.progress import Change, progress, rate_share
from ..rundir.checkpoints import Position, Snapshot
from ..version import VERSION

NEVER_VALIDATED = -1e9
"""The best score before the first validation."""

_AVERAGED_SHARE = 0.02


@dataclass(slots=True)
class State:
    """All that a step changes. Lives in `train` alone.

    Attributes:
        model, optimizer, average: what learns.
        history: every change of the plan so far.
        passes: where the training stands in the rows.
        best_weights, best_passes: of the network that is kept, and where the training stood in the rows then; those of
            the beginning, before the first validation.
        step: made so far.
        told_step, losses: of the last account, and the mean loss of each step since.
        validated_step, saved_step: of the last validation and the last checkpoint.
        best_step, best_score: of the network that is kept.
    """

    model: nn.Module
    optimizer: Optimizer
    average: Averages | None
    history: list[Change]
    passes: Passes
    best_weights: dict[str, Tensor]
    best_passes: dict[str, Tensor]
    step: int = 0
    told_step: int = 0
    validated_step: int = 0
    best_step: int = 0
    best_score: float = NEVER_VALIDATED
    losses: list[Tensor] = field(default_factory=list)
    saved_step: int = -1

    @property
    def judged(self) -> nn.Module:
        """The network that is judged and kept: the average, where there is one."""
        return self.model if self.average is None else self.average.module

    def replanned(self, change: Change) -> None:
        """From here on the training is another one; an average reaches back over the same share of it."""
        self.history.append(change)
        _reach_back(self.average, change.steps)

    def steps(self, plan: Plan) -> int:
        """Of the whole training, as things stand."""
        return self.history[-1].steps if self.history else plan.steps

    def done(self, plan: Plan) -> float:
        """Share of the training, 0 to 1."""
        return progress(self.step, plan.steps, self.history)

    def rate(self, plan: Plan) -> float:
        """The learning rate of the next step."""
        return plan.optimizer.rate(self.done(plan)) * rate_share(self.history)

    def last_rate(self, plan: Plan) -> float:
        """The learning rate of the last step."""
        then = [change for change in self.history if change.step < self.step]
        return plan.optimizer.rate(progress(self.step - 1, plan.steps, then)) * rate_share(then)

    def keep(self, score: float) -> None:
        """The network of now is the best one."""
        self.best_step, self.best_score = self.step, score
        self.best_weights, self.best_passes = _cloned(self.judged.state_dict()), _cloned(self.passes.state())

    def go_back(self, plan: Plan, change: Change) -> None:
        """To the best network, with the optimizer as new."""
        self.history = [before for before in self.history if before.step <= self.best_step] + [change]
        self.model.load_state_dict(self.best_weights)
        beside = None if self.average is None else self.average.module
        if beside is not None:
            beside.load_state_dict(self.best_weights)
        self.optimizer, self.average = _optimizer_and_average(self.model, beside, plan)
        _reach_back(self.average, change.steps)
        self.passes.load_state(_cloned(self.best_passes))
        self.step = self.told_step = self.validated_step = self.best_step
        self.losses.clear()


def begin(model: nn.Module, plan: Plan, rows: Rows, saved: Snapshot | None, *, over: int = 1) -> State:
    """A training before its first step, or as it was saved; its weights divided `over` so many processes."""
    set_recompute(model, plan.recompute)
    beside = copy.deepcopy(model) if plan.optimizer.averaged else None
    for module in (model, beside):
        if module is not None and over > 1:
            divide(module, over, next(model.parameters()).device.type)
    optimizer, average = _optimizer_and_average(model, beside, plan)
    passes = Passes(len(rows), seed=plan.seed, skip=plan.skip_easy, between=plan.skip_between, lengths=rows.lengths)
    state = State(
        model, optimizer, average, list(plan.history), passes, _cloned(model.state_dict()), _cloned(passes.state())
    )
    if saved is not None:
        _restore(state, saved)
    return state


def snapshot(state: State, plan: Plan, deadline: Deadline, *, instead: dict[str, Tensor] | None = None) -> Snapshot:
    """The training as it stands; what follows changes nothing of it. Where weights are divided, all processes take it.

    Args:
        state: of the training.
        plan: of the training.
        deadline: its clock.
        instead: weights to predict with in place of the best validated ones.
    """
    position = Position(
        step=state.step,
        history=tuple(state.history),
        told_step=state.told_step,
        validated_step=state.validated_step,
        best_step=state.best_step,
        best_score=state.best_score,
        elapsed_s=deadline.elapsed_s(),
        remaining_s=deadline.remaining_s() if deadline.is_set else None,
        made=surroundings(plan.device, version=VERSION),
    )
    if instead is None and state.best_score == NEVER_VALIDATED:
        instead = state.judged.state_dict()
    tensors = _above("model/", state.model.state_dict()) | _above("optimizer/", state.optimizer.state())
    tensors |= _above("passes/", state.passes.state()) | _above("best passes/", state.best_passes)
    if state.losses:
        tensors["losses"] = torch.stack(state.losses)
    if state.average is not None:
        tensors |= _above("average/", state.average.module.state_dict())
    if instead is not None:
        tensors |= _above("best/", state.best_weights)
    return Snapshot(position, _plain(tensors), _plain(state.best_weights if instead is None else instead))


def number_type_of(number_format: Format) -> torch.dtype:
    """What an optimizer may multiply in, where the network does so in this format."""
    return torch.bfloat16 if number_format == "bfloat16" else torch.float32


def _optimizer_and_average(model: nn.Module, beside: nn.Module | None, plan: Plan) -> tuple[Optimizer, Averages | None]:
    alike = plan.fsdp and plan.device == "cpu"
    optimizer = build_optimizer(model, plan.optimizer, products=number_type_of(plan.format), alike=alike)
    if beside is None:
        return optimizer, None
    return optimizer, average_of(beside, plan.optimizer, optimizer, decay=_decay_over(plan.steps))


def _decay_over(steps: int) -> float:
    return 1 - 1 / (1 + _AVERAGED_SHARE * steps)


def _reach_back(average: Averages | None, steps: int) -> None:
    if isinstance(average, MovingAverage):
        average.decay = _decay_over(steps)


def _fill(state: State, tensors: dict[str, Tensor]) -> None:
    _load(state.model, _below(tensors, "model/"))
    state.optimizer.load_state(_below(tensors, "optimizer/"))
    state.passes.load_state(_below(tensors, "passes/"))
    if state.average is not None:
        _load(state.average.module, _below(tensors, "average/"))


def _load(module: nn.Module, tensors: dict[str, Tensor]) -> None:
    module.load_state_dict(all_laid_like(tensors, module.state_dict()))


def _restore(state: State, saved: Snapshot) -> None:
    position, tensors = saved.position, saved.tensors
    try:
        _fill(state, tensors)
    except (RuntimeError, KeyError, ValueError, TypeError, IndexError) as error:
        raise RunError(
            f"the checkpoint of step {position.step:,} does not fit its plan: {' '.join(str(error).split())[:200]}",
            remedy="Bring both back from a copy, or train anew.",
        ) from None
    state.history = list(position.history)
    if state.history:
        _reach_back(state.average, state.history[-1].steps)
    state.step = state.saved_step = position.step
    state.told_step, state.validated_step = position.told_step, position.validated_step
    state.best_step, state.best_score = position.best_step, position.best_score
    state.best_weights = all_laid_like(_below(tensors, "best/") or saved.weights, state.model.state_dict())
    state.best_passes = _below(tensors, "best passes/")
    if "losses" in tensors:
        state.losses = list(tensors["losses"].to(next(state.model.parameters()).device))


def _cloned(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def _plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """On the processor, contiguous in the usual order, and none sharing memory with another."""
    plain = {name: whole(tensor.detach()).cpu().contiguous() for name, tensor in tensors.items()}
    return {
        name: part.clone() if part.data_ptr() == held(tensors[name]).data_ptr() else part
        for name, part in plain.items()
    }


def _above(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
