"""The cache of encoded rows: written once, keyed by content, redone where torn, bounded on disk and in memory."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Final, Literal

import numpy as np
import pytest

import gnomon
from gnomon.encoders import ImageEncoder
from gnomon.errors import DataError, RowError
from gnomon.rows import cache, decoding
from gnomon.rows.cache import EncodedRows, encode_rows, set_aside_rows
from gnomon.types import Raw, Row, SetAside

SOURCE: Final = Path(gnomon.__file__).parents[1]
GEOMETRY: Final = ImageEncoder(height=4, width=5, channels=3)
ROW_BYTES: Final = 60


@dataclass(frozen=True)
class Pictures:
    """A source that counts how often it is read; rows of None can't be."""

    count: int = 600
    fingerprint: str = "first"
    broken: frozenset[int] = frozenset()
    reads: list[int] = field(default_factory=list)
    name: str = "pictures"
    kind: Literal["image"] = "image"
    question: Literal["classify"] = "classify"
    set_aside: Sequence[SetAside] = ()
    notes: Sequence[str] = ()
    content_hints: Sequence[Hashable] | None = None

    @property
    def rows(self) -> list[Row]:
        return [Row(key=f"{index}.png", label="ab"[index % 2]) for index in range(self.count)]

    def read(self, index: int) -> Raw:
        self.reads.append(index)
        if index in self.broken:
            raise RowError("is gone")
        return picture(index)

    def close(self) -> None: ...


def picture(index: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(index).integers(0, 256, (4, 5, 3), dtype=np.uint8)


def opened(source: Pictures, root: Path, *, encoder: ImageEncoder = GEOMETRY, threads: int = 2) -> EncodedRows:
    encoding = encode_rows(source, encoder, threads=threads, root=root)
    done = [0]
    while True:
        try:
            done.append(next(encoding))
        except StopIteration as stop:
            assert done == sorted(done)
            rows: EncodedRows = stop.value
            return rows


def entries(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "encoded").iterdir())


def test_rows_are_read_once_in_order_and_lie_there_as_encoded(tmp_path: Path) -> None:
    source = Pictures()
    rows = opened(source, tmp_path)
    assert source.reads == list(range(600))
    assert (len(rows), rows.row_bytes, rows.shape) == (600, ROW_BYTES, (4, 5, 3))
    chosen = np.array([599, 0, 256, 255, 0])
    assert np.array_equal(rows.take(chosen), np.stack([picture(int(index)) for index in chosen]))
    taken = rows.take(chosen)
    taken[:] = 0
    assert rows.take(chosen).any()


def test_blocks_are_all_rows_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_BLOCK_BYTES", 7 * ROW_BYTES + 1)
    rows, chosen = opened(Pictures(), tmp_path), np.array([4, 5, 6, 9, 8, 7, 599, 0, 3, 3])
    blocks = list(rows.blocks(chosen))
    assert [len(indices) for indices, _ in blocks] == [7, 3]
    assert np.array_equal(np.concatenate([indices for indices, _ in blocks]), chosen)
    assert np.array_equal(np.concatenate([pictures for _, pictures in blocks]), rows.take(chosen))
    assert rows.take(np.array([], dtype=np.int64)).shape == (0, 4, 5, 3)


def test_a_second_time_nothing_is_read(tmp_path: Path) -> None:
    first, source = opened(Pictures(), tmp_path), Pictures()
    second = opened(source, tmp_path)
    assert source.reads == []
    everything = np.arange(600)
    assert np.array_equal(first.take(everything), second.take(everything))
    assert len(entries(tmp_path)) == 1


@pytest.mark.parametrize("threads", [1, 3])
def test_the_number_of_threads_changes_nothing(tmp_path: Path, threads: int) -> None:
    rows = opened(Pictures(), tmp_path, threads=threads)
    assert np.array_equal(rows.take(np.arange(600)), np.stack([picture(index) for index in range(600)]))


def test_the_key_changes_with_content_and_geometry_alone(tmp_path: Path) -> None:
    opened(Pictures(), tmp_path)
    with_mean = ImageEncoder(height=4, width=5, channels=3, mean=(1.0, 2.0, 3.0), std=(1.0, 1.0, 1.0))
    again, changed, wider = Pictures(), Pictures(fingerprint="second"), Pictures()
    opened(again, tmp_path, encoder=with_mean)
    assert (again.reads, len(entries(tmp_path))) == ([], 1)
    opened(changed, tmp_path)
    assert (len(changed.reads), len(entries(tmp_path))) == (600, 2)
    opened(wider, tmp_path, encoder=ImageEncoder(height=8, width=8, channels=3))
    assert (len(wider.reads), len(entries(tmp_path))) == (600, 3)


@pytest.mark.parametrize("damage", ["rows cut off", "no index", "index torn", "another version", "no rows"])
def test_a_torn_entry_is_made_again(tmp_path: Path, damage: str) -> None:
    opened(Pictures(), tmp_path)
    entry = tmp_path / "encoded" / entries(tmp_path)[0]
    index = entry / "index.json"
    match damage:
        case "rows cut off":
            (entry / "rows.bin").write_bytes((entry / "rows.bin").read_bytes()[:-1])
        case "no index":
            index.unlink()
        case "index torn":
            index.write_bytes(index.read_bytes()[:-5])
        case "another version":
            index.write_text(json.dumps(json.loads(index.read_text()) | {"version": 0}))
        case "no rows":
            (entry / "rows.bin").unlink()
    source = Pictures()
    rows = opened(source, tmp_path)
    assert len(source.reads) == 600
    assert np.array_equal(rows.take(np.arange(600)), np.stack([picture(index) for index in range(600)]))


def test_what_is_broken_is_remembered_with_its_reason(tmp_path: Path) -> None:
    for _ in range(2):
        source = Pictures(broken=frozenset({3, 300}))
        rows = opened(source, tmp_path)
        assert set_aside_rows(source, rows) == [SetAside("3.png", "is gone"), SetAside("300.png", "is gone")]
        assert not rows.take(np.array([3, 300])).any()
        assert np.array_equal(rows.take(np.array([301]))[0], picture(301))


def test_leaving_early_leaves_nothing(tmp_path: Path) -> None:
    encoding = encode_rows(Pictures(count=5000), GEOMETRY, threads=1, root=tmp_path)
    next(encoding)
    encoding.close()
    assert entries(tmp_path) == []


# --- Bounded ---------------------------------------------------------------------------------------------------------


def test_what_was_used_longest_ago_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNOMON_CACHE_LIMIT", str(2.5 * 600 * ROW_BYTES))
    made: dict[str, str] = {}
    for age, name in ((3000, "old"), (2000, "middle")):
        opened(Pictures(fingerprint=name), tmp_path)
        made[name] = next(entry for entry in entries(tmp_path) if entry not in made.values())
        index = tmp_path / "encoded" / made[name] / "index.json"
        os.utime(index, (index.stat().st_mtime - age,) * 2)
    opened(Pictures(fingerprint="old"), tmp_path)  # used again: now the middle one is the oldest
    opened(Pictures(fingerprint="new"), tmp_path)
    assert made["old"] in entries(tmp_path)
    assert made["middle"] not in entries(tmp_path)
    assert len(entries(tmp_path)) == 2


def test_an_unreadable_limit_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNOMON_CACHE_LIMIT", "much")
    with pytest.raises(DataError, match="GNOMON_CACHE_LIMIT is 'much'"):
        opened(Pictures(), tmp_path)


def test_a_disk_too_small_is_said_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=10_000))
    source = Pictures()
    with pytest.raises(DataError, match="need 0 MB") as refused:
        opened(source, tmp_path)
    assert "GNOMON_CACHE" in refused.value.remedy
    assert source.reads == []


def test_a_disk_that_fills_up_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> dict[int, str]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(decoding, "_encode_block", full)
    with pytest.raises(DataError, match="No space left on device"):
        opened(Pictures(), tmp_path)
    assert entries(tmp_path) == []


RESIDENT: Final = """
import re, pathlib, sys
import numpy as np
from gnomon.rows import cache
from gnomon.rows.cache import EncodedRows, Index
from gnomon.encoders import ImageEncoder
def resident():
    text = pathlib.Path("/proc/self/smaps_rollup").read_text()
    return int(re.search(r"Rss: +([0-9]+)", text)[1]) * 1024
count = int(sys.argv[1])
encoder = ImageEncoder(height=100, width=100, channels=3)
rows = EncodedRows(pathlib.Path(sys.argv[2]), encoder, Index(version=1, rows=count, seconds=0, set_aside={}))
before, most = resident(), 0
for epoch in range(2):
    order = np.random.default_rng(epoch).permutation(count)
    for start in range(0, count, 500):
        taken = rows.take(order[start : start + 500])
        most = max(most, resident() - before)
print(most)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps_rollup"), reason="reads its memory from /proc")
def test_reading_keeps_a_bounded_amount_in_memory(tmp_path: Path) -> None:
    """Twice through 600 MB in random order."""
    count = 20_000
    with (tmp_path / "rows.bin").open("wb") as file:
        block = np.random.default_rng(0).integers(0, 256, 3 * 10**7, dtype=np.uint8).tobytes()
        for _ in range(20):
            file.write(block)
    done = subprocess.run(
        [sys.executable, "-c", RESIDENT, str(count), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    (tmp_path / "rows.bin").unlink()
    assert done.returncode == 0, done.stderr
    most = int(done.stdout)
    assert 10**7 < most < 10**8  # what is taken at once lies there, 15 MB, and little more
