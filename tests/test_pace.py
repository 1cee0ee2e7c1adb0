"""A machine that becomes slower than planned: steps are cut, and for the judgement that follows them too."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from conftest import PictureFolder
from gnomon import cli
from gnomon.deadline import Deadline
from gnomon.final import final_model
from gnomon.pace import Pace
from gnomon.plan import Plan
from gnomon.recipe import dataset_of
from gnomon.run import PLAN, Run
from gnomon.tasks import Classify


def plan_of(folder: Any, picture_folder: PictureFolder) -> tuple[Run, Plan]:
    """Of a run over in a moment, with views of mirrored pictures."""
    words = ["train", str(picture_folder()), "--epochs", "1", "--out", str(folder / "run"), "--quiet"]
    assert cli.main(words) == 0
    run = Run(folder / "run")
    return run, run.read_json(PLAN, Plan)


@pytest.mark.parametrize(
    ("slower", "judging_s", "least_s", "more_s"),
    [
        (1.0, 8.0, 8.0, 0.0),
        (2.0, 0.0, 0.0, 0.0),
        (2.0, 8.0, 8.0, 8.0),
        (1.5, 8.0, 8.0, 4.0),
        (2.0, 8.0, 5.0, 2.0),
        (1.5, 8.0, 5.0, 0.0),
    ],
)
def test_training_ends_early_enough_to_judge_as_slowly(
    tmp_path: Any,
    picture_folder: PictureFolder,
    monkeypatch: pytest.MonkeyPatch,
    slower: float,
    judging_s: float,
    least_s: float,
    more_s: float,
) -> None:
    _, plan = plan_of(tmp_path, picture_folder)
    step_s, steps = 0.1, 400
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    plan = msgspec.structs.replace(
        plan, steps=steps, step_s=step_s, end_s=50.0, judging_s=judging_s, small_until=0.0, validate_every=1000
    )
    plan = msgspec.structs.replace(plan, judging_least_s=least_s)
    pace, step = Pace(plan, Deadline(990.0, 990.0 + 60.0), 0), 0  # 10 s are gone: 400 steps end at 50 s
    while step < steps:
        now[0] += slower * step_s
        step += 1
        pace.stepped_once(1.0)
        change = pace.change(step, steps, step / steps)
        steps = change.steps if change else steps
    assert now[0] - 990.0 == pytest.approx(50.0 - more_s, abs=0.5)


def test_a_machine_too_slow_for_the_planned_views_has_fewer(tmp_path: Any, picture_folder: PictureFolder) -> None:
    run, plan = plan_of(tmp_path, picture_folder)
    plan = msgspec.structs.replace(plan, views="mirror+shift")
    dataset, now = dataset_of(run), time.monotonic()

    def views(deadline: Deadline) -> str:
        task = final_model(run, dataset, plan, deadline)[0].header.task
        assert isinstance(task, Classify)
        return task.views

    assert views(Deadline(now)) == "mirror+shift"
    assert views(Deadline(now, now + 1000)) == "mirror+shift"
    assert views(Deadline(now - 10, now)) == "none"
