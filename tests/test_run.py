"""The run directory: written wholly or not at all, checked when read, and free to be moved."""

import errno
import os
import shutil
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow.parquet
import pytest

from conftest import PictureFolder
from gnomon.deadline import Deadline
from gnomon.errors import DataError, RunError
from gnomon.models import Cnn
from gnomon.planning.asked import TrainingSpec
from gnomon.rundir.run import METRICS, MODEL, PLAN, RECIPE, REPORT, Run, create_run, open_run
from gnomon.rundir.writing import write_atomically
from gnomon.sources import SourceSpec
from gnomon.spine.finish import finish
from gnomon.spine.fit import fit
from gnomon.spine.recipe import Recipe
from gnomon.types import Event, Finished, Metric, Noted, Phased, Saved, Stepped, Stopped

FILES = {"model.safetensors": b"weights", "state.safetensors": b"state" * 1000, "state.json": b"{}"}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create_run(tmp_path / "run", data="photos", model="cnn")


def stepped(step: int) -> Stepped:
    return Stepped(step=step, steps=9, epoch=1.0, loss=0.5, learning_rate=0.1, rows_per_s=10.0, elapsed_s=1.0)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- Single files ----------------------------------------------------------------------------------------------------


def _fails_at(monkeypatch: pytest.MonkeyPatch, operation: str, code: int) -> None:
    """From now on, this operation of the system fails."""

    def fail(*_arguments: object, **_named: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, operation, fail)


@pytest.mark.parametrize("operation", ["write", "fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_full_disk_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str, code: int
) -> None:
    path = tmp_path / "folder" / "file.json"
    write_atomically(path, b"old")
    with monkeypatch.context() as patch:
        _fails_at(patch, operation, code)
        with pytest.raises(RunError, match="can't be written") as refused:
            write_atomically(path, b"new" * 10**6)
    assert os.strerror(code) in refused.value.problems[0]
    assert "(3.0 MB needed, " in refused.value.problems[0]
    assert " free)" in refused.value.problems[0]
    assert "intact" in refused.value.remedy
    assert path.read_bytes() == b"old"
    assert names(path.parent) == ["file.json"]


def test_the_content_is_synced_before_the_name_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, replace = os.fsync, os.replace

    def synced(handle: int) -> None:
        done.append("sync folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "sync file")
        sync(handle)

    def replaced(path: Path, target: Path) -> None:
        done.append("rename")
        replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    write_atomically(tmp_path / "file", b"content")
    assert done == ["sync file", "rename", "sync folder"]


def test_values_are_read_back_strictly(run: Run) -> None:
    metric = Metric(value=0.5, low=0.25, high=1.0)
    run.write_json("evaluation/test.json", metric)
    assert run.read_json("evaluation/test.json", Metric) == metric
    with pytest.raises(RunError, match="can't be read"):
        run.read_json("evaluation/none.json", Metric)
    for text in ('{"value": 0.5, "low": 0.25', '{"value": 0.5, "low": 0.25, "high": 1, "new": 2}', '{"value": "a"}'):
        run.write("evaluation/test.json", text)
        with pytest.raises(RunError, match="is damaged"):
            run.read_json("evaluation/test.json", Metric)


# --- Events ----------------------------------------------------------------------------------------------------------


def test_a_torn_last_line_is_ignored_and_what_follows_is_read(run: Run) -> None:
    events: list[Event] = [Phased(name="training", elapsed_s=1.5), stepped(3), Noted(text="a\nb")]
    for event in events:
        run.append(event)
    with (run.path / METRICS).open("ab") as file:
        file.write(b'{"event":"step","step":4,"st')
    assert list(run.events()) == events
    run.drop_events_after(3)
    run.append(stepped(4))
    assert list(run.events()) == [*events, stepped(4)]


def test_going_back_forgets_what_came_after(run: Run) -> None:
    events: list[Event] = [
        Phased(name="training", elapsed_s=1.0),
        stepped(3),
        Saved(step=4),
        stepped(5),
        Noted(text="n"),
    ]
    for event in events:
        run.append(event)
    run.append(Stopped(step=5, reason="planned"))
    run.append(Finished(run="r", metrics={}, planned_s=0.0, used_s=1.0))
    run.drop_events_after(4)
    kept = list(run.events())
    assert kept == [Phased(name="training", elapsed_s=1.0), stepped(3), Saved(step=4), Noted(text="n")]


def test_without_any_event(run: Run) -> None:
    assert list(run.events()) == []


# --- Checkpoints -----------------------------------------------------------------------------------------------------


def test_the_last_two_checkpoints_are_kept(run: Run) -> None:
    for step in (5, 90, 999_998, 999_999, 1_000_000):
        run.save_checkpoint(step, FILES)
    assert len(names(run.path / "checkpoints")) == 2
    latest = run.latest_checkpoint()
    assert latest is not None
    assert latest.step == 1_000_000
    assert {name: latest.read(name) for name in FILES} == FILES


@pytest.mark.parametrize(
    "damage", ["changed", "cut off", "longer", "gone", "no manifest", "torn manifest", "empty manifest"]
)
def test_a_damaged_checkpoint_does_not_exist(run: Run, damage: str) -> None:
    for step in (5, 9):
        run.save_checkpoint(step, FILES)
    newest = run.latest_checkpoint()
    assert newest is not None
    assert newest.step == 9
    state, manifest = newest.path / "state.safetensors", newest.path / "MANIFEST.json"
    match damage:
        case "changed":
            state.write_bytes(b"stale" * 1000)
        case "cut off":
            state.write_bytes(state.read_bytes()[:-1])
        case "longer":
            state.write_bytes(state.read_bytes() + b"x")
        case "gone":
            state.unlink()
        case "no manifest":
            manifest.unlink()
        case "torn manifest":
            manifest.write_bytes(manifest.read_bytes()[:-10])
        case "empty manifest":
            manifest.write_bytes(b"")
    before = run.latest_checkpoint()
    assert before is not None
    assert before.step == 5


def test_a_checkpoint_cut_off_by_a_full_disk_does_not_exist(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.save_checkpoint(5, FILES)
    sync = os.fsync

    def until_full(handle: int) -> None:
        if os.readlink(f"/proc/self/fd/{handle}").endswith("state.json"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", until_full)
        with pytest.raises(RunError):
            run.save_checkpoint(9, FILES)
    assert names(run.path / "checkpoints") == ["step-000005"]
    latest = run.latest_checkpoint()
    assert latest is not None
    assert latest.step == 5
    run.save_checkpoint(9, FILES)
    again = run.latest_checkpoint()
    assert again is not None
    assert again.step == 9


@pytest.mark.parametrize("folder", ["", "evaluation", "checkpoints", "explain"])
def test_what_a_killed_process_left_half_written_is_taken_away(run: Run, folder: str) -> None:
    """Wherever a run writes: each of these names is what `write_atomically` or `write_folder` leaves when killed."""
    place = run.path / folder
    place.mkdir(exist_ok=True)
    (place / ".examples.json.123.tmp").write_bytes(b"half")
    (place / ".making-123").mkdir()
    (place / "kept.json").write_bytes(b"{}")
    run.remove_leftovers()
    assert [path.name for path in place.iterdir() if path.is_file()] == ["kept.json"]
    assert not list(run.path.rglob(".*"))


def test_without_any_checkpoint(run: Run) -> None:
    assert run.latest_checkpoint() is None


# --- Directories -----------------------------------------------------------------------------------------------------


def test_runs_have_names_of_their_own_and_latest_points_to_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "strftime", lambda _format: "20260102-030405")
    first, second = (create_run(None, data="Meine Fotos!", model="cnn") for _ in range(2))
    assert first.path == Path("runs/20260102-030405-meine-fotos-cnn")
    assert second.path == Path("runs/20260102-030405-meine-fotos-cnn-2")
    assert os.readlink("runs/latest") == second.path.name
    assert names(Path("runs")) == [first.path.name, second.path.name, "latest"]


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="is not empty"):
        create_run(tmp_path, data="d", model="m")
    assert names(tmp_path) == ["thesis.txt"]
    assert create_run(tmp_path / "new" / "deep", data="d", model="m").path.is_dir()


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(RunError):
            open_run(path)


def test_a_finished_run_can_be_moved(
    tmp_path: Path, picture_folder: PictureFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file but the recipe names a place on this machine, and everything reads from where it lies. Data that were
    named from the folder of then are found from the run upwards.
    """
    data = picture_folder(name="holiday")
    monkeypatch.chdir(data.parent)
    training = TrainingSpec(steps=2, batch=8, threads=1, format="float32")
    recipe = Recipe(source=SourceSpec(location="holiday"), model=Cnn(widths=(4,)), training=training)
    run, deadline = create_run(tmp_path / "made-here", data="holiday", model="m"), Deadline(time.monotonic())
    for events in (fit(recipe, run, deadline), finish(run, deadline)):
        assert list(events)
    moved = open_run(shutil.move(run.path, data.parent / "moved"))
    assert list(finish(moved, deadline))
    monkeypatch.chdir(moved.path / "evaluation")
    assert list(finish(open_run("../../moved"), deadline))
    assert {RECIPE, PLAN, MODEL, REPORT} <= set(names(moved.path))
    telling = [str(tmp_path), str(Path.home()), os.path.realpath(tmp_path)]
    for path in filter(Path.is_file, moved.path.rglob("*")):
        assert [word for word in telling if word.encode() in _readable(path)] == [], path
    shutil.move(data, tmp_path / "away")
    with pytest.raises(DataError, match="there is no 'holiday'"):
        list(finish(moved, deadline))


def _readable(path: Path) -> bytes:
    """A file's bytes; those of a table, unpacked."""
    if path.suffix != ".parquet":
        return path.read_bytes()
    columns: dict[str, list[Any]] = pyarrow.parquet.read_table(path).to_pydict()
    return msgspec.json.encode({name: np.array(column).astype(str).tolist() for name, column in columns.items()})
