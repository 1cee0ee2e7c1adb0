"""What a judged run says: calibration, doubt, thresholds, slices, suspects, copies, strangers, comparison, new data."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from gnomon import cli, load
from gnomon.deadline import Deadline
from gnomon.encoders import ImageEncoder
from gnomon.errors import RecipeError, RunError
from gnomon.evaluate.alike import alike_rows
from gnomon.evaluate.compare import compared
from gnomon.evaluate.operating import highest_threshold, lowest_threshold, wanted_of
from gnomon.evaluate.remembering import limit_of
from gnomon.evaluate.scores import kept_of
from gnomon.evaluate.slices import fewer_by_chance, holm
from gnomon.evaluate.suspects import share_of_wrong
from gnomon.evaluate.table import Predicted
from gnomon.judgement import Comparison, Evaluation, NearDuplicates, Slices, Suspects
from gnomon.predicting.familiarity import remembered, statistics_of
from gnomon.report.words import Said, translated
from gnomon.rundir.run import SPEED, open_run
from gnomon.spine.finish import finish
from gnomon.spine.reopening import dataset_of
from gnomon.tasks import Classify
from gnomon.types import Noted

FLIPPED: Final = 0.08


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits with some labels changed, one picture twice, and one part of each class in another column of a table."""
    folder = tmp_path_factory.mktemp("judged")
    digits, rng = load_digits(), np.random.default_rng(0)
    labels = digits.target.copy()
    changed = rng.random(len(labels)) < FLIPPED
    labels[changed] = (labels[changed] + rng.integers(1, 10, changed.sum())) % 10
    lines = ["file,label,camera"]
    for place, (picture, label) in enumerate(zip(digits.images, labels, strict=True)):
        pixels = np.kron(picture * 15.9, np.ones((4, 4))).astype(np.uint8)
        bad = place % 7 == 0
        if bad:  # a camera that sees next to nothing
            pixels = rng.integers(0, 256, pixels.shape, dtype=np.uint8) // 4 + pixels // 16
        Image.fromarray(pixels).save(folder / f"{place}.png")
        lines.append(f"{place}.png,{label},{'old' if bad else 'new'}")
    (folder / "table.csv").write_text("\n".join(lines))
    (folder / "changed.json").write_text(json.dumps([f"{place}.png" for place in np.flatnonzero(changed)]))
    words = ["train", str(folder / "table.csv"), "--epochs", "3", "--size", "16", "--out", str(folder / "run")]
    assert cli.main([*words, "--quiet"]) == 0
    return folder / "run"


def written(run: Path, name: str, kind: Any) -> Any:
    return msgspec.json.decode((run / "evaluation" / name).read_bytes(), type=kind)


def test_the_network_is_calibrated_and_says_what_it_was_before(run: Path) -> None:
    judged: Evaluation = written(run, "test.json", Evaluation)
    assert judged.calibration is not None
    assert judged.calibration.temperature != 1
    assert judged.calibration.error.value < judged.calibration.error_before.value
    assert 0 < (judged.calibration.error_by_chance or 0) < judged.calibration.error_before.value
    assert judged.metrics["log_loss"].value < judged.calibration.log_loss_before.value
    task = load(run / "model.safetensors").header.task
    assert isinstance(task, Classify)
    dataset = dataset_of(open_run(run))
    outputs, _ = load(run / "model.safetensors").outputs_of_encoded(dataset.encoded.take(dataset.parts["test"]))
    typical = float(task.temperatures(torch.from_numpy(outputs)).median())
    assert judged.calibration.temperature == (typical if task.softening else task.temperature)


def test_predictions_of_the_file_are_those_that_were_judged(run: Path) -> None:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(run / "predictions.parquet").slice(0, 20).to_pydict()
    model = load(run / "model.safetensors")
    said = model.probabilities([run.parent / key for key in table["key"]])
    judged = np.stack([table[f"p:{name}"] for name in model.classes], axis=1).astype(np.float32)
    np.testing.assert_array_equal(said, judged)


def test_the_surest_answers_are_more_often_right(run: Path) -> None:
    kept = written(run, "test.json", Evaluation).kept
    assert kept[0].share == 1
    assert all(before.share > after.share for before, after in pairwise(kept))
    assert kept[len(kept) // 2].accuracy.value > kept[0].accuracy.value + 0.02


def test_kept_rows_are_those_of_at_least_so_much_confidence() -> None:
    confidence = np.array([0.5, 0.6, 0.6, 0.7] * 25)
    right = np.array([False, True, False, True] * 25)
    found = kept_of(confidence, right)
    assert [(kept.confidence, kept.share, kept.accuracy.value) for kept in found] == [
        (0.5, 1.0, 0.5),
        (0.6, 0.75, pytest.approx(2 / 3)),
        (0.7, 0.25, 1.0),
    ]


def test_the_bad_camera_is_the_worst_slice(run: Path) -> None:
    slices: Slices = written(run, "slices.json", Slices)
    worst = [slices.slices[place] for place in slices.worst]
    assert any(part.by == "column" and part.column == "camera" and "old" in part.name for part in worst)
    assert all(part.p < 0.05 and part.difference.value < 0 for part in worst)
    assert {part.by for part in slices.slices} >= {"class", "column", "brightness", "contrast"}


def test_pictures_of_several_sizes_are_divided_by_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, shade in (("dark", 40), ("light", 200)):
        (tmp_path / "mixed" / name).mkdir(parents=True)
        for number in range(150):
            size = (16, 16) if number % 2 else (24, 12)  # width and height
            pixels = rng.integers(shade - 30, shade + 30, (size[1], size[0], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "mixed" / name / f"{number}.png")
    words = ["train", str(tmp_path / "mixed"), "--epochs", "1", "--test", "0.3", "--out", str(tmp_path / "run")]
    assert cli.main([*words, "--quiet"]) == 0
    slices: Slices = written(tmp_path / "run", "slices.json", Slices)
    found = [part.name for part in slices.slices if part.by in ("size", "shape")]
    assert found == ["size 256 pixels", "size 288 pixels", "width over height 1", "width over height 2"]


def test_suspects_are_mostly_changed_labels(run: Path) -> None:
    suspects: Suspects = written(run, "suspects.json", Suspects)
    changed = set(json.loads((run.parent / "changed.json").read_text()))
    right = [row.key in changed for row in suspects.rows]
    assert suspects.found == len(suspects.rows)
    assert sum(right) >= 0.5 * len(right)
    assert sum(right) >= 0.5 * len(changed)
    assert 0.02 < suspects.expected_wrong < 0.16
    assert {row.part for row in suspects.rows} == {"train", "validation", "test"}
    assert all(row.suggested != row.label for row in suspects.rows)
    assert suspects.rows[0].thumbnail


def test_a_share_of_wrong_labels_is_found_by_repetition() -> None:
    """On the low side, since calibrated probabilities fit several shares; but what is doubted most is wrong."""
    rng = np.random.default_rng(0)
    outputs = rng.normal(size=(20_000, 5)) * 4
    true = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(5, p=row) for row in true])
    wrong = rng.random(len(labels)) < 0.1
    given = np.where(wrong, (labels + rng.integers(1, 5, len(labels))) % 5, labels)
    noisy = 0.9 * true + 0.1 / 4 * (1 - true)
    share, doubt = share_of_wrong(noisy[np.arange(len(given)), given], 5)
    assert 0.02 < share < 0.12
    assert wrong[np.argsort(-doubt)[:500]].mean() > 0.6


def test_without_wrong_labels_none_is_suspected() -> None:
    share, doubt = share_of_wrong(np.full(500, 0.98), 10)
    assert share < 0.001
    assert doubt.max() < 0.05


class Stored:
    """Rows in memory, as `alike_rows` asks for them."""

    def __init__(self, rows: NDArray[Any], encoder: Any) -> None:
        self.rows, self.encoder, self.encoded = rows, encoder, self

    def blocks(self, chosen: NDArray[np.int64]) -> Any:
        return [(chosen, self.rows[chosen])]


def pictures(count: int, side: int = 32) -> NDArray[np.uint8]:
    rng = np.random.default_rng(5)
    small = rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return np.stack(
        [np.asarray(Image.fromarray(each).resize((side, side), Image.Resampling.BICUBIC)) for each in small]
    )


def test_copies_are_found_and_nothing_else() -> None:
    rows = pictures(60)
    resized = Image.fromarray(rows[7]).resize((24, 24), Image.Resampling.BICUBIC).resize((32, 32))
    brighter = np.clip(rows[8].astype(float) * 1.1 + 6, 0, 255).astype(np.uint8)
    every = np.concatenate((rows, rows[3:4], np.asarray(resized)[None], brighter[None]))
    stored: Any = Stored(every, ImageEncoder(height=32, width=32, channels=3, fit="letterbox"))
    found = alike_rows(stored, np.arange(len(every)))
    assert {tuple(pair) for pair in found.pairs.tolist()} == {(3, 60), (7, 61), (8, 62)}
    assert found.likeness[0] == 1


def test_flat_pictures_are_like_none() -> None:
    rows = np.stack([np.full((32, 32, 3), level, np.uint8) for level in (10, 90, 200)])
    stored: Any = Stored(rows, ImageEncoder(height=32, width=32, channels=3, fit="letterbox"))
    assert len(alike_rows(stored, np.arange(3)).pairs) == 0


@pytest.mark.parametrize("number", [2, 4, 10, 30, 99, 100, 1000])
def test_few_rows_seen_make_few_others_unlike(number: int) -> None:
    """Of rows of the same kind 1 % are beyond, or fewer; of the quantile alone one in five where four were seen."""
    rng = np.random.default_rng(0)
    others = np.sqrt(rng.chisquare(6, 10_000))
    limits = np.array([limit_of(np.sqrt(rng.chisquare(6, number)).tolist(), 0.99) for _ in range(200)])
    assert (others[:, None] > limits).mean() < (0.013 if number < 100 else 0.022)
    assert number == 2 or np.median(limits) < 30


@pytest.mark.parametrize(("seen", "limit"), [([0.3], 1e9), ([0.0, 0.0], 1e-6), ([1e-6, 1e9], 1e9), ([2.0] * 5, 2.0)])
def test_limits_of_very_few_rows(seen: list[float], limit: float) -> None:
    assert limit_of(seen, 0.99) == pytest.approx(limit)
    assert limit_of(seen, 0.99) <= 1e9


def test_rows_unlike_the_training_data_are_told(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    stripes = run.parent / "stripes.png"
    Image.fromarray(np.tile(np.array([0, 255], np.uint8), (32, 16)) ^ rng.integers(0, 9, (32, 32), np.uint8)).save(
        stripes
    )
    assert cli.main(["predict", str(run), str(stripes), str(run.parent / "1.png")]) == 0
    said, warned = capsys.readouterr()
    assert "unlike the training data" in said.splitlines()[0]
    assert "unlike" not in said.splitlines()[1]
    assert "1 of 2 rows unlike" in warned
    judged: Evaluation = written(run, "test.json", Evaluation)
    assert judged.unlike is not None
    assert judged.unlike.share.value < 0.06


def test_distances_need_no_features() -> None:
    encoder = ImageEncoder(height=32, width=32, channels=3, fit="letterbox")
    rows = pictures(200)
    memory = remembered(statistics_of(encoder, rows), None, generator=np.random.default_rng(0))
    nothing = np.empty((3, 0), np.float32)
    noise = np.random.default_rng(2).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    known, strange = (memory.distances(encoder, each, nothing) for each in (rows[:3], noise))
    assert strange.min() > 2 * known.max()


def test_doubtful_answers_are_withheld(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", str(run), str(run.parent / "7.png"), "--abstain-below", "0.9999"]) == 0
    assert ": unsure: " in capsys.readouterr().out
    assert cli.main(["predict", str(run), str(run.parent / "7.png"), "--csv", "--at", "accuracy=0.93"]) == 0
    assert "unsure" in capsys.readouterr().out
    assert cli.main(["predict", str(run), str(run.parent / "7.png"), "--at", "recall=0.9"]) == 2


def test_thresholds_are_the_lowest_and_the_highest_that_do() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.4, 0.3])
    true = np.array([True, True, True, True, False, True, False, False])
    assert lowest_threshold(scores, true, 0.8) == (0.5, 0.8)
    assert lowest_threshold(scores, true, 0.99)[0] is None
    assert highest_threshold(scores, true, 0.6) == (0.7, 1.0)
    assert highest_threshold(scores, true, 1.0)[0] == 0.4
    assert highest_threshold(scores, np.zeros(8, np.bool_), 0.5)[0] is None


@pytest.mark.parametrize("text", ["precison=0.9", "precision", "precision=2", "accuracy=0.9:cat", "recall=x"])
def test_an_aim_that_can_t_be_read_is_refused(text: str) -> None:
    with pytest.raises(RecipeError):
        wanted_of(text)


def test_an_aim_is_read_with_its_class() -> None:
    assert wanted_of("recall=90%:a:b").label == "a:b"
    assert wanted_of("recall=90%:a:b").least == pytest.approx(0.9)


def test_evaluate_prints_and_finds_thresholds(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", str(run)]) == 0
    said = capsys.readouterr().out
    assert "accuracy" in said
    assert "camera 'old'" in said
    assert cli.main(["evaluate", str(run), "--at", "precision=0.9:3", "--json"]) == 0
    (point,) = json.loads(capsys.readouterr().out)
    assert 0 < point["threshold"] < 1
    assert point["precision"]["low"] <= point["precision"]["value"]
    assert cli.main(["evaluate", str(run), "--at", "precision=0.9:zebra"]) == 2
    assert "zebra" in capsys.readouterr().err


def test_new_data_are_judged_and_unknown_classes_named(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["file,label"]
    for place in range(60, 90):
        (tmp_path / f"{place}.png").write_bytes((run.parent / f"{place}.png").read_bytes())
        lines.append(f"{place}.png,{load_digits().target[place] if place > 62 else 'zebra'}")
    (tmp_path / "new.csv").write_text("\n".join(lines))
    assert cli.main(["evaluate", str(run), "--on", str(tmp_path / "new.csv"), "--json"]) == 0
    said, warned = capsys.readouterr()
    assert json.loads(said)["evaluation"]["rows"] == 27
    assert "'zebra' (3 rows)" in warned
    assert cli.main(["evaluate", str(run), "--on", str(tmp_path / "new.csv"), "--at", "accuracy=0.9"]) == 2
    (tmp_path / "strange.csv").write_text("\n".join([lines[0], "60.png,a", "61.png,b"]))
    assert cli.main(["evaluate", str(run), "--on", str(tmp_path / "strange.csv")]) == 2
    assert "The model knows: 0, 1" in capsys.readouterr().err


def predicted(right: NDArray[np.bool_], *, keys: int | None = None) -> Predicted:
    count = len(right)
    return Predicted(
        keys=tuple(str(place + (keys or 0)) for place in range(count)),
        labels=("a",) * count,
        classes=("a", "b"),
        answers=np.where(right[:, None], [[0.9, 0.1]], [[0.1, 0.9]]),
        groups=None,
        is_value=False,
        given=(),
    )


def test_the_better_of_two_is_called_so_and_equals_are_not() -> None:
    rng = np.random.default_rng(0)
    good, bad = rng.random(500) < 0.95, rng.random(500) < 0.80
    found = compared(predicted(bad), predicted(good), ("old", "new"))
    assert found.verdict.startswith("new is better: +1")
    assert found.p < 0.001
    assert compared(predicted(good), predicted(bad), ("old", "new")).verdict.startswith("old is better: +1")
    assert compared(predicted(good), predicted(good), ("old", "new")).verdict.startswith("no difference can be told")


def test_other_rows_are_refused_or_left_out() -> None:
    first, second = predicted(np.ones(40, np.bool_)), predicted(np.ones(40, np.bool_), keys=20)
    with pytest.raises(RunError, match="20 stand in both"):
        compared(first, second, ("a", "b"))
    assert compared(first, second, ("a", "b"), common=True).rows == 20
    with pytest.raises(RunError, match="too few"):
        compared(first, predicted(np.ones(40, np.bool_), keys=39), ("a", "b"), common=True)
    with pytest.raises(RunError, match="other labels"):
        compared(first, with_another_label(first), ("a", "b"))


def with_another_label(first: Predicted) -> Predicted:
    return replace(first, labels=("b", *first.labels[1:]))


def test_compare_reads_two_runs(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compare", str(run), str(run), "--json"]) == 0
    (found,) = msgspec.json.decode(capsys.readouterr().out, type=list[Comparison])
    assert found.difference.value == 0
    assert cli.main(["compare", str(run), str(run)]) == 0
    assert "no difference can be told" in capsys.readouterr().out
    assert cli.main(["compare", str(run)]) == 2


def test_holm_and_fisher_are_those_of_scipy() -> None:
    import scipy.stats

    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    for hits, drawn, every, rows in ((3, 10, 60, 100), (10, 10, 60, 100), (0, 5, 3, 9)):
        assert fewer_by_chance(hits, drawn, every, rows) == pytest.approx(
            scipy.stats.hypergeom.cdf(hits, rows, every, drawn)
        )


def test_near_duplicates_are_counted(run: Path) -> None:
    found: NearDuplicates = written(run, "duplicates.json", NearDuplicates)
    assert found.compared == 1797
    assert found.pairs_found >= len(found.pairs)
    assert not found.skipped


# --- Out of time -----------------------------------------------------------------------------------------------------


def test_out_of_time_the_answers_are_judged_and_the_rest_left_out(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "copy")
    (copy / SPEED).unlink()
    before: Evaluation = written(run, "test.json", Evaluation)
    now = time.monotonic()
    events = list(finish(open_run(copy), Deadline(now - 60, now)))
    notes = [event.text for event in events if isinstance(event, Noted)]
    assert notes == ["time is short: the model remembers 250 training rows instead of 1,000"]
    assert written(copy, "test.json", Evaluation).metrics["accuracy"] == before.metrics["accuracy"]
    suspects, near = written(copy, "suspects.json", Suspects), written(copy, "duplicates.json", NearDuplicates)
    assert suspects.skipped.startswith("time was short: 0 of ")
    assert near.skipped.startswith("time was short: 0 of ")
    assert all(isinstance(translated(text), Said) for text in (*notes, suspects.skipped, near.skipped))
    assert not (copy / SPEED).exists()
    assert load(copy / "model.safetensors").header.familiar.rows == 250  # type: ignore[union-attr]
    assert (copy / "report.html").stat().st_size > 10_000
