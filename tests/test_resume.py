"""A stopped run goes on to the same bits: stopped by its caller, by a signal, or killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow.parquet
import pytest
from safetensors.numpy import load_file

import gnomon
import gnomon.spine.reading as reading
import gnomon.training.train as training
from gnomon.deadline import Deadline
from gnomon.models import Cnn, ModelSpec, Plain
from gnomon.optim import OptimizerSpec
from gnomon.planning.asked import TrainingSpec
from gnomon.rundir.run import MODEL, PREDICTIONS, REPORT, Run, create_run, open_run
from gnomon.sources import SourceSpec
from gnomon.sources.arrays import array_source
from gnomon.spine.finish import finish
from gnomon.spine.fit import fit, resume
from gnomon.spine.opening import InMemory
from gnomon.spine.preparing import Prepared
from gnomon.spine.recipe import Recipe
from gnomon.torture.lives import heed_signals
from gnomon.types import Event, Saved, Stepped, Stopped, Validated

SOURCE: Final = Path(gnomon.__file__).parents[1]
STEPS: Final = 24
PATIENCE: Final = 2
SMALL: Final = Cnn(widths=(8,), convolutions=3)
KINDS: Final[dict[str, tuple[ModelSpec, OptimizerSpec, TrainingSpec]]] = {
    "cnn, muon, average": (
        SMALL,
        OptimizerSpec(name="muon", average="ema"),
        TrainingSpec(augment="flip,shift=1,cutout=2,mixup=0.2", label_smoothing=0.1),
    ),
    "cnn, muon, thrifty": (
        SMALL,
        OptimizerSpec(name="muon", average="none"),
        TrainingSpec(augment="flip", skip_easy=0.6, small_until=0.5),
    ),
    "plain, adam, dropout": (
        Plain(widths=(4, 4, 8), dense=16, dropout=0.3),
        OptimizerSpec(name="adam"),
        TrainingSpec(augment="shift=2"),
    ),
    "cnn, sgd": (SMALL, OptimizerSpec(name="sgd", average="none", schedule="cosine", warmup=0.2), TrainingSpec()),
    "cnn, schedule-free, cutmix": (
        SMALL,
        OptimizerSpec(name="schedule-free-sgd"),
        TrainingSpec(augment="flip,cutmix"),
    ),
    "plain, schedule-free": (
        Plain(widths=(4, 4, 8), dense=16),
        OptimizerSpec(name="schedule-free-adamw", weight_decay=0.1),
        TrainingSpec(augment="none"),
    ),
    "cnn, sharpness, lookahead": (
        SMALL,
        OptimizerSpec(name="sgd", average="lookahead", sharpness=0.05),
        TrainingSpec(augment="none"),
    ),
    "cnn, adamw, gusty": (
        SMALL,
        OptimizerSpec(name="adamw", learning_rate=0.3, average="none", schedule="constant"),
        TrainingSpec(augment="none"),
    ),
}


def _recipe(kind: str) -> Recipe:
    model, optimizer, asked = KINDS[kind]
    spec = TrainingSpec(
        steps=STEPS,
        batch=32,
        threads=1,
        format="float32",
        augment=asked.augment,
        label_smoothing=asked.label_smoothing,
        views="none",
        skip_easy=asked.skip_easy,
        small_until=asked.small_until,
    )
    return Recipe(source=SourceSpec(location="(in memory)"), model=model, optimizer=optimizer, training=spec, seed=3)


@pytest.fixture(scope="module")
def given() -> InMemory:
    """Small noisy pictures of four classes."""
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 4
    shades = rng.normal(size=(4, 18, 18))[labels] + rng.normal(size=(200, 18, 18)) * 4
    return InMemory(source=array_source(np.clip(shades * 20 + 128, 0, 255).astype(np.uint8), labels))


@pytest.fixture(autouse=True)
def _every_step_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a test can stop at any step; how often something is told changes nothing of the training."""
    monkeypatch.setattr(training, "_SECONDS_BETWEEN_EVENTS", -1.0)


@dataclass(frozen=True)
class Outcome:
    """All that must be the same."""

    weights: dict[str, np.ndarray[Any, Any]]
    predictions: dict[str, list[Any]]
    validations: list[tuple[int, float, float, bool]]
    steps: list[tuple[int, float]]


def _outcome(run: Run, given: InMemory) -> Outcome:
    assert list(finish(run, Deadline(time.monotonic()), given=given))
    events = list(run.events())
    return Outcome(
        load_file(run.path / MODEL),
        pyarrow.parquet.read_table(run.path / PREDICTIONS).to_pydict(),
        [(event.step, event.loss, event.score, event.best) for event in events if isinstance(event, Validated)],
        [(event.step, event.learning_rate) for event in events if isinstance(event, Stepped)],
    )


def _assert_same(resumed: Outcome, whole: Outcome) -> None:
    assert [step for step, _ in whole.steps] == list(range(1, STEPS + 1))
    assert resumed.steps == whole.steps
    assert resumed.validations == whole.validations
    assert resumed.predictions == whole.predictions
    assert resumed.weights.keys() == whole.weights.keys()
    for name, wanted in whole.weights.items():
        assert np.array_equal(resumed.weights[name], wanted), name


def _until(events: Generator[Event, None, Prepared], step: int) -> Event:
    """Let it run to its first event at this step, and leave it there."""
    event = next(event for event in events if getattr(event, "step", 0) >= step)
    events.close()
    return event


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, given: InMemory) -> Iterator[dict[str, Outcome]]:
    """What each kind comes to, uninterrupted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "_SECONDS_BETWEEN_EVENTS", -1.0)
        outcomes = {}
        for kind in KINDS:
            run = create_run(tmp_path_factory.mktemp("whole") / "run", data="noise", model="m")
            assert list(fit(_recipe(kind), run, Deadline(time.monotonic()), given=given))
            outcomes[kind] = _outcome(run, given)
        yield outcomes


# --- Stopped by its caller -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 7, 16])
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_stopped_at_any_step_goes_on_to_the_same_bits(
    tmp_path: Path, given: InMemory, whole: dict[str, Outcome], kind: str, step: int
) -> None:
    run = create_run(tmp_path / "run", data="noise", model="m")
    stopped = _until(fit(_recipe(kind), run, Deadline(time.monotonic()), given=given), step)
    assert isinstance(stopped, Stepped)
    checkpoint = run.latest_checkpoint()
    assert checkpoint is not None
    assert checkpoint.step == step
    assert list(resume(run, Deadline(time.monotonic()), given=given))
    _assert_same(_outcome(run, given), whole[kind])


def test_a_run_stopped_twice_and_damaged_goes_on_to_the_same_bits(
    tmp_path: Path, given: InMemory, whole: dict[str, Outcome]
) -> None:
    kind = "cnn, muon, average"
    run = create_run(tmp_path / "run", data="noise", model="m")
    _until(fit(_recipe(kind), run, Deadline(time.monotonic()), given=given), 5)
    _until(resume(run, Deadline(time.monotonic()), given=given), 14)
    newest = run.latest_checkpoint()
    assert newest is not None
    assert newest.step == 14
    (newest.path / "state.safetensors").write_bytes(b"torn")
    before = run.latest_checkpoint()
    assert before is not None
    assert before.step == 5
    assert list(resume(run, Deadline(time.monotonic()), given=given))
    _assert_same(_outcome(run, given), whole[kind])


def test_without_any_checkpoint_it_begins_anew(tmp_path: Path, given: InMemory, whole: dict[str, Outcome]) -> None:
    kind = "cnn, sgd"
    run = create_run(tmp_path / "run", data="noise", model="m")
    _until(fit(_recipe(kind), run, Deadline(time.monotonic()), given=given), 4)
    for manifest in run.path.glob("checkpoints/*/MANIFEST.json"):
        manifest.unlink()
    assert list(resume(run, Deadline(time.monotonic()), given=given))
    _assert_same(_outcome(run, given), whole[kind])


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path, given: InMemory, whole: dict[str, Outcome]) -> None:
    kind = "plain, adam, dropout"
    run = create_run(tmp_path / "run", data="noise", model="m")
    assert list(fit(_recipe(kind), run, Deadline(time.monotonic()), given=given))
    assert list(resume(run, Deadline(time.monotonic()), given=given))
    _assert_same(_outcome(run, given), whole[kind])


def test_going_on_takes_pictures_at_the_size_that_was_chosen(
    tmp_path: Path, given: InMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was chosen by the time that there was; another deadline, or none, must not change it."""
    run = create_run(tmp_path / "run", data="noise", model="m")
    with monkeypatch.context() as patch:
        patch.setattr(reading, "affordable_pixels", lambda *_arguments: 200)
        _until(fit(_recipe("cnn, sgd"), run, Deadline(time.monotonic()), given=given), 4)
    assert list(resume(run, Deadline(time.monotonic()), given=given))
    assert _outcome(run, given).steps[-1][0] == STEPS
    encoder = gnomon.load(run.path / MODEL).header.encoder
    assert encoder.shape[:2] == (14, 14)


def test_another_seed_gives_other_bits(tmp_path: Path, given: InMemory, whole: dict[str, Outcome]) -> None:
    """So the comparisons above can fail."""
    recipe = msgspec.structs.replace(_recipe("cnn, sgd"), seed=4)
    run = create_run(tmp_path / "run", data="noise", model="m")
    assert list(fit(recipe, run, Deadline(time.monotonic()), given=given))
    with pytest.raises(AssertionError):
        _assert_same(_outcome(run, given), whole["cnn, sgd"])


# --- Early stopping --------------------------------------------------------------------------------------------------


def _impatient() -> Recipe:
    """A gusty training that is judged after every step."""
    recipe = _recipe("cnn, adamw, gusty")
    training_spec = msgspec.structs.replace(recipe.training, batch=150, early_stopping=PATIENCE)
    return msgspec.structs.replace(recipe, training=training_spec)


def test_early_stopping_keeps_the_best(tmp_path: Path, given: InMemory) -> None:
    run = create_run(tmp_path / "run", data="noise", model="m")
    events = list(fit(_impatient(), run, Deadline(time.monotonic()), given=given))
    judged = [event for event in events if isinstance(event, Validated)]
    stopped = events[-1]
    assert isinstance(stopped, Stopped)
    assert PATIENCE < stopped.step < STEPS
    assert stopped.reason == f"no better for {PATIENCE} validations"
    assert [event.best for event in judged[-PATIENCE - 1 :]] == [True] + [False] * PATIENCE
    checkpoint = run.latest_checkpoint()
    assert checkpoint is not None
    assert checkpoint.step == stopped.step
    best = json.loads(checkpoint.read("state.json"))
    assert best["best_step"] == judged[-PATIENCE - 1].step
    assert best["best_score"] == max(event.score for event in judged)


@pytest.mark.parametrize("before", [0, 1])
def test_early_stopping_goes_on_counting(tmp_path: Path, given: InMemory, before: int) -> None:
    """A run that is stopped within the validations that count, or after them, ends at the same step."""
    whole, run = (create_run(tmp_path / name, data="noise", model="m") for name in ("whole", "run"))
    end = list(fit(_impatient(), whole, Deadline(time.monotonic()), given=given))[-1]
    assert isinstance(end, Stopped)
    _until(fit(_impatient(), run, Deadline(time.monotonic()), given=given), end.step - before)
    resumed = list(resume(run, Deadline(time.monotonic()), given=given))[-1]
    assert resumed == end
    wanted, found = _outcome(whole, given), _outcome(run, given)
    assert (found.steps, found.validations, found.predictions) == (wanted.steps, wanted.validations, wanted.predictions)


# --- Signals ---------------------------------------------------------------------------------------------------------


def _command(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "gnomon", *arguments, "--json"],
        env={**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_signals,
    )


def _wait_for(command: "subprocess.Popen[str]", event: str, step: int = 0) -> None:
    assert command.stdout is not None
    for line in command.stdout:
        said = json.loads(line)
        if said["event"] == event and said.get("step", 0) >= step:
            return
    pytest.fail(f"ended before {event}: {command.stderr.read() if command.stderr else ''}")


def _digits(training_spec: TrainingSpec) -> Recipe:
    return Recipe(
        source=SourceSpec(location="digits"), model=SMALL, optimizer=OptimizerSpec(name="sgd"), training=training_spec
    )


def test_a_killed_process_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    """Killed at some moment after a checkpoint, whatever it is doing then."""
    recipe = _digits(TrainingSpec(steps=STEPS, batch=32, threads=1, format="float32", checkpoint_steps=4))
    (tmp_path / "recipe.toml").write_text(recipe.to_toml())
    command = _command("train", "--recipe", str(tmp_path / "recipe.toml"), "--out", str(tmp_path / "killed"))
    _wait_for(command, "checkpoint", 8)
    command.kill()
    command.communicate()
    assert command.returncode == -signal.SIGKILL
    killed, entire = open_run(tmp_path / "killed"), create_run(tmp_path / "whole", data="digits", model="cnn")
    assert list(resume(killed, Deadline(time.monotonic())))
    assert list(fit(recipe, entire, Deadline(time.monotonic())))
    resumed, wanted = (_outcome(run, InMemory()) for run in (killed, entire))
    assert resumed.validations == wanted.validations
    assert resumed.predictions == wanted.predictions
    assert all(np.array_equal(resumed.weights[name], value) for name, value in wanted.weights.items())


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_ctrl_c_judges_what_there_is(tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = _command("train", "digits", "--widths", "8", "--steps", "1000000", "--threads", "1", "--out", str(out))
    _wait_for(command, "step")
    command.send_signal(signal.SIGINT)
    said, complaints = command.communicate(timeout=120)
    assert command.returncode == 130, complaints
    assert json.loads(said.splitlines()[-1])["event"] == "finished"
    assert (out / REPORT).is_file()
    assert gnomon.load(out / MODEL).classes == tuple("0123456789")


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_a_terminated_run_has_a_checkpoint_and_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = _command("train", "digits", "--widths", "8", "--steps", "1000000", "--threads", "1", "--out", str(out))
    _wait_for(command, "step")
    command.send_signal(signal.SIGTERM)
    _, complaints = command.communicate(timeout=120)
    assert command.returncode == 143, complaints
    assert not (out / REPORT).exists()
    run = open_run(out)
    checkpoint = run.latest_checkpoint()
    assert checkpoint is not None
    assert checkpoint.step > 0
    events = resume(run, Deadline(time.monotonic()))
    first = next(event for event in events if isinstance(event, (Stepped, Saved)))
    events.close()
    assert first.step - checkpoint.step in (0, 1)  # here each step is told: the last one too, where it was not yet
