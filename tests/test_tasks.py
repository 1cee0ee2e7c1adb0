"""Several labels, and numbers: losses against the formula, scores against scikit-learn, answers and bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from gnomon.rows.targets import as_classes, read_targets, with_strata
from gnomon.scoring.curves import average_precision
from gnomon.scoring.labels import micro_f1, score_labels
from gnomon.scoring.values import score_values
from gnomon.sources.questions import AUTO, Asked, choose_question, labels_of, number_of
from gnomon.tasks import Classify, Regress, Tag, bind
from gnomon.tasks.regress import margins
from gnomon.tasks.tag import best_thresholds
from gnomon.types import DataSpec, Row, Split

RANDOM = np.random.default_rng(8)
TRUE = (RANDOM.random((60, 4)) < (0.5, 0.2, 0.7, 0.1)).astype(np.float32)
SAID = np.clip(0.3 + 0.4 * TRUE + 0.2 * RANDOM.normal(size=TRUE.shape), 0, 1).astype(np.float32)
NAMES = ("a", "b", "c", "d")


# --- Several labels --------------------------------------------------------------------------------------------------


def test_loss_of_labels_is_that_of_the_formula() -> None:
    outputs, smoothing = RANDOM.normal(size=(5, 4)) * 3, 0.2
    task = Tag(classes=NAMES, label_smoothing=smoothing)
    share = 1 / (1 + np.exp(-outputs))
    target = (1 - smoothing) * TRUE[:5] + smoothing / 2
    expected = -(target * np.log(share) + (1 - target) * np.log(1 - share)).sum(1)
    said = task.losses(torch.from_numpy(outputs), task.targets(torch.from_numpy(TRUE[:5])).double())
    assert np.allclose(said.numpy(), expected)


def test_scores_of_labels_are_scikit_learns() -> None:
    given = SAID >= 0.5
    found, of_labels, _ = score_labels(SAID, given, TRUE, NAMES)
    for average in ("micro", "macro"):
        expected = sk.precision_recall_fscore_support(TRUE, given, average=average, zero_division=0)
        for name, value in zip(("precision", "recall", "f1"), expected, strict=False):
            assert found[f"{average}_{name}"].value == pytest.approx(value)
    assert found["mean_average_precision"].value == pytest.approx(sk.average_precision_score(TRUE, SAID))
    assert found["subset_accuracy"].value == pytest.approx(sk.accuracy_score(TRUE, given))
    assert found["hamming_loss"].value == pytest.approx(sk.hamming_loss(TRUE, given))
    assert micro_f1(given, TRUE).value == found["micro_f1"].value
    for place, scores in enumerate(of_labels):
        assert scores.support == TRUE[:, place].sum()
        assert scores.f1.value == pytest.approx(sk.f1_score(TRUE[:, place], given[:, place]))
    assert all(metric.low <= metric.value <= metric.high for metric in found.values())


def test_average_precision_with_ties_is_scikit_learns() -> None:
    said = np.asarray(np.round(SAID[:, 0], 1), dtype=np.float64)
    found = average_precision(said, TRUE[:, 0] > 0)
    assert found is not None
    assert found.value == pytest.approx(sk.average_precision_score(TRUE[:, 0], said))


def test_micro_f1_of_training_is_that_of_the_scores() -> None:
    logits = torch.logit(torch.from_numpy(SAID).clamp(1e-4, 1 - 1e-4))
    _, score = Tag(classes=NAMES).judged(logits, torch.from_numpy(TRUE))
    assert score == pytest.approx(sk.f1_score(TRUE, SAID > 0.5, average="micro"))


def test_thresholds_are_those_of_greatest_f1() -> None:
    """Against every threshold there is, one after the other."""
    for place, threshold in enumerate(best_thresholds(SAID, TRUE, fewest=1)):
        reached = sk.f1_score(TRUE[:, place], SAID[:, place] >= threshold)
        assert reached == pytest.approx(max(sk.f1_score(TRUE[:, place], SAID[:, place] >= t) for t in SAID[:, place]))
    few = best_thresholds(SAID, TRUE, fewest=1000)
    assert len(set(few)) == 1


def test_answers_with_labels() -> None:
    task = Tag(classes=NAMES, thresholds=(0.5, 0.9, 0.5, 0.5))
    first, second = task.answers(np.array([[0.6, 0.8, 0.7, 0.1], [0.1, 0.2, 0.0, 0.3]], np.float32), top=2)
    assert first.labels == ("c", "a")
    assert [label for label, _ in first.top] == ["b", "c"]
    assert second.labels == ()
    assert second.told().startswith("none (")
    assert len(first.cells()) == len(task.columns(2))


# --- Numbers ---------------------------------------------------------------------------------------------------------


def test_loss_of_numbers_is_hubers() -> None:
    task = Regress(classes=("value",), mean=(10.0,), scale=(2.0,))
    values = np.array([[10.0], [14.0], [7.0]])
    outputs = np.array([[0.5], [-1.0], [-1.5]])
    error = np.abs(outputs - (values - 10) / 2)[:, 0]
    expected = np.where(error <= 1, error**2 / 2, error - 0.5)
    assert np.allclose(task.losses(torch.from_numpy(outputs), task.targets(torch.from_numpy(values))), expected)
    assert np.allclose(task.activated(torch.from_numpy(outputs)), outputs * 2 + 10)


def test_scores_of_numbers_are_scikit_learns() -> None:
    true = RANDOM.normal(50, 9, size=(80, 1))
    said = (true + RANDOM.normal(0, 3, size=(80, 1))).astype(np.float32)
    found = score_values(said, true, ("value",))
    assert found["r2"].value == pytest.approx(sk.r2_score(true, said))
    assert found["rmse"].value == pytest.approx(math.sqrt(sk.mean_squared_error(true, said)))
    assert found["mae"].value == pytest.approx(sk.mean_absolute_error(true, said))
    assert found["median_absolute_error"].value == pytest.approx(sk.median_absolute_error(true, said))
    assert found["max_error"].value == pytest.approx(sk.max_error(true, said))
    task = Regress(classes=("value",), mean=(50.0,), scale=(9.0,))
    outputs = torch.from_numpy((said.astype(np.float64) - 50) / 9)
    assert task.judged(outputs, torch.from_numpy(true))[1] == pytest.approx(found["r2"].value, abs=1e-5)


def test_scores_of_several_numbers() -> None:
    true = RANDOM.normal(size=(50, 2)) * (1, 100)
    said = (true + RANDOM.normal(size=(50, 2)) * (0.3, 30)).astype(np.float32)
    found = score_values(said, true, ("height", "weight"))
    assert found["r2"].value == pytest.approx(sk.r2_score(true, said))
    assert found["mae:weight"].value == pytest.approx(sk.mean_absolute_error(true[:, 1], said[:, 1]))


def test_a_constant_explains_nothing() -> None:
    flat = np.full((20, 1), 3.0)
    assert score_values(flat.astype(np.float32), flat, ("value",))["r2"].value == 1
    assert score_values((flat + 1).astype(np.float32), flat, ("value",))["r2"].value == 0


def test_bounds_hold_in_nine_of_ten_rows() -> None:
    """Split conformal prediction: on fresh rows of the same kind, over many repetitions."""
    held = []
    for seed in range(300):
        random = np.random.default_rng(seed)
        errors = random.standard_t(3, size=(60, 1))
        margin = margins(np.zeros((40, 1), np.float32), errors[:40])
        held.append(np.mean(np.abs(errors[40:]) <= margin[0]))
    assert 0.895 < np.mean(held) < 0.93


def test_answers_with_numbers() -> None:
    task = Regress(classes=("value",), mean=(0.0,), scale=(1.0,), margin=(2.0,))
    (answer,) = task.answers(np.array([[5.0]], np.float32))
    assert (answer.value, answer.low, answer.high) == ((5.0), (3.0,), (7.0,))
    assert answer.told() == "5 (3 to 7)"
    assert len(answer.cells()) == len(task.columns(1))


# --- What is asked, and of which rows --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "asked", "question"),
    [
        (["cat", "dog"] * 30, AUTO, "classify"),
        ([str(number % 10) for number in range(100)], AUTO, "classify"),
        ([str(number / 7) for number in range(100)], AUTO, "regress"),
        ([str(number / 7) for number in range(100)], Asked(task="classify"), "classify"),
        (["a;b", "a", "b"] * 20, AUTO, "classify"),
        (["a;b", "a", "b"] * 20, Asked(separator=";"), "tag"),
        (["1", "2"] * 20, Asked(task="regress"), "regress"),
        ([*(str(number / 7) for number in range(100)), "none"], AUTO, "classify"),
    ],
)
def test_what_is_asked_is_told_by_the_labels(labels: list[str], asked: Asked, question: str) -> None:
    assert choose_question(labels, asked)[0] == question


def test_lists_taken_as_classes_are_pointed_out() -> None:
    _, notes = choose_question(["a|b", "a|c", "b|c", "a", "b|a"] * 10, AUTO)
    assert "--separator '|'" in notes[0]


def test_labels_and_numbers_as_written() -> None:
    assert labels_of(" a ;b;; a", ";") == ["a", "b"]
    assert [number_of(text) for text in ("1e3", " 2.5 ", "nan", "inf", "x")] == [1000.0, 2.5, None, None, None]


def rows_of(labels: list[str]) -> list[Row]:
    return [Row(str(place), label) for place, label in enumerate(labels)]


def test_targets_are_those_of_the_training_part() -> None:
    parts: dict[Split, np.ndarray[tuple[int], np.dtype[np.int64]]] = {
        "train": np.array([0, 1, 2]),
        "validation": np.array([3]),
        "test": np.array([4]),
    }
    marks = read_targets(rows_of(["a;b", "b", "", "a;z", "b"]), parts, "tag")
    assert marks.classes == ("a", "b")
    assert marks.labels.tolist() == [[1, 1], [0, 1], [0, 0], [1, 0], [0, 1]]
    assert marks.counts["train"] == (1, 2)
    values = read_targets(rows_of(["1", "2", "3", "1000", "-5"]), parts, "regress")
    assert values.mean == (2.0,)
    assert values.scale == pytest.approx([np.std([1, 2, 3])])
    assert values.labels[3, 0] == 1000
    classes = read_targets(rows_of(["10", "9", "x", "9", "10"]), parts, "classify")
    assert classes.classes == ("9", "10", "x")


def test_parts_are_drawn_alike_in_what_is_asked() -> None:
    values = with_strata(rows_of([str(number) for number in range(100)]), "regress")
    assert {label: [row.label for row in values].count(label) for label in map(str, range(10))} == dict.fromkeys(
        map(str, range(10)), 10
    )
    assert [row.label for row in with_strata(rows_of(["a;b", "a", "a;b", "a", ""]), "tag")] == ["b", "a", "b", "a", ""]


def test_rows_fall_into_classes_for_whoever_needs_some() -> None:
    assert as_classes(np.array([[1.0], [2.0], [3.0], [4.0]])).tolist() == [0, 1, 2, 3]
    assert as_classes(np.array([[1, 0], [1, 1], [1, 0]], np.float32)).tolist() == [0, 1, 0]
    assert as_classes(np.array([2, 0])).tolist() == [2, 0]


def test_what_the_data_ask_is_bound_in_one_place() -> None:
    spec = DataSpec(kind="series", input_shape=(8, 3), classes=("a", "b"), train_counts=(5, 5))
    assert isinstance(bind(spec), Classify)
    tag = DataSpec(kind="series", input_shape=(8, 3), classes=("a", "b"), train_counts=(5, 5), question="tag")
    assert isinstance(bind(tag, label_smoothing=0.1), Tag)
    numbers = DataSpec(
        kind="series",
        input_shape=(8, 3),
        classes=("value",),
        train_counts=(9,),
        question="regress",
        mean=(1.0,),
        scale=(2.0,),
    )
    assert bind(numbers) == Regress(classes=("value",), mean=(1.0,), scale=(2.0,))
