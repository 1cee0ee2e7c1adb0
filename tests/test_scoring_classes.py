"""Scores against scikit-learn and SciPy; each interval contains its value, and covers the truth as often as it says."""

import warnings
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from numpy.typing import NDArray

from gnomon.scoring import classes
from gnomon.scoring.classes import Scores, row_losses, score
from gnomon.scoring.intervals import mean_of, wilson
from gnomon.tasks import Classify
from gnomon.types import Metric

SIMULATIONS: Final = 400
Case: TypeAlias = tuple[NDArray[np.float32], NDArray[np.int64]]


def names(count: int) -> tuple[str, ...]:
    return tuple(f"class {number}" for number in range(count))


def random_case(seed: int, rows: int, classes: int, *, empty: bool = False, ties: bool = False) -> Case:
    """Probabilities and labels; with `empty`, the last class has no rows, and the one before is never answered."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes - 1 if empty else classes, rows)
    logits = rng.normal(size=(rows, classes)) + 1.5 * np.eye(classes)[labels]
    if empty:
        logits[:, classes - 2] = -8
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if ties:
        probabilities = np.round(probabilities * 2) / 2 + 0.1
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    return probabilities.astype(np.float32), labels


CASES: Final[dict[str, Case]] = {
    "two classes": random_case(0, 40, 2),
    "five classes": random_case(1, 200, 5),
    "empty classes": random_case(2, 100, 6, empty=True),
    "ties": random_case(3, 100, 4, ties=True),
    "one row": random_case(4, 1, 3),
    "all right": (np.eye(3, dtype=np.float32)[[0, 1, 2, 0]], np.array([0, 1, 2, 0])),
    "all wrong": (np.eye(3, dtype=np.float32)[[1, 2, 0, 1]], np.array([0, 1, 2, 0])),
    "one class alone": (np.full((5, 3), 1 / 3, np.float32), np.array([1, 1, 1, 1, 1])),
    "many classes": random_case(5, 300, 60),
}


def every_metric(scores: Scores) -> list[Metric]:
    each = [metric for entry in scores.classes for metric in (entry.precision, entry.recall, entry.f1)]
    return [*scores.metrics.values(), *each]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_scores_are_those_of_scikit_learn(case: Case) -> None:
    probabilities, labels = case
    classes = probabilities.shape[1]
    found, predicted = score(probabilities, labels, names(classes)), probabilities.argmax(axis=1)
    every = {"labels": range(classes), "zero_division": 0}
    assert found.rows == len(labels)
    value = {name: metric.value for name, metric in found.metrics.items()}
    assert value["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(labels, predicted))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of answers that are no label
        balanced = sklearn.metrics.balanced_accuracy_score(labels, predicted)
    assert value["balanced_accuracy"] == pytest.approx(balanced)
    for name in ("precision", "recall", "f1"):
        reference: Callable[..., Any] = getattr(sklearn.metrics, f"{name}_score")
        each = reference(labels, predicted, average=None, **every)
        assert value[f"macro_{name}"] == pytest.approx(reference(labels, predicted, average="macro", **every))
        assert [getattr(entry, name).value for entry in found.classes] == pytest.approx(each)
    wanted = sklearn.metrics.confusion_matrix(labels, predicted, labels=range(classes))
    assert np.array_equal(found.confusion, wanted)
    assert [entry.support for entry in found.classes] == wanted.sum(axis=1).tolist()
    assert [entry.name for entry in found.classes] == list(names(classes))


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("all wrong",)])
def test_the_log_loss_is_that_of_scikit_learn(name: str) -> None:
    probabilities, labels = CASES[name]
    found = score(probabilities, labels, names(probabilities.shape[1])).metrics["log_loss"].value
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    wanted = sklearn.metrics.log_loss(labels, exact, labels=range(probabilities.shape[1]))
    assert found == pytest.approx(wanted, rel=1e-6, abs=1e-6)


def test_a_certain_and_wrong_answer_costs_a_finite_loss() -> None:
    losses = row_losses(*CASES["all wrong"])
    assert losses.tolist() == pytest.approx([-np.log(1e-15)] * 4)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_interval_contains_its_value(case: Case) -> None:
    scores = score(*case, names(case[0].shape[1]))
    for metric in every_metric(scores):
        assert metric.low <= metric.value <= metric.high
    others = [scores.metrics[name] for name in ("log_loss", "brier", "cohen_kappa", "matthews")]
    shares = [metric for metric in every_metric(scores) if not any(metric is other for other in others)]
    assert all(metric.low >= 0 and metric.high <= 1 for metric in shares)
    if len(np.unique(case[1])) > 1:  # of a single class every answer of it is right
        assert all(metric.high > metric.low for metric in shares)


def test_scores_are_the_same_whenever_they_are_asked_for() -> None:
    case = CASES["five classes"]
    assert score(*case, names(5)) == score(*case, names(5))


def test_intervals_narrow_with_more_rows() -> None:
    few, many = (score(*random_case(0, rows, 3), names(3)).metrics for rows in (50, 5000))
    assert all(many[name].high - many[name].low < 0.3 * (few[name].high - few[name].low) for name in few)


def test_wilson_is_that_of_scipy() -> None:
    for trials in (1, 2, 7, 50, 1000):
        for successes in {0, 1, trials // 2, trials - 1, trials}:
            wanted = scipy.stats.binomtest(successes, trials).proportion_ci(confidence_level=0.95, method="wilson")
            found = wilson(successes, trials)
            assert found.value == successes / trials
            assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=1e-12)
    assert wilson(0, 0) == Metric(value=0.0, low=0.0, high=1.0)


def test_the_mean_has_the_interval_of_students_t() -> None:
    sample = np.random.default_rng(0).exponential(size=30)
    found, half = mean_of(sample), scipy.stats.t.ppf(0.975, 29) * scipy.stats.sem(sample)
    assert (found.value, found.low, found.high) == pytest.approx(
        (sample.mean(), found.value - half, found.value + half)
    )
    assert mean_of(np.array([2.0])) == Metric(value=2.0, low=2.0, high=2.0)


def test_of_equal_probabilities_the_first_class_counts() -> None:
    """In scores and in answers alike."""
    tied = np.array([[0.2, 0.4, 0.4], [0.5, 0.0, 0.5]], np.float32)
    scores = score(tied, np.array([1, 0]), names(3))
    assert scores.metrics["accuracy"].value == 1.0
    answers = Classify(classes=names(3)).answers(tied, top=3)
    assert [answer.label for answer in answers] == ["class 1", "class 0"]
    assert [label for label, _ in answers[0].top] == ["class 1", "class 2", "class 0"]


# --- Coverage --------------------------------------------------------------------------------------------------------

WORLDS: Final[dict[str, tuple[list[float], list[list[float]], int]]] = {
    "good, equal classes": ([1 / 3] * 3, [[0.9, 0.06, 0.04], [0.05, 0.9, 0.05], [0.02, 0.08, 0.9]], 120),
    "fair, unequal classes": (
        [0.6, 0.25, 0.1, 0.05],
        [[0.85, 0.1, 0.03, 0.02], [0.2, 0.7, 0.05, 0.05], [0.2, 0.1, 0.6, 0.1], [0.2, 0.1, 0.1, 0.6]],
        250,
    ),
    "ten classes": ([0.1] * 10, (np.eye(10) * 0.85 + 0.015).tolist(), 300),
    "nearly perfect": ([0.5, 0.5], [[0.99, 0.01], [0.02, 0.98]], 100),
}
"""Shares of the classes, probability of each answer to each of them, and rows of a test part."""


def truth(shares: list[float], answers: list[list[float]]) -> dict[str, float]:
    """What endless rows would score."""
    joint = np.array(shares)[:, None] * np.array(answers)
    hits = np.diag(joint)
    f1 = 2 * hits / (joint.sum(axis=0) + joint.sum(axis=1))
    recalls = hits / joint.sum(axis=1)
    return {
        "accuracy": hits.sum(),
        "balanced_accuracy": recalls.mean(),
        "macro_recall": recalls.mean(),
        "macro_precision": (hits / joint.sum(axis=0)).mean(),
        "macro_f1": f1.mean(),
        "f1": f1[0],
    }


def coverage(world: str, simulations: int, seed: int = 0) -> dict[str, float]:
    """How often each interval contains the truth."""
    shares, answers, rows = WORLDS[world]
    rng, right = np.random.default_rng(seed), truth(shares, answers)
    inside = dict.fromkeys(right, 0)
    for _ in range(simulations):
        labels = rng.choice(len(shares), size=rows, p=shares)
        draws = rng.random(rows)[:, None] > np.cumsum(np.array(answers)[labels], axis=1)
        said = np.minimum(draws.sum(axis=1), len(shares) - 1)
        scores = score(np.eye(len(shares), dtype=np.float32)[said], labels, names(len(shares)))
        metrics = {**scores.metrics, "f1": scores.classes[0].f1}
        for name, value in right.items():
            inside[name] += metrics[name].low <= value <= metrics[name].high
    return {name: count / simulations for name, count in inside.items()}


@pytest.mark.parametrize("world", WORLDS)
def test_intervals_cover_the_truth(world: str) -> None:
    """Nearly 95 times in 100; where next to nothing goes wrong, the prior makes means over classes cautious."""
    most = 1.0 if world == "nearly perfect" else 0.99
    found = coverage(world, SIMULATIONS)
    assert {name: share for name, share in found.items() if not 0.91 <= share <= most} == {}


def test_means_over_classes_of_few_rows_are_known_less_well() -> None:
    """Welch's degrees of freedom, against SciPy's for two samples of the same variance."""
    samples = [np.array([1.0, -1.0] * (count // 2)) for count in (6, 14)]
    samples = [sample / sample.std(ddof=1) for sample in samples]
    freedom = scipy.stats.ttest_ind(*samples, equal_var=False).df
    found = classes._for_few_rows(np.array([6.0, 14.0]))
    assert found == pytest.approx(scipy.stats.t.ppf(0.975, freedom) / 1.959963984540054)
    assert classes._for_few_rows(np.array([0.0, 1.0])) == 1.0
    assert classes._for_few_rows(np.full(5, 10_000.0)) == pytest.approx(1.0, abs=1e-3)
