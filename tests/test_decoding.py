"""Decoding by processes writes the same rows as decoding here, and survives what happens to processes."""

import io
import os
import signal
import sys
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gnomon.encoders import ImageEncoder
from gnomon.rows import decoding
from gnomon.rows.decoding import _Decoder, write_rows
from gnomon.types import Raw, Row, SetAside

COUNT: Final = 700
GEOMETRY: Final = ImageEncoder(height=8, width=8, channels=3)


@dataclass(frozen=True)
class Pictures:
    """PNG files, of which number 300 is damaged and 600 is empty."""

    name: str = "pictures"
    kind: Literal["image"] = "image"
    question: Literal["classify"] = "classify"
    fingerprint: str = "one"
    set_aside: Sequence[SetAside] = ()
    notes: Sequence[str] = ()
    content_hints: Sequence[Hashable] | None = None

    @property
    def rows(self) -> list[Row]:
        return [Row(key=f"{index}.png", label="ab"[index % 2]) for index in range(COUNT)]

    def read(self, index: int) -> Raw:
        content = png(index)
        return content[: len(content) // 2] if index == 300 else b"" if index == 600 else content

    def close(self) -> None: ...


def pixels(index: int) -> NDArray[np.uint8]:
    return np.random.default_rng(index).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def png(index: int) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(pixels(index)).save(sink, "PNG")
    return sink.getvalue()


def decoded(path: Path, *, threads: int = 2) -> tuple[NDArray[np.uint8], dict[int, str]]:
    failures: dict[int, str] = {}
    done = list(write_rows(path, Pictures(), GEOMETRY, threads=threads, failures=failures))
    assert done == sorted(done)
    assert done[-1] == COUNT
    return np.fromfile(path, np.uint8).reshape(COUNT, 8, 8, 3), failures


def assert_right(rows: NDArray[np.uint8], failures: dict[int, str]) -> None:
    assert sorted(failures) == [300, 600]
    assert failures[600] == "is empty (0 bytes)"
    for index in range(COUNT):
        assert np.array_equal(rows[index], pixels(index) if index not in failures else np.zeros((8, 8, 3))), index


@pytest.fixture
def always_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_WORTH_PROCESSES_S", -1.0)


def watch_starts(monkeypatch: pytest.MonkeyPatch) -> list[_Decoder]:
    """A list that every decoder which has started a process is added to."""
    started: list[_Decoder] = []
    start = _Decoder._start

    def watched(self: _Decoder) -> None:
        start(self)
        started.append(self)

    monkeypatch.setattr(_Decoder, "_start", watched)
    return started


def test_threads_and_processes_write_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = decoded(tmp_path / "here", threads=1)
    assert_right(*here)
    started = watch_starts(monkeypatch)
    monkeypatch.setattr(decoding, "_WORTH_PROCESSES_S", -1.0)
    apart = decoded(tmp_path / "apart")
    assert [decoder._ready for decoder in started] == [True, True]
    assert np.array_equal(here[0], apart[0])
    assert here[1] == apart[1]


@pytest.mark.usefixtures("always_processes")
def test_without_processes_rows_are_decoded_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no such program"))
    assert_right(*decoded(tmp_path / "rows"))


@pytest.mark.usefixtures("always_processes")
def test_an_interpreter_that_lacks_gnomon_counts_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "__name__", "gnomon.no_such_module")
    assert_right(*decoded(tmp_path / "rows"))


def a_decoder(path: Path) -> _Decoder:
    path.write_bytes(bytes(COUNT * GEOMETRY.row_bytes))
    return _Decoder(path, GEOMETRY, apart=True)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills a process")
def test_a_process_that_was_killed_is_replaced(tmp_path: Path) -> None:
    with a_decoder(tmp_path / "rows") as decoder:
        assert decoder.write((0, [png(0)])) == {}
        assert decoder._process is not None
        os.kill(decoder._process.pid, signal.SIGKILL)
        decoder._process.wait()
        assert decoder.write((1, [png(1), png(2)])) == {}
    rows = np.fromfile(tmp_path / "rows", np.uint8).reshape(COUNT, 8, 8, 3)
    assert all(np.array_equal(rows[index], pixels(index)) for index in range(3))


def test_a_picture_that_crashes_its_decoder_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = _Decoder._ask

    def crash(self: _Decoder, process: object, block: tuple[int, list[Raw | None]]) -> dict[int, str] | None:
        start, rows = block
        return None if start <= 5 < start + len(rows) else ask(self, process, block)  # type: ignore[arg-type]

    monkeypatch.setattr(_Decoder, "_ask", crash)
    with a_decoder(tmp_path / "rows") as decoder:
        assert decoder.write((0, [png(index) for index in range(10)])) == {5: "crashes its decoder"}
    rows = np.fromfile(tmp_path / "rows", np.uint8).reshape(COUNT, 8, 8, 3)
    assert [index for index in range(10) if not np.array_equal(rows[index], pixels(index))] == [5]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="writes to a disk that is always full")
def test_a_full_disk_is_no_fault_of_the_pictures() -> None:
    with _Decoder(Path("/dev/full"), GEOMETRY, apart=True) as decoder, pytest.raises(OSError, match="No space left"):
        decoder.write((0, [png(0)]))


def test_no_process_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_WORTH_PROCESSES_S", -1.0)
    monkeypatch.setattr(decoding, "_BLOCK_ROWS", 64)
    started = watch_starts(monkeypatch)
    writing = write_rows(tmp_path / "rows", Pictures(), GEOMETRY, threads=2, failures={})
    next(writing)
    next(writing)
    processes = [decoder._process for decoder in started if decoder._process is not None]
    assert len(processes) == 2
    writing.close()
    assert all(process.returncode is not None for process in processes)
