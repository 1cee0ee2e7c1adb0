"""Areas, curves, calibration, intervals of groups, and paired tests, against scikit-learn and SciPy."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats
import sklearn.metrics
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gnomon.evaluate.temperature import tempered
from gnomon.scoring.calibration import brier_scores, calibration_error, error_by_chance, gap, reliability
from gnomon.scoring.classes import STATISTICS, row_losses, score
from gnomon.scoring.curves import average_precision, curves_of, mean_area, roc_area
from gnomon.scoring.intervals import Groups, groups_among, groups_of, mean_of, share_among, share_of, wilson
from gnomon.scoring.paired import difference_in_accuracy, difference_in_means
from gnomon.scoring.values import r2_of, residuals_of, score_values
from gnomon.tasks import Classify, Tag
from gnomon.types import Metric


def softmax(outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    shares = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    normed: NDArray[np.float64] = shares / shares.sum(axis=1, keepdims=True)
    return normed


@st.composite
def rated(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores with many ties, and which rows are true; maybe all, none, or one row."""
    pairs = draw(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=60))
    scores, true = zip(*pairs, strict=True)
    return np.array(scores) / 6, np.array(true)


@settings(deadline=None, max_examples=150)
@given(rated())
def test_areas_are_those_of_scikit_learn(case: tuple[NDArray[np.float64], NDArray[np.bool_]]) -> None:
    scores, true = case
    area, precision = roc_area(scores, true), average_precision(scores, true)
    assert (area is None) == (true.all() or not true.any())
    assert (precision is None) == (not true.any())
    if area is not None:
        assert area.value == pytest.approx(sklearn.metrics.roc_auc_score(true, scores))
        assert area.influence.mean() == pytest.approx(0, abs=1e-9)
        metric = area.metric()
        assert 0 <= metric.low <= metric.value <= metric.high <= 1
    if precision is not None:
        assert precision.value == pytest.approx(sklearn.metrics.average_precision_score(true, scores))
        assert precision.influence.mean() == pytest.approx(0, abs=1e-9)


@settings(deadline=None, max_examples=80)
@given(rated())
def test_curves_lie_on_those_of_scikit_learn(case: tuple[NDArray[np.float64], NDArray[np.bool_]]) -> None:
    scores, true = case
    if true.all() or not true.any():
        return
    found = curves_of("it", scores, true)
    fallout, recall, _ = sklearn.metrics.roc_curve(true, scores, drop_intermediate=False)
    assert set(found.roc) == {(round(x, 4), round(y, 4)) for x, y in zip(fallout, recall, strict=True)}
    precision, reached, _ = sklearn.metrics.precision_recall_curve(true, scores)
    wanted = {(round(x, 4), round(y, 4)) for x, y in zip(reached, precision, strict=True)}
    assert set(found.precision_recall) <= wanted


def test_the_area_is_as_uncertain_as_delong_says() -> None:
    rng = np.random.default_rng(0)
    true = rng.random(400) < 0.3
    scores = rng.normal(size=400) + true
    area = roc_area(scores, true)
    assert area is not None
    above = (scores[true][:, None] > scores[~true][None]).astype(float)
    variance = above.mean(axis=1).var(ddof=1) / true.sum() + above.mean(axis=0).var(ddof=1) / (~true).sum()
    error = math.sqrt(float(np.square(area.influence).sum())) / 400
    assert error == pytest.approx(math.sqrt(variance), rel=0.01)


@pytest.mark.parametrize("classes", [2, 3, 7, 11])
def test_further_scores_are_those_of_scikit_learn(classes: int) -> None:
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, 90)
    probabilities = softmax(rng.normal(size=(90, classes)) + 1.2 * np.eye(classes)[labels]).astype(np.float32)
    metrics = {
        name: metric.value
        for name, metric in score(probabilities, labels, list(map(str, range(classes)))).metrics.items()
    }
    said, wide = probabilities.argmax(axis=1), probabilities.astype(np.float64)
    sk = sklearn.metrics
    wanted = {
        "cohen_kappa": sk.cohen_kappa_score(labels, said),
        "matthews": sk.matthews_corrcoef(labels, said),
        "weighted_f1": sk.f1_score(labels, said, average="weighted"),
        "weighted_precision": sk.precision_score(labels, said, average="weighted", zero_division=0),
        "micro_f1": sk.f1_score(labels, said, average="micro"),
        "brier": sk.brier_score_loss(labels, wide[:, 1] if classes == 2 else wide / wide.sum(axis=1, keepdims=True)),
        "macro_average_precision": np.mean(
            [sk.average_precision_score(labels == place, wide[:, place]) for place in range(classes)]
        ),
        "macro_roc_area": np.mean([sk.roc_auc_score(labels == place, wide[:, place]) for place in range(classes)]),
    }
    tops = {f"top_{top}_accuracy": top for top in (3, 5) if 2 * top <= classes}
    wanted |= {name: sk.top_k_accuracy_score(labels, wide, k=top, labels=range(classes)) for name, top in tops.items()}
    assert {name for name in metrics if name.startswith("top_")} == set(tops)
    for name, value in wanted.items():
        assert metrics[name] == pytest.approx(value, abs=1e-6), name


def test_reliability_has_equal_bins_and_scikit_learns_shares() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.3, 1, 600)
    right = rng.random(600) < confidence**2
    bins = reliability(confidence, right)
    assert [found.rows for found in bins] == [40] * 15
    from sklearn.calibration import calibration_curve

    shares, means = calibration_curve(right, confidence, n_bins=15, strategy="quantile")
    assert [found.accuracy.value for found in bins] == pytest.approx(shares.tolist(), abs=0.03)
    assert [found.confidence for found in bins] == pytest.approx(means.tolist(), abs=0.01)
    gap = sum(found.rows * abs(found.confidence - found.accuracy.value) for found in bins) / 600
    assert calibration_error(confidence, right).value == pytest.approx(gap)


@pytest.mark.parametrize(("rows", "surest"), [(200, 0.9), (3000, 0.9), (3000, 0.99), (3000, 1.0)])
def test_what_chance_alone_makes_of_the_calibration_error(rows: int, surest: float) -> None:
    rng = np.random.default_rng(rows)
    confidence = 1 - (1 - surest / 2) * rng.beta(0.6, 2, rows) if surest == 1 else rng.uniform(0.4, surest, rows)
    drawn = [gap(confidence, rng.random(rows) < confidence) for _ in range(2000)]
    assert error_by_chance(confidence) == pytest.approx(np.mean(drawn), rel=0.03)


def test_who_is_sure_of_all_is_off_by_nothing_by_chance() -> None:
    assert error_by_chance(np.ones(500)) == 0.0
    assert error_by_chance(np.array([0.75])) == pytest.approx((2 / np.pi * 0.75 * 0.25) ** 0.5)


def test_one_row_has_a_calibration_error() -> None:
    found = calibration_error(np.array([0.75]), np.array([True]))
    assert found.value == 0.25
    assert 0 <= found.low <= found.value <= found.high


def test_brier_scores_of_the_sure_and_right_are_zero() -> None:
    assert brier_scores(np.eye(3), np.array([0, 1, 2])).tolist() == [0, 0, 0]
    assert brier_scores(np.array([[0.0, 1.0]]), np.array([0])).tolist() == [1]


# --- Temperature -----------------------------------------------------------------------------------------------------


def drawn(logits: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """`(N,)`: one class a row, each with the probability that the logits give it."""
    return np.array([rng.choice(logits.shape[1], p=row) for row in softmax(logits)])


@pytest.mark.parametrize("sharpness", [0.2, 1.0, 6.0])
def test_the_temperature_is_that_of_least_loss(sharpness: float) -> None:
    rng = np.random.default_rng(1)
    true = rng.normal(size=(3000, 4)) * 2
    labels = drawn(true, rng)
    outputs = sharpness * true
    found = tempered(Classify(classes=("a", "b", "c", "d")), outputs.astype(np.float32), labels)

    alone = msgspec.structs.replace(found, temperature=1.0).temperatures(torch.from_numpy(outputs)).numpy()

    def loss(temperatures: Any) -> float:
        return float(row_losses(softmax(outputs / temperatures).astype(np.float32), labels).sum())

    def best(softened: Any) -> Any:
        asked: dict[str, Any] = {"bounds": (0.05, 20), "method": "bounded", "options": {"xatol": 1e-6}}
        return scipy.optimize.minimize_scalar(lambda temperature: loss(temperature * softened), **asked)

    assert found.temperature == pytest.approx(best(alone).x, rel=5e-3)
    assert loss(found.temperature * alone) < best(1.0).fun + 0.1
    assert np.median(found.temperature * alone) == pytest.approx(sharpness, rel=0.1)


@pytest.mark.parametrize("pull", [0.6, 0.9])
def test_rows_whose_outputs_lie_far_apart_are_softened_where_they_are_too_sure(pull: float) -> None:
    """Outputs z of which z / (1 + s · spread of z) are the logits by which the classes were drawn."""
    rng = np.random.default_rng(2)
    directions = rng.normal(size=(6000, 5))
    directions -= directions.mean(axis=1, keepdims=True)
    spreads = rng.uniform(0.2, 3, (6000, 1))
    true = directions / directions.std(axis=1, keepdims=True) * spreads
    outputs = true / (1 - pull * spreads / 3)
    labels = drawn(true, rng)
    task = tempered(Classify(classes=tuple("abcde")), outputs.astype(np.float32), labels)

    def loss(temperatures: Any) -> float:
        return float(row_losses(softmax(outputs / temperatures).astype(np.float32), labels).sum())

    temperatures = task.temperatures(torch.from_numpy(outputs)).numpy()
    assert task.softening == pytest.approx(pull / 3, rel=0.3)
    np.testing.assert_allclose(temperatures, 1 / (1 - pull * spreads / 3), rtol=0.15)
    assert loss(temperatures) < min(loss(one) for one in np.geomspace(0.05, 20, 100)) - 10


def test_the_temperature_of_a_row_is_that_of_its_formula_alone_and_among_others() -> None:
    rng = np.random.default_rng(3)
    task = Classify(classes=tuple(map(str, range(11))), temperature=0.4, softening=0.3)
    outputs = (5 * rng.normal(size=(40, 11))).astype(np.float32)
    wide = outputs.astype(np.float64)
    wanted = softmax(wide / (0.4 * (1 + 0.3 * wide.std(axis=1, keepdims=True))))
    found = task.activated(torch.from_numpy(outputs))
    np.testing.assert_allclose(found.numpy(), wanted, rtol=2e-5)
    for place in (0, 7, 39):
        assert torch.equal(task.activated(torch.from_numpy(outputs[place : place + 1])), found[place : place + 1])


def test_equal_outputs_have_a_gradient() -> None:
    outputs = torch.zeros(1, 4, requires_grad=True)
    Classify(classes=tuple("abcd"), softening=0.5).activated(outputs)[0, 0].backward()  # type: ignore[no-untyped-call]
    assert outputs.grad is not None
    np.testing.assert_allclose(outputs.grad.numpy(), [[3 / 16, -1 / 16, -1 / 16, -1 / 16]], rtol=1e-4)


def test_the_temperature_of_labels_is_that_of_least_loss() -> None:
    rng = np.random.default_rng(2)
    true = rng.normal(size=(2000, 3)) * 2
    labels = (rng.random((2000, 3)) < 1 / (1 + np.exp(-true))).astype(np.float32)
    found = tempered(Tag(classes=("a", "b", "c")), (3 * true).astype(np.float32), labels)
    assert found.temperature == pytest.approx(3, rel=0.1)


def test_a_temperature_changes_no_answer_and_stays_finite_where_all_is_right() -> None:
    rng = np.random.default_rng(3)
    outputs = rng.normal(size=(200, 5)).astype(np.float32)
    labels = outputs.argmax(axis=1)
    task = tempered(Classify(classes=tuple("abcde")), outputs, labels)
    assert 0.02 <= task.temperature < 1
    answers = task.activated(torch.from_numpy(outputs)).numpy()
    assert 0.9 < answers.max(axis=1).mean() < 1 - 0.5 / 202
    assert np.array_equal(answers.argmax(axis=1), labels)


@pytest.mark.parametrize("rows", [100, 1000])
def test_where_a_network_is_calibrated_chance_is_not_carried_over(rows: int) -> None:
    """Of calibrated networks most stay as they are, and the others lose next to nothing on further rows."""
    kept, lost = 0, []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        logits = 2 * rng.normal(size=(rows + 3000, 4))
        labels = drawn(logits, rng)
        outputs = logits.astype(np.float32)
        task = tempered(Classify(classes=tuple("abcd")), outputs[:rows], labels[:rows])
        kept += task.untempered
        before, after = (
            row_losses(each.activated(torch.from_numpy(outputs[rows:])).numpy(), labels[rows:]).mean()
            for each in (Classify(classes=tuple("abcd")), task)
        )
        lost.append(after - before)
    assert kept >= 26
    assert np.mean(lost) < 1 / rows


def test_few_rows_that_are_all_right_don_t_make_a_sure_network_unsure() -> None:
    """The truth of the fit counts for less than 1; judged is by the labels as they are."""
    outputs = np.full((20, 5), -2.0, dtype=np.float32)
    labels = np.arange(20) % 5
    outputs[np.arange(20), labels] = 4
    task = Classify(classes=tuple("abcde"))
    assert tempered(task, outputs, labels) == task


def test_of_few_rows_no_temperature_is_concluded() -> None:
    task = Classify(classes=("a", "b"))
    assert tempered(task, np.eye(2, dtype=np.float32), np.array([0, 1])) == task


# --- Groups ----------------------------------------------------------------------------------------------------------


def test_groups_are_numbered_and_rows_without_one_stand_alone() -> None:
    found = groups_of(["b", "a", None, "b", None])
    assert found is not None
    assert found[0] == found[3]
    assert len(set(found.tolist())) == 4
    assert groups_of([None, None]) is None
    assert groups_of(["a", "b"]) is None
    assert groups_of(["a", "a"]) is None


def test_among_rows_of_a_single_group_the_rows_are_what_chance_deals_in() -> None:
    groups = np.array([0, 0, 1, 1, 2, 2])
    assert groups_among(None, np.arange(3)) is None
    assert groups_among(groups, np.array([2, 3])) is None
    assert groups_among(groups, groups > 1) is None
    few = groups_among(groups, np.array([1, 4, 5]))
    assert few is not None
    assert few.tolist() == [0, 1, 1]
    hits = np.array([True, False, True, True, False, True])
    assert share_among(hits, groups == 1, groups) == wilson(2, 2)


def grouped_hits(rng: np.random.Generator, groups: int) -> tuple[NDArray[np.bool_], Groups]:
    """Rows of a group are alike: each group has its own share of hits, 0.8 on the mean."""
    numbers = np.repeat(np.arange(groups), 12)
    return rng.random(len(numbers)) < rng.beta(4, 1, groups)[numbers], numbers


@pytest.mark.parametrize("groups", [8, 40])
def test_intervals_of_groups_cover_the_truth_and_those_of_rows_do_not(groups: int) -> None:
    rng = np.random.default_rng(0)
    inside = {"groups": 0, "rows": 0, "means": 0}
    for _ in range(500):
        hits, numbers = grouped_hits(rng, groups)
        found: dict[str, Metric] = {
            "groups": share_of(hits, numbers),
            "rows": wilson(float(hits.sum()), len(hits)),
            "means": mean_of(hits.astype(np.float64), numbers),
        }
        for name, metric in found.items():
            inside[name] += metric.low <= 0.8 <= metric.high
    assert 0.92 <= inside["groups"] / 500 <= 0.985
    assert 0.90 <= inside["means"] / 500 <= 0.985
    assert inside["rows"] / 500 < 0.85


def test_scores_of_groups_have_wider_intervals() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    groups = np.repeat(np.arange(10), 30)
    lost = groups < 3
    said = np.where(lost, (labels + 1) % 3, labels)
    probabilities = (0.05 + 0.85 * np.eye(3)[said]).astype(np.float32)
    alone, together = (score(probabilities, labels, ["a", "b", "c"], groups=each) for each in (None, groups))
    for name in ("accuracy", "log_loss", "brier", "macro_roc_area", *STATISTICS):
        narrow, wide = alone.metrics[name], together.metrics[name]
        assert narrow.value == wide.value
        assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low), name


def test_the_jackknife_corrects_the_bias_on_the_scale_of_the_logit() -> None:
    rng = np.random.default_rng(0)
    scores, true = rng.normal(size=(40, 3)), rng.random((40, 3)) < 0.3
    scores += true

    def mean(rows: NDArray[np.bool_]) -> float:
        return float(
            np.mean([sklearn.metrics.average_precision_score(true[rows, k], scores[rows, k]) for k in range(3)])
        )

    rows = np.arange(40)
    value = scipy.special.logit(mean(rows >= 0))
    without = scipy.special.logit([mean(rows != row) for row in rows])
    pseudo = 40 * value - 39 * without
    half = scipy.stats.t.ppf(0.975, 39) * scipy.stats.sem(pseudo)
    found = mean_area(average_precision, scores, true, [average_precision(scores[:, k], true[:, k]) for k in range(3)])
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx(
        (mean(rows >= 0), scipy.special.expit(pseudo.mean() - half), scipy.special.expit(pseudo.mean() + half))
    )


@pytest.mark.parametrize("groups", [None, np.arange(60) // 6])
def test_means_over_classes_of_few_rows_cover_the_truth(groups: Groups | None) -> None:
    """The truth is the probability that a hit lies above a miss: Φ(1/√2) for normal scores a deviation apart."""
    truth, inside = float(scipy.stats.norm.cdf(1 / math.sqrt(2))), 0
    rng = np.random.default_rng(0)
    for _ in range(300):
        true = rng.random((60, 2)) < 0.2
        scores = rng.normal(size=(60, 2)) + true
        areas = [roc_area(scores[:, k], true[:, k]) for k in range(2)]
        found = mean_area(roc_area, scores, true, areas, groups)
        inside += found is not None and found.low <= truth <= found.high
    assert 0.92 <= inside / 300 <= 0.98


def test_a_mean_of_heavy_tails_is_covered() -> None:
    rng, inside = np.random.default_rng(0), 0
    for _ in range(1000):
        squares = np.square(rng.normal(size=12))
        found = mean_of(squares, positive=True)
        assert 0 < found.low <= found.value <= found.high
        inside += found.low <= 1 <= found.high
    assert 0.92 <= inside / 1000 <= 0.97


# --- Values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [10, 40])
def test_sizes_of_errors_in_groups_are_covered(groups: int) -> None:
    """Each group has a shift of its own, as large as the errors within."""
    truth, inside, rng = math.sqrt(0.5), {"rmse": 0, "mae": 0}, np.random.default_rng(1)
    wanted = {"rmse": truth, "mae": truth * math.sqrt(2 / math.pi)}
    for _ in range(1000):
        errors = rng.normal(size=(groups, 1)) / 2 + rng.normal(size=(groups, 10)) / 2
        labels = rng.normal(size=(10 * groups, 1))
        said = labels + errors.reshape(-1, 1)
        found = score_values(said.astype(np.float32), labels, ("v",), groups=np.arange(10 * groups) // 10)
        for name, value in wanted.items():
            inside[name] += found[name].low <= value <= found[name].high
    assert all(0.93 <= count / 1000 <= 0.975 for count in inside.values()), inside


def test_r2_is_covered() -> None:
    rng = np.random.default_rng(0)
    truth, inside = 1 - 0.25 / 1.25, 0
    for _ in range(400):
        signal = rng.normal(size=150)
        metric = r2_of(signal, signal + 0.5 * rng.normal(size=150))
        inside += metric.low <= truth <= metric.high
    assert 0.92 <= inside / 400 <= 0.98


def test_bounds_are_covered_and_residuals_counted() -> None:
    true = np.linspace(0, 1, 200)[:, None]
    said = (true + np.where(np.arange(200) % 10 == 0, 0.5, 0.1)[:, None]).astype(np.float32)
    metrics = score_values(said, true, ("value",), margin=(0.2,))
    assert metrics["coverage_90"].value == pytest.approx(0.9)
    assert metrics["median_absolute_error"].low <= 0.1 <= metrics["median_absolute_error"].high + 1e-6
    residuals = residuals_of(said[:, 0].astype(np.float64), true[:, 0])
    assert sum(residuals.counts) == 200
    assert len(residuals.edges) == len(residuals.counts) + 1
    assert max(error for _, error in residuals.against) == pytest.approx(0.5, abs=1e-6)


# --- Two models ------------------------------------------------------------------------------------------------------


def test_mcnemar_is_the_binomial_test_less_half_of_the_case_itself() -> None:
    first = np.array([True] * 60 + [False] * 25 + [True] * 9 + [False] * 6)
    second = np.array([True] * 60 + [True] * 25 + [False] * 9 + [False] * 6)
    found = difference_in_accuracy(first, second)
    exact = scipy.stats.binomtest(9, 34).pvalue
    assert found.p == pytest.approx(exact - scipy.stats.binom.pmf(9, 34, 0.5))
    assert found.metric.value == pytest.approx(0.16)
    assert found.is_told


def test_means_are_compared_by_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 40))
    found = difference_in_means(second - first)
    wanted = scipy.stats.ttest_rel(second, first)
    assert found.p == pytest.approx(wanted.pvalue)
    assert (found.metric.low, found.metric.high) == pytest.approx(tuple(wanted.confidence_interval(0.95)))


def test_the_same_answers_are_no_difference() -> None:
    right = np.array([True, False] * 20)
    assert not difference_in_accuracy(right, right).is_told
    assert difference_in_accuracy(right, right).p == 1
    assert difference_in_means(np.zeros(9)).p == 1


def test_equal_models_are_seldom_told_apart() -> None:
    """Of 200 pairs that err equally often, and partly on the same rows, a difference is called in at most 6 %."""
    rng = np.random.default_rng(0)
    called = 0
    for _ in range(200):
        hard = rng.random(400)
        first, second = (rng.random(400) < np.where(hard < 0.3, 0.6, 0.97) for _ in range(2))
        called += difference_in_accuracy(first, second).is_told
    assert called <= 12
