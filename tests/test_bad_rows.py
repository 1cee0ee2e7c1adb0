"""What `gnomon train` sets aside: bad rows in a good set are named and counted, and the run goes through."""

import csv
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pytest

from bad_inputs import (
    QUICK,
    arrays,
    decompression_bomb,
    encrypted_zip,
    huge_member_zip,
    lying_zip,
    only,
    photos,
    picture,
    pictures,
    png,
    run_command,
    table,
    tar_with_links,
    text_bomb,
)
from gnomon.rows.dataset import DataSummary
from source_files import write_folder, write_zip


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# --- Set aside -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accepted:
    """A set with bad rows that must be trained on without them.

    Attributes:
        set_aside: part of the reason for each key that must be set aside; nothing else may be.
        notes: phrases that `data.json` must say beside.
        used: rows that remain.
    """

    name: str
    make: Callable[[Path], object]
    set_aside: Mapping[str, str]
    used: int = 24
    data: str = "photos"
    notes: tuple[str, ...] = ()
    repeated: Mapping[str, int] = field(default_factory=dict)


def _photos(extra: Mapping[str, bytes]) -> Callable[[Path], object]:
    return lambda folder: photos(folder, extra)


def _links(folder: Path) -> None:
    root = photos(folder)
    (root / "cat" / "loop").symlink_to(root, target_is_directory=True)
    (root / "cat" / "gone.png").symlink_to(root / "nothing")


def _strange_numbers(folder: Path) -> None:
    images = np.random.default_rng(0).random((24, 8, 8))
    images[3, 0, 0], images[4, 2, 2], images[5] = np.nan, np.inf, 1e300
    arrays(folder / "a.npz", X=images)


def _escaping_table(folder: Path) -> None:
    table(folder, "photos/\x1b[31mok.png,cat", "photos/\x1b[31mgone.png,cat", "photos/new.png,c\x1b[31m", good=12)
    write_folder(folder / "photos", {"\x1b[31mok.png": picture(), "new.png": picture()})


UNREADABLE: Final = "is not a readable JPEG"
BEYOND: Final = "leads out of the table's folder"
ODD: Final = ("cät 照片 😀", "x" * 200, "new\nline", "b\x07ell")

ACCEPTED: Final = (
    Accepted("JPEG cut off", _photos({"cat/a.jpg": picture("JPEG", (32, 32))[:900]}), {"cat/a.jpg": "is damaged"}),
    Accepted("PNG cut off", _photos({"cat/a.png": picture()[:120]}), {"cat/a.png": "is damaged"}),
    Accepted("header cut off", _photos({"cat/a.png": picture()[:20]}), {"cat/a.png": UNREADABLE}),
    Accepted("zero bytes", _photos({"cat/a.jpg": b""}), {"cat/a.jpg": "empty (0 bytes)"}, notes=("1 file left out",)),
    Accepted("PNG called jpg", _photos({"cat/a.jpg": picture()}), {}, used=25),
    Accepted("text called jpg", _photos({"cat/a.jpg": b"text"}), {"cat/a.jpg": UNREADABLE}),
    Accepted("text called txt", _photos({"cat/a.txt": b"text"}), {"cat/a.txt": "not a JPEG"}, notes=(".txt): left",)),
    Accepted("decompression bomb", _photos({"cat/a.png": decompression_bomb()}), {"cat/a.png": "10,000×9,000 pixels"}),
    Accepted("huge claim", _photos({"cat/a.png": png(2**31 - 1, 2**31 - 1)}), {"cat/a.png": "80 million"}),
    Accepted("comment bomb", _photos({"cat/a.png": text_bomb()}), {"cat/a.png": UNREADABLE}),
    Accepted("nested", _photos({"cat/x/y/a.png": picture()}), {}, used=25, notes=("counts as the class 'cat'",)),
    Accepted("odd names", _photos({f"cat/{name}.png": picture() for name in ODD}), {}, used=28),
    Accepted("odd names, bad", _photos({f"cat/{name}.png": name.encode() for name in ODD}),
             {f"cat/{name}.png": UNREADABLE for name in (*ODD[:2], "new\\x0aline", "b\\x07ell")}),
    Accepted("odd classes", _photos({f"{ODD[0]}/{number}.png": picture() for number in range(3)}), {}, used=27),
    Accepted("classes alike", _photos({f"Cat/{number}.png": picture() for number in range(4)}), {}, used=28,
             notes=("'Cat', 'cat' differ only in case",)),
    Accepted("links", _links, {"cat/loop": "a link back", "cat/gone.png": "leads nowhere"}),
    Accepted("class in test only", lambda folder: only(folder, {**pictures(below="train/"),
             **pictures(each=2, below="test/"), **pictures(("cow",), 1, below="test/")}),
             {"test/cow/00.png": "its class 'cow' has no training rows"}, used=28, notes=("the class 'cow'",)),
    Accepted("class in validation only", lambda folder: only(folder, {**pictures(below="train/"),
             **pictures(each=2, below="test/"), **pictures(("cow",), 1, below="val/")}),
             {"val/cow/00.png": "its class 'cow' has no training rows"}, used=28),
    Accepted("test part of unknown classes", lambda folder: only(folder, {**pictures(below="train/"),
             **pictures(("cow",), 1, below="test/")}), {"test/cow/00.png": "no training rows"},
             notes=("give a train part only",)),
    Accepted("zip with one encrypted", lambda folder: encrypted_zip(folder / "p.zip", "cat/00"),
             {"cat/00.png": "encrypted"}, used=23, data="p.zip"),
    Accepted("zip that lies", lambda folder: lying_zip(folder / "p.zip", "cat/a.png"),
             {"cat/a.png": "more than the 100 bytes it declares"}, data="p.zip"),
    Accepted("zip with a huge member", lambda folder: huge_member_zip(folder / "p.zip", "cat/a.png"),
             {"cat/a.png": "too large: 1,073,741,824 bytes"}, data="p.zip"),
    Accepted("zip that leads out", lambda folder: write_zip(folder / "p.zip", {**pictures(), "../cat/a.png": b"x"}),
             {"../cat/a.png": "leads out of the archive"}, data="p.zip"),
    Accepted("tar with links", lambda folder: tar_with_links(folder / "p.tar"),
             {"../cat/up.png": "leads out", "cat/soft.png": "a link", "cat/hard.png": "a link"}, 25, "p.tar"),
    Accepted("table with gaps",
             lambda folder: table(folder, "photos/no.png,cat", "photos/cat/00.png,dog", ",cat", "../x.png,cat", "a,,"),
             {"photos/no.png (row 25)": "does not exist", "photos/cat/00.png": "with different labels",
              "row 27": "no file is named", "../x.png (row 28)": BEYOND, "labels.csv, line": "3 values where"},
             used=23, data="labels.csv", repeated={"photos/cat/00.png": 2}),
    Accepted("table without a label", lambda folder: table(folder, "photos/new.png,", good=11, name="labels.csv")
             and write_folder(folder / "photos", {"new.png": picture()}),
             {"photos/new.png": "its label is missing"}, used=22, data="labels.csv"),
    Accepted("table with control signs", _escaping_table, {"photos/\\x1b[31mgone.png (row 26)": "does not exist"},
             used=26, data="labels.csv"),
    Accepted("numbers that are none", _strange_numbers,
             {"3": "not finite", "4": "not finite", "5": "beyond ±1e+15"}, used=21, data="a.npz"),
    Accepted("labels that are none", lambda folder: arrays(folder / "a.npz", y=np.array([np.nan, *[1, 2] * 11, 1])),
             {"0": "its label is missing"}, used=23, data="a.npz"),
)  # fmt: skip


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case.name)
def test_bad_rows_are_set_aside_named_and_counted(
    case: Accepted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case.make(tmp_path)
    said = run_command(f"train {case.data}{QUICK}", capsys)
    assert (said.code, said.out, said.error) == (0, "", "")
    data = msgspec.json.decode((tmp_path / "run" / "data.json").read_bytes(), type=DataSummary)
    found = {row.key: row.reason for row in data.set_aside}
    assert {_known(key, case) for key in found} == set(case.set_aside)
    assert [key for key, reason in found.items() if case.set_aside[_known(key, case)] not in reason] == []
    assert Counter(row.key for row in data.set_aside) == Counter({key: case.repeated.get(key, 1) for key in found})
    assert [phrase for phrase in case.notes if not any(phrase in note for note in data.notes)] == []
    assert sum(map(sum, data.counts.values())) == case.used
    assert all(name.isprintable() for name in (*data.classes, *found))
    _check_split_table(tmp_path / "run" / "split.csv", found, case.used)


def _known(key: str, case: Accepted) -> str:
    """The key that the case names, which may be the first part of the whole."""
    return next((known for known in case.set_aside if key == known or key.startswith(f"{known} ")), key)


def _check_split_table(path: Path, set_aside: Mapping[str, str], used: int) -> None:
    """Every row stands in a part, or has the reason why it stands in none."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    placed = [row for row in rows if row["split"]]
    assert len(placed) == used
    assert {row["split"] for row in placed} == {"train", "validation", "test"}
    assert all(not row["set_aside"] and row["key"].isprintable() for row in placed)
    assert all(row["set_aside"] == set_aside[row["key"]] for row in rows if not row["split"])


def test_what_is_set_aside_is_said_on_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(tmp_path, {"cat/\x1b[31mbad.png": b"text", "cat/empty.png": b""})
    said = run_command("train photos" + QUICK.replace("--quiet", ""), capsys)
    assert said.code == 0
    assert "2 rows set aside: cat/empty.png empty (0 bytes), cat/\\x1b[31mbad.png is not a readable" in said.out


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cat/x.png": 1, "cat/y.png": 1}, (1, 2, 0, 0)),
        ({"cat/x.png": 1, "dog/y.png": 1, "dog/z.png": 1}, (1, 3, 1, 0)),
        ({"train/cat/x.png": 1, "test/cat/y.png": 1, "val/cat/x.png": 2, "test/cat/z.png": 2}, (2, 4, 0, 2)),
    ],
    ids=["same label", "different labels", "across given parts"],
)
def test_duplicates_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], files: Mapping[str, int], expected: tuple[int, ...]
) -> None:
    parts = ("train/", "test/", "val/") if any(name.startswith("train") for name in files) else ("",)
    good = {name: content for part in parts for name, content in pictures(below=part).items()}
    only(tmp_path, {**good, **{name: picture(seed=seed) for name, seed in files.items()}})
    assert run_command("train photos" + QUICK, capsys).code == 0
    found = msgspec.json.decode((tmp_path / "run" / "data.json").read_bytes(), type=DataSummary).duplicates
    assert (found.groups, found.rows, found.across_labels, found.across_splits) == expected
