"""A machine that becomes slower than planned: steps are cut, and for the judgement that follows them too."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from conftest import PictureFolder
from gnomon import cli
from gnomon.deadline import Deadline
from gnomon.evaluate.answers import Outputs
from gnomon.final import final_model, unplanned
from gnomon.models import Cnn
from gnomon.planning.plan import Plan
from gnomon.planning.progress import threads_of
from gnomon.rundir.checkpoints import position_of
from gnomon.rundir.run import PLAN, Run, create_run
from gnomon.sources import SourceSpec
from gnomon.spine.fit import fit
from gnomon.spine.recipe import Recipe
from gnomon.spine.reopening import dataset_of
from gnomon.tasks import Classify
from gnomon.training.pace import Crew, Pace
from gnomon.types import Replanned
from test_plan import NOW, planned


@pytest.mark.parametrize(
    ("slower", "judging_s", "least_s", "more_s"),
    [
        (1.0, 8.0, 8.0, 0.0),
        (2.0, 0.0, 0.0, 2.0),
        (2.0, 8.0, 8.0, 10.0),
        (1.5, 8.0, 8.0, 5.0),
        (2.0, 8.0, 5.0, 4.0),
        (1.5, 8.0, 4.0, 0.0),
    ],
)
def test_training_ends_early_enough_to_judge_as_slowly(
    monkeypatch: pytest.MonkeyPatch, slower: float, judging_s: float, least_s: float, more_s: float
) -> None:
    now, step_s, steps = [NOW], 0.1, 400
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    plan = msgspec.structs.replace(
        planned(60.0), steps=steps, step_s=step_s, end_s=50.0, judging_s=judging_s, judging_least_s=least_s
    )
    plan = msgspec.structs.replace(plan, small_until=0.0, validate_every=1000, threads=1)
    now[0] = 1000.0
    pace, step = Pace(plan, Deadline(990.0, 990.0 + 60.0), 0), 0  # 10 s are gone: 400 steps end at 50 s
    while step < steps:
        now[0] += (slower if step > 100 else 1.0) * step_s
        step += 1
        pace.stepped_once(1.0)
        change = pace.change(step, steps, step / steps)
        steps = change.steps if change else steps
    assert now[0] - 990.0 == pytest.approx(50.0 - more_s, abs=0.5)


def test_a_machine_too_slow_for_the_planned_views_has_fewer(tmp_path: Any, picture_folder: PictureFolder) -> None:
    words = ["train", str(picture_folder()), "--epochs", "1", "--out", str(tmp_path / "run"), "--quiet"]
    assert cli.main(words) == 0
    run = Run(tmp_path / "run")
    plan = msgspec.structs.replace(run.read_json(PLAN, Plan), views="mirror+shift")
    dataset, now = dataset_of(run), time.monotonic()

    def views(deadline: Deadline) -> str:
        task = final_model(run, dataset, plan, deadline)[0].header.task
        assert isinstance(task, Classify)
        return task.views

    assert views(Deadline(now)) == "mirror+shift"
    assert views(Deadline(now, now + 1000)) == "mirror+shift"
    assert views(Deadline(now - 10, now)) == "none"


@pytest.mark.parametrize("worse", [True, False])
def test_views_that_help_nothing_are_left_out(
    tmp_path: Any, picture_folder: PictureFolder, monkeypatch: pytest.MonkeyPatch, worse: bool
) -> None:
    words = ["train", str(picture_folder()), "--epochs", "1", "--out", str(tmp_path / "run"), "--quiet"]
    assert cli.main(words) == 0
    run = Run(tmp_path / "run")
    plan, dataset = msgspec.structs.replace(run.read_json(PLAN, Plan), views="mirror"), dataset_of(run)

    def seen(_dataset: Any, _model: Any, rows: Any, known: Outputs) -> Outputs:
        right = np.eye(known.single.shape[1])[dataset.labels[rows]].astype(np.float32)
        return replace(known, averaged=known.single + (-2 if worse else 2) * right)

    monkeypatch.setattr("gnomon.final.with_other_views", seen)
    model, found = final_model(run, dataset, plan, Deadline(time.monotonic()))
    told = list(unplanned(model.header, plan))
    assert isinstance(model.header.task, Classify)
    if worse:
        assert model.header.task.views == "none"
        assert told == ["other views of the validation rows help nothing: views none instead of mirror"]
        np.testing.assert_array_equal(found.averaged, found.single)
    else:
        assert model.header.task.views == "mirror"
        assert told == []


def looks(crew: Crew, seconds: Callable[[int], float], count: int) -> list[int]:
    """Threads after each look at a machine of which a step takes `seconds(threads)`; 1 is planned."""
    return [crew.look(seconds(crew.threads), 1.0) for _ in range(count)]


def test_on_a_machine_of_ones_own_all_threads_work() -> None:
    assert set(looks(Crew(2, 2), lambda threads: 2.2 / threads, 100)) == {2}


def test_beside_a_busy_process_fewer_threads_do_until_it_ends() -> None:
    crew = Crew(2, 2)
    beside = looks(crew, lambda threads: {2: 4.0, 1: 2.0}[threads], 40)
    assert beside[:3] == [2, 1, 1]
    assert beside.count(2) <= 1 + 40 // 5  # all are tried again now and then
    alone = looks(crew, lambda threads: {2: 1.0, 1: 2.0}[threads], 40)
    assert set(alone[-30:]) == {2}


def test_what_fewer_threads_do_not_cure_is_tried_ever_more_rarely() -> None:
    tried = looks(Crew(4, 4), lambda threads: 12.0 / threads, 200)
    places = [place for place, threads in enumerate(tried) if threads == 2]
    assert 3 <= len(places) <= 12
    assert np.diff(places).max() >= 32


def test_a_run_goes_on_with_the_threads_that_it_had(
    tmp_path: Any, picture_folder: PictureFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []

    def look(crew: Crew, *_: float) -> int:
        crew.threads = 1
        used.append(1)
        return 1

    monkeypatch.setattr(Crew, "look", look)
    recipe = Recipe(source=SourceSpec(location=str(picture_folder(per_class=60))), model=Cnn(widths=(8,)))
    run, now = create_run(tmp_path / "run", data="pictures", model="cnn"), time.monotonic()
    events = [event for event in fit(recipe, run, Deadline(now, now + 9)) if isinstance(event, Replanned)]
    assert used
    assert [event.reason for event in events if "thread" in event.reason] == [
        "steps are far slower than planned: 1 thread from here on"
    ]
    assert torch.get_num_threads() == 2
    checkpoint = run.latest_checkpoint()
    assert checkpoint is not None
    assert threads_of(position_of(checkpoint).history, 2) == 1
