"""What goes wrong on the way: losses that are no numbers, memory, disks, clocks, other processes, data that changed."""

import errno
import math
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor, nn

import gnomon
import gnomon.training.stepping as stepping
import gnomon.training.train as training
from conftest import PictureFolder
from gnomon.deadline import Deadline, parse_deadline
from gnomon.errors import Interrupted, RecipeError, RunError
from gnomon.models import Cnn
from gnomon.models.bounds import empty_network
from gnomon.optim import OptimizerSpec
from gnomon.planning.asked import TrainingSpec
from gnomon.planning.hardware import surroundings
from gnomon.planning.ladder import Speed
from gnomon.planning.progress import Change, parts_of, progress, rate_share
from gnomon.rundir import writing
from gnomon.rundir.run import ENVIRONMENT, METRICS, MODEL, PLAN, RECIPE, Run, create_run, open_run
from gnomon.sources import SourceSpec
from gnomon.sources.arrays import array_source
from gnomon.spine import reopening
from gnomon.spine.finish import finish
from gnomon.spine.fit import fit, resume
from gnomon.spine.opening import InMemory
from gnomon.spine.recipe import Recipe
from gnomon.types import Event, Noted, Phased, Replanned, Reverted, Saved, Stepped, Stopped, Validated

SOURCE: Final = Path(gnomon.__file__).parents[1]
STEPS: Final = 24


@pytest.fixture(autouse=True)
def _every_step_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_SECONDS_BETWEEN_EVENTS", -1.0)


@pytest.fixture(scope="module")
def given() -> InMemory:
    """Small noisy pictures of four classes."""
    rng = np.random.default_rng(0)
    labels = np.arange(160) % 4
    shades = rng.normal(size=(4, 10, 10))[labels] + rng.normal(size=(160, 10, 10)) * 2
    return InMemory(source=array_source(np.clip(shades * 20 + 128, 0, 255).astype(np.uint8), labels))


def recipe(optimizer: OptimizerSpec | None = None, **asked: Any) -> Recipe:
    spec = TrainingSpec(
        **{"steps": STEPS, "batch": 32, "threads": 1, "format": "float32", "augment": "none", "views": "none", **asked}
    )
    return Recipe(
        source=SourceSpec(location="(in memory)"),
        model=Cnn(widths=(8,), convolutions=3),
        optimizer=optimizer or OptimizerSpec(name="sgd", average="none"),
        training=spec,
        seed=3,
    )


def clock() -> Deadline:
    return Deadline(time.monotonic())


def new_run(folder: Path, name: str = "run") -> Run:
    return create_run(folder / name, data="noise", model="m")


def history(run: Run) -> list[dict[str, Any]]:
    """What was told of the training, without times."""
    told = (event for event in run.events() if isinstance(event, Stepped | Validated | Replanned | Reverted | Stopped))
    return [
        {name: value for name, value in msgspec.to_builtins(event).items() if name not in ("elapsed_s", "rows_per_s")}
        for event in told
    ]


def weights(run: Run) -> dict[str, Any]:
    checkpoint = run.latest_checkpoint()
    assert checkpoint is not None
    return load_file(checkpoint.path / MODEL)


def assert_same(run: Run, whole: Run) -> None:
    assert history(run) == history(whole)
    found, wanted = weights(run), weights(whole)
    assert all(np.array_equal(found[name], value) for name, value in wanted.items())


def until(events: Iterator[Event], kind: type[Event], step: int = 0) -> Event:
    """Let it run to its first event of this kind at this step or later, and leave it there."""
    event = next(event for event in events if isinstance(event, kind) and getattr(event, "step", 0) >= step)
    events.close()  # type: ignore[attr-defined]
    return event


# --- The loss is no longer a number ----------------------------------------------------------------------------------


class Fuse(nn.Module):
    """A network whose outputs are no numbers once its weights have grown too large."""

    def __init__(self, most: float) -> None:
        super().__init__()
        self.most = most
        self.layer = nn.Linear(100, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.layer(inputs.flatten(1))
        return outputs * (
            math.nan if self.training and float(self.layer.weight.detach().abs().max()) > self.most else 1.0
        )


def fused(given: InMemory, most: float) -> InMemory:
    torch.manual_seed(0)
    return InMemory(source=given.source, module=Fuse(most))


WILD: Final = OptimizerSpec(name="sgd", learning_rate=1.0, average="ema", schedule="constant")


def test_it_goes_back_to_the_best_network_with_a_smaller_rate(tmp_path: Path, given: InMemory) -> None:
    run, fuse = new_run(tmp_path), fused(given, 1.2)
    events = list(fit(recipe(WILD, skip_easy=0.5), run, clock(), given=fuse))
    back = [event for event in events if isinstance(event, Reverted)]
    assert len(back) in (1, 2, 3)
    assert [round(event.rate_share, 6) for event in back] == [round(0.3**n, 6) for n in range(1, len(back) + 1)]
    best = [event.step for event in events[: events.index(back[0])] if isinstance(event, Validated) and event.best]
    assert back[0].step == (best[-1] if best else 0)
    assert back[0].from_step > back[0].step
    told = [event for event in run.events() if isinstance(event, Stepped)]
    assert [event.step for event in told] == list(range(1, STEPS + 1)), "each step once, though some were made twice"
    assert all(math.isfinite(event.loss) for event in told)
    assert told[-1].learning_rate == pytest.approx(back[-1].rate_share)
    assert isinstance(events[-1], Stopped)
    assert events[-1].reason == "planned"


@pytest.mark.parametrize("after", ["Reverted", "Stepped", "Saved"])
def test_a_run_that_went_back_goes_on_to_the_same_bits(tmp_path: Path, given: InMemory, after: str) -> None:
    """Killed right after it went back, before or after that was told; or some steps later."""
    whole, run, fuse = new_run(tmp_path, "whole"), new_run(tmp_path), fused(given, 1.2)
    wild = recipe(WILD, skip_easy=0.5, checkpoint_steps=5)
    assert list(fit(wild, whole, clock(), given=fuse))
    events = fit(wild, run, clock(), given=fuse)
    back = next(event for event in events if isinstance(event, Reverted))
    kind = {"Reverted": Reverted, "Stepped": Stepped, "Saved": Saved}[after]
    while not isinstance(back, kind):
        back = next(events)  # type: ignore[assignment]
    if after == "Reverted":  # killed before it could be told
        lines = (run.path / METRICS).read_bytes().splitlines(keepends=True)
        assert b'"revert"' in lines[-1]
        (run.path / METRICS).write_bytes(b"".join(lines[:-1]))
    killed = Run(Path(shutil.copytree(run.path, tmp_path / "killed")))  # as a kill at this moment leaves it
    events.close()
    assert list(resume(killed, clock(), given=fuse))
    assert_same(killed, whole)


def test_a_loss_that_is_never_a_number_ends_with_the_remedy(tmp_path: Path, given: InMemory) -> None:
    with pytest.raises(RecipeError, match="no longer a number in step 1, not even with ") as refused:
        list(fit(recipe(WILD), new_run(tmp_path), clock(), given=fused(given, 0.0)))
    assert "--learning-rate" in refused.value.remedy


# --- Memory runs out -------------------------------------------------------------------------------------------------


class Hungry(nn.Module):
    """A network that takes no more than so many rows at once."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(100, 16), nn.Tanh(), nn.Linear(16, 4))

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training and len(inputs) > self.most:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory")
        outputs: Tensor = self.layers(inputs)
        return outputs


def hungry(given: InMemory, most: int, monkeypatch: pytest.MonkeyPatch) -> InMemory:
    torch.manual_seed(0)
    monkeypatch.setattr("gnomon.spine.preparing.probe_of", lambda *_arguments, **_named: lambda *_: Speed(0.001, 1e5))
    return InMemory(source=given.source, module=Hungry(most))


def test_a_batch_that_memory_does_not_hold_is_taken_in_parts(
    tmp_path: Path, given: InMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = {}
    for most in (32, 10):
        run = new_run(tmp_path, str(most))
        events = list(fit(recipe(checkpoint_steps=6), run, clock(), given=hungry(given, most, monkeypatch)))
        outcomes[most] = (events, weights(run))
    changes = [event for event in outcomes[10][0] if isinstance(event, Replanned)]
    assert [(change.step, change.steps) for change in changes] == [(1, STEPS)]
    assert "memory ran out: a batch is taken in 4 parts" in changes[0].reason
    assert not [event for event in outcomes[32][0] if isinstance(event, Replanned)]
    for name, wanted in outcomes[32][1].items():
        assert np.allclose(outcomes[10][1][name], wanted, atol=1e-5), "the same but for rounding"


def test_a_run_in_parts_goes_on_in_parts(tmp_path: Path, given: InMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, run = new_run(tmp_path, "whole"), new_run(tmp_path)
    asked, small = recipe(checkpoint_steps=6), hungry(given, 10, monkeypatch)
    assert list(fit(asked, whole, clock(), given=small))
    until(fit(asked, run, clock(), given=small), Stepped, 9)
    assert list(resume(run, clock(), given=hungry(given, 32, monkeypatch))), "there is memory again; it is no matter"
    assert_same(run, whole)


def test_memory_that_does_not_hold_a_row_ends_with_the_remedy(
    tmp_path: Path, given: InMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RecipeError, match="memory does not hold one row"):
        list(fit(recipe(), new_run(tmp_path), clock(), given=hungry(given, 0, monkeypatch)))


def test_changes_add_up() -> None:
    changes = [
        Change(step=10, steps_before=100, steps=60, reason="slower"),
        Change(step=20, steps_before=60, steps=60, reason="nan", rate_share=0.3),
        Change(step=20, steps_before=60, steps=60, reason="nan", rate_share=0.3, parts=2),
    ]
    assert rate_share(changes) == pytest.approx(0.09)
    assert parts_of(changes) == 2
    assert progress(20, 100, changes) == pytest.approx(progress(20, 100, changes[:1]))
    assert progress(60, 100, changes) == 1.0


# --- Disks -----------------------------------------------------------------------------------------------------------


def test_a_run_that_the_disk_can_not_hold_is_refused_before_it_trains(
    tmp_path: Path, given: InMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "free_bytes", lambda _path: 1_000_000)
    run = new_run(tmp_path)
    with pytest.raises(RunError, match=r"need 4\.\d MB at '.*run', and 1\.0 MB are free there"):
        list(fit(recipe(), run, clock(), given=given))
    assert not run.has(PLAN)
    run.remove_unplanned()
    assert not run.path.exists()


def test_a_plan_that_can_not_be_written_leaves_nothing(
    tmp_path: Path, given: InMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, rename = new_run(tmp_path), os.replace

    def refused(source: Path, target: Path) -> None:
        if Path(target).name == PLAN:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refused)
        with pytest.raises(RunError, match=r"plan\.json' can't be written: No space left"):
            list(fit(recipe(), run, clock(), given=given))
    run.remove_unplanned()
    assert not run.path.exists(), "so that the same command can be given again"


def test_a_checkpoint_that_can_not_be_written_beside_the_training_ends_it(
    tmp_path: Path, given: InMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, run = new_run(tmp_path, "whole"), new_run(tmp_path)
    asked = recipe(checkpoint_steps=4)
    assert list(fit(asked, whole, clock(), given=given))
    sync = os.fsync

    def until_full(handle: int) -> None:
        if ".making-step-000012" in os.readlink(f"/proc/self/fd/{handle}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", until_full)
        with pytest.raises(RunError, match=r"step-000012' can't be written: No space left .* needed, .* free\)"):
            list(fit(asked, run, clock(), given=given))
    checkpoint = run.latest_checkpoint()
    assert checkpoint is not None
    assert checkpoint.step == 8, "no later one, not even on the way out"
    assert list(resume(run, clock(), given=given))
    assert_same(run, whole)


def test_an_error_in_a_step_saves_nothing(tmp_path: Path, given: InMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights may be those of half a step."""
    run, does = new_run(tmp_path), stepping.gradients

    def interrupted(*arguments: Any, **named: Any) -> Tensor:
        losses = does(*arguments, **named)
        if sum(isinstance(event, Stepped) for event in run.events()) == 9:
            raise KeyboardInterrupt
        return losses

    monkeypatch.setattr(stepping, "gradients", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(fit(recipe(checkpoint_steps=4), run, clock(), given=given))
    checkpoint = run.latest_checkpoint()
    assert checkpoint is not None
    assert checkpoint.step == 8


def test_no_checkpoint_knows_of_an_event_that_was_not_written(
    tmp_path: Path, given: InMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal in the middle of the line of a validation; then the run goes on, and tells of it."""
    asked, whole = recipe(checkpoint_steps=4), create_run(tmp_path / "whole", data="", model="")
    assert list(fit(asked, whole, clock(), given=given))
    run, append = new_run(tmp_path), Run.append

    def torn(self: Run, event: Event) -> None:
        if isinstance(event, Validated) and event.step > 8:
            raise KeyboardInterrupt
        append(self, event)

    monkeypatch.setattr(Run, "append", torn)
    with pytest.raises(KeyboardInterrupt):
        list(fit(asked, run, clock(), given=given))
    monkeypatch.setattr(Run, "append", append)
    checkpoint = run.latest_checkpoint()
    assert checkpoint is not None
    assert checkpoint.step == 8
    assert list(resume(run, clock(), given=given))
    assert_same(run, whole)


def test_a_signal_while_a_network_is_built_is_no_fault_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every error of its code is taken for the network's; a signal may come anywhere."""

    def signalled(*_arguments: Any, **_named: Any) -> Any:
        raise Interrupted(15)

    monkeypatch.setattr(Cnn, "build", signalled)
    with pytest.raises(Interrupted):
        empty_network(Cnn(widths=(8,)), (1, 8, 8), 4)


# --- Clocks ----------------------------------------------------------------------------------------------------------


def test_a_clock_that_jumps_moves_no_deadline(tmp_path: Path, given: InMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's time is set a year on, and back, between any two looks at it."""
    year_s, looks = 365 * 86400.0, [0]

    def jumping() -> float:
        looks[0] += 1
        return 1.7e9 + (looks[0] % 2) * year_s

    monkeypatch.setattr(time, "time", jumping)
    assert time.time() != time.time()
    deadline = parse_deadline("600s", start_s=time.monotonic())
    run = new_run(tmp_path)
    last = until(fit(recipe(steps=1000), run, deadline, given=given), Stepped, STEPS)
    assert isinstance(last, Stepped)
    assert last.steps >= 1000 - 1, "nothing was cut"
    assert 0 < last.elapsed_s < 300 < deadline.remaining_s() < 600
    assert all(0 <= event.elapsed_s < 300 for event in run.events() if isinstance(event, Stepped))


# --- Going on --------------------------------------------------------------------------------------------------------


def test_a_run_that_was_stopped_before_its_plan_begins_from_its_recipe(tmp_path: Path, given: InMemory) -> None:
    whole, run = new_run(tmp_path, "whole"), new_run(tmp_path)
    assert list(fit(recipe(), whole, clock(), given=given))
    events = fit(recipe(), run, clock(), given=given)
    assert isinstance(next(events), Phased)
    events.close()
    assert not run.has(PLAN)
    with (run.path / METRICS).open("ab") as file:
        file.write(b'{"event":"note","te')  # torn by a crash
    resumed = list(resume(run, clock(), given=given))
    assert not run.unreadable_events()
    assert any(isinstance(event, Noted) and "before there was a plan" in event.text for event in resumed)
    assert_same(run, whole)


def test_the_time_that_was_given_counts_again_where_there_was_no_plan(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    run.write_json(ENVIRONMENT, {"by_s": 90.0})
    now = clock()
    assert reopening.deadline_of_then(run, now).total_s == 90.0
    assert reopening.deadline_of_then(run, Deadline(now.start_s, now.start_s + 5)).total_s == 5
    run.write_json(ENVIRONMENT, {"by_s": None})
    assert not reopening.deadline_of_then(run, now).is_set


def test_what_differs_is_said_and_kept(tmp_path: Path, given: InMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run(tmp_path)
    until(fit(recipe(), run, clock(), given=given), Stepped, 9)

    def elsewhere(device: str, *, version: str) -> Any:
        return msgspec.structs.replace(surroundings(device, version=version), threads=7, torch="9.9")

    monkeypatch.setattr(reopening, "surroundings", elsewhere)
    notes = [event.text for event in resume(run, clock(), given=given) if isinstance(event, Noted)]
    said = [note for note in notes if "not bit for bit" in note]
    assert len(said) == 1
    assert f"torch {torch.__version__} → 9.9; threads 1 → 7" in said[0]
    kept = run.read_json(ENVIRONMENT, dict[str, Any])["went_on"]
    assert [(entry["step"], len(entry["changed"])) for entry in kept] == [(9, 2)]


def test_a_damaged_checkpoint_is_named(tmp_path: Path, given: InMemory) -> None:
    run = new_run(tmp_path)
    until(fit(recipe(checkpoint_steps=4), run, clock(), given=given), Stepped, 9)
    state = run.path / "checkpoints/step-000009/state.safetensors"
    state.write_bytes(state.read_bytes()[:-1] + b"?")
    notes = [event.text for event in resume(run, clock(), given=given) if isinstance(event, Noted)]
    assert "the checkpoint step-000009 is damaged: 'state.safetensors' does not have the content" in notes[0]
    assert any(note.startswith("going on from step 8 of 24") for note in notes)


def test_a_run_that_ended_early_ends_there_again(tmp_path: Path, given: InMemory) -> None:
    """Killed while it was judged, it must not train on."""
    gusty = OptimizerSpec(name="adamw", learning_rate=0.3, average="none", schedule="constant")
    asked, run = recipe(gusty, batch=100, early_stopping=1, steps=200), new_run(tmp_path)
    first = list(fit(asked, run, clock(), given=given))[-1]
    assert isinstance(first, Stopped)
    assert first.step < 200
    before = history(run)
    assert list(resume(run, clock(), given=given))[-1] == first
    assert history(run) == before


def test_a_new_deadline_cuts_what_is_left(tmp_path: Path, given: InMemory) -> None:
    run = new_run(tmp_path)
    until(fit(recipe(steps=10**6), run, clock(), given=given), Stepped, 20)
    deadline = parse_deadline("8s", start_s=time.monotonic())
    events = list(resume(run, deadline, given=given))
    assert any(isinstance(event, Replanned) for event in events)
    assert isinstance(events[-1], Stopped)
    assert events[-1].step < 10**6
    assert events[-1].reason == "planned"
    assert deadline.remaining_s() > 0, "time is left to judge and to save"


def test_a_directory_with_an_unfinished_run_says_how_to_go_on(tmp_path: Path, given: InMemory) -> None:
    run = new_run(tmp_path)
    until(fit(recipe(), run, clock(), given=given), Stepped, 4)
    with pytest.raises(RunError, match="holds a run that has not ended") as refused:
        new_run(tmp_path)
    assert f"gnomon resume {run.path}" in refused.value.remedy
    assert list(finish(run, clock(), given=given))
    with pytest.raises(RunError, match="holds a run that has ended"):
        new_run(tmp_path)
    empty = new_run(tmp_path, "killed at once")
    (empty.path / f".{RECIPE}.123.tmp").write_text("half")
    assert new_run(tmp_path, "killed at once").path == empty.path


@pytest.mark.parametrize("change", ["gone", "new", "label", "content"])
def test_what_has_changed_in_the_data_is_named(tmp_path: Path, picture_folder: PictureFolder, change: str) -> None:
    folder = picture_folder(name="holiday")
    asked = msgspec.structs.replace(recipe(steps=4, batch=8), source=SourceSpec(location=str(folder)))
    run = new_run(tmp_path)
    until(fit(asked, run, clock()), Stepped, 2)
    first, second = sorted(path for path in folder.iterdir() if path.is_dir())[:2]
    picture = sorted(first.iterdir())[0]
    key = f"{first.name}/{picture.name}"
    match change:
        case "gone":
            picture.unlink()
            said = f"1 row is gone ({key})"
        case "new":
            (first / "zzz.png").write_bytes(picture.read_bytes())
            said = f"1 row is new ({first.name}/zzz.png)"
        case "label":
            picture.rename(second / "moved.png")
            said = f"1 row is gone ({key}); 1 row is new ({second.name}/moved.png)"
        case _:
            picture.write_bytes(picture.read_bytes() + b"\0")
            later = time.time_ns() + 10**10
            os.utime(picture, ns=(later, later))
            said = f"{key} was written since"
    with pytest.raises(RunError, match="the data 'holiday' have changed since this run began") as refused:
        list(resume(open_run(run.path), clock()))
    assert said in refused.value.problems[0]
