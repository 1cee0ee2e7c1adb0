"""A search killed at any moment goes on without losing or repeating a trial, and comes to the same."""

import os
import random
import signal
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import pytest
import scipy.stats  # noqa: F401 - here once, not in every session
import sklearn.gaussian_process  # noqa: F401
from safetensors.numpy import load_file

from gnomon.deadline import Deadline
from gnomon.models import Cnn
from gnomon.planning.asked import TrainingSpec
from gnomon.rundir.run import BEST, MODEL, RESULT, TUNE, Run, create_search
from gnomon.sources import SourceSpec
from gnomon.sources.arrays import array_source
from gnomon.spine.opening import InMemory
from gnomon.spine.recipe import Recipe
from gnomon.tuning.records import Method, Record, SearchSpec, read_records
from gnomon.tuning.search import search

KILLS: Final = 24
TRIALS: Final = 7
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture(scope="module")
def given() -> InMemory:
    """Small noisy pictures of four classes."""
    rng = np.random.default_rng(0)
    labels = np.arange(240) % 4
    shades = rng.normal(size=(4, 9, 9))[labels] + rng.normal(size=(240, 9, 9)) * 3
    return InMemory(source=array_source(np.clip(shades * 20 + 128, 0, 255).astype(np.uint8), labels))


def spec(method: Method = "bayes") -> SearchSpec:
    training = TrainingSpec(steps=8, batch=32, threads=1, format="float32", views="none")
    recipe = Recipe(
        source=SourceSpec(location="(in memory)"), model=Cnn(widths=(8,), convolutions=2), training=training, seed=3
    )
    return SearchSpec(recipe=recipe, method=method, trials=TRIALS)


def in_a_process(work: Callable[[], None]) -> int:
    """Do it in a fork of this process. Returns its exit code; less than 0 for a signal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def searched(directory: Path, given: InMemory, *, asked: SearchSpec, kill_at: int = 0) -> int:
    """A session of a search, killed at its n-th event or write to the disk, whichever is first. Returns its end."""

    def work() -> None:
        count, sync = 0, os.fsync

        def counted(handle: int | None = None) -> None:
            nonlocal count
            count += 1
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            if handle is not None:
                sync(handle)

        os.fsync = counted  # type: ignore[assignment]
        for _ in search(create_search(directory, data="noise"), asked, Deadline(time.monotonic()), given=given):
            counted()

    return in_a_process(work)


def outcome(directory: Path) -> list[tuple[object, ...]]:
    """All that must be the same of a journal."""

    def of(done: Record) -> tuple[object, ...]:
        return done.stage, done.number, done.settings, done.state, done.score, done.scores, done.seed, done.rows

    return [of(done) for done in read_records(Run(directory))]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, given: InMemory) -> Path:
    """A search that nothing interrupted."""
    directory = tmp_path_factory.mktemp("search") / "whole"
    assert searched(directory, given, asked=spec()) == 0
    return directory


@pytest.mark.slow
def test_a_search_killed_many_times_comes_to_the_same(tmp_path: Path, given: InMemory, whole: Path) -> None:
    directory, kills, moments = tmp_path / "killed", 0, random.Random(1)
    seen: list[tuple[object, ...]] = []
    for _ in range(400):
        most = 14 if kills < KILLS else 10**9
        ended = searched(directory, given, asked=spec(), kill_at=moments.randint(1, most))
        now = outcome(directory) if directory.exists() else []
        assert now[: len(seen)] == seen, "a trial that was over is lost or changed"
        seen = now
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
        kills += 1
    assert kills >= KILLS
    assert seen == outcome(whole)
    assert (directory / RESULT).read_bytes() == (whole / RESULT).read_bytes()
    before, after = (load_file(path / BEST / MODEL) for path in (whole, directory))
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert (directory / TUNE).is_file()


def test_no_trial_stands_twice(whole: Path) -> None:
    made = [(done.stage, done.number) for done in read_records(Run(whole))]
    assert len(made) == len(set(made))
    assert [number for stage, number in made if stage == "explore"] == list(range(TRIALS))


def test_another_seed_draws_other_trials(tmp_path: Path, given: InMemory, whole: Path) -> None:
    import msgspec

    other = spec("random")
    other = msgspec.structs.replace(other, recipe=msgspec.structs.replace(other.recipe, seed=4), trials=3)
    assert searched(tmp_path / "other", given, asked=other) == 0
    drawn = [done.settings for done in read_records(Run(tmp_path / "other")) if done.stage == "explore"]
    assert drawn[0] == read_records(Run(whole))[0].settings, "the usual settings come first"
    assert drawn[1] != read_records(Run(whole))[1].settings
