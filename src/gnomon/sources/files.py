"""Files by name, as a folder or an archive gives them; the folder's own way is here, the archives' in `archives`.

A name is a key: the only names that ever become paths are those that listing a folder returned. Sizes are known, and
bounded, before anything is read.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from ..errors import DataError, RowError
from ..types import Row, SetAside, listed, plural

LARGEST_FILE: Final = 256 * 2**20
"""Bytes; a larger file is set aside unread."""

_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NUMBER: Final = re.compile(r"([0-9]+)")
_SUFFIX: Final = re.compile(r"(\.tar)?\.[A-Za-z0-9]{1,7}$")
_LONGEST_NAME: Final = 40


class Files(Protocol):
    """Files by name.

    Attributes:
        names: unique, parts joined by `/`; in storage order for archives, in natural order for folders.
        sizes: bytes, one per name.
        hints: one per name; files of equal content have equal hints.
        set_aside: what can't be read at all, with the reason.
        fingerprint: changes whenever a name or a content may have changed; the same in every process.
    """

    @property
    def names(self) -> Sequence[str]: ...
    @property
    def sizes(self) -> Sequence[int]: ...
    @property
    def hints(self) -> Sequence[Hashable]: ...
    @property
    def set_aside(self) -> Sequence[SetAside]: ...
    @property
    def fingerprint(self) -> str: ...

    def read(self, name: str, *, at_most: int | None = None) -> bytes:
        """The file's content, or only its first `at_most` bytes.

        Raises:
            RowError: gone, changed since it was listed, damaged.
        """
        ...

    def close(self) -> None: ...


def natural_key(name: str) -> tuple[tuple[str | int, ...], str]:
    """Sorts `img2` before `img10`; names that differ only in leading zeros keep a fixed order too."""
    pieces = _NUMBER.split(name)
    return tuple(int(piece) if place % 2 else piece for place, piece in enumerate(pieces)), name


def printable(name: str) -> str:
    """The name as a key: bytes that are no UTF-8, and control characters, are written as `\\xNN`."""
    return _UNSAFE.sub(lambda match: f"\\x{ord(match[0]) & 0xFF:02x}", name)


def digest(values: Iterable[object]) -> str:
    """A short hash of the values' texts; the same in every process."""
    text = "\x00".join(map(str, values))
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def rows_digest(rows: Sequence[Row]) -> str:
    """A hash of the rows' keys, labels, parts and groups."""
    return digest(f"{row.key}\x00{row.label}\x00{row.split}\x00{row.group}" for row in rows)


def short_name(location: str) -> str:
    """A word for the run directory's name: letters, digits and hyphens of the location's last part."""
    last = os.path.basename(os.path.abspath(location))
    stem = last if os.path.isdir(location) else _SUFFIX.sub("", last)
    word = "-".join(re.findall(r"[^\W_]+", stem))[:_LONGEST_NAME].strip("-")
    return word or "data"


def size_problem(size: int) -> str | None:
    """Why a file of this many bytes is not read, or None."""
    if size > LARGEST_FILE:
        return f"too large: {size:,} bytes, at most {LARGEST_FILE:,} are read"
    return None


def read_path(path: str, size: int, *, at_most: int | None = None) -> bytes:
    """A file that was `size` bytes long when it was listed; never more than one byte beyond that is read.

    Raises:
        RowError: gone, not readable, or of another size now.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(size + 1 if at_most is None else min(at_most, size))
    except OSError as error:
        raise RowError(f"can't be read: {error.strerror or error}") from error
    if at_most is None and len(data) != size:
        raise RowError(f"changed while it was in use: {size:,} bytes when listed")
    return data


# --- Folders ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FolderFiles:
    """The files of a folder and all folders below it; links are followed."""

    names: Sequence[str]
    sizes: Sequence[int]
    set_aside: Sequence[SetAside]
    fingerprint: str
    root: str
    size_of: Mapping[str, int]
    stored_names: Mapping[str, str]
    """Only for names that can't be printed as they are."""
    led_out: Sequence[str]
    """Links to what lies elsewhere."""

    @property
    def hints(self) -> Sequence[Hashable]:
        return self.sizes

    def read(self, name: str, *, at_most: int | None = None) -> bytes:
        path = os.path.join(self.root, self.stored_names.get(name, name))
        return read_path(path, self.size_of[name], at_most=at_most)

    def close(self) -> None:
        """Nothing is held open."""


@dataclass(frozen=True, slots=True)
class _Found:
    name: str
    stored: str
    size: int
    modified_ns: int


def open_folder(root: str) -> FolderFiles:
    """Lists a folder. What can't be read is set aside.

    Raises:
        DataError: the folder itself can't be listed.
    """
    set_aside: list[SetAside] = []
    led_out: list[str] = []
    unique: dict[str, _Found] = {}
    for found in _walk(root, set_aside, led_out):
        if found.name in unique:
            set_aside.append(SetAside(key=found.name, reason="its name can't be told from another file's"))
        unique.setdefault(found.name, found)
    listed = sorted(unique.values(), key=lambda found: natural_key(found.name))
    return FolderFiles(
        names=[found.name for found in listed],
        sizes=[found.size for found in listed],
        set_aside=set_aside,
        fingerprint=digest(f"{found.name}\x00{found.size}\x00{found.modified_ns}" for found in listed),
        root=root,
        size_of={found.name: found.size for found in listed},
        stored_names={found.name: found.stored for found in listed if found.name != found.stored},
        led_out=led_out,
    )


def link_notes(links: Sequence[str]) -> list[str]:
    """A sentence where links lead out of the folder: they are followed, since large sets are often kept so."""
    if not links:
        return []
    verb, are = ("leads", "is") if len(links) == 1 else ("lead", "are")
    return [f"{plural(len(links), 'link')} {verb} out of the folder, and {are} followed: {listed(links)}"]


def leads_out(path: str, root: str) -> bool:
    """Whether what a path stands for, its links followed, lies elsewhere; `root` has no links in it."""
    return not (os.path.realpath(path) + os.sep).startswith(root.rstrip(os.sep) + os.sep)


def _walk(root: str, set_aside: list[SetAside], led_out: list[str]) -> Iterator[_Found]:
    """Depth first. `above` holds the identities of the folders that lead here, so that a link back ends the descent."""
    real = os.path.realpath(root)
    pending: list[tuple[str, tuple[tuple[int, int], ...]]] = [("", (_identity(os.stat(root)),))]
    while pending:
        prefix, above = pending.pop()
        for entry in _entries(root, prefix, set_aside):
            stored = prefix + entry.name
            reason: str | None = None
            if entry.is_symlink() and leads_out(entry.path, real):
                led_out.append(printable(stored))
            try:
                if entry.is_dir():
                    identity = _identity(os.stat(entry.path))
                    if identity in above:
                        reason = "a link back to a folder that contains it"
                    else:
                        pending.append((f"{stored}/", (*above, identity)))
                        continue
                else:
                    status = entry.stat()
                    reason = _file_problem(entry, status)
            except OSError as error:
                leads_nowhere = entry.is_symlink() and isinstance(error, FileNotFoundError)
                reason = "a link that leads nowhere" if leads_nowhere else f"can't be read: {error.strerror}"
            if reason is not None:
                set_aside.append(SetAside(key=printable(stored), reason=reason))
            else:
                yield _Found(printable(stored), stored, status.st_size, status.st_mtime_ns)


def _entries(root: str, prefix: str, set_aside: list[SetAside]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(os.path.join(root, prefix)) as entries:
            return list(entries)
    except OSError as error:
        if not prefix:
            raise DataError(f"the folder {root!r} can't be read: {error.strerror}") from error
        set_aside.append(SetAside(key=printable(prefix), reason=f"the folder can't be read: {error.strerror}"))
        return []


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _file_problem(entry: os.DirEntry[str], status: os.stat_result) -> str | None:
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    if not os.access(entry.path, os.R_OK):
        return "may not be read (permission denied)"
    return size_problem(status.st_size)
