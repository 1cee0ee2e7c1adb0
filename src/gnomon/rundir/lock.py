"""A folder that one process works in at a time.

The system holds the lock and lets it go when the process ends, however it ends; so a file that a killed process left
behind locks nobody out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from ..errors import RunError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME: Final = ".lock"
_NOT_A_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
"""A link of this name, in a folder from elsewhere, would have another file overwritten."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Work in this folder alone.

    Where the system or a file system of the net has no locks, nothing is held.

    Raises:
        RunError: another process works in it.
    """
    handle = _locked(folder / NAME) if fcntl is not None else None
    if handle is None:
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):
            (folder / NAME).unlink()  # before it is let go: whoever opened it meanwhile sees that it is gone
        os.close(handle)


def _locked(path: Path) -> int | None:
    """An open file with a lock on it; None where there are no locks, or the folder can't be written."""
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | _NOT_A_LINK, 0o666)
        except OSError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(handle, 16, 0)
            os.close(handle)
            raise RunError(
                f"{str(path.parent)!r} is in use by another gnomon"
                + (f", process {int(owner)}" if owner.isdigit() else ""),
                remedy="Wait until it is done, or stop it first.",
            ) from None
        except OSError:
            os.close(handle)
            return None
        if _is_still(path, handle):
            with suppress(OSError):
                os.ftruncate(handle, 0)
                os.pwrite(handle, str(os.getpid()).encode(), 0)
            return handle
        os.close(handle)


def _is_still(path: Path, handle: int) -> bool:
    """Whether the open file is the one of this name, and not one that its holder has just removed."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except OSError:
        return False
