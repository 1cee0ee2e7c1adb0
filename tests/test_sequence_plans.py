"""Plans for texts, recordings and series: a network for the kind and the time, rows for each of several networks."""

from __future__ import annotations

import itertools
import time
from typing import Final, Literal

import msgspec
import pytest

from gnomon.augment import SequenceAugment, TextAugment
from gnomon.deadline import Deadline
from gnomon.encoders import TextEncoder
from gnomon.errors import RecipeError
from gnomon.final import unplanned
from gnomon.models import Cnn, Crnn, Ensemble, LinearDeep, ModelSpec, Rnn, TextCnn, WideDeep, fitted_to, model_named
from gnomon.optim import OptimizerSpec
from gnomon.planning.asked import TrainingSpec
from gnomon.planning.hardware import Format, Hardware
from gnomon.planning.ladder import Speed, batch_for, describe_model, ladder, products_of
from gnomon.planning.plan import Plan, make_plan, passes_of
from gnomon.predicting.modelfile import Header
from gnomon.sources import SourceSpec
from gnomon.spine.recipe import Recipe, parse_recipe
from gnomon.tasks import Classify, Views
from gnomon.types import DataSpec, Kind

NOW: Final = 5000.0
SHAPES: Final[dict[Kind, tuple[int, int]]] = {"text": (64, 9000), "sound": (104, 41), "series": (64, 7)}
KINDS: Final = tuple(SHAPES)


@pytest.fixture(autouse=True)
def _clock_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: NOW)


def spec_of(kind: Kind, rows: int = 2000) -> DataSpec:
    half = rows // 2
    return DataSpec(kind=kind, input_shape=SHAPES[kind], classes=("a", "b"), train_counts=(half, half))


def planned(
    kind: Kind,
    total_s: float | None = 60.0,
    *,
    rows: int = 2000,
    model: ModelSpec | None = None,
    batch: int | None = None,
    augment: str = "auto",
    views: Views | Literal["auto"] = "auto",
    judged: tuple[int, int] = (200, 300),
) -> Plan:
    """On a machine where a step's time goes with its products."""
    spec = spec_of(kind, rows)

    def probe(model: ModelSpec, batch: int, number_format: Format) -> Speed:
        work = products_of(model, spec) / members_of(model) * 4e-11
        return Speed(step_s=0.002 + work * batch, rows_per_s=3 / max(work, 1e-9))

    deadline = Deadline(NOW - 2) if total_s is None else Deadline(NOW - 2, NOW - 2 + total_s)
    return make_plan(
        spec,
        Hardware(device="cpu", threads=2, free_bytes=10**9, formats=("float32",)),
        deadline,
        model=model,
        optimizer=OptimizerSpec(),
        training=TrainingSpec(batch=batch, augment=augment, views=views),
        probe=probe,
        symmetry=(0.5, 0.5),
        num_validation=judged[0],
        num_test=judged[1],
        seed=0,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_more_time_climbs_the_ladder(kind: Kind) -> None:
    rungs = [rung.model for rung in ladder(spec_of(kind))]
    chosen = [planned(kind, total_s).model for total_s in (8, 15, 30, 60, 300, 3600, 36_000)]
    places = [rungs.index(model) for model in chosen]
    assert places == sorted(places)
    assert places[-1] == len(rungs) - 1
    assert len(set(places)) >= 3


@pytest.mark.parametrize("kind", KINDS)
def test_rungs_cost_more_and_more(kind: Kind) -> None:
    spec = spec_of(kind)
    rungs = ladder(spec)
    assert all(before.passes < after.passes for before, after in itertools.pairwise(rungs))
    costs = [products_of(rung.model, spec) for rung in rungs]
    assert costs == sorted(costs)
    assert len({describe_model(rung.model) for rung in rungs}) == len(rungs)


@pytest.mark.parametrize(
    ("kind", "total_s", "heard_s"), [("text", 60, 0.0), ("sound", 60, 300 * 4e-3), ("sound", 12, 300 * 4e-3)]
)
def test_what_can_be_left_out_is_not_needed_when_the_machine_slows_down(
    kind: Kind, total_s: float, heard_s: float
) -> None:
    """Remembering 1,000 training rows and 200 for validation, and making recordings heard: at most 8 % of the time.

    And views of recordings, of 500 rows and of the same number that blocks are filled up with.
    """
    plan = planned(kind, total_s)
    rows_per_s = 3 / (products_of(plan.model, spec_of(kind)) * 4e-11 / members_of(plan.model))
    remembered_s = 1.25 * 1200 / rows_per_s
    views_s = 1.25 * 1000 * (passes_of(plan.views) - 1) / rows_per_s
    wanted_s = min(remembered_s + heard_s, 0.08 * total_s) + views_s
    assert plan.judging_s - plan.judging_least_s == pytest.approx(wanted_s, rel=1e-6)
    assert plan.judging_least_s > 0


@pytest.mark.parametrize(
    ("kind", "judged", "blocks"),
    [("series", (4, 5), 9 * 64), ("sound", (4, 5), 9 * 16), ("series", (200, 300), 1500), ("sound", (200, 300), 500)],
)
def test_a_judged_row_fills_up_one_block_at_most(kind: Kind, judged: tuple[int, int], blocks: int) -> None:
    """That of its length, where it is the only one; of many, some have the same."""
    plan = planned(kind, judged=judged)
    work = products_of(plan.model, spec_of(kind)) * 4e-11 / members_of(plan.model)
    beside_linear = 2 * judged[0] if isinstance(plan.model, LinearDeep) else 0
    passes = sum(judged) + beside_linear + blocks
    assert plan.judging_least_s == pytest.approx(1.25 * passes * work / 3 + 5e-5 * sum(judged))


def test_recordings_are_heard_at_other_pitches_where_that_was_learnt_and_time_allows() -> None:
    assert planned("sound").views == "pitch"
    assert passes_of("pitch") == 3
    assert planned("sound", augment="none").views == "none"
    assert planned("sound", views="none").views == "none"
    assert planned("sound", judged=(200, 12_000)).views == "none"
    assert planned("series").views == planned("text").views == "none"
    other = planned("sound", views="mirror")
    assert other.views == "none"
    assert any("mirror is asked for, which recordings do not have" in each.reason for each in other.decisions)


def members_of(model: ModelSpec) -> int:
    return model.times * len(model.members) if isinstance(model, Ensemble) else 1


def test_each_of_several_networks_gets_as_many_rows_as_one_would() -> None:
    pair = Ensemble((Rnn(), Crnn(cell="none")), times=2)
    assert batch_for(pair, 16) == 64
    assert batch_for(pair, 128) == 256
    assert batch_for(pair, 512) == 512
    assert batch_for(Rnn(), 16) == 16
    assert planned("series", rows=270, model=pair).batch == 64
    assert planned("series", rows=270, model=pair).value_of("batch") == "64"
    assert planned("series", rows=270, model=pair, batch=20).batch == 20


def test_a_named_network_is_fitted_to_the_kind() -> None:
    named = {name: model_named(name) for name in ("gru", "crnn", "wide-deep", "ensemble")}
    gru, crnn, wide, ensemble = named.values()
    assert gru is not None
    assert crnn is not None
    assert wide is not None
    assert ensemble is not None
    assert fitted_to(gru, "text") == Rnn(cell="gru", tokens=True)
    assert fitted_to(gru, "series") == Rnn(cell="gru", tokens=False)
    assert fitted_to(crnn, "sound") == Crnn(dimensions=2)
    assert fitted_to(crnn, "series") == Crnn(dimensions=1)
    assert fitted_to(wide, "text") == wide
    assert fitted_to(WideDeep(deep=Rnn()), "text") == WideDeep(deep=Rnn(tokens=True))
    both = fitted_to(ensemble, "sound")
    assert isinstance(both, Ensemble)
    assert both.members == (Rnn(tokens=False), Crnn(cell="none", dimensions=2))


@pytest.mark.parametrize(
    ("model", "kind"),
    [(Cnn(), "text"), (TextCnn(), "sound"), (WideDeep(), "series"), (Crnn(), "text"), (Rnn(), "image")],
)
def test_a_network_for_other_kinds_is_refused(model: ModelSpec, kind: Kind) -> None:
    with pytest.raises(RecipeError, match=r"is for .*, not for"):
        fitted_to(model, kind)


def test_an_ensemble_of_the_wrong_networks_is_refused() -> None:
    with pytest.raises(RecipeError, match="textcnn is for texts, not for series"):
        fitted_to(Ensemble((Rnn(), TextCnn())), "series")


def test_optimizer_and_augmentation_are_those_of_the_kind() -> None:
    assert planned("text").optimizer.name == "adam"
    assert planned("sound").optimizer.name == "muon"
    assert isinstance(planned("text").augment, TextAugment)
    sound, series = planned("sound").augment, planned("series").augment
    assert isinstance(sound, SequenceAugment)
    assert isinstance(series, SequenceAugment)
    assert sound.pitch > 0 == series.pitch
    assert planned("sound", augment="none").augment == SequenceAugment()
    assert planned("series").views == "none"


def test_without_a_deadline_the_third_rung_is_taken() -> None:
    for kind in KINDS:
        assert planned(kind, None).model == ladder(spec_of(kind))[2].model


@pytest.mark.parametrize(
    "name", ["textcnn", "rnn", "gru", "lstm", "seqcnn", "crnn", "wide", "wide-deep", "linear-deep", "ensemble"]
)
def test_a_recipe_in_a_file_names_the_same_network(name: str) -> None:
    recipe = Recipe(source=SourceSpec(location="x"), model=model_named(name))
    assert parse_recipe(recipe.to_toml()) == recipe


@pytest.mark.parametrize("kind", KINDS)
def test_every_rung_can_be_written_and_read(kind: Kind) -> None:
    for rung in ladder(spec_of(kind)):
        recipe = Recipe(source=SourceSpec(location="x"), model=rung.model)
        assert parse_recipe(recipe.to_toml()) == recipe


def test_beside_a_linear_part_numbers_are_learnt_as_what_is_left_over() -> None:
    model = model_named("linear-deep")
    assert isinstance(model, LinearDeep)
    for question, residual in (("classify", False), ("tag", False), ("regress", True)):
        fitted = fitted_to(model, "series", question)  # type: ignore[arg-type]
        assert isinstance(fitted, LinearDeep)
        assert fitted.residual == residual


@pytest.mark.parametrize(("share", "told"), [(0.0, 1), (0.3, 0), (1.0, 0)])
def test_networks_that_add_nothing_are_told_of(share: float, told: int) -> None:
    plan = planned("text", 600)
    assert isinstance(plan.model, WideDeep)
    assert plan.model.deep is not None
    model = msgspec.structs.replace(plan.model, share=share)
    encoder = TextEncoder(vocabulary=("a", "b"), length=8)
    found = list(unplanned(Header(encoder=encoder, model=model, task=Classify(classes=("a", "b"))), plan))
    assert len(found) == told
    assert all("add nothing" in text for text in found)
