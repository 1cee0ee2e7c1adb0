"""The built-in sets that are fetched once and kept: `cifar10` and `mnist`, in their official binary formats.

A file is looked for in the folder `GNOMON_DATA` (for machines without a network), then in the cache (`GNOMON_CACHE`,
else the user's cache folder). A download goes into a `.part` file, goes on where it stopped, and gets its name only
when size and SHA-256 are right. Nothing is unpacked on disk, and no pickle is read.
"""

from __future__ import annotations

import gzip
import hashlib
import http
import http.client
import logging
import os
import re
import ssl
import struct
import tarfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, DownloadError
from .arrays import ArraySource, Part, source_of_parts
from .files import digest
from .labels import CLASSES

BuiltIn: TypeAlias = Literal["cifar10", "mnist"]
Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with the file's name, the bytes that are there, and the bytes that there will be."""

_LOG: Final = logging.getLogger(__name__)
_CHUNK: Final = 2**18
_TRIES: Final = 3
_LARGEST_UNPACKED: Final = 2**30


@dataclass(frozen=True, slots=True)
class Remote:
    """A published file.

    Attributes:
        size: bytes.
        sha256: in hexadecimal digits.
    """

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Published:
    """The files of one set, and the addresses (each ending with `/`) below which each of them can be found."""

    files: tuple[Remote, ...]
    addresses: tuple[str, ...]


CIFAR10: Final = Published(
    files=(
        Remote(
            "cifar-10-binary.tar.gz",
            170_052_171,
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        ),
    ),
    addresses=("https://www.cs.toronto.edu/~kriz/",),
)
MNIST: Final = Published(
    files=(
        Remote(
            "train-images-idx3-ubyte.gz",
            9_912_422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        Remote(
            "train-labels-idx1-ubyte.gz",
            28_881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        Remote(
            "t10k-images-idx3-ubyte.gz",
            1_648_877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        Remote(
            "t10k-labels-idx1-ubyte.gz",
            4_542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    ),
    addresses=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
)
_CIFAR10_CLASSES: Final = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


def open_builtin(
    name: BuiltIn,
    *,
    published: Published | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
    notes: Sequence[str] = (),
) -> ArraySource:
    """A built-in set, downloaded if it is not there yet.

    Args:
        published: other files at other addresses, of the same formats.
        cache: the folder to keep files in.
        progress: told about a download as it goes on.
        notes: sentences to begin with.

    Raises:
        DownloadError: not there, and not to be had.
        DataError: a file is not in its format.
    """
    source = published or {"cifar10": CIFAR10, "mnist": MNIST}[name]
    folder = cache or cache_folder() / name
    paths = [fetched(remote, source.addresses, folder, set_name=name, progress=progress) for remote in source.files]
    parts = _read_cifar10(paths[0]) if name == "cifar10" else _read_mnist(paths)
    fingerprint = digest([name, *(remote.sha256 for remote in source.files)])
    return source_of_parts(parts, name=name, where=name, fingerprint=fingerprint, notes=notes, asked=CLASSES)


def cache_folder() -> Path:
    """`GNOMON_CACHE`, else `gnomon/downloads` in the user's cache folder."""
    if named := os.environ.get("GNOMON_CACHE"):
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "gnomon" / "downloads"


def fetched(
    remote: Remote, addresses: Sequence[str], folder: Path, *, set_name: str, progress: Progress | None = None
) -> Path:
    """The path of a file that has the right size and SHA-256.

    Args:
        folder: where it is kept.
        set_name: the set's name; `GNOMON_DATA` may hold the files in a folder of that name.
        progress: told as the download goes on; without it, a line goes to the log for each tenth.

    Raises:
        DownloadError: not to be had, or with other bytes.
    """
    given = _given(remote, set_name)
    if given is not None:
        return given
    path = folder / remote.name
    remedy = (
        f"Fetch {remote.name} ({remote.size:,} bytes) on another machine, put it into a folder, and set GNOMON_DATA to"
        f" that folder; or put it at {path}."
    )
    try:
        if _is_right(path, remote):
            return path
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / f"{remote.name}.lock"):
            if not _is_right(path, remote):
                _download(remote, addresses, path, progress or _logged())
    except OSError as error:
        raise DownloadError(f"{remote.name} can't be kept in {str(folder)!r}: {error}", remedy=remedy) from error
    except DownloadError as error:
        raise DownloadError(error.problems, remedy=remedy) from error
    return path


# --- Files that are there --------------------------------------------------------------------------------------------


def _given(remote: Remote, set_name: str) -> Path | None:
    """The file in the folder that the user named, which must be right."""
    named = os.environ.get("GNOMON_DATA")
    if not named:
        return None
    folder = Path(named).expanduser()
    remedy = "Copy it again, or take it out of the folder that GNOMON_DATA names."
    for path in (folder / remote.name, folder / set_name / remote.name):
        if not path.is_file():
            continue
        try:
            if _is_right(path, remote):
                return path
            found = f"{path.stat().st_size:,} bytes, expected {remote.size:,} with the SHA-256 {remote.sha256}"
        except OSError as error:
            raise DownloadError(f"{str(path)!r} can't be read: {error}", remedy=remedy) from error
        raise DownloadError(f"{str(path)!r} is not the published file: {found}", remedy=remedy)
    return None


def _is_right(path: Path, remote: Remote) -> bool:
    try:
        return path.stat().st_size == remote.size and _sha256(path) == remote.sha256
    except FileNotFoundError:
        return False


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time; another one waits, and then finds the file there."""
    with open(path, "ab") as file:
        with suppress(ImportError):
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _logged() -> Progress:
    """Writes a line to the log for each tenth of a file."""
    tenths: dict[str, int] = {}

    def log(name: str, received: int, size: int) -> None:
        tenth = 10 * received // max(1, size)
        if tenth > tenths.get(name, -1):
            tenths[name] = tenth
            _LOG.info("downloading %s: %d %% of %.1f MB", name, 10 * tenth, size / 1e6)

    return log


# --- Downloading -----------------------------------------------------------------------------------------------------


def _download(remote: Remote, addresses: Sequence[str], path: Path, progress: Progress) -> None:
    """Tries each address; what one has given, the next goes on with."""
    part = path.with_name(f"{path.name}.part")
    problems: list[str] = []
    for address in addresses:
        for _ in range(_TRIES):
            before = _size(part)
            problem = _attempt(f"{address}{remote.name}", remote, part, progress)
            if problem is None:
                _sync_and_rename(part, path)
                return
            problems.append(problem)
            if _size(part) == before:
                break
    raise DownloadError(list(dict.fromkeys(problems)))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _attempt(url: str, remote: Remote, part: Path, progress: Progress) -> str | None:
    """One request. What is wrong with the outcome, or None when the whole file is there and right."""
    if _size(part) > remote.size:
        part.unlink()
    if _size(part) < remote.size:
        try:
            _request(url, remote, part, progress)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.unlink()
            return f"{url} can't be downloaded: the server answers {error.code} ({error.reason})"
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as error:
            return f"{url} can't be downloaded: {getattr(error, 'reason', None) or error}"
    there = _size(part)
    if there < remote.size:
        return f"{url} ended after {there:,} of {remote.size:,} bytes; the next try goes on from there"
    found = f"SHA-256 {_sha256(part)}" if there == remote.size else f"more than {remote.size:,} bytes"
    if found != f"SHA-256 {remote.sha256}":
        part.unlink()
        return f"{url} gave other bytes than were published: {found}, expected SHA-256 {remote.sha256}"
    return None


def _request(url: str, remote: Remote, part: Path, progress: Progress) -> None:
    """Adds to the `.part` file; begins anew where the server does not give the rest."""
    start = _size(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    with urllib.request.urlopen(request, timeout=30) as response:
        goes_on = response.status == 206 and _range_start(response.headers.get("Content-Range")) == start
        received = start if goes_on else 0
        with open(part, "ab" if goes_on else "wb") as file:
            # One byte more than expected shows that it is another file; no more is taken.
            while received <= remote.size and (chunk := response.read(min(_CHUNK, remote.size + 1 - received))):
                file.write(chunk)
                received += len(chunk)
                progress(remote.name, received, remote.size)


def _range_start(content_range: str | None) -> int | None:
    match = re.match(r"bytes (\d+)-", content_range or "")
    return int(match[1]) if match else None


def _sync_and_rename(part: Path, path: Path) -> None:
    with open(part, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(part, path)


# --- The formats -----------------------------------------------------------------------------------------------------


def _read_mnist(paths: Sequence[Path]) -> list[Part]:
    train_images, train_labels, test_images, test_labels = (_read_idx(path) for path in paths)
    return [Part(train_images, train_labels, "train"), Part(test_images, test_labels, "test")]


def _read_idx(path: Path) -> NDArray[np.uint8]:
    """An array of bytes in the idx format: 0, 0, the type 8, the number of dimensions, each size, the data."""
    with _damage_named(path), gzip.open(path) as file:
        magic = file.read(4)
        if len(magic) != 4 or magic[:3] != b"\x00\x00\x08" or magic[3] not in (1, 3):
            raise ValueError(f"it begins with {magic!r}, not as an idx file of bytes")
        shape = struct.unpack(f">{magic[3]}I", file.read(4 * magic[3]))
        size = int(np.prod([int(length) for length in shape], dtype=object))
        if size > _LARGEST_UNPACKED:
            raise ValueError(f"it says that it holds {size:,} bytes")
        data = file.read(size + 1)
        if len(data) != size:
            raise ValueError(
                f"it says that it holds {size:,} bytes, and holds {'more' if len(data) > size else 'less'}"
            )
    return np.frombuffer(data, np.uint8).reshape(shape)


def _read_cifar10(path: Path) -> list[Part]:
    """Krizhevsky 2009: records of one byte for the class and 3 × 32 × 32 for the pixels, red first."""
    names = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]
    with _damage_named(path):
        batches = _members(path, names)
        missing = [name for name in names if name not in batches]
        if missing:
            raise ValueError(f"it lacks {', '.join(missing)}")
        train = np.concatenate([_records(batches[name], name) for name in names[:-1]])
        test = _records(batches[names[-1]], names[-1])
    return [_cifar10_part(train, "train"), _cifar10_part(test, "test")]


def _members(path: Path, names: Sequence[str]) -> Mapping[str, bytes]:
    """In one pass, as an archive packed by gzip is read quickest."""
    found: dict[str, bytes] = {}
    total = 0
    with tarfile.open(path, "r|gz") as archive:
        for member in archive:
            total += member.size
            if total > _LARGEST_UNPACKED:
                raise ValueError(f"it unpacks to more than {_LARGEST_UNPACKED:,} bytes")
            name = member.name.rpartition("/")[2]
            stream: IO[bytes] | None = archive.extractfile(member) if member.isreg() and name in names else None
            if stream is not None:
                found[name] = stream.read()
    return found


def _records(data: bytes, name: str) -> NDArray[np.uint8]:
    """`(N, 3073)`."""
    if not data or len(data) % 3073:
        raise ValueError(f"{name} has {len(data):,} bytes, which is no multiple of 3,073")
    records = np.frombuffer(data, np.uint8).reshape(-1, 3073)
    if records[:, 0].max() >= len(_CIFAR10_CLASSES):
        raise ValueError(f"{name} names a class {records[:, 0].max()}, the last is {len(_CIFAR10_CLASSES) - 1}")
    return records


def _cifar10_part(records: NDArray[np.uint8], split: Literal["train", "test"]) -> Part:
    images = np.ascontiguousarray(records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return Part(images, [_CIFAR10_CLASSES[number] for number in records[:, 0]], split)


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, ValueError, struct.error, zlib.error, tarfile.TarError) as error:
        raise DataError(
            f"{str(path)!r} can't be read: {error}", remedy="Remove it, so that it is fetched again."
        ) from error
