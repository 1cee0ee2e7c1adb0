"""What `gnomon train` refuses: each said in words, with the remedy, and never a traceback."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import msgspec
import numpy as np
import pytest

from bad_inputs import (
    QUICK,
    Refused,
    arrays,
    check_refused,
    cut,
    encrypted_zip,
    names,
    only,
    photos,
    picture,
    pictures,
    run_command,
    table,
)
from gnomon.rows.dataset import DataSummary
from source_files import write_tar, write_zip


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _file(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def _recipe(text: str) -> Callable[[Path], object]:
    return _file("r.toml", f"[source]\nlocation='photos'\n{text}".encode())


def _only(files: Mapping[str, bytes]) -> Callable[[Path], object]:
    def replace(folder: Path) -> None:
        shutil.rmtree(folder / "photos")
        only(folder, files)

    return replace


def _cut(name: str, write: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda folder: (write(folder / name), cut(folder / name))


def _spoilt_npz(folder: Path) -> None:
    """Its compressed numbers are overwritten in the middle."""
    numbers = np.random.default_rng(0).integers(0, 9, (24, 8, 8))
    np.savez_compressed(folder / "a.npz", X=numbers, y=np.arange(24) % 2)
    data = bytearray((folder / "a.npz").read_bytes())
    data[200:260] = bytes(60)
    (folder / "a.npz").write_bytes(data)


# --- Refused: what is typed ------------------------------------------------------------------------------------------

HELP: Final = "gnomon train --help says what can be given."
TRAIN: Final = "train photos" + QUICK

OPTIONS: Final = (
    Refused("unknown command", "trai photos", ("'trai'", "'train', 'plan', 'predict'", "gnomon --help")),
    Refused("no data", "train", ("no data given", "gnomon train DATA --by 5m")),
    Refused("empty data", "train ''", ("no data given", "gnomon train DATA")),
    Refused("two sets of data", "train photos photos", ("'photos' is nothing that gnomon train takes", "--help")),
    Refused("misspelt option", "train photos --epoch 3", ("'--epoch' is nothing", "Did you mean 'epochs'?")),
    Refused("unknown option", "train photos --gpu", ("'--gpu' is nothing that gnomon train takes", "Known: augment")),
    Refused("control signs in an option", "train photos --\x1b[31mred", ("'--\\x1b[31mred' is nothing",)),
    Refused("deadline unreadable", "train photos --by soon", ("'soon' can't be read", "90s, 5m, 1h30m")),
    Refused("deadline no time of day", "train photos --by 25:10", ("'25:10' can't be read", "18:30")),
    Refused("deadline zero", "train photos --by 0s", ("'0s' is not in the future", "Write a duration")),
    Refused("deadline negative", "train photos --by=-5m", ("'-5m' can't be read", "Write a duration")),
    Refused("deadline and epochs", "train photos --by 5m --epochs 3", ("--epochs: not allowed with", "--by", HELP)),
    Refused("epochs zero", "train photos --epochs 0", ("--epochs: '0' is not more than 0", HELP)),
    Refused("epochs infinite", "train photos --epochs inf", ("--epochs: 'inf' is not a number", HELP)),
    Refused("steps negative", "train photos --steps -3", ("--steps: '-3' is not 1 or more", HELP)),
    Refused("size no number", "train photos --size big", ("--size: 'big' is not a whole number", HELP)),
    Refused("rate negative", "train photos --learning-rate -1", ("--learning-rate: '-1' is not more than 0", HELP)),
    Refused("rate not a number", "train photos --learning-rate nan", ("--learning-rate: 'nan' is not a number",)),
    Refused("decay negative", "train photos --weight-decay -1", ("--weight-decay: '-1' is less than 0", HELP)),
    Refused("share of one", "train photos --test 1", ("--test: '1' is not a share", "such as 0.15", HELP)),
    Refused("no test part", "train photos --test 0", ("a share of 0 for the test", "usual are 0.15 and 0.1")),
    Refused("shares too large", "train photos --test 0.6 --validation 0.6", ("(0.6) leave no row to train on",)),
    Refused("widths no numbers", "train photos --widths 4-x", ("--widths: '4-x' are not numbers", "32-64-128", HELP)),
    Refused("widths zero", "train photos --widths 0-8", ("--widths: '0-8' are not numbers of filters",)),
    Refused("widths immense", "train photos --widths 99999", ("'99999' are not numbers of filters, 1 to 4,096",)),
    Refused("unknown fit", "train photos --fit squeeze", ("--fit: invalid choice: 'squeeze'", "'letterbox'", HELP)),
    Refused("unknown model", "train photos --model resnet", ("'resnet' is not known", "plain", "package.module:Name")),
    Refused("model misspelt", "train photos --model plian", ("'plian' is not known", "Did you mean 'plain'?")),
    Refused(
        "widths of another", TRAIN + " --model plain", ("--widths means nothing for the model 'plain'", "--model cnn")
    ),
    Refused(
        "model not there", "train photos --steps 2 --model no.such:Net", ("can't be imported: No module named 'no'",)
    ),
    Refused("plain and tiny", "train photos --size 8 --model plain", ("at least 18×18", "8×8", "Use --size 32")),
    Refused("one pixel", "train photos --size 1", ("pictures of 1×1 are too small", "Give a larger --size")),
    Refused("too large for the disk", "train photos --size 9999999", ("the encoded rows need", "smaller --size")),
    Refused("unknown augmentation", TRAIN + " --augment rotate", ("'rotate' is not known", "cutout, flip, mixup")),
    Refused("strength no number", TRAIN + " --augment shift=x", ("'shift=x' is not a number", "shift=3")),
    Refused("no such device", TRAIN + " --device tpu", ("there is no device 'tpu'", "Use --device cpu")),
    Refused(
        "column for a folder", "train photos --input x", ("--input 'x' means nothing for 'photos'", "Leave it out")
    ),
    Refused("group no expression", "train photos --group '('", ("no regular expression", "(person[0-9]+)")),
    Refused("group no brackets", "train photos --group cat", ("no part in brackets", "(person[0-9]+)")),
    Refused("group matches none", "train photos --group '(zz)'", ("none of 24 rows", "such as 'cat/00.png'")),
    Refused("groups too few", "train photos --group '(.*)/'", ("24 labelled rows in 2 pieces", "3 groups")),
    Refused("out not empty", "train photos --out photos", ("'photos' is not empty", "Give another --out")),
    Refused("out a file", "train photos --out photos/cat/00.png", ("File exists", "that you may write to")),
    Refused("no recipe", "train --recipe r.toml", ("'r.toml' can't be read: No such file", "Give a recipe.toml")),
    Refused("recipe no text", "train --recipe r.toml", ("no UTF-8 text",), _file("r.toml", b"\xff\xfe")),
    Refused("recipe no TOML", "train --recipe r.toml", ("can't be used", "recipe.toml of any"), _recipe("nonsense")),
    Refused(
        "recipe key", "train --recipe r.toml", ("unknown field `step`", "$.training"), _recipe("[training]\nstep=3")
    ),
    Refused(
        "recipe type",
        "train --recipe r.toml",
        ("$.seed", "got `str`"),
        _file("r.toml", b"seed='x'\nsource.location='a'"),
    ),
    Refused("recipe size", "train --recipe r.toml", (">= 1", "$.dataset.size"), _recipe("[dataset]\nsize=0")),
    Refused("recipe share", "train --recipe r.toml", (">= 0", "split.test"), _recipe("[dataset.split]\ntest=-1.0")),
)

# --- Refused: what is there ------------------------------------------------------------------------------------------

LAYOUT: Final = "Make one folder per class: photos/cat/1.jpg"
TRAIN_TABLE: Final = "train labels.csv --steps 2"
NO_TABLE: Final = "A table has a first line of column names"

DATA: Final = (
    Refused("misspelt path", "train phtos", ("there is no 'phtos'", "Did you mean 'photos'?")),
    Refused("nothing like the path", "train x/y/zzz", ("there is no 'x' (asked for: 'x/y/zzz')", "Known: ", "photos")),
    Refused("empty folder", "train e", ("no images in 'e'", LAYOUT), lambda folder: (folder / "e").mkdir()),
    Refused("a text", "train a.txt", ("neither a folder nor a zip", "Give a folder"), _file("a.txt", b"hello")),
    Refused("a picture", "train a.png", ("neither a folder nor a zip", "Give a folder"), _file("a.png", picture())),
    Refused("a text as zip", "train a.zip", ("neither a folder nor a zip",), _file("a.zip", b"hello")),
    Refused("one class", "train photos", ("only one class, 'cat' (12 rows)", LAYOUT), _only(pictures(("cat",)))),
    Refused("no class folders", "train photos", ("all 2 images lie side by side (1.png, 2.png)", LAYOUT),
            _only({"1.png": picture(), "2.png": picture()})),
    Refused("one picture a class", "train photos", ("2 labelled rows are too few", "at least 3"),
            _only(pictures(each=1))),
    Refused("two pictures a class", "train photos", ("4 labelled rows are too few", "at least 3"),
            _only(pictures(each=2))),
    Refused("all empty", "train photos", ("no images", "24 files left out: empty", LAYOUT),
            _only(dict.fromkeys(names(), b""))),
    Refused("all texts", "train photos", ("can be read: cat/", "is not a readable JPEG", "Open the first one by hand"),
            _only({name: name.encode() for name in names()})),
    Refused("all cut off", "train photos", ("can be read: cat/", "is damaged", "Open the first one by hand"),
            _only({name: picture()[:120] for name in names()})),
    Refused("all the same", "train photos", ("in 1 piece that may not be divided", "identical content"),
            _only(dict.fromkeys(names(), picture()))),
    Refused("a class that can't be read", "train photos", ("12 of 24 pictures can't be read", "fewer than 2 classes"),
            _only({**pictures(("cat",)), **{name: name.encode() for name in names(("dog",))}})),
    Refused("a test part that can't be read", "train photos", ("no picture of the test part", "6 rows", "by hand"),
            _only({**pictures(below="train/"), **{name: name.encode() for name in names(each=3, below="test/")}})),
    Refused("classes in the test part only", "train photos", ("no training rows", LAYOUT),
            _only({**pictures(("cat",), below="train/"), **pictures(("dog",), below="test/")})),
    Refused("all encrypted", "train p.zip", ("no images", "24 files could not be read", "cat/00.png: encrypted"),
            lambda folder: encrypted_zip(folder / "p.zip", "")),
    Refused("zip cut off", "train p.zip", ("not a zip file", "Copy or download it again"),
            _cut("p.zip", lambda path: write_zip(path, pictures()))),
    Refused("tar.gz cut off", "train p.tgz", ("ended before the end", "Copy or download it again"),
            _cut("p.tgz", lambda path: write_tar(path, pictures(), "w:gz"))),
    Refused("tar cut off", "train p.tar", ("cut off at byte 45,056: the mark of its end is", "Copy or download it"),
            lambda folder: cut(write_tar(folder / "p.tar", pictures(each=40)), 45_056)),
    Refused("misspelt target", TRAIN_TABLE + " --target lable", ("no column of", "Did you mean 'label'?"), table),
    Refused("misspelt input", TRAIN_TABLE + " --input fil", ("no column of", "Did you mean 'file'?"), table),
    Refused("no such group", TRAIN_TABLE + " --group person", ("'person' is no column", "Known: file, label."), table),
    Refused("empty table", TRAIN_TABLE, ("Empty CSV file", NO_TABLE), _file("labels.csv", b"")),
    Refused("head alone", TRAIN_TABLE, ("has no rows", NO_TABLE), _file("labels.csv", b"file,label\n")),
    Refused("no file is there", TRAIN_TABLE, ("names existing files", "file ('a.png')", "--input", "relative to"),
            _file("labels.csv", b"file,label\na.png,cat\nb.png,dog\n")),
    Refused("table in Latin-1", TRAIN_TABLE, ("line 2", "byte 0xe4", "Save it as UTF-8"),
            _file("labels.csv", b"file,label\na.png,n\xe4h\n")),
    Refused("table in UTF-16", TRAIN_TABLE, ("is in UTF-16", "Save it as UTF-8"),
            _file("labels.csv", "file,label\na.png,b\n".encode("utf-16"))),
    Refused("columns twice", TRAIN_TABLE, ("several columns named label", "Rename"),
            lambda folder: table(folder, head="file,label,label")),
    Refused("lines no objects", "train l.jsonl", ("has no rows", "2 rows set aside: no JSON object", NO_TABLE),
            _file("l.jsonl", b"[1]\n[2]\n")),
    Refused("no Parquet", "train l.parquet", ("can't be read", "not a parquet file", NO_TABLE),
            _file("l.parquet", b"hello, world")),
    Refused("Python objects", "train a.npz", ("holds Python objects", "array.astype(str)"),
            lambda folder: arrays(folder / "a.npz", y=np.array([{"a": 1}] * 24, dtype=object))),
    Refused("flat rows", "train a.npz", ("the shape (24, 64)", "X.reshape(-1, 28, 28)"),
            lambda folder: arrays(folder / "a.npz", X=np.zeros((24, 64)))),
    Refused("labels too few", "train a.npz", ("24 images and 23 labels", "one label for each image"),
            lambda folder: arrays(folder / "a.npz", y=np.zeros(23))),
    Refused("numbers below zero", "train a.npz", ("whole numbers from -7 to -7", "between 0 and 255"),
            lambda folder: arrays(folder / "a.npz", X=np.full((24, 8, 8), -7))),
    Refused("arrays cut off", "train a.npz", ("not a zip file", "save it anew"),
            _cut("a.npz", lambda path: arrays(path))),
    Refused("arrays spoilt", "train a.npz", ("'a.npz' can't be read", "save it anew"), _spoilt_npz),
    Refused("arrays unnamed", "train a.npz", ("not obvious: ['q']", "X and y"),
            lambda folder: np.savez(folder / "a.npz", q=np.zeros(3))),
)  # fmt: skip


@pytest.mark.parametrize("case", [*OPTIONS, *DATA], ids=lambda case: case.name)
def test_what_can_not_be_trained_on_is_refused(
    case: Refused, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos(tmp_path)
    check_refused(case, tmp_path, capsys)


# --- What the system refuses -----------------------------------------------------------------------------------------


def test_a_folder_that_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = os.scandir

    def refuse(path: str) -> object:
        if str(path).startswith("photos"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    photos(tmp_path)
    monkeypatch.setattr(os, "scandir", refuse)
    said = run_command("train photos" + QUICK, capsys)
    assert said.code == 2
    assert "'photos' can't be read: Permission denied" in said.error


def test_a_file_that_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "secret" not in str(path) and access(path, mode))
    photos(tmp_path, {"cat/secret.png": picture()})
    assert run_command("train photos" + QUICK, capsys).code == 0
    data = msgspec.json.decode((tmp_path / "run" / "data.json").read_bytes(), type=DataSummary)
    assert [(row.key, row.reason) for row in data.set_aside] == [
        ("cat/secret.png", "may not be read (permission denied)")
    ]


def test_an_output_that_may_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: str, mode: int = 0o777) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    photos(tmp_path)
    monkeypatch.setattr(os, "mkdir", refuse)
    said = run_command("train photos" + QUICK, capsys)
    assert said.code == 2
    assert "can't be made: 'run': Permission denied" in said.error
    assert "Give a folder that you may write to, with --out." in said.error


def test_a_disk_that_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=10**9, used=10**9, free=1000))
    said = run_command("train photos" + QUICK, capsys)
    assert said.code == 2
    assert "MB free" in said.error
    assert "set GNOMON_CACHE to a folder on a larger disk" in said.error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("limit", ["lots", "5 GB"])
def test_a_limit_of_the_cache_that_is_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], limit: str
) -> None:
    photos(tmp_path)
    monkeypatch.setenv("GNOMON_CACHE_LIMIT", limit)
    said = run_command("train photos" + QUICK, capsys)
    assert said.code == 2
    assert f"GNOMON_CACHE_LIMIT is {limit!r}" in said.error
    assert "such as 5e9" in said.error


def test_a_deadline_that_is_too_near(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(tmp_path)
    said = run_command("train photos --by 0.01s --threads 2 --size 8", capsys)
    assert said.code == 2
    assert "the deadline is too near" in said.error
    assert "Give at least --by " in said.error


def test_a_device_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    photos(tmp_path)
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    said = run_command("train photos --device cuda" + QUICK, capsys)
    assert said.code == 2
    assert "there is no device 'cuda'" in said.error
    assert "Use --device cpu" in said.error


def test_a_refused_run_leaves_latest_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(tmp_path)
    here = QUICK.replace("--out run", "")
    assert run_command("train photos" + here, capsys).code == 0
    latest = (tmp_path / "runs" / "latest").resolve()
    assert run_command("train phtos" + here, capsys).code == 2
    assert (tmp_path / "runs" / "latest").resolve() == latest
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == sorted([latest.name, "latest"])


@pytest.mark.parametrize(
    ("words", "phrases"),
    [
        (("train", "phtos"), ("gnomon: there is no 'phtos'", "Did you mean 'photos'?")),
        (("train", "photos", "--epoch", "3"), ("'--epoch' is nothing", "Did you mean 'epochs'?")),
    ],
)
def test_the_command_itself(tmp_path: Path, words: tuple[str, ...], phrases: tuple[str, ...]) -> None:
    (tmp_path / "photos").mkdir()
    command = [sys.executable, "-m", "gnomon", *words]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ended.returncode == 2
    assert [phrase for phrase in phrases if phrase not in ended.stderr] == []
    assert "Traceback" not in ended.stderr


# --- Values out of bounds -------------------------------------------------------------------------------------------

OUT_OF_BOUNDS: Final = (
    Refused("shift negative", TRAIN + " --augment shift=-3", ("shift=-3",)),
    Refused("shift not a number", TRAIN + " --augment shift=nan", ("shift=nan",)),
    Refused("mixup negative", TRAIN + " --augment mixup=-1", ("mixup=-1",)),
    Refused("batch immense", TRAIN + " --batch 999999999999", ("batch",)),
    Refused("rate immense", TRAIN + " --learning-rate 1e30", ("optimizer.learning_rate",)),
    Refused("model without a module", "train photos --steps 2 --model :Net", ("':Net'",)),
    Refused("model no module", "train photos --steps 2 --model os:getcwd", ("gave a str, not a torch.nn.Module",)),
    Refused("steps negative in a recipe", "train --recipe r.toml", ("steps",), _recipe("[training]\nsteps=-4")),
    Refused("threads negative in a recipe", "train --recipe r.toml", ("threads",), _recipe("[training]\nthreads=-2")),
)


@pytest.mark.parametrize("case", OUT_OF_BOUNDS, ids=lambda case: case.name)
def test_values_out_of_bounds_are_refused(case: Refused, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(tmp_path)
    check_refused(case, tmp_path, capsys)
