"""What `gnomon predict`, `resume` and `report` refuse: model files, pictures and runs, each wrong in one way."""

import json
import random
import shutil
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pytest
import safetensors.numpy

from bad_inputs import (
    QUICK,
    Refused,
    arrays,
    check_refused,
    cut,
    encrypted_zip,
    photos,
    picture,
    run_command,
    with_header,
)
from gnomon.cli import main
from gnomon.rundir.run import open_run
from gnomon.types import Finished, Phased
from source_files import write_folder, write_zip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `photos` and a finished run over them, made once; tests work on copies."""
    folder = tmp_path_factory.mktemp("trained")
    photos(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", "photos", *QUICK.split()]) == 0
    return folder


@pytest.fixture
def here(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what was trained, as the working directory."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- Model files -----------------------------------------------------------------------------------------------------

PREDICT: Final = "predict run/model.safetensors photos/cat/00.png"
AGAIN: Final = "Copy or train it again."


def _model(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        path = folder / "run" / "model.safetensors"
        path.write_bytes(change(path.read_bytes()))

    return spoil


def _described(change: Mapping[str, object]) -> Callable[[Path], object]:
    return _model(lambda content: with_header(content, change))


def _outer_header(header: object) -> Callable[[Path], object]:
    text = json.dumps(header).encode()
    return _model(lambda _: struct.pack("<Q", len(text)) + text)


OWN_CODE: Final = {"model": {"model": "imported", "name": "os:mkdir", "arguments": {"path": "made"}}}
FOREIGN: Final = safetensors.numpy.save({"weight": np.zeros(3, np.float32)})

MODELS: Final = (
    Refused("no model", "predict modl photos", ("there is no model file 'modl'", ".safetensors")),
    Refused("no file in the run", "predict run photos/cat/00.png", ("holds no model.safetensors", "gnomon report run"),
            lambda folder: (folder / "run/model.safetensors").unlink()),
    Refused("empty", PREDICT, ("its header can't be read", AGAIN), _model(lambda _: b"")),
    Refused("cut in the header", PREDICT, ("its header can't be read", AGAIN), _model(lambda content: content[:100])),
    Refused("cut in the weights", PREDICT, ("not fully covered", AGAIN), _model(lambda content: content[:-100])),
    Refused("random bytes", PREDICT, ("its header claims", AGAIN), _model(lambda _: random.Random(0).randbytes(5000))),
    Refused("immense header", PREDICT, ("claims 1,152,921,504,606,846,976 bytes",),
            _model(lambda content: struct.pack("<Q", 2**60) + content[8:])),
    Refused("from elsewhere", PREDICT, ("no description by Gnomon", "that Gnomon wrote"), _model(lambda _: FOREIGN)),
    Refused("header a list", PREDICT, ("its header can't be read", AGAIN), _outer_header([1, 2])),
    Refused("description a number", PREDICT, ("its header can't be read", AGAIN),
            _outer_header({"__metadata__": {"gnomon": 5}})),
    Refused("description a list", PREDICT, ("its description is not valid", AGAIN),
            _outer_header({"__metadata__": {"gnomon": "[]"}})),
    Refused("of a later version", PREDICT, ("of version 5", "Update Gnomon."), _described({"version": 5})),
    Refused("unknown field", PREDICT, ("unknown field `code`", AGAIN), _described({"code": "1"})),
    Refused("no such model", PREDICT, ("$.model.model", AGAIN), _described({"model.model": "resnet"})),
    Refused("a user's own code", PREDICT, ("(os:mkdir)", "imports no code", "gnomon.load(path, module="),
            _described(OWN_CODE)),
    Refused("height zero", PREDICT, ("the impossible shape (0, 8, 3)", AGAIN), _described({"encoder.height": 0})),
    Refused("height immense", PREDICT, ("the impossible shape",), _described({"encoder.height": 10**9})),
    Refused("no deviations", PREDICT, ("does not fit its channels",), _described({"encoder.std": []})),
    Refused("deviation tiny", PREDICT, ("its normalisation",), _described({"encoder.std": [1e-300, 1.0, 1.0]})),
    Refused("one class", PREDICT, ("fewer than two",), _described({"task.classes": ["cat"]})),
    Refused("a class twice", PREDICT, ("not unique",), _described({"task.classes": ["cat", "cat"]})),
    Refused("too many classes", PREDICT, ("head.weight does not have the shape (3, 4)",),
            _described({"task.classes": ["a", "b", "c"]})),
    Refused("other widths", PREDICT, ("its tensors are not the network's",), _described({"model.widths": [4, 4]})),
    Refused("no widths", PREDICT, ("can't be built", AGAIN), _described({"model.widths": []})),
    Refused("immense network", PREDICT, ("its network is too large",), _described({"model.widths": [60_000] * 9})),
    Refused("dropout of 5", PREDICT, ("can't be built: dropout",), _described({"model.dropout": 5.0})),
)  # fmt: skip


@pytest.mark.parametrize("case", MODELS, ids=lambda case: case.name)
def test_a_wrong_model_file_is_refused(case: Refused, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_refused(case, here, capsys)


# --- Pictures to predict ---------------------------------------------------------------------------------------------

FILES: Final = (
    Refused("no picture", "predict run gone.png", ("there is no file 'gone.png'", "Give pictures, folders")),
    Refused("one of two", PREDICT + " gone.png", ("there is no file 'gone.png'",)),
    Refused("empty folder", "predict run e", ("no pictures in 'e' (of 0 files)", "by their extensions"),
            lambda folder: (folder / "e").mkdir()),
    Refused("folder of texts", "predict run t", ("no pictures in 't' (of 1 file)",),
            lambda folder: write_folder(folder / "t", {"a.txt": b"text"})),
    Refused("arrays", "predict run a.npz", ("no pictures in 'a.npz'",), lambda folder: arrays(folder / "a.npz")),
    Refused("zip cut off", "predict run p.zip", ("'p.zip' can't be read", "Copy or download it again"),
            lambda folder: cut(write_zip(folder / "p.zip", {"a.png": picture()}))),
    Refused("top of none", PREDICT + " --top 0", ("--top: '0' is not 1 or more", "gnomon predict --help")),
)  # fmt: skip


@pytest.mark.parametrize("case", FILES, ids=lambda case: case.name)
def test_wrong_things_to_predict_are_refused(case: Refused, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_refused(case, here, capsys)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("text.txt", b"hello", "is not a readable JPEG"),
        ("empty.png", b"", "is empty (0 bytes)"),
        ("cut.png", picture()[:120], "is damaged"),
    ],
)
def test_a_bad_picture_is_said_and_the_others_are_predicted(
    here: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes, reason: str
) -> None:
    (here / name).write_bytes(content)
    said = run_command(f"predict run photos/cat/00.png {name} photos/dog/00.png", capsys)
    assert said.code == 2
    assert [line.partition(":")[0] for line in said.out.splitlines()] == ["photos/cat/00.png", "photos/dog/00.png"]
    assert f"{name}: {reason}" in said.error
    assert "gnomon: 1 of 3 files could not be read" in said.error


def _folder(folder: Path) -> None:
    write_folder(folder / "new", {"a.png": picture(), "b.png": b"text", "c.png": picture()})
    (folder / "new" / "d.png").symlink_to("nowhere")


@pytest.mark.parametrize(
    ("make", "data", "reasons", "predicted"),
    [
        (_folder, "new", {"b.png": "is not a readable JPEG", "d.png": "a link that leads nowhere"}, 2),
        (lambda folder: encrypted_zip(folder / "new.zip", "cat/00"), "new.zip", {"cat/00.png": "encrypted"}, 23),
    ],
)
def test_bad_pictures_in_folders_and_archives(
    here: Path,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Path], object],
    data: str,
    reasons: Mapping[str, str],
    predicted: int,
) -> None:
    make(here)
    said = run_command(f"predict run {data}", capsys)
    assert said.code == 2
    assert len(said.out.splitlines()) == predicted
    assert [name for name, reason in reasons.items() if f"{data}/{name}: {reason}" not in said.error] == []
    assert f"gnomon: {len(reasons)} of {predicted + len(reasons)} files could not be read" in said.error


def test_a_table_names_what_could_not_be_read(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(here / "new", {"a.png": picture(), "=b.png": b"text"})
    said = run_command("predict run new --csv", capsys)
    lines = said.out.splitlines()
    assert said.code == 2
    assert lines[0] == "file,label,confidence,problem"
    assert any(line.startswith('new/=b.png,,,"is not a readable') for line in lines)
    assert len(lines) == 3


# --- Runs ------------------------------------------------------------------------------------------------------------


def _changed(folder: Path) -> None:
    (folder / "photos/cat/00.png").write_bytes(picture())


def _spoilt(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "run" / name).write_text("{")


def _unsealed(name: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        (folder / "run" / "seals.json").unlink()
        (folder / "run" / name).write_text("{")

    return spoil


def _one_sign(name: str) -> Callable[[Path], object]:
    """One letter is another; the file can be read all the same."""

    def spoil(folder: Path) -> None:
        path = folder / "run" / name
        path.write_text(path.read_text().replace("cat", "cap", 1))

    return spoil


_CODE = '[model]\nmodel = "imported"\nname = "os:mkdir"\n[model.arguments]\npath = "made"\n'


def _own_code(folder: Path) -> None:
    (folder / "run" / "seals.json").unlink()
    path = folder / "run" / "plan.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | OWN_CODE))


def _own_recipe(folder: Path) -> None:
    (folder / "r.toml").write_text(f"[source]\nlocation = 'photos'\n{_CODE}")


def _cut_weights(folder: Path) -> None:
    for path in folder.glob("run/checkpoints/*/model.safetensors"):
        cut(path)


RUNS: Final = (
    Refused("resume no run", "resume photos", ("'photos' is not a run directory", "runs/latest")),
    Refused("resume misspelt", "resume rnu", ("there is no run directory 'rnu'", "Did you mean 'run'?")),
    Refused("report misspelt", "report rnu", ("there is no run directory 'rnu'", "Did you mean 'run'?")),
    Refused("resume other data", "resume run --quiet", ("the data 'photos' have changed", "or train anew"), _changed),
    Refused("report other data", "report run --quiet", ("the data 'photos' have changed", "or train anew"), _changed),
    Refused("resume without data", "resume run --quiet", ("there is no 'photos'",),
            lambda folder: shutil.rmtree(folder / "photos")),
    Refused("report without checkpoint", "report run --quiet", ("no whole checkpoint", "gnomon resume"),
            lambda folder: shutil.rmtree(folder / "run/checkpoints")),
    Refused("report with a cut checkpoint", "report run --quiet", ("no whole checkpoint", "gnomon resume"),
            _cut_weights),
    Refused("no plan", "resume run --quiet", ("plan.json can't be read", "train anew"),
            lambda folder: (folder / "run/plan.json").unlink()),
    Refused("plan spoilt", "report run --quiet", ("plan.json has 1 bytes instead", "train anew"), _spoilt("plan.json")),
    Refused("data spoilt", "resume run --quiet", ("data.json has 1 bytes instead", "seals.json"), _spoilt("data.json")),
    Refused("recipe spoilt", "report run --quiet", ("recipe.toml has 1 bytes instead",), _spoilt("recipe.toml")),
    Refused("seals spoilt", "report run --quiet", ("seals.json is damaged",), _spoilt("seals.json")),
    Refused("plan spoilt, no seals", "report run --quiet", ("'run/plan.json' is damaged", "train anew"),
            _unsealed("plan.json")),
    Refused("data spoilt, no seals", "resume run --quiet", ("'run/data.json' is damaged", "train anew"),
            _unsealed("data.json")),
    Refused("recipe spoilt, no seals", "report run --quiet", ("the recipe can't be used",), _unsealed("recipe.toml")),
    Refused("one name changed", "report run --quiet", ("data.json is not as it was",), _one_sign("data.json")),
    Refused("one class renamed", "resume run --quiet", ("split.csv is not as it was",), _one_sign("split.csv")),
    Refused("code in the plan", "resume run --quiet", ("'os:mkdir'", "not run unasked", "--model os:mkdir"), _own_code),
    Refused("code in the plan, to report", "report run --quiet", ("not run unasked",), _own_code),
    Refused("other code than was named", "resume run --model a:B", ("'os:mkdir'", "not run unasked"), _own_code),
    Refused("code in a recipe file", "train photos --recipe r.toml", ("('os:mkdir')", "not run unasked"), _own_recipe),
    Refused("resume by soon", "resume run --by soon", ("'soon' can't be read", "90s, 5m, 1h30m")),
)  # fmt: skip


@pytest.mark.parametrize("case", RUNS, ids=lambda case: case.name)
def test_a_wrong_run_is_refused(case: Refused, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_refused(case, here, capsys)


@pytest.mark.parametrize("command", ["resume run --quiet", "report run --quiet"])
def test_torn_events_stop_nothing(here: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    events = here / "run" / "metrics.jsonl"
    events.write_bytes(b'{"event":"st{"event":\n' + events.read_bytes() + b'{"event":"step","st')
    assert run_command(command, capsys).code == 0
    assert b'"finished"' in events.read_bytes().splitlines()[-1]
    told = list(open_run("run").events())
    assert isinstance(told[0], Phased)
    assert isinstance(told[-1], Finished)
    torn = events.read_bytes().count(b"\n") - len(told)
    assert torn == (0 if command.startswith("resume") else 2), "resume writes the events anew"
