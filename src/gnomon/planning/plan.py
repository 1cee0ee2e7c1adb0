"""How the training will run on this machine by the deadline: each decision with its reason.

Arithmetic over measurements. What is measured comes in as numbers, or as a `probe` that the caller hands in and that
says how long a step of a model takes; so a plan can be made, tested and printed without training.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from ..augment import Augment, augment_for
from ..deadline import Deadline, spoken
from ..errors import DeadlineError, RecipeError
from ..models import SIZED_BY_PLAN, Cnn, Ensemble, Imported, LinearDeep, ModelSpec, Plain, WideDeep, fitted_to
from ..optim import OptimizerSpec
from ..tasks import Views
from ..types import NOUNS, DataSpec, Decision, Kind, Value, plural
from .asked import TrainingSpec
from .hardware import Format, Hardware
from .ladder import Probe, Speed, batch_for, climb, describe_model, ladder, rung_beside
from .progress import Change
from .thrift import SKIP_BETWEEN, choose_thrift

DEFAULT_EPOCHS: Final = 20
"""Epochs where neither a deadline nor a number of steps or epochs is given."""
RESERVE_FIXED_S: Final = 3.0
"""Seconds kept for saving, report, baseline, what the model remembers of its rows, and the process's end; measured at
0.7 to 2.5 on two cores."""
_UNFORESEEN_SHARE, _UNFORESEEN_MOST_S = 0.015, 2.0
"""Kept for what nobody foresees: a share of the deadline, up to so many seconds. How slow the machine is by then is
followed by the pace, and what takes longer there is kept beside this."""

REMEMBERED_ROWS: Final = 1000
"""Of training and of validation, at most, that a model looks at to remember what its training data were like."""
DOUBTFUL_SHARE: Final = 0.4
"""Of the validation rows: those with less confidence than this quantile would be predicted from several views."""
_MOST_BATCH_PIXELS, _MOST_BATCH_STEPS = 2**21, 2**15
_VALIDATION_SHARE = 0.02
_SCORING_S = 5e-5
_JUDGING_MARGIN = 1.25
_FILLED_UP: Final[dict[Kind, int]] = {"image": 0, "text": 1500, "series": 1500, "sound": 500}
_BLOCK: Final[dict[Kind, int]] = {"image": 1, "text": 64, "series": 64, "sound": 16}
"""Rows that a judged row's block has at most, where it is the only one of its length."""
_HEARD_S, _MOST_HEARD = 4e-3, 300
_REMEMBERING_SHARE = 0.08
"""Of the deadline, at most: where that is not enough, fewer rows are remembered and heard."""
_PROBING_SHARE = 0.05
_VIEWS_SHARE = 0.045
"""Of the deadline, at most, for what four views of pictures take more than two, and of recordings three than one."""
_MOST_VALIDATIONS, _MOST_EPOCH_VALIDATIONS = 12, 50


class Plan(Value, frozen=True):
    """Everything that decides a training, and why: `plan.json`.

    Attributes:
        steps: in all, before the changes in `history`.
        skip_easy, skip_between: share of the rows that passes leave out, and shares of the training between which.
        small_until: share of the training with shrunk pictures.
        small_cost: seconds of such a step for one second of a whole one.
        validate_every: steps between validations.
        step_s: seconds of a step with whole pictures, as measured; 0 in plans of before this was kept.
        judging_s: seconds kept for judging; 0 for no deadline.
        judging_least_s: of these, what can't be left out; it grows as the machine slows down.
        teacher: the digest of the teacher's file; empty without one.
        shards: that a batch is computed in, by as many processes or fewer, which divide the weights too for `fsdp`.
        recompute: whether stages are computed anew in the backward pass.
        end_s: seconds from the process's start at which training must have ended; 0 for no deadline.
        planned_s: seconds from the process's start at which everything is expected to be done; 0 for no deadline.
    """

    model: ModelSpec
    optimizer: OptimizerSpec
    augment: Augment
    batch: int
    steps: int
    format: Format
    device: str
    threads: int
    class_weights: tuple[float, ...]
    label_smoothing: float
    views: Views
    skip_easy: float
    skip_between: tuple[float, float]
    small_until: float
    small_cost: float
    validate_every: int
    early_stopping: int
    checkpoint_steps: int | None
    seed: int
    end_s: float
    planned_s: float
    decisions: tuple[Decision, ...]
    history: tuple[Change, ...] = ()
    step_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    judging_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    judging_least_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    teacher: str = ""
    shards: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 1
    fsdp: bool = False
    recompute: bool = False

    def step_cost(self, done: float) -> float:
        """What a step costs after this share of the training; 1 is one with whole pictures."""
        return self.small_cost if done < self.small_until else 1.0

    def cost_of_rest(self, done: float) -> float:
        """The mean cost of the steps that are left after this share of the training."""
        small = max(0.0, self.small_until - done) / max(1e-9, 1 - done)
        return 1 - small * (1 - self.small_cost)

    def value_of(self, name: str) -> str:
        """What was decided under this name; empty where nothing was."""
        return next((decision.value for decision in self.decisions if decision.name == name), "")


@dataclass(frozen=True, slots=True)
class _Length:
    """How long to train: steps, the passes over the rows and the seconds that they are, and why."""

    steps: int
    epochs: float
    train_s: float
    reason: str


def make_plan(
    spec: DataSpec,
    hardware: Hardware,
    deadline: Deadline,
    *,
    model: ModelSpec | None,
    optimizer: OptimizerSpec,
    training: TrainingSpec,
    probe: Probe,
    symmetry: tuple[float, float],
    num_validation: int,
    num_test: int,
    seed: int,
    finish_s: float | None = None,
) -> Plan:
    """Decide.

    Args:
        spec: the data.
        hardware: the machine.
        deadline: set or not; if not, `training` says how long, or 20 epochs it is.
        model: asked for, or None for the ladder.
        optimizer, training: what was asked.
        probe: measures a model.
        symmetry: accuracy of a linear model as is and mirrored.
        num_validation, num_test: rows to judge.
        seed: of everything random.
        finish_s: seconds kept after the last step; None: what judging and saving take.

    Raises:
        DeadlineError: too little time for a few steps of the smallest network.
    """
    textbook = isinstance(model, Plain)
    alone, batch_decision = _choose_batch(spec, hardware, training, optimizer)
    chosen, speed, number_format, decisions = _choose_model(spec, hardware, deadline, model, training, probe, alone)
    batch = _batch_of(chosen, alone, training)
    views, views_decision = _choose_views(spec, training, symmetry, speed, num_validation + num_test, deadline)
    reserve = _reserve(spec, chosen, speed, (num_validation, num_test), views, deadline, finish_s)
    left_s = deadline.remaining_s() - reserve.all_s if deadline.is_set else None
    thrift = choose_thrift(spec, chosen, speed, training.skip_easy, training.small_until, batch=batch, left_s=left_s)
    length = _length(spec, deadline, training, speed, batch, reserve.all_s, thrift.mean_cost)
    rate = training.relative.learning_rate
    completed = optimizer.completed(spec.kind, batch=batch, steps=length.steps, textbook=textbook, factor=rate)
    augment, augment_decision = augment_for(spec, training.augment, symmetry, length.epochs)
    weights, weights_decision = _class_weights(spec, training)
    return Plan(
        model=_with_dropout(chosen, training.dropout),
        optimizer=completed,
        augment=augment,
        batch=batch,
        steps=length.steps,
        format=number_format,
        device=hardware.device,
        threads=hardware.threads,
        class_weights=weights,
        label_smoothing=_smoothing(spec, training, textbook),
        views=views,
        skip_easy=thrift.skip_easy,
        skip_between=SKIP_BETWEEN,
        small_until=thrift.small_until,
        small_cost=thrift.small_cost,
        validate_every=_validate_every(length, num_validation / speed.rows_per_s, by_epochs=not deadline.is_set),
        early_stopping=training.early_stopping,
        checkpoint_steps=training.checkpoint_steps,
        seed=seed,
        step_s=speed.step_s if deadline.is_set else 0.0,
        judging_s=reserve.judging_s,
        judging_least_s=reserve.least_s,
        end_s=deadline.total_s - reserve.all_s if deadline.is_set else 0.0,
        planned_s=deadline.elapsed_s() + length.train_s + reserve.all_s if deadline.is_set else 0.0,
        decisions=(
            *(*decisions, msgspec.structs.replace(batch_decision, value=str(batch))),
            Decision(name="length", value=f"{length.steps:,} steps, {length.epochs:.1f} epochs", reason=length.reason),
            _describe_optimizer(completed, asked=optimizer.name is not None),
            *(augment_decision, weights_decision, views_decision, *thrift.decisions),
        ),
    )


def sparing_memory(model: ModelSpec, *, fsdp: bool, recompute: bool) -> Iterator[Decision]:
    """What was asked for to spare memory.

    Raises:
        RecipeError: a network of another kind was to be computed anew.
    """
    if recompute and not isinstance(model, Cnn):
        raise RecipeError("--recompute means nothing for this network", remedy="Leave it out; it is for --model cnn.")
    if recompute:
        yield Decision(name="activations", value="computed anew in the backward pass", reason="asked for")
    if fsdp:
        yield Decision(name="weights", value="divided over the processes", reason="asked for")


def _smoothing(spec: DataSpec, training: TrainingSpec, textbook: bool) -> float:
    usual = 0.0 if textbook or spec.question != "classify" else 0.1
    return usual if training.label_smoothing is None else training.label_smoothing


def _with_dropout(model: ModelSpec, dropout: float) -> ModelSpec:
    if not dropout or isinstance(model, Imported):
        return model
    if isinstance(model, Ensemble):
        return msgspec.structs.replace(model, members=tuple(_with_dropout(part, dropout) for part in model.members))
    if isinstance(model, LinearDeep):
        return msgspec.structs.replace(model, deep=_with_dropout(model.deep, dropout))
    if isinstance(model, WideDeep):
        return msgspec.structs.replace(model, deep=model.deep and _with_dropout(model.deep, dropout))
    return msgspec.structs.replace(model, dropout=dropout)


def _choose_batch(
    spec: DataSpec, hardware: Hardware, training: TrainingSpec, optimizer: OptimizerSpec
) -> tuple[int, Decision]:
    """A power of two from 16 to 256 rows; to 512 on an accelerator, which takes as long for fewer.

    Of pictures about 24 steps an epoch and at most 2 million pixels; of texts as many steps; of recordings and series,
    which are fewer and learn by smaller steps, about 96 and at most 32,000 steps of time.
    """
    if training.batch:
        return training.batch, Decision(name="batch", value=str(training.batch), reason="asked for")
    reason = plural(spec.num_train, "training row")
    if optimizer.name == "gradient-descent":
        return spec.num_train, Decision(name="batch", value=str(spec.num_train), reason=reason)
    if spec.kind == "image":
        steps, by_size = 24, int(math.log2(_MOST_BATCH_PIXELS / math.prod(spec.input_shape[1:])))
    else:
        steps, by_size = 24 if spec.kind == "text" else 96, int(math.log2(_MOST_BATCH_STEPS / spec.input_shape[0]))
    most = 8 if hardware.device == "cpu" else 9
    batch = 1 << max(4, min(most, by_size, round(math.log2(max(1, spec.num_train / steps)))))
    batch = max(2, round(training.relative.batch * batch))
    return batch, Decision(name="batch", value=str(batch), reason=reason)


def _choose_model(
    spec: DataSpec,
    hardware: Hardware,
    deadline: Deadline,
    model: ModelSpec | None,
    training: TrainingSpec,
    probe: Probe,
    batch: int,
) -> tuple[ModelSpec, Speed, Format, tuple[Decision, ...]]:
    """The largest rung that sees the rows often enough, climbing from the smallest: dear ones are not even tried."""
    number_format = _usual_format(spec, hardware) if training.format == "auto" else training.format
    asked = model and fitted_to(model, spec.kind, spec.question)

    def measured(model: ModelSpec) -> Speed:
        return probe(model, _batch_of(model, batch, training), number_format)

    if asked is not None and asked != SIZED_BY_PLAN:
        chosen, speed, reason = asked, measured(asked), "asked for"
    elif not deadline.is_set:
        chosen = ladder(spec)[2].model
        speed, reason = measured(chosen), "the third size of the ladder, since no deadline is given"
    else:
        left_s = deadline.remaining_s() - _kept_s(deadline)
        chosen, speed, reason = climb(
            spec,
            left_s,
            probe=measured,
            batch=batch,
            most_s=_PROBING_SHARE * deadline.total_s,
        )
    if training.relative.rungs and asked in (None, SIZED_BY_PLAN):
        chosen = rung_beside(spec, chosen, training.relative.rungs)
        speed, reason = measured(chosen), f"asked for: {training.relative.rungs:+d} on the ladder"
    if training.format == "auto" and not deadline.is_set:
        why = "by the input's size and the machine's kind, since no deadline is given"
    elif training.format == "auto" and len(hardware.formats) > 1:
        rows = _batch_of(chosen, batch, training)
        speed, number_format, why = _choose_format(chosen, speed, number_format, hardware.formats, probe, rows)
    else:
        why = "asked for" if training.format != "auto" else "this machine multiplies no shorter numbers quickly"
    return (
        chosen,
        speed,
        number_format,
        (
            Decision(name="network", value=describe_model(chosen), reason=reason),
            Decision(name="number format", value=number_format, reason=why),
            Decision(
                name="machine", value=f"{hardware.device}, {plural(hardware.threads, 'thread')}", reason="measured"
            ),
        ),
    )


def _batch_of(model: ModelSpec, batch: int, training: TrainingSpec) -> int:
    return batch if training.batch else batch_for(model, batch)


def _usual_format(spec: DataSpec, hardware: Hardware) -> Format:
    """The shorter format where the machine has it; but where converting often costs more than it saves, the longer: for
    tiny pictures and for sequences.
    """
    large = spec.kind == "image" and min(spec.input_shape[1:]) >= 16
    return hardware.formats[-1] if large else "float32"


def _choose_format(
    model: ModelSpec, speed: Speed, tried: Format, formats: Sequence[Format], probe: Probe, batch: int
) -> tuple[Speed, Format, str]:
    """The quicker one; `speed` is that of the format which was tried already."""
    short = formats[-1]
    speeds = {tried: speed} | {other: probe(model, batch, other) for other in ("float32", short) if other != tried}
    ratio = speeds["float32"].step_s / speeds[short].step_s
    if ratio > 1.03:
        return speeds[short], short, f"measured {ratio:.2f} times as fast as float32; weights stay float32"
    return speeds["float32"], "float32", f"{short} measured no faster ({ratio:.2f} times)"


def _length(
    spec: DataSpec,
    deadline: Deadline,
    training: TrainingSpec,
    speed: Speed,
    batch: int,
    finish_s: float,
    mean_cost: float,
) -> _Length:
    step_s, passes = speed.step_s * mean_cost, batch / spec.num_train
    if training.steps is not None:
        return _Length(training.steps, training.steps * passes, training.steps * step_s, "asked for")
    if training.epochs is not None or not deadline.is_set:
        epochs = DEFAULT_EPOCHS if training.epochs is None else training.epochs
        steps = max(1, math.ceil(epochs * spec.num_train / batch))
        reason = "asked for" if training.epochs is not None else "neither deadline nor epochs given"
        return _Length(steps, steps * passes, steps * step_s, reason)
    seconds = deadline.remaining_s() - finish_s
    steps = int(seconds * (1 - _VALIDATION_SHARE) / step_s)
    if steps < 10:
        needed = deadline.elapsed_s() + finish_s + 20 * step_s
        raise DeadlineError(
            f"the deadline is too near: {spoken(deadline.total_s)}, of which "
            f"{spoken(deadline.elapsed_s())} went into reading the data and measuring, and {spoken(finish_s)} are "
            "needed to judge and save",
            remedy=f"Give at least --by {math.ceil(needed * 1.2)}s.",
        )
    reason = f"{spoken(seconds)} for training at {step_s * 1000:.1f} ms a step; {spoken(finish_s)} kept for the rest"
    return _Length(steps, steps * passes, seconds, reason)


@dataclass(frozen=True, slots=True)
class _Reserve:
    """Seconds kept after the last step: all of them; to judge as planned; and of these what can't be left out."""

    all_s: float
    judging_s: float = 0.0
    least_s: float = 0.0


def _reserve(
    spec: DataSpec,
    model: ModelSpec,
    speed: Speed,
    judged: tuple[int, int],
    views: Views,
    deadline: Deadline,
    finish_s: float | None,
) -> _Reserve:
    if finish_s is not None or not deadline.is_set:
        return _Reserve(finish_s or 0.0)
    judging_s, least_s = (_scoring_s(spec, model, speed, *judged, seen) for seen in (views, "none"))
    judging_s += min(_remembering_s(spec, speed, *judged), _REMEMBERING_SHARE * deadline.total_s)
    return _Reserve(_kept_s(deadline) + judging_s, judging_s, least_s)


def _kept_s(deadline: Deadline) -> float:
    """Seconds kept for the end and for what nobody foresees; judging comes on top."""
    return RESERVE_FIXED_S + min(_UNFORESEEN_SHARE * deadline.total_s, _UNFORESEEN_MOST_S)


def _scoring_s(
    spec: DataSpec, model: ModelSpec, speed: Speed, num_validation: int, num_test: int, views: Views
) -> float:
    """Seconds to judge after the last step, by forward passes, and by what is counted of each row.

    The share of networks beside a linear model is found by two further passes over the validation part. Sequences are
    judged in blocks of like length, which are filled up.
    """
    rows = num_validation + num_test
    further = 2 * num_validation if isinstance(model, WideDeep | LinearDeep) else 0
    filled = min(_FILLED_UP[spec.kind], rows * _BLOCK[spec.kind])
    passes = (rows + filled) * passes_of(views) + further
    return _JUDGING_MARGIN * passes / speed.rows_per_s + _SCORING_S * rows


def _remembering_s(spec: DataSpec, speed: Speed, num_validation: int, num_test: int) -> float:
    """Seconds to look at what a model remembers of its rows, and to make recordings heard: as many as there is time
    for.
    """
    remembered = min(REMEMBERED_ROWS, spec.num_train) + min(REMEMBERED_ROWS, num_validation)
    heard_s = _HEARD_S * min(num_test, _MOST_HEARD) if spec.kind == "sound" else 0.0
    return _JUDGING_MARGIN * remembered / speed.rows_per_s + heard_s


def passes_of(views: Views) -> float:
    """Forward passes for a row on the mean; only doubtful pictures have other views, in blocks that are filled up.

    Of recordings nearly every block holds a doubtful one, and is passed whole.
    """
    if views == "pitch":
        return 3.0
    further = {"none": 0, "mirror": 1, "four": 3, "mirror+shift": 5}[views]
    return 1 + further * min(1.0, DOUBTFUL_SHARE + 0.08)


def _choose_views(
    spec: DataSpec, training: TrainingSpec, symmetry: tuple[float, float], speed: Speed, rows: int, deadline: Deadline
) -> tuple[Views, Decision]:
    doubtful = f"for the {DOUBTFUL_SHARE:.0%} that the first one leaves most doubt about"
    if spec.kind not in ("image", "sound") or spec.question != "classify":
        return "none", Decision(name="views", value="none", reason="views are of pictures and recordings, for classes")
    if training.views != "auto":
        if training.views != "none" and (training.views == "pitch") != (spec.kind == "sound"):
            reason = f"{training.views} is asked for, which {NOUNS[spec.kind][1]} do not have"
            return "none", Decision(name="views", value="none", reason=reason)
        return training.views, Decision(name="views", value=training.views, reason="asked for")
    augment, _ = augment_for(spec, training.augment, symmetry, 0.0)
    pass_s, most_s = rows / speed.rows_per_s, _VIEWS_SHARE * (deadline.total_s if deadline.is_set else math.inf)
    if spec.kind == "sound":
        return _views_of_recordings(augment, doubtful, pass_s, most_s)
    if not getattr(augment, "flip", False):
        return "none", Decision(name="views", value="none", reason="mirror images are not used in training either")
    more_s = (passes_of("four") - passes_of("mirror")) * pass_s
    if more_s <= most_s:
        reason = f"{doubtful}, which takes {spoken(more_s)} more than two views"
        return "four", Decision(name="views", value="four", reason=reason)
    return "mirror", Decision(name="views", value="mirror", reason=f"{doubtful}; four would take {spoken(more_s)} more")


def _views_of_recordings(augment: Augment, doubtful: str, pass_s: float, most_s: float) -> tuple[Views, Decision]:
    if not getattr(augment, "pitch", 0):
        return "none", Decision(name="views", value="none", reason="another pitch is not used in training either")
    more_s = (passes_of("pitch") - 1) * pass_s
    if more_s <= most_s:
        return "pitch", Decision(name="views", value="pitch", reason=f"{doubtful}, which takes {spoken(more_s)} more")
    return "none", Decision(name="views", value="none", reason=f"others would take {spoken(more_s)} more")


def _class_weights(spec: DataSpec, training: TrainingSpec) -> tuple[tuple[float, ...], Decision]:
    """Inverse of the class's rows, to the power 1/2 under auto, scaled to mean 1 over the rows."""
    if spec.question != "classify":
        return (), Decision(name="class weights", value="none", reason="there are no classes")
    ratio = max(spec.train_counts) / max(1, min(spec.train_counts))
    if training.balance == "none" or (training.balance == "auto" and ratio < 3):
        return (), Decision(name="class weights", value="equal", reason=f"largest class {ratio:.1f} times the smallest")
    power = 1.0 if training.balance == "weights" else 0.5
    raw = [max(1, count) ** -power for count in spec.train_counts]
    mean = sum(weight * count for weight, count in zip(raw, spec.train_counts, strict=True)) / spec.num_train
    value = "inverse of the rows" if power == 1 else "inverse root of the rows"
    reason = "asked for" if training.balance == "weights" else f"largest class {ratio:.1f} times the smallest"
    return tuple(weight / mean for weight in raw), Decision(name="class weights", value=value, reason=reason)


def _validate_every(length: _Length, validation_s: float, *, by_epochs: bool) -> int:
    """Steps between validations: one an epoch, at most 50; by a deadline 4 to 12, in about 2 % of the time."""
    if by_epochs:
        times = min(_MOST_EPOCH_VALIDATIONS, round(length.epochs), length.steps)
    else:
        affordable = int(_VALIDATION_SHARE * length.train_s / max(validation_s, 1e-6))
        times = min(_MOST_VALIDATIONS, max(4, affordable), length.steps)
    return max(1, math.ceil(length.steps / max(1, times)))


def _describe_optimizer(optimizer: OptimizerSpec, *, asked: bool) -> Decision:
    how = f"{optimizer.name}, learning rate {optimizer.peak:.3g}, {optimizer.schedule}"
    why = {"muon": "filters as matrices learn in the fewest epochs", "adam": "each weight learns at its own pace"}
    return Decision(name="optimizer", value=how, reason="asked for" if asked else why[optimizer.name or "muon"])
