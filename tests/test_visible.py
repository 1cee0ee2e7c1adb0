"""No name in a file moves a terminal's cursor, colours it, or turns its text around."""

import io
import sys
from pathlib import Path

import pytest

from bad_inputs import run_command
from gnomon.cli import main
from gnomon.visible import Inert, inert_streams, unfiltered, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü 猫", "plain ü 猫"),
        ("\x1b[2Jx", "⟨U+001B⟩[2Jx"),
        ("a\u202eb", "a⟨U+202E⟩b"),
        ("a\x9bb\x7f", "a⟨U+009B⟩b⟨U+007F⟩"),
        ("👨\u200d👩", "👨\u200d👩"),
    ],
)
def test_what_can_not_be_seen_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_an_inert_stream_keeps_lines_and_tabs_alone() -> None:
    sink = io.StringIO()
    stream = Inert(sink)
    stream.write("".join(map(chr, range(256))))
    assert {sign for sign in sink.getvalue() if ord(sign) < 32 or 127 <= ord(sign) < 160} == {"\n", "\t"}
    assert "⟨U+001B⟩" in sink.getvalue()
    assert unfiltered(stream) is sink  # type: ignore[arg-type]


def test_streams_are_given_back(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout
    with inert_streams(), inert_streams():
        sys.stdout.write("\x1b[31m")
    with pytest.raises(RuntimeError), inert_streams():
        raise RuntimeError
    assert sys.stdout is before
    assert capsys.readouterr().out == "⟨U+001B⟩[31m"


def test_columns_of_a_table_can_not_move_the_cursor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_bytes(b"\x1b[2Jone,\x07two\na,b\nc,d\n")
    said = run_command("train a.csv --steps 1", capsys)
    assert said.code == 2
    assert "⟨U+001B⟩[2Jone" in said.error


def test_help_is_written_as_before(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "usage: gnomon" in capsys.readouterr().out
