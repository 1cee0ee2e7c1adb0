"""What data from strangers may not do: lead elsewhere by a name, or unfold from few bytes to many."""

import struct
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from bad_inputs import photos, picture, run_command, table
from gnomon.errors import DataError
from gnomon.sources.archives import open_files
from gnomon.torture import judge
from gnomon.torture.files import chosen, files, problems_of
from gnomon.torture.strangers import Case
from gnomon.torture.strangers.models import model_cases
from gnomon.torture.watched import Bounds, Outcome, run_watched
from source_files import close_all, opened, reasons, write_tar, write_zip


@pytest.fixture(autouse=True)
def _closed() -> object:
    yield
    close_all()


# --- Names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../secret.png", "..\\secret.png", "photos\\..\\..\\secret.png", "photos/../../secret.png"]
)
def test_no_name_in_a_table_leads_out_of_its_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.png").write_bytes(picture())
    (tmp_path / "data").mkdir()
    source = opened(table(tmp_path / "data", f"{name},cat"))
    assert [reason for key, reason in reasons(source).items() if name in key] == ["leads out of the table's folder"]
    assert not any("secret" in row.key for row in source.rows)


def test_links_that_lead_out_are_followed_and_said(tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "1.png").write_bytes(picture())
    (tmp_path / "data").mkdir()
    root = photos(tmp_path / "data")
    (root / "cat" / "link.png").symlink_to(tmp_path / "away" / "1.png")
    (root / "cat" / "inside.png").symlink_to(root / "cat" / "00.png")
    (root / "bird").symlink_to(tmp_path / "away")
    source = opened(root)
    assert {"cat/link.png", "cat/inside.png", "bird/1.png"} <= {row.key for row in source.rows}
    assert "2 links lead out of the folder, and are followed: " in " ".join(source.notes)
    named = opened(table(tmp_path / "data", "photos/cat/link.png,cat", "photos/bird/1.png,dog", good=0))
    assert "2 links lead out of the folder" in " ".join(named.notes)


# --- Bombs -----------------------------------------------------------------------------------------------------------


def test_a_member_that_unfolds_from_almost_nothing_is_set_aside(tmp_path: Path) -> None:
    found = open_files(str(write_zip(tmp_path / "a.zip", {"cat/bomb.png": bytes(10**7), "cat/1.png": picture()})))
    assert [row.key for row in found.set_aside] == ["cat/bomb.png"]
    assert "unpacks to 10,000,000 bytes, more than 200 times" in found.set_aside[0].reason
    found.close()


def test_members_that_overlap_are_set_aside(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {f"cat/{number}.png": picture() for number in range(3)})
    data = bytearray(path.read_bytes())
    second = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)
    data[second + 42 : second + 46] = struct.pack("<I", 0)  # its place is that of the first
    path.write_bytes(data)
    found = open_files(str(path))
    assert [(row.key, row.reason) for row in found.set_aside] == [("cat/1.png", "overlaps another member")]
    found.close()


def test_a_member_without_a_name_is_set_aside(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"cat/1.png": picture(), "x": b"1"})
    data = path.read_bytes()
    begin = data.rindex(b"PK\x01\x02")
    entry = bytearray(data[begin : begin + 47])
    entry[28:30] = struct.pack("<H", 0)
    ending = bytearray(data[begin + 47 :])
    ending[12:16] = struct.pack("<I", int.from_bytes(ending[12:16], "little") - 1)
    path.write_bytes(data[:begin] + bytes(entry[:46]) + bytes(ending))
    found = open_files(str(path))
    assert [row.reason for row in found.set_aside] == ["its name leads out of the archive"]
    found.close()


def test_a_compressed_tar_that_unfolds_without_end_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"cat/x.png": bytes(10**8)}, "w:gz")
    with pytest.raises(DataError, match="unpacks to more than"):
        open_files(str(path))


def _csv(content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / "a.csv").write_bytes(content)
        return folder / "a.csv"

    return make


def _repeated(folder: Path) -> Path:
    places = pa.array([number % 2 for number in range(2_000_000)], pa.int32())
    texts = pa.DictionaryArray.from_arrays(places, pa.array(["x" * 2000, "y" * 2000]))
    parquet.write_table(pa.table({"text": texts, "label": texts}), folder / "a.parquet")
    return folder / "a.parquet"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_csv(b",".join(b"c%d" % number for number in range(30_000)) + b"\n"), "more than 20,000 columns"),
        (_csv(b"text,label\n" + b"x" * (2**24 + 1) + b",a\n"), "line 2 of .* is longer than 16,777,216 bytes"),
        (_csv(b"text,label\n" + b"a\n" * 20_000), "can't be read"),
        (_repeated, "unfolds to more than"),
    ],
)
def test_a_table_that_no_one_wrote_is_refused(tmp_path: Path, make: Callable[[Path], Path], says: str) -> None:
    with pytest.raises(DataError, match=says):
        opened(make(tmp_path))


def test_a_label_that_is_a_text_is_set_aside(tmp_path: Path) -> None:
    rows = b"".join(b"some text %d,%s\n" % (number, b"ab"[number % 2 :][:1]) for number in range(20))
    source = opened(_csv(b"text,label\n" + rows + b"other," + b"x" * 20_000 + b"\n")(tmp_path))
    assert len(source.rows) == 20
    assert [row.reason[:33] for row in source.set_aside] == ["its label has 20,000 characters: "]


def test_a_ts_file_that_says_immense_numbers_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for header, says in (
        (b"@dimensions " + b"9" * 5000, "says that it has 999"),
        (b"@classLabel " + b"a " * 2**20, "bytes"),
    ):
        Path("a.ts").write_bytes(header + b"\n@classLabel true a b\n@data\n1,2:a\n")
        said = run_command("train a.ts --steps 1", capsys)
        assert said.code == 2
        assert says in said.error


# --- The suite -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_files_of_every_kind_are_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnomon.torture.files.MOST_SECONDS", 4.0)  # one on a machine of one's own
    verdict = judge("files", 7, files(tmp_path, count=32, seed=7), as_json=True)
    assert verdict.held
    assert verdict.attempts == 32


def test_kinds_are_chosen_alike_and_by_the_seed() -> None:
    cases = [
        Case(kind, str(number), (), lambda _: None) for kind in "abc" for number in range(3 if kind == "a" else 50)
    ]
    first = chosen(cases, 43, 1)
    assert [sum(case.kind == kind for case in first) for kind in "abc"] == [3, 20, 20]
    assert chosen(cases, 43, 1) == first != chosen(cases, 43, 2)


def test_model_cases_follow_from_the_seed() -> None:
    some = [[case.what for case in model_cases(seed)][:50] for seed in (1, 1, 2)]
    assert some[0] == some[1] != some[2]


CASE = Case("x", "y", ("predict",), lambda _: None)


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (Outcome(1, "Traceback", 0.1, 0), "exit code 1"),
        (Outcome(0, "", 0.1, 0), "exit code 0"),
        (Outcome(-11, "", 0.1, 0), "exit code -11"),
        (Outcome(None, "", 30.0, 0), "was ended after 30 s"),
        (Outcome(2, "gnomon: \x1b[2J", 0.1, 0), "signs that can't be seen"),
        (Outcome(2, "", 0.1, 0), "said nothing"),
        (Outcome(2, "no", 1.5, 0), "took 1.5 s"),
        (Outcome(2, "no", 0.1, 300_000_000), "took 300 MB"),
        (Outcome(2, "no", 0.1, 0, ("os.system ('id',)",)), "os.system"),
    ],
)
def test_what_breaks_the_promise_is_found(outcome: Outcome, says: str) -> None:
    assert says in "; ".join(problems_of(CASE, outcome, 0.0))
    assert problems_of(CASE, Outcome(2, "gnomon: no", 0.5, 1000), 0.0) == []


def _breaks(folder: Path) -> dict[str, Callable[[], object]]:
    own = folder / "own"
    (own / "theirs.py").write_text("made = 1")
    return {
        "open": lambda: (folder / "away" / "x").write_text("x"),
        "no part of the data": lambda: (folder / "secret" / "x").read_text(),
        "os.mkdir": lambda: (folder / "away" / "y").mkdir(),
        "os.rename": lambda: (own / "a").rename(folder / "away" / "z"),
        "os.system": lambda: __import__("os").system("true"),
        "subprocess.Popen": lambda: __import__("subprocess").run(["true"], check=False),
        "socket": lambda: __import__("socket").socket().connect(("127.0.0.1", 9)),
        "exec of code": lambda: exec(compile("1", str(own / "theirs.py"), "exec")),
        "pickle.find_class": lambda: __import__("pickle").loads(b"cos\ngetcwd\n."),
    }


@pytest.mark.parametrize("which", range(9))
def test_what_a_command_does_is_seen(tmp_path: Path, which: int) -> None:
    for name in ("own", "away", "secret"):
        (tmp_path / name).mkdir()
    (tmp_path / "own" / "a").write_text("a")
    (tmp_path / "secret" / "x").write_text("s")
    says, does = list(_breaks(tmp_path).items())[which]

    def run() -> int:
        try:
            does()
        except OSError:
            return 2
        return 0

    bounds = Bounds(writable=(tmp_path / "own",), secret=(tmp_path / "secret",))
    outcome = run_watched(run, folder=tmp_path / "own", bounds=bounds)
    assert says in "; ".join(outcome.forbidden)
    quiet = run_watched(lambda: (tmp_path / "own" / "b").write_text("b"), folder=tmp_path / "own", bounds=bounds)
    assert (quiet.code, quiet.forbidden) == (1, ())
