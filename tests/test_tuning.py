"""Parts of a search: spaces and grids, what is drawn, how time is divided, what a gain is."""

import json
import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, Final

import msgspec
import numpy as np
import pytest
import torch

from gnomon.chance import generator
from gnomon.deadline import Deadline
from gnomon.errors import DeadlineError, RecipeError
from gnomon.models import Cnn, Imported, Rnn, Starts, TextCnn, WideDeep, start_from
from gnomon.planning.asked import TrainingSpec
from gnomon.sources import SourceSpec
from gnomon.space import Dimension, Setting
from gnomon.spine.recipe import Recipe
from gnomon.tasks import bind
from gnomon.tuning.division import divide, exponent, first_trial_s, search_share
from gnomon.tuning.draw import course_of, draw, grid_points
from gnomon.tuning.gain import Pair, candidate, compared, expected, gain_of, is_worth, lasting
from gnomon.tuning.importance import influences
from gnomon.tuning.python import checked
from gnomon.tuning.records import Method, Record, SearchSpec, pairs_of
from gnomon.tuning.settings import given_space, grid_space, laid_over, usual_settings
from gnomon.tuning.trial import planned, row_scores
from gnomon.types import DataSpec

RECIPE: Final = Recipe(source=SourceSpec(location="digits"))
RATE: Final = Dimension(name="rate_factor", usual=1.0, low=0.1, high=10.0, log=True)
DROPOUT: Final = Dimension(name="dropout", usual=0.0, low=0.0, high=0.5)
WORD: Final = Dimension(name="optimizer", usual="adam", choices=("adam", "sgd", "muon"))
SPACE: Final = (RATE, DROPOUT, WORD)


def over(number: int, settings: dict[str, Setting], score: float, *, shares: Sequence[float] = (1.0,)) -> Record:
    """A trial that is over."""
    return Record(
        stage="explore",
        number=number,
        settings=settings,
        state="finished" if shares[-1] == 1.0 else "pruned",
        score=score,
        loss=1.0,
        scores=tuple((share, score) for share in shares),
        steps=10,
        seconds=1.0,
        seed=0,
        network="cnn",
        elapsed_s=float(number),
    )


def explored(count: int, method: Method = "random", *, noise: float = 0.0) -> list[Record]:
    """Trials whose score hangs on the rate alone, the best at 1, and on chance."""
    records: list[Record] = []
    rng = np.random.default_rng(0)
    for number in range(count):
        settings = draw(SPACE, method, seed=1, number=number, over=records)
        score = 0.9 - 0.05 * math.log(float(settings["rate_factor"]) * 2) ** 2 + noise * float(rng.normal())
        records.append(over(number, settings, score))
    return records


# --- Spaces ----------------------------------------------------------------------------------------------------------


def test_a_grid_is_read_with_the_types_of_its_fields() -> None:
    grid = grid_space(["learning_rate=0.01,0.1", "batch=32,64", "optimizer=adam,muon", "widths=8-16,16-32"], RECIPE)
    assert [item.choices for item in grid] == [(0.01, 0.1), (32, 64), ("adam", "muon"), ("8-16", "16-32")]
    assert grid_points(grid) == 17, "and the usual settings, which are the plan's"
    assert {item.usual for item in grid} == {"auto"}
    drawn = draw(grid, "grid", seed=0, number=1, over=[])
    assert laid_over(RECIPE, drawn, usual_settings(grid)).optimizer.learning_rate == drawn["learning_rate"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lerning_rate=0.1"], "learning_rate"),
        (["learning_rate"], "says no values"),
        (["learning_rate=-1"], ">= 0|> 0"),
        (["optimizer=adm"], "adm|Invalid enum"),
        (["batch=many"], "int"),
        (["widths=8_16"], "8_16"),
    ],
)
def test_rubbish_in_a_grid_is_named(words: list[str], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        grid_space(words, RECIPE)


def test_settings_are_laid_over_where_they_differ_from_the_usual() -> None:
    usual = usual_settings(SPACE)
    assert laid_over(RECIPE, usual, usual) == RECIPE
    changed = laid_over(RECIPE, usual | {"rate_factor": 2.0, "optimizer": "sgd"}, usual)
    assert changed.training.relative.learning_rate == 2.0
    assert changed.optimizer.name == "sgd"
    assert changed.training.dropout == RECIPE.training.dropout


def test_fields_of_the_named_model_can_be_searched() -> None:
    recipe = msgspec.structs.replace(RECIPE, model=Rnn())
    (width,) = grid_space(["width=16,32"], recipe)
    assert width.usual == Rnn().width
    assert laid_over(recipe, {"width": 16}, {}).model == Rnn(width=16)
    with pytest.raises(RecipeError, match="width"):
        grid_space(["width=16"], RECIPE)


def test_arguments_of_the_users_own_function_can_be_searched() -> None:
    own = Imported(name="test_tuning:own_network")
    recipe = msgspec.structs.replace(RECIPE, model=own)
    (units,) = given_space({"units": (8, 64)}, recipe)
    assert units.whole
    laid = laid_over(recipe, {"units": 16}, {}).model
    assert laid == Imported(name=own.name, arguments={"units": 16})
    assert laid.build((1, 8, 8), 3)(torch.zeros(2, 1, 8, 8)).shape == (2, 3)


def own_network(units: int, num_outputs: int) -> torch.nn.Module:
    """What a user may write."""
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, units), torch.nn.Linear(units, num_outputs))


def test_a_search_without_an_end_and_a_grid_of_ranges_are_refused() -> None:
    with pytest.raises(RecipeError, match="how long"):
        checked(SearchSpec(recipe=RECIPE))
    with pytest.raises(RecipeError, match="range"):
        checked(SearchSpec(recipe=RECIPE, method="grid", dimensions=(RATE,), total_s=60.0))


# --- What is drawn ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["bayes", "random"])
def test_a_trial_follows_from_the_seed_its_number_and_what_is_over(method: Method) -> None:
    records = explored(12, method)
    again = draw(SPACE, method, seed=1, number=12, over=records)
    assert again == draw(SPACE, method, seed=1, number=12, over=list(records))
    assert again != draw(SPACE, method, seed=2, number=12, over=records)
    assert again != draw(SPACE, method, seed=1, number=13, over=records)


def test_the_first_trial_has_the_usual_settings() -> None:
    assert draw(SPACE, "bayes", seed=0, number=0, over=[]) == {"rate_factor": 1.0, "dropout": 0.0, "optimizer": "adam"}


def test_a_grid_has_every_point_once_and_the_usual_ones_first() -> None:
    grid = grid_space(["optimizer=adam,sgd,muon", "batch_factor=0.5,1"], RECIPE)
    points = [draw(grid, "grid", seed=5, number=number, over=[]) for number in range(grid_points(grid))]
    assert points[0] == usual_settings(grid)
    assert len({tuple(point.items()) for point in points}) == len(points) == 7


def test_the_bayesian_search_comes_nearer_than_the_random_one() -> None:
    """On a smooth bowl without noise, from the tenth trial on: the mean distance of what is tried to the best."""
    away = {}
    for method in ("bayes", "random"):
        rates = [float(done.settings["rate_factor"]) for done in explored(40, method)]
        away[method] = np.mean(np.abs(np.log(np.array(rates[10:]) * 2)))
    assert away["bayes"] < 0.6 * away["random"]


def test_the_poor_half_is_stopped_unless_it_is_within_chance() -> None:
    usual = usual_settings(SPACE)
    records = [over(n, usual, score, shares=(0.25, 0.5, 0.75, 1.0)) for n, score in enumerate((0.8, 0.7, 0.6, 0.5))]
    assert course_of(SPACE, records, tolerance=0.0).is_poor(1, 0.55)
    assert not course_of(SPACE, records, tolerance=0.0).is_poor(1, 0.85)
    assert not course_of(SPACE, records, tolerance=0.5).is_poor(1, 0.55)


# --- Time ------------------------------------------------------------------------------------------------------------


def test_the_more_time_brings_the_less_is_searched() -> None:
    shares = [search_share(power) for power in (0.0, 0.05, 0.1, 0.3)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == pytest.approx(0.5)


def test_the_exponent_is_measured_and_a_rough_measurement_counts_little() -> None:
    assert exponent(0.4, 0.2, 10**6) == pytest.approx(1.0, abs=0.01)
    assert exponent(0.4, 0.2, 10) == pytest.approx(0.12, abs=0.25)
    assert exponent(0.2, 0.4, 10**6) == 0.0


@pytest.mark.parametrize("free_s", [40.0, 280.0, 3500.0])
@pytest.mark.parametrize("power", [0.0, 0.1, 0.4])
def test_the_parts_make_up_the_whole(free_s: float, power: float) -> None:
    parts = divide(free_s, first_trial_s(free_s), power, behind_s=5.0)
    assert parts.explore_s + parts.confirm_s + parts.final_s == pytest.approx(free_s)
    assert parts.final_s >= 0.45 * free_s
    assert parts.explore_s >= 5 * parts.trial_s or parts.trial_s > first_trial_s(free_s)


# --- Gain ------------------------------------------------------------------------------------------------------------


def test_an_interval_covers_the_true_gain_as_often_as_it_says() -> None:
    """Rows and seeds both differ by chance; 400 comparisons whose true gain is 0.02."""
    covered = 0
    for trial in range(400):
        rng = generator(7, "coverage", trial)
        rows = rng.normal(0.02, 0.3, size=(1, 200))
        usual = rng.normal(0, 0.2, size=(3, 200))
        best = usual + rows + rng.normal(0, 0.02, size=(3, 1)) + rng.normal(0, 0.1, size=(3, 200))
        gain = compared(usual.tolist(), best.tolist())
        covered += gain.low <= 0.02 <= gain.high
    assert covered >= 0.93 * 400


def test_a_clear_gain_is_better_and_none_is_noise() -> None:
    rng = np.random.default_rng(0)
    usual = (rng.random((3, 300)) < 0.7).astype(float)
    assert compared(usual.tolist(), np.maximum(usual, rng.random((3, 300)) < 0.5).tolist()).verdict == "better"
    assert compared(usual.tolist(), usual.tolist()).verdict == "noise"


def pair(seconds: float, usual: float, best: float, *, rows: int = 1000) -> Pair:
    """Scores without chance: the first rows are right."""
    return Pair(seconds, *([float(row < score * rows) for row in range(rows)] for score in (usual, best)))


def test_what_is_gained_in_longer_and_longer_trainings_is_carried_on_to_the_final_one() -> None:
    falling = [pair(4, 0.50, 0.60), pair(8, 0.55, 0.60), pair(16, 0.60, 0.61)]
    steady = [pair(4, 0.50, 0.60), pair(8, 0.55, 0.64), pair(16, 0.60, 0.68)]
    lost, kept = (lasting(pairs, final_s=128, exponent=0.2) for pairs in (falling, steady))
    assert lost.value < 0.01 < kept.value
    assert (lost.verdict, kept.verdict) == ("noise", "likely")
    assert kept.measured[2][1] == pytest.approx(0.08)
    near = lasting(steady, final_s=16, exponent=0.2)
    far = lasting(steady, final_s=4096, exponent=0.2)
    assert near.high - near.low < kept.high - kept.low
    assert far.verdict == "noise", "so far ahead nothing can be said"


def test_the_gain_that_is_expected_is_that_of_a_normal_distribution_given_what_was_measured() -> None:
    """By conditioning the joint normal distribution of what is measured and what is asked, without any regression."""
    rng = generator(11, "pairs")
    usual = (rng.random((2, 400)) < 0.6).astype(float)
    best = np.maximum(usual, rng.random((2, 400)) < 0.2)
    pairs = [Pair(seconds, *each) for seconds, *each in zip((3.0, 6.0), usual.tolist(), best.tolist(), strict=True)]
    errors, others = 1 - usual.mean(axis=1), 1 - best.mean(axis=1)
    doublings = np.log2([8.0, 4.0])
    logarithms = np.log(errors / others)
    influence = [best[pair] / others[pair] - usual[pair] / errors[pair] for pair in range(2)]
    noise = np.cov(influence) / 400 + 0.03**2 * np.eye(2)
    change = 0.3 * logarithms.max()
    assert change > 0.03
    joint = 0.15**2 + change**2 * np.outer(doublings, doublings) + noise
    weights = np.linalg.solve(joint, np.full(2, 0.15**2))
    found = expected(pairs, final_s=24.0, exponent=0.1)
    assert found.left == pytest.approx(float(weights @ logarithms), rel=1e-9)
    assert found.deviation == pytest.approx(math.sqrt(0.15**2 - 0.15**2 * weights.sum()), rel=1e-9)
    assert found.error == pytest.approx(errors[1] * 0.25**0.1)
    assert lasting(pairs, final_s=24.0, exponent=0.1).value == pytest.approx(found.error * (1 - math.exp(-found.left)))


def confirmed(number: int, score: float, *, seconds: float = 4.0, rows: int = 1000) -> Record:
    parts = tuple(float(row < score * rows) for row in range(rows))
    done = over(number, {"rate_factor": 1.0 + number % 2, "dropout": 0.1, "optimizer": "adam"}, score)
    return msgspec.structs.replace(done, stage="confirm", rows=parts, seconds=seconds)


def test_a_pair_is_known_by_its_numbers_in_whatever_order_processes_end() -> None:
    records = [confirmed(1, 0.7), confirmed(0, 0.6), confirmed(2, 0.6)]
    ((usual, best),) = pairs_of(records)
    assert (usual.number, best.number) == (0, 1)
    assert gain_of(records, None).value == pytest.approx(0.1)


def test_a_further_pair_is_made_where_it_promises_more_than_it_costs() -> None:
    division = divide(300.0, first_trial_s(300.0), 0.2, behind_s=5.0)
    lasts = [confirmed(0, 0.6), confirmed(1, 0.7)]
    assert is_worth([], division, 10.0)
    assert is_worth(lasts, division, 10.0)
    assert not is_worth(lasts, division, 200.0)
    assert not is_worth([confirmed(0, 0.6), confirmed(1, 0.59)], division, 10.0)
    failed = msgspec.structs.replace(confirmed(1, 0.7), state="failed", rows=())
    assert not is_worth([confirmed(0, 0.6), failed], division, 10.0)
    assert gain_of([confirmed(0, 0.6), failed], division).verdict == "noise"


def test_the_candidate_is_not_the_luckiest_but_the_one_whose_neighbours_are_good_too() -> None:
    records = explored(30, noise=0.003)
    lucky = over(30, {"rate_factor": 9.0, "dropout": 0.25, "optimizer": "adam"}, 0.91)
    chosen = candidate(SPACE, [*records, lucky], deviation=0.05)
    assert chosen.number != 30
    assert abs(math.log(float(chosen.settings["rate_factor"]) * 2)) < 0.8
    assert candidate(SPACE, [records[0], lucky], deviation=0.05).number == 30


def test_what_mattered_is_the_rate() -> None:
    found = influences(SPACE, explored(30))
    assert found[0].name == "rate_factor"
    assert found[0].share > 0.7
    assert influences(SPACE, explored(4)) == ()


def test_shares_can_be_written_whatever_numbers_optuna_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = {"rate_factor": np.float64(0.75), "batch_factor": np.float64(0.25)}
    monkeypatch.setattr("gnomon.tuning.importance.get_param_importances", lambda *_, **__: shares)
    assert json.loads(msgspec.json.encode(influences(SPACE, explored(30))))[0]["share"] == 0.75


@pytest.mark.parametrize("question", ["classify", "tag", "regress"])
def test_the_rows_parts_make_up_the_score(question: str) -> None:
    spec = DataSpec(
        kind="series",
        input_shape=(4, 2),
        classes=("a", "b", "c"),
        train_counts=(1, 1, 1),
        question=question,  # type: ignore[arg-type]
        mean=(0.0, 0.0, 0.0),
        scale=(1.0, 1.0, 1.0),
    )
    task = bind(spec)
    torch.manual_seed(0)
    outputs = torch.randn(50, 3)
    labels = {
        "classify": torch.randint(0, 3, (50,)),
        "tag": (torch.rand(50, 3) > 0.5).float(),
        "regress": outputs + 0.5 * torch.randn(50, 3),
    }[question]
    score = task.judged(outputs, labels)[1]
    assert row_scores(task, outputs, labels).mean() == pytest.approx(score, abs=0.1 if question == "tag" else 1e-6)


def test_a_place_on_an_axis_is_from_0_to_1() -> None:
    assert [RATE.place(value) for value in (0.1, 1.0, 10.0)] == pytest.approx([0.0, 0.5, 1.0])
    assert [WORD.place(value) for value in WORD.choices] == [0.0, 0.5, 1.0]


def test_a_model_of_a_size_of_its_own_has_no_ladder() -> None:
    recipe = msgspec.structs.replace(RECIPE, model=Cnn(widths=(8,)), training=TrainingSpec(batch=8))
    assert "rungs" in {item.name for item in grid_space(["rungs=-1,0"], recipe)}


def test_what_is_found_out_once_is_not_a_trials_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting weights took longer than the trial was to last: it is planned again, with a clock that begins anew."""
    opened = SimpleNamespace(speeds={}, starts={})
    begun = []

    def plan_on(opened: Any, recipe: object, deadline: Deadline, **_: object) -> str:
        begun.append(deadline.start_s)
        if not opened.starts:
            opened.starts[7] = {"wide": "weights"}
            raise DeadlineError("the deadline is too near")
        return "plan"

    monkeypatch.setattr("gnomon.tuning.trial.plan_on", plan_on)
    _, deadline = planned(opened, RECIPE, 1.5, None)  # type: ignore[arg-type]
    assert len(begun) == 2
    assert deadline.start_s == begun[1]
    monkeypatch.setattr("gnomon.tuning.trial.plan_on", raising(DeadlineError("too near")))
    with pytest.raises(DeadlineError):
        planned(opened, RECIPE, 1.5, None)  # type: ignore[arg-type]


def raising(error: Exception) -> Callable[..., None]:
    def never(*_: object, **__: object) -> None:
        raise error

    return never


def test_starting_weights_that_are_known_are_the_same_bits() -> None:
    spec = WideDeep(deep=TextCnn(embedding=8, filters=4), buckets=64)
    ids = torch.from_numpy(np.random.default_rng(0).integers(2, 40, (60, 12)))
    labels = torch.arange(60) % 2
    known: Starts = {}
    networks = []
    for remembered in (None, known, known):
        torch.manual_seed(0)
        networks.append(spec.build((12, 40), 2))
        start_from(networks[-1], ids, labels, [f"word{number}" for number in range(38)], known=remembered)
    assert set(known) == {"wide 2 64 False", "neighbours 8"}
    first, *others = (network.state_dict() for network in networks)
    assert all(torch.equal(first[name], other[name]) for other in others for name in first)
