"""What a run directory was when it was written, and what shows when it is something else now."""

import json
from pathlib import Path

import pytest

from gnomon.errors import RunError
from gnomon.rundir.run import DECIDING, JUDGED, JUDGED_SEALS, SEALS, TEST, Run
from gnomon.rundir.seals import broken_seals, require_seals, with_check, without_check, write_seals
from gnomon.types import Noted

LINE = b'{"event":"note","text":"loss 0.5"}'


def test_a_line_gives_back_what_it_was() -> None:
    assert without_check(with_check(LINE)) == LINE
    assert json.loads(with_check(LINE))["text"] == "loss 0.5"
    assert without_check(LINE) == LINE, "of an older version"


def test_no_flipped_bit_of_a_line_is_believed(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.append(Noted(text="loss 0.5"))
    line = (tmp_path / "metrics.jsonl").read_bytes()[:-1]
    for place in range(8 * len(line)):
        flipped = bytearray(line)
        flipped[place // 8] ^= 1 << place % 8
        (tmp_path / "metrics.jsonl").write_bytes(bytes(flipped) + b"\n")
        assert [event for event in run.events() if event != Noted(text="loss 0.5")] == [], bytes(flipped)


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    for name in ("a.json", "b.csv"):
        (tmp_path / name).write_bytes(name.encode() * 100)
    write_seals(tmp_path, SEALS, ["a.json", "b.csv", "not there"])
    return tmp_path


NAMES = ("a.json", "b.csv")


def test_files_as_they_were_have_no_faults(sealed: Path) -> None:
    assert broken_seals(sealed, SEALS, NAMES) == []
    require_seals(sealed, SEALS, NAMES, remedy="")


def test_every_change_of_a_file_is_named(sealed: Path) -> None:
    (sealed / "a.json").write_bytes(b"b.json" + b"a.json" * 99)
    (sealed / "b.csv").write_bytes(b"b.csv" * 101)
    assert broken_seals(sealed, SEALS, NAMES) == [
        "a.json is not as it was written (its SHA-256 is another)",
        "b.csv has 505 bytes instead of 500",
    ]
    (sealed / "a.json").unlink()
    assert broken_seals(sealed, SEALS, NAMES)[0] == "a.json can't be read (No such file or directory)"
    with pytest.raises(RunError, match="has 505 bytes"):
        require_seals(sealed, SEALS, NAMES, only="b.csv", remedy="")


def test_a_file_may_grow_where_that_is_its_way(sealed: Path) -> None:
    with (sealed / "b.csv").open("ab") as file:
        file.write(b"more")
    assert broken_seals(sealed, SEALS, NAMES, grows="b.csv") == []
    assert broken_seals(sealed, SEALS, NAMES) != []
    (sealed / "b.csv").write_bytes(b"c" + (sealed / "b.csv").read_bytes()[1:])
    assert broken_seals(sealed, SEALS, NAMES, grows="b.csv") != []


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff", b'{"a.json": 1}', b'{"../../etc/passwd": {"bytes": 1, "sha256": ""}}']
)
def test_seals_that_are_none_are_named(sealed: Path, content: bytes) -> None:
    (sealed / SEALS).write_bytes(content)
    assert broken_seals(sealed, SEALS, NAMES)[0].startswith("seals.json ")


def test_a_run_that_was_judged_again_has_no_old_seals(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write(TEST, "{}")
    run.seal_judgement()
    assert (tmp_path / JUDGED_SEALS).is_file()
    run.seal_judgement(begun=True)
    run.write(TEST, "{ }")
    assert broken_seals(tmp_path, JUDGED_SEALS, JUDGED) == broken_seals(tmp_path, SEALS, DECIDING) == []
