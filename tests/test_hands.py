"""Trainings of a search made by other processes, and what happens when one of these is lost."""

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gnomon.deadline import Deadline
from gnomon.errors import RecipeError, RunError
from gnomon.models import Cnn
from gnomon.planning.asked import TrainingSpec
from gnomon.planning.hardware import threads_of_each
from gnomon.rundir.run import Run
from gnomon.sources import SourceSpec
from gnomon.space import Dimension
from gnomon.spine.opening import InMemory, open_data
from gnomon.spine.recipe import Recipe
from gnomon.tuning.hands import Ground, LocalHands, Lost, Worker, ground_for, hands_for
from gnomon.tuning.making import Bench, Job, make
from gnomon.tuning.on_ray import Diverted, RayHands
from gnomon.tuning.python import checked
from gnomon.tuning.records import SearchSpec, read_records
from gnomon.tuning.search import search
from gnomon.tuning.trial import Tried
from gnomon.types import Value, returned

SPEC = SearchSpec(
    recipe=Recipe(
        source=SourceSpec(location="digits"),
        model=Cnn(widths=(8,)),
        training=TrainingSpec(steps=12, batch=32, threads=1, format="float32", augment="none"),
        seed=1,
    ),
    method="random",
    dimensions=(Dimension(name="rate_factor", low=0.5, high=2.0, log=True, usual=1.0),),
    trials=4,
    workers=2,
)


def _opened() -> Bench:
    opening = open_data(msgspec.structs.replace(SPEC.recipe, seed=1), Deadline(0.0))
    return Bench.of(returned(opening), seed=1)


@pytest.fixture(scope="module")
def bench() -> Bench:
    return _opened()


@pytest.fixture(scope="module")
def ground(bench: Bench) -> Ground:
    from gnomon.training.launch import digest_of

    dataset = bench.opened.dataset
    return ground_for(SPEC, dataset.summary, digest_of(dataset), threads=1)


def _job(number: int) -> Job:
    return Job("explore", number, {"rate_factor": 1.0 + number / 10}, seed=1)


@pytest.fixture
def two(ground: Ground) -> Iterator[LocalHands]:
    made = LocalHands(ground, 2)
    yield made
    made.close()


def test_another_process_comes_to_the_same_score(bench: Bench, two: LocalHands) -> None:
    two.begin(_job(0))
    two.begin(_job(1))
    assert two.free() == 0
    found: dict[int, Tried] = {}
    while len(found) < 2:
        found |= {job.number: tried for job, tried in two.over(5.0)}
    assert two.free() == 2
    here = returned(make(_job(1), SPEC, bench))
    assert found[1].score == here.score
    assert found[1].loss == here.loss
    assert found[1].scores == here.scores


def test_a_training_whose_process_is_killed_is_made_again(two: LocalHands) -> None:
    two.begin(_job(0))
    two.begin(_job(1))
    for process in two.processes():
        os.kill(process, signal.SIGKILL)
    found: set[int] = set()
    while len(found) < 2:
        found |= {job.number for job, _ in two.over(5.0)}
    assert found == {0, 1}


def test_a_training_that_kills_its_process_again_and_again_ends_the_search() -> None:
    lost = Lost()
    lost.add(_job(3))
    lost.add(_job(3))
    lost.add(_job(4))
    with pytest.raises(RunError, match="explore 3 has lost 3 processes"):
        lost.add(_job(3))


def test_other_data_are_refused(ground: Ground) -> None:

    other = msgspec.structs.replace(ground, split="0" * 64)
    with pytest.raises(RunError, match="not those of the search"):
        Worker(msgspec.json.encode(other))


def test_a_search_by_two_processes_makes_every_trial_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the two is killed when the first trial is over."""
    made: list[LocalHands] = []

    def remembered(spec: SearchSpec, *arguments: object) -> object:
        found = hands_for(spec, *arguments)  # type: ignore[arg-type]
        assert isinstance(found, LocalHands)
        made.append(found)
        return found

    monkeypatch.setattr("gnomon.tuning.search.hands_for", remembered)
    run, killed = Run(tmp_path), False
    for event in search(run, SPEC, Deadline(0.0)):
        if type(event).__name__ == "Ended" and not killed:
            os.kill(made[0].processes()[0], signal.SIGKILL)
            killed = True
    records = read_records(run)
    explored = [done for done in records if done.stage == "explore"]
    assert sorted(done.number for done in explored) == [0, 1, 2, 3]
    assert all(done.state != "failed" for done in explored)
    assert json.loads((tmp_path / "result.json").read_text())["gain"]["verdict"]
    assert (tmp_path / "best" / "report.html").is_file()


def test_what_is_in_memory_stays_here(tmp_path: Path, bench: Bench) -> None:
    with pytest.raises(RecipeError, match="in memory can't be handed"):
        list(search(Run(tmp_path), SPEC, Deadline(0.0), given=InMemory(source=_NoSource(), opened=bench.opened)))  # type: ignore[arg-type]


class _NoSource(Value, frozen=True):
    """Never asked."""


def test_what_rays_threads_print_stays_out_of_the_output(capsys: pytest.CaptureFixture[str]) -> None:
    out = Diverted(sys.stdout)
    print("of the search", file=out)
    thread = threading.Thread(target=lambda: print("a node is dead", file=out), name="ray_listen_error_messages")
    thread.start()
    thread.join()
    said = capsys.readouterr()
    assert said.out == "of the search\n"
    assert said.err == "a node is dead\n"


def test_without_ray_there_is_a_remedy(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RecipeError, match="Ray is not installed"):
        RayHands(ground, "local", 1)
    assert threads_of_each(10**6) == 1


def test_that_ray_is_missing_is_said_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnomon.tuning.python.find_spec", lambda _name: None)
    with pytest.raises(RecipeError, match="Ray is not installed"):
        checked(msgspec.structs.replace(SPEC, ray="local"))
