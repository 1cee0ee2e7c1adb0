"""A pupil's targets are mostly its teacher's answers; a teacher that does not fit, or has changed, is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import PictureFolder
from gnomon import cli, load
from gnomon.batches import TAUGHT, open_rows
from gnomon.deadline import Deadline
from gnomon.errors import GnomonError, RecipeError
from gnomon.planning.asked import TrainingSpec
from gnomon.planning.plan import Plan
from gnomon.rundir.run import PLAN, Run
from gnomon.shrinking.distil import taught
from gnomon.sources import SourceSpec
from gnomon.spine.opening import opened_for, teaching
from gnomon.spine.recipe import Recipe
from gnomon.spine.reopening import dataset_of
from gnomon.tasks import Classify


def train(folder: Path, *words: str) -> Run:
    usual = ("train", "digits", "--steps", "30", "--model", "cnn", "--out", str(folder), "--quiet")
    assert cli.main([*usual, *words]) == 0
    return Run(folder)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(tmp_path_factory.mktemp("taught") / "teacher", "--widths", "64")


def test_targets_are_labels_and_mostly_the_teachers_answers(teacher: Run) -> None:
    dataset = dataset_of(teacher)
    rows = taught(open_rows(dataset, "train", device=torch.device("cpu"), free_bytes=2**30), str(teacher.path))
    positions = np.array([5, 0, 77])
    found = rows.targets(positions, Classify(classes=dataset.spec.classes))
    own = np.eye(10)[dataset.labels[rows.indices[positions]]]
    model = load(teacher.path / "model.safetensors")
    said = model.probabilities_of_encoded(dataset.encoded.take(np.sort(rows.indices[positions])))
    said = said[np.argsort(np.argsort(rows.indices[positions]))]
    np.testing.assert_allclose(found.numpy(), (1 - TAUGHT) * own + TAUGHT * said, atol=1e-6)
    part = rows.only(np.array([77, 5]))
    assert torch.equal(part.targets(np.array([1, 0]), Classify(classes=dataset.spec.classes)), found[[0, 2]])


def test_a_pupil_goes_on_to_the_same_bits_with_its_teacher_alone(teacher: Run, tmp_path: Path) -> None:
    words = ("--widths", "16", "--teacher", str(teacher.path))
    whole, stopped = train(tmp_path / "whole", *words), train(tmp_path / "stopped", *words)
    assert whole.read_json(PLAN, Plan).teacher == load(teacher.path / "model.safetensors").digest
    models = [(run.path / "model.safetensors").read_bytes() for run in (whole, train(tmp_path / "alone", *words[:2]))]
    assert models[0] != models[1]
    (stopped.path / "model.safetensors").unlink()
    assert cli.main(["resume", str(stopped.path), "--quiet"]) == 0
    assert (stopped.path / "model.safetensors").read_bytes() == models[0]


def test_the_plan_says_what_a_teacher_takes_and_where_that_is_dear(teacher: Run) -> None:
    taught_by = Recipe(source=SourceSpec(location="digits"), training=TrainingSpec(teacher=str(teacher.path)))
    opened = opened_for(dataset_of(teacher), taught_by)
    assert opened.teacher_s > 0
    for seconds, dear in ((1.9, False), (2.0, True)):
        (said,) = teaching(replace(opened, teacher_s=seconds), Deadline(0.0, 20.0))
        assert said.value == f"{len(opened.rows):,} rows answered in {seconds:.1f} s"
        assert ("that is 10% of the time" in said.reason) is dear
    (said,) = teaching(opened, Deadline(0.0))
    assert said.reason == "asked for"
    assert not list(teaching(replace(opened, rows=replace(opened.rows, teacher="")), Deadline(0.0)))


def test_a_changed_teacher_is_refused(teacher: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "teacher.safetensors"
    copy.write_bytes((teacher.path / "model.safetensors").read_bytes())
    pupil = train(tmp_path / "pupil", "--widths", "16", "--teacher", str(copy))
    other = train(tmp_path / "other", "--widths", "32")
    copy.write_bytes((other.path / "model.safetensors").read_bytes())
    assert cli.main(["resume", str(pupil.path), "--quiet"]) == 2
    assert "the teacher is not the one of then" in capsys.readouterr().err


def test_a_teacher_of_other_rows_is_refused(teacher: Run, picture_folder: PictureFolder) -> None:
    folder = picture_folder(per_class=20)
    assert cli.main(["train", str(folder), "--steps", "2", "--out", str(folder.parent / "run"), "--quiet"]) == 0
    rows = open_rows(dataset_of(Run(folder.parent / "run")), "train", device=torch.device("cpu"), free_bytes=2**30)
    with pytest.raises(RecipeError, match="knows other classes"):
        taught(rows, str(teacher.path))
    with pytest.raises(GnomonError, match="no model file"):
        taught(rows, str(folder / "nothing"))
    assert taught(rows, None) is rows
