"""The plan: arithmetic over measurements, here with a machine that exists on paper, and a clock that stands still."""

import itertools
import re
import time
from collections.abc import Callable
from typing import Final

import msgspec
import pytest

from gnomon.augment import ImageAugment
from gnomon.deadline import Deadline, parse_deadline
from gnomon.errors import DeadlineError
from gnomon.models import Cnn, ModelSpec, Plain
from gnomon.optim import OptimizerSpec
from gnomon.planning.asked import TrainingSpec
from gnomon.planning.hardware import Format, Hardware
from gnomon.planning.ladder import Speed, networks_for_pictures
from gnomon.planning.plan import Plan, make_plan
from gnomon.types import DataSpec

NOW: Final = 5000.0
SPEC: Final = DataSpec(kind="image", input_shape=(3, 32, 32), classes=("a", "b", "c"), train_counts=(1500, 1500, 1500))
CPU: Final = Hardware(device="cpu", threads=2, free_bytes=10**9, formats=("float32",))
ASKED: Final = TrainingSpec()
USUAL: Final = OptimizerSpec()


@pytest.fixture(autouse=True)
def _clock_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: NOW)


def machine(speed: float = 1.0, *, short: float = 1.0) -> Callable[[ModelSpec, int, Format], Speed]:
    """Time goes with the products of a step; `short` is how much quicker bfloat16 is."""

    def probe(model: ModelSpec, batch: int, number_format: Format) -> Speed:
        widths = model.widths if isinstance(model, (Cnn, Plain)) else (64,)
        work = sum(before * after for before, after in itertools.pairwise((32, *widths))) * 1e-8 / speed
        return Speed(step_s=0.002 + work * batch / (short if number_format == "bfloat16" else 1), rows_per_s=0.5 / work)

    return probe


def planned(
    total_s: float | None = 60.0,
    *,
    elapsed_s: float = 2.0,
    spec: DataSpec = SPEC,
    hardware: Hardware = CPU,
    model: ModelSpec | None = None,
    training: TrainingSpec = ASKED,
    optimizer: OptimizerSpec = USUAL,
    speed: float = 1.0,
    short: float = 1.0,
    symmetry: tuple[float, float] = (0.8, 0.8),
) -> Plan:
    start_s = NOW - elapsed_s
    return make_plan(
        spec,
        hardware,
        Deadline(start_s) if total_s is None else Deadline(start_s, start_s + total_s),
        model=model,
        optimizer=optimizer,
        training=training,
        probe=machine(speed, short=short),
        symmetry=symmetry,
        num_validation=500,
        num_test=800,
        seed=0,
    )


def size(plan: Plan) -> int:
    """Of the network: its weights."""
    network = plan.model.build(SPEC.input_shape, 3)
    return sum(parameter.numel() for parameter in network.parameters())


# --- By a deadline ---------------------------------------------------------------------------------------------------


def test_more_time_never_gives_a_smaller_network_nor_fewer_rows_seen_by_it() -> None:
    plans = [planned(total_s) for total_s in (6, 10, 20, 40, 60, 120, 300, 900, 3600, 36_000)]
    sizes = [size(plan) for plan in plans]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) >= 3
    for before, after in itertools.pairwise(plans):
        assert before.model != after.model or before.steps <= after.steps


def test_a_faster_machine_never_gets_a_smaller_network() -> None:
    sizes = [size(planned(60, speed=speed)) for speed in (0.2, 0.5, 1, 2, 5, 20)]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) >= 3


@pytest.mark.parametrize("total_s", [10.0, 60.0, 600.0])
def test_the_planned_time_fits_the_deadline(total_s: float) -> None:
    plan = planned(total_s)
    speed = machine()(plan.model, plan.batch, plan.format)
    train_s = plan.steps * speed.step_s * plan.cost_of_rest(0.0)
    assert 2 + train_s <= plan.end_s < total_s
    assert plan.planned_s == pytest.approx(total_s)
    assert 2 + train_s > 0.9 * plan.end_s  # and does not waste it


@pytest.mark.parametrize("elapsed_s", [0.5, 3.0, 20.0])
@pytest.mark.parametrize("speed", [1.0, 0.05, 0.01, 0.002])
@pytest.mark.parametrize("model", [None, Plain()])
def test_too_little_time_is_refused_with_a_time_that_is_enough(
    elapsed_s: float, speed: float, model: ModelSpec | None
) -> None:
    with pytest.raises(DeadlineError, match="too near") as refused:
        planned(elapsed_s + 1, elapsed_s=elapsed_s, speed=speed, model=model)
    told = re.search(r"--by (\S+?)\.$", refused.value.remedy)
    assert told is not None
    enough = parse_deadline(told[1], start_s=0).total_s
    assert planned(enough, elapsed_s=elapsed_s, speed=speed, model=model).steps >= 10


def test_the_shorter_format_is_taken_where_it_is_quicker() -> None:
    both = msgspec.structs.replace(CPU, formats=("float32", "bfloat16"))
    assert planned(hardware=both, short=3.0).format == "bfloat16"
    assert planned(hardware=both, short=0.5).format == "float32"
    assert planned(hardware=both, short=3.0, training=TrainingSpec(format="float32")).format == "float32"
    assert planned(hardware=CPU, short=3.0).format == "float32"


def test_steps_and_epochs_stand_over_the_time() -> None:
    assert planned(60, training=TrainingSpec(steps=7)).steps == 7
    plan = planned(60, training=TrainingSpec(epochs=2, batch=100))
    assert (plan.steps, plan.batch) == (90, 100)


def test_steps_with_small_pictures_cost_less_and_the_rest_is_known_at_any_time() -> None:
    plan = planned(60, training=TrainingSpec(small_until=0.5))
    assert plan.small_cost == pytest.approx(0.5625)  # 24 × 24 of 32 × 32, on a machine whose optimizer costs nothing
    assert (plan.step_cost(0.0), plan.step_cost(0.49), plan.step_cost(0.5)) == (plan.small_cost, plan.small_cost, 1.0)
    for done in (0.0, 0.2, 0.45, 0.5, 0.9):
        left = [plan.step_cost(done + (1 - done) * (step + 0.5) / 1000) for step in range(1000)]
        assert plan.cost_of_rest(done) == pytest.approx(sum(left) / 1000, abs=1e-3)


def test_by_a_deadline_rows_and_pixels_are_saved_and_else_every_epoch_is_whole() -> None:
    by_deadline, by_epochs = planned(60, speed=0.02), planned(None)
    assert by_deadline.skip_easy > 0.3
    assert by_deadline.small_until > 0.3
    assert planned(6000).skip_easy == 0.0  # rows that are seen many times are all needed
    assert (by_epochs.skip_easy, by_epochs.small_until, planned(60, model=Plain()).small_until) == (0.0, 0.0, 0.0)
    tiny = msgspec.structs.replace(SPEC, input_shape=(1, 8, 8))
    assert planned(60, spec=tiny).small_until == 0.0
    asked = planned(60, training=TrainingSpec(skip_easy=0.0, small_until=0.25))
    assert (asked.skip_easy, asked.small_until) == (0.0, 0.25)


# --- Without one -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [TrainingSpec(), TrainingSpec(steps=500), TrainingSpec(epochs=3.5)])
@pytest.mark.parametrize("formats", [("float32",), ("float32", "bfloat16")])
def test_without_a_deadline_the_plan_does_not_depend_on_the_clock(
    training: TrainingSpec, formats: tuple[Format, ...]
) -> None:
    hardware = msgspec.structs.replace(CPU, formats=formats)
    plans = [
        planned(None, elapsed_s=elapsed_s, speed=speed, short=short, training=training, hardware=hardware)
        for elapsed_s, speed, short in ((0.1, 1.0, 1.0), (50.0, 0.01, 0.3), (1.0, 100.0, 5.0))
    ]
    bare = [msgspec.structs.replace(plan, decisions=()) for plan in plans]
    assert bare[0] == bare[1] == bare[2]
    assert (bare[0].end_s, bare[0].planned_s) == (0.0, 0.0)
    lasts = {plan.value_of("length") for plan in plans}
    assert len(lasts) == 1


def test_without_anything_it_is_20_epochs() -> None:
    plan = planned(None)
    assert plan.steps * plan.batch / SPEC.num_train == pytest.approx(20, rel=0.01)


# --- What is decided -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("total_s", [None, 20.0, 600.0])
@pytest.mark.parametrize("model", [None, Plain(), Cnn(widths=(8,))])
def test_every_decision_has_a_reason(total_s: float | None, model: ModelSpec | None) -> None:
    plan = planned(total_s, model=model)
    assert [decision.name for decision in plan.decisions] == [
        *("network", "number format", "machine", "batch", "length"),
        *("optimizer", "augmentation", "class weights", "views", "rows", "pictures"),
    ]
    assert all(decision.value and decision.reason for decision in plan.decisions)
    assert plan.value_of("batch") == str(plan.batch)
    assert plan.value_of("nothing") == ""


def test_a_plan_is_read_back_as_it_was_written() -> None:
    plan = planned()
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan


def test_the_textbooks_network_is_trained_as_the_textbook_does() -> None:
    textbook, usual = planned(model=Plain(), optimizer=OptimizerSpec(name="gradient-descent")), planned()
    assert textbook.batch == SPEC.num_train
    assert (textbook.optimizer.schedule, textbook.optimizer.average, textbook.label_smoothing) == (
        "constant",
        "none",
        0,
    )
    assert (usual.optimizer.schedule, usual.optimizer.average, usual.label_smoothing) == ("linear", "ema", 0.1)


def test_dropout_reaches_the_network() -> None:
    model = planned(training=TrainingSpec(dropout=0.25)).model
    assert isinstance(model, Cnn)
    assert model.dropout == 0.25


def mirrored(plan: Plan) -> bool:
    assert isinstance(plan.augment, ImageAugment)
    return plan.augment.flip


def test_mirrors_are_used_in_predictions_only_where_they_are_in_training() -> None:
    asymmetric = planned(symmetry=(0.8, 0.3))
    assert (asymmetric.views, mirrored(asymmetric)) == ("none", False)
    assert planned(600).views == "four"
    assert mirrored(planned(600))
    assert planned(training=TrainingSpec(views="mirror"), symmetry=(0.8, 0.3)).views == "mirror"
    for symmetry in ((0.8, 0.69), (0.8, 0.65), (0.8, 0.63), (0.8, 0.72)):
        plan = planned(600, symmetry=symmetry)
        assert (plan.views != "none") == mirrored(plan)
    assert planned(600, training=TrainingSpec(augment="shift")).views == "none"
    assert planned(600, training=TrainingSpec(augment="flip"), symmetry=(0.8, 0.3)).views == "four"


def test_class_weights() -> None:
    uneven = msgspec.structs.replace(SPEC, train_counts=(1600, 400, 100))
    equal, rooted = planned().class_weights, planned(spec=uneven).class_weights
    inverse = planned(spec=uneven, training=TrainingSpec(balance="weights")).class_weights
    assert equal == ()
    assert [weight / rooted[0] for weight in rooted] == pytest.approx([1, 2, 4])
    assert [weight / inverse[0] for weight in inverse] == pytest.approx([1, 4, 16])
    for weights in (rooted, inverse):
        assert sum(weight * rows for weight, rows in zip(weights, uneven.train_counts, strict=True)) == pytest.approx(
            2100
        )
    assert planned(spec=uneven, training=TrainingSpec(balance="none")).class_weights == ()


@pytest.mark.parametrize("side", [4, 8, 28, 32, 64, 96, 128, 192, 224, 512])
def test_every_rung_of_the_ladder_can_be_built_and_is_dearer_than_the_one_before(side: int) -> None:
    sizes = []
    for rung in networks_for_pictures((3, side, side)):
        network = rung.build((3, side, side), 5)
        sizes.append(sum(parameter.numel() for parameter in network.parameters()))
    assert sizes == sorted(sizes)
    assert len(sizes) >= 3


def test_validations_are_spread_over_the_whole_training() -> None:
    for training, total_s in ((TrainingSpec(steps=1), None), (TrainingSpec(steps=1000), None), (TrainingSpec(), 60.0)):
        plan = planned(total_s, training=training)
        count = -(-plan.steps // plan.validate_every)
        assert 1 <= count <= 50
        assert plan.validate_every <= max(1, plan.steps)
