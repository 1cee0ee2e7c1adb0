"""Several processes or one: what is measured decides, and the training is the one that was chosen, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import gnomon.spine.sharing as sharing
from gnomon.planning.asked import TrainingSpec
from gnomon.planning.hardware import measure_hardware, usable_cores
from gnomon.planning.plan import Plan
from gnomon.rundir.run import ENVIRONMENT, PLAN, Run
from gnomon.sources import SourceSpec
from gnomon.spine.fit import fit, resume
from gnomon.spine.recipe import Recipe
from gnomon.spine.sharing import alone, is_for_speed
from gnomon.training.probing import rehearsed
from gnomon.types import Event, Noted, Planned, Stepped
from test_faults import assert_same, clock, new_run, recipe, until


def digits(**asked: Any) -> Recipe:
    from msgspec.structs import replace

    return replace(recipe(**asked), source=SourceSpec(location="digits"))


def made(folder: Path, name: str, **asked: Any) -> Run:
    run = new_run(folder, name)
    list(fit(digits(**asked), run, clock()))
    return run


@pytest.fixture
def taking(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have steps by several processes and by one take so long; they are made all the same."""

    def take(together_s: float, alone_s: float) -> list[int]:
        teams: list[int] = []

        def measured(*words: Any) -> list[float]:
            team = words[5] if len(words) > 5 else None
            teams.append(1 if team is None else team.size)
            assert min(rehearsed(*words)) > 0
            return [together_s if team else alone_s] * 3

        monkeypatch.setattr(sharing, "rehearsed", measured)
        return teams

    return take


@pytest.fixture(autouse=True)
def _threads() -> Any:
    yield
    measure_hardware(device="cpu", threads=None)


def test_what_hangs_on_processes_beside_the_time_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_for_speed(TrainingSpec(processes=2))
    assert not is_for_speed(TrainingSpec())
    assert not is_for_speed(TrainingSpec(processes=2, shards=2))
    assert not is_for_speed(TrainingSpec(processes=2, fsdp=True))
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    assert not is_for_speed(TrainingSpec(processes=2))


def test_one_process_has_as_many_threads_as_the_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "usable_cores", lambda: 8)
    assert alone(TrainingSpec(processes=2, threads=3)) == TrainingSpec(processes=1, threads=6)
    assert alone(TrainingSpec(processes=4, threads=3)).threads == 8
    assert alone(TrainingSpec(processes=2, threads=16)).threads == 16
    assert alone(TrainingSpec(processes=2)).threads is None


def test_where_one_process_is_quicker_it_trains_alone(tmp_path: Path, taking: Any) -> None:
    teams = taking(0.154, 0.137)
    run = new_run(tmp_path)
    planned = next(event for event in _whole(fit(digits(processes=2), run, clock())) if isinstance(event, Planned))
    assert teams == [2, 1]
    plan = run.read_json(PLAN, Plan)
    assert plan.shards == 1
    (said,) = [item for item in planned.decisions if item.name == "processes"]
    cores = usable_cores()
    assert said.value == "one in place of 2"
    assert said.reason == (
        f"137 ms a step with {min(2, cores)} thread{'s' * (cores > 1)} of one process, 154 ms by 2 processes; "
        "--shards 2 keeps them all the same"
    )
    assert plan.threads == min(2, cores) == json.loads(run.read_text(ENVIRONMENT))["threads"]
    assert_same(run, made(tmp_path, "one", threads=plan.threads))


def test_where_several_are_quicker_they_train(tmp_path: Path, taking: Any) -> None:
    taking(0.1, 0.137)
    run = new_run(tmp_path)
    planned = next(event for event in _whole(fit(digits(processes=2), run, clock())) if isinstance(event, Planned))
    plan = run.read_json(PLAN, Plan)
    assert plan.shards == 2
    (said,) = [item for item in planned.decisions if item.name == "processes"]
    assert said.value == "2 processes, a batch in 2 shards"
    assert said.reason.startswith("100 ms a step, 137 ms with ")
    assert_same(run, made(tmp_path, "one", shards=2))


def test_what_was_chosen_stays_when_it_goes_on(tmp_path: Path, taking: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    taking(2.0, 1.0)
    run = new_run(tmp_path)
    until(fit(digits(processes=2), run, clock()), Stepped, 2)
    monkeypatch.setattr("gnomon.training.launch._start", _never)
    told = _whole(resume(run, clock()))
    assert not [event for event in told if isinstance(event, Noted) and "bit for bit" in event.text]
    assert_same(run, made(tmp_path, "one", threads=run.read_json(PLAN, Plan).threads))


def _whole(events: Any) -> list[Event]:
    return list(events)


def _never(*_: object) -> None:
    pytest.fail("a process was started")
