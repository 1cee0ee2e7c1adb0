"""Files and folders that are there wholly or not at all, whatever happens while they are written.

Content goes to another name, is synced, renamed, and its folder synced. Whatever the system refuses comes out as one
error that names the path, what is needed, and what is free.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from ..errors import RunError

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_BESIDE: Final = ".replaced"

_OWN: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""What stands in a folder from elsewhere may be a link to a file that is none of its own, or a pipe."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write one file under another name, sync, rename, sync the folder.

    Raises:
        RunError: with the system's reason; the old file stands.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(temporary, content)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise refused(path, error, needed=len(content)) from error


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder of files under another name, sync each, rename it, sync the folder around it.

    One that stands there already is moved aside first and removed last, so that there is always one of them; see
    `whole_name`.

    Raises:
        RunError: with the system's reason; the old folder stands.
    """
    making, aside = path.with_name(f".making-{path.name}"), path.with_name(path.name + _BESIDE)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir()
        for name, content in files.items():
            _write(making / name, content)
        _sync_folder(making)
        if path.exists():
            shutil.rmtree(aside, ignore_errors=True)
            os.replace(path, aside)
        os.replace(making, path)
        _sync_folder(path.parent)
    except OSError as error:
        shutil.rmtree(making, ignore_errors=True)
        if aside.exists() and not path.exists():
            with suppress(OSError):
                os.replace(aside, path)
        raise refused(path, error, needed=sum(map(len, files.values()))) from error
    shutil.rmtree(aside, ignore_errors=True)


def whole_name(name: str) -> str:
    """The name that a folder of `write_folder` was given, also where a crash left it moved aside."""
    return name.removesuffix(_BESIDE)


def remove_leftovers(folder: Path) -> None:
    """Take away what a killed process left half written in this folder."""
    for path in (*folder.glob(".*.tmp"), *folder.glob(".making-*")):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def append_line(path: Path, line: bytes) -> None:
    """Add a line to a file. It may be torn by a crash, but never glued to the one before.

    Raises:
        RunError: with the system's reason.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _OWN, 0o666)
        try:
            _write_all(handle, line + b"\n")
        finally:
            os.close(handle)
    except OSError as error:
        raise refused(path, error, needed=len(line) + 1) from error


def sync_file(path: Path) -> None:
    """Have what was written to a file on the disk; nothing where there is none.

    Raises:
        RunError: with the system's reason.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except FileNotFoundError:
        return
    except OSError as error:
        raise refused(path, error, needed=0) from error


def free_bytes(path: Path) -> int:
    """What may still be written where this path is, or will be."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def require_room(path: Path, needed: int, *, what: str) -> None:
    """Refuse before anything is begun that the disk can't hold.

    Args:
        path: where it will lie.
        needed: bytes.
        what: is to be written.

    Raises:
        RunError: with both numbers.
    """
    free = free_bytes(path.absolute())
    if free < needed:
        raise RunError(
            f"{what} need {megabytes(needed)} at {str(path)!r}, and {megabytes(free)} are free there",
            remedy="Free disk space, give --out on a larger disk, or a smaller network.",
        )


def refused(path: Path, error: OSError, *, needed: int) -> RunError:
    """What the system refused, for people: where, why, how much was needed, how much is free."""
    try:
        free = f", {megabytes(free_bytes(path.absolute()))} free"
    except OSError:
        free = ""
    remedy = {
        errno.EROFS: "The disk is mounted read-only; mount it writable.",
        errno.EACCES: "Give yourself the right to write there.",
        errno.EPERM: "Give yourself the right to write there.",
        errno.EIO: "The disk does not work as it should; copy the run to another one.",
    }.get(error.errno or 0, "Free disk space." if error.errno in _FULL else "Look into the cause.")
    return RunError(
        f"{str(path)!r} can't be written: {error.strerror or error} ({megabytes(needed)} needed{free})",
        remedy=f"{remedy} What was saved before is intact; gnomon resume goes on from there.",
    )


def link_to(target: str, link: Path) -> None:
    """A link to what stands beside it, replaced in one step; where links are not allowed, none."""
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(link)
    except OSError:
        temporary.unlink(missing_ok=True)


def megabytes(count: int) -> str:
    """A number of bytes for people: `1.2 MB`, `31.0 kB`."""
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count / 1e3:,.1f} kB"


def _write(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _OWN, 0o666)
    try:
        _write_all(handle, content)
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_all(handle: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(handle, view) :]


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
