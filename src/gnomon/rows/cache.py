"""Encoded rows on disk: each row is decoded once, and then lies in a file.

An entry is a folder named by a key of the source's content and the encoder's geometry:

    rows.bin      N rows of the encoder's shape and type, one behind the other
    index.json    written last: a folder without it is no entry. What can't be decoded stands here, with its reason

Memory stays bounded: decoding holds a few blocks of rows, and reading only what is asked for. Disk stays bounded: the
entries used longest ago are removed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Generator, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..encoders import Encoder, geometry_key
from ..errors import DataError
from ..sources import Source
from ..types import SetAside, Value
from .decoding import Failures, write_rows

VERSION: Final = 2
DEFAULT_LIMIT_BYTES: Final = 20 * 10**9

_BLOCK_BYTES = 8 * 2**20


class Index(Value, frozen=True):
    """What `index.json` holds."""

    version: int
    rows: int
    seconds: float
    set_aside: dict[int, str]


class EncodedRows:
    """N encoded rows of one shape in a file. Reading any of them is O(1), and keeps nothing of the file in memory.

    A mapped file would count as the process's memory, page by page and with what the system maps around each.
    """

    def __init__(self, path: Path, encoder: Encoder, index: Index) -> None:
        self.shape = encoder.shape
        self.storage = np.dtype(encoder.storage)
        self.index = index
        self._file = os.open(path / "rows.bin", os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def __len__(self) -> int:
        return self.index.rows

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return int(np.prod(self.shape)) * self.storage.itemsize

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """A copy of these rows, `(N, *shape)`; rows that stand behind one another are read at once."""
        taken: NDArray[Any] = np.empty((len(rows), *self.shape), self.storage)
        if len(rows):
            view, size = taken.reshape(-1).view(np.uint8).data, self.row_bytes
            starts = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist()]
            for start, end in pairwise([*starts, len(rows)]):
                self._read(view[start * size : end * size], int(rows[start]) * size)
        return taken

    def blocks(self, rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
        """These rows in order, a bounded number of bytes at a time: their indices, and a copy `(n, *shape)`."""
        size = max(1, _BLOCK_BYTES // self.row_bytes)
        for start in range(0, len(rows), size):
            yield rows[start : start + size], self.take(rows[start : start + size])

    def _read(self, view: memoryview, offset: int) -> None:
        while view:
            count = os.preadv(self._file, [view], offset)
            if not count:
                raise DataError(
                    "the cache of encoded rows was cut off while it was read", remedy="Start the run again."
                )
            view, offset = view[count:], offset + count


def cache_root() -> Path:
    """`GNOMON_CACHE`, or the user's cache folder."""
    given = os.environ.get("GNOMON_CACHE")
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(given) if given else (Path(base) if base else Path.home() / ".cache") / "gnomon"


def cache_limit_bytes() -> int:
    """`GNOMON_CACHE_LIMIT` in bytes, or 20 GB: what all entries together may take."""
    given = os.environ.get("GNOMON_CACHE_LIMIT", "")
    try:
        return int(float(given)) if given else DEFAULT_LIMIT_BYTES
    except ValueError:
        raise DataError(f"GNOMON_CACHE_LIMIT is {given!r}", remedy="Give a number of bytes, such as 5e9.") from None


def encode_rows(
    source: Source,
    encoder: Encoder,
    *,
    threads: int,
    root: Path | None = None,
) -> Generator[int, None, EncodedRows]:
    """All rows of the source, encoded: from the cache, or decoded now and kept.

    Yields the number of rows decoded so far, now and then, and returns the rows; leaving it early leaves no trace.

    Args:
        source: read in order, from this thread alone.
        encoder: its geometry is part of the key; its mean and std are not.
        threads: that decode.
        root: folder of the cache, by default the user's.

    Raises:
        DataError: the disk is too small, or the cache can't be written.
    """
    entries = (cache_root() if root is None else root) / "encoded"
    entry = entries / _key(source, encoder)
    index = _read_index(entry, len(source.rows), encoder)
    if index is None:
        needed = len(source.rows) * encoder.row_bytes
        try:
            entries.mkdir(parents=True, exist_ok=True)
            _make_room(entries, needed)
            index = yield from _write_entry(entry, source, encoder, threads)
        except OSError as error:
            raise DataError(
                f"the cache {str(entries)!r} can't be written ({error.strerror}); {needed / 1e6:,.0f} MB are needed",
                remedy="Free disk space, or set GNOMON_CACHE to another folder.",
            ) from error
    else:
        os.utime(entry / "index.json")
    return EncodedRows(entry, encoder, index)


def set_aside_rows(source: Source, encoded: EncodedRows) -> list[SetAside]:
    """The rows that could not be decoded, by name."""
    return [SetAside(key=source.rows[row].key, reason=why) for row, why in sorted(encoded.index.set_aside.items())]


def _key(source: Source, encoder: Encoder) -> str:
    geometry = geometry_key(encoder)
    return hashlib.blake2b(f"{VERSION}/{source.fingerprint}/{geometry}".encode(), digest_size=16).hexdigest()


def _read_index(entry: Path, rows: int, encoder: Encoder) -> Index | None:
    try:
        index = msgspec.json.decode((entry / "index.json").read_bytes(), type=Index)
        size = (entry / "rows.bin").stat().st_size
    except (OSError, msgspec.DecodeError):
        return None
    whole = rows * encoder.row_bytes
    return index if (index.version, index.rows, size) == (VERSION, rows, whole) else None


def _write_entry(entry: Path, source: Source, encoder: Encoder, threads: int) -> Generator[int, None, Index]:
    """Encode into a folder of another name, and rename it when it is whole: a reader never sees half an entry."""
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix=".making-", dir=entry.parent))
    failures: Failures = {}
    try:
        yield from write_rows(folder / "rows.bin", source, encoder, threads=threads, failures=failures)
        index = Index(version=VERSION, rows=len(source.rows), seconds=time.monotonic() - started, set_aside=failures)
        (folder / "index.json").write_bytes(msgspec.json.encode(index))
        shutil.rmtree(entry, ignore_errors=True)
        folder.rename(entry)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return index


def _make_room(entries: Path, needed: int) -> None:
    """Remove the entries used longest ago until the new one fits the limit and the disk."""
    limit = cache_limit_bytes()
    kept = sorted((path for path in entries.iterdir() if path.is_dir()), key=_last_used)
    sizes = {path: sum(file.stat().st_size for file in path.iterdir()) for path in kept}
    while kept and (sum(sizes[path] for path in kept) + needed > limit or _free_bytes(entries) < needed):
        shutil.rmtree(kept.pop(0), ignore_errors=True)
    if _free_bytes(entries) < needed * 1.02 + 2**20:
        raise DataError(
            f"the encoded rows need {needed / 1e6:,.0f} MB, and {str(entries)!r} has "
            f"{_free_bytes(entries) / 1e6:,.0f} MB free",
            remedy="Free disk space, set GNOMON_CACHE to a folder on a larger disk, or give a smaller --size.",
        )


def _last_used(entry: Path) -> float:
    try:
        return (entry / "index.json").stat().st_mtime
    except OSError:
        return time.time() if entry.name.startswith(".making-") else 0.0


def _free_bytes(path: Path) -> int:
    return shutil.disk_usage(path).free
