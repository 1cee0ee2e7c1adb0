"""Sizes and SHA-256 of a run directory's files, what each line of its events adds up to, and code that it may name.

seals.json              of the files that decide how a run goes on; written before the first step
evaluation/seals.json   of what the judging found; removed before it begins, written when all of it is there

So a file that was damaged, exchanged or left over from another run is named, in place of being believed. Against
somebody who wants to deceive they are no protection: whoever changes a file can change its seal.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
import stat
import tomllib
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from ..errors import RunError
from ..types import Value
from .writing import write_atomically

_LARGEST: Final = 2**30
_LARGEST_NAMING: Final = 2**23
_LARGEST_WEIGHTS: Final = 64 * 2**30
_CHECK: Final = re.compile(rb',"check":"([0-9a-f]{8})"}$')


class Seal(Value, frozen=True):
    """Size and SHA-256 of one file."""

    bytes: int
    sha256: str


class Manifest(Value, frozen=True):
    """What a checkpoint's folder must hold, and which one it is."""

    step: int
    back: int
    files: dict[str, Seal]


def seal_of(content: bytes) -> Seal:
    return Seal(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def write_seals(folder: Path, seals: str, names: Sequence[str]) -> None:
    """Seal those of the files that are there.

    Args:
        folder: of the run.
        seals: the file to write.
        names: of files, from the run's folder.

    Raises:
        RunError: it can't be written.
    """
    found = {name: seal_of((folder / name).read_bytes()) for name in names if (folder / name).is_file()}
    write_atomically(folder / seals, msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")


def broken_seals(
    folder: Path, seals: str, names: Sequence[str], *, grows: str = "", only: str | None = None
) -> list[str]:
    """What is wrong with the sealed files, a sentence each; nothing where there are no seals, as of older versions.

    Args:
        folder: of the run.
        seals: the file that holds them.
        names: of files that may be sealed.
        grows: the one to which more may have been added since.
        only: the one that is of interest; None for all.
    """
    try:
        said = msgspec.json.decode(read_file(folder / seals), type=dict[str, Seal])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [f"{seals} is damaged"]
    unknown = [f"{seals} names {name[:80]!r}, which is none of the run's files" for name in said if name not in names]
    wanted = [name for name in said if name in names and only in (None, name)]
    return unknown + [fault for name in wanted if (fault := _fault(folder, name, said[name], grows=name == grows))]


def _fault(folder: Path, name: str, seal: Seal, *, grows: bool) -> str:
    try:
        size = (folder / name).stat().st_size
        if size < seal.bytes or (size > seal.bytes and not grows):
            return f"{name} has {size:,} bytes instead of {seal.bytes:,}"
        whole = read_file(folder / name)
        content = whole[: seal.bytes] if grows else whole
    except OSError as error:
        return f"{name} can't be read ({error.strerror})"
    lines = _timed(whole) if grows else []
    if len(set(lines)) < len(lines):
        return f"{name} says the same twice"
    return "" if seal_of(content) == seal else f"{name} is not as it was written (its SHA-256 is another)"


def require_seals(
    folder: Path, seals: str, names: Sequence[str], *, grows: str = "", only: str | None = None, remedy: str
) -> None:
    """As `broken_seals`, but raises RunError where anything is wrong."""
    faults = broken_seals(folder, seals, names, grows=grows, only=only)
    if faults:
        raise RunError([f"{str(folder)!r}: {fault}" for fault in faults], remedy=remedy)


def _timed(lines: bytes) -> list[bytes]:
    """Lines of events that say when something was; none of them comes twice."""
    return [line for line in lines.split(b"\n") if b'"elapsed_s"' in line]


def read_file(path: Path, *, most: int = _LARGEST) -> bytes:
    """The content of a file that is one: reading a pipe would never end, nor would a file of terabytes of nothing.

    Raises:
        OSError: as `open`; also for what is no regular file, or larger than any such file is.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    if status.st_size > most:
        raise OSError(errno.EFBIG, f"{status.st_size:,} bytes are more than such a file has", str(path))
    return path.read_bytes()


def manifest_fault(folder: Path, manifest: str, order: tuple[int, int]) -> str:
    """What is wrong with a checkpoint, as a phrase; empty where all its files match its manifest.

    Args:
        folder: of the checkpoint.
        manifest: the file's name in it.
        order: how often the training had gone back by then, and its step, as the folder's name says.
    """
    try:
        said = msgspec.json.decode(read_file(folder / manifest), type=Manifest)
    except OSError as error:
        return f"{manifest} can't be read ({error.strerror})"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return f"{manifest} is no manifest"
    if (said.back, said.step) != order:
        return f"{manifest} is that of step {said.step:,}"
    for name, seal in said.files.items():
        path = folder / Path(name).name
        try:
            size = path.stat().st_size
            if size != seal.bytes:
                return f"{name!r} has {size:,} bytes instead of {seal.bytes:,}"
            if seal_of(read_file(path, most=_LARGEST_WEIGHTS)) != seal:
                return f"{name!r} does not have the content that was written"
        except OSError as error:
            return f"{path.name!r} can't be read ({error.strerror})"
        except ValueError:
            return f"{manifest} names {name!r}, which no file can be called"
    return "" if said.files else f"{manifest} names no files"


# --- Lines of events -------------------------------------------------------------------------------------------------


def with_check(line: bytes) -> bytes:
    """A line of JSON that ends with what it adds up to (CRC-32), so that damage to it shows."""
    return line[:-1] + b',"check":"%08x"}' % zlib.crc32(line)


def without_check(line: bytes) -> bytes | None:
    """The line as it was; None where it is damaged. Lines of older versions have no check, and are given back."""
    found = _CHECK.search(line)
    if found is None:
        return line
    bare = line[: found.start()] + b"}"
    return bare if b"%08x" % zlib.crc32(bare) == found[1] else None


# --- Code that a run names -------------------------------------------------------------------------------------------


def require_trust(folder: Path, names: Sequence[str], *, trusted: str | None) -> None:
    """A run directory may name a module that was its maker's own; it is imported only where the user names it too.

    Args:
        folder: of the run.
        names: of the files that may name one.
        trusted: `package.module:Name`, as the user says it; None for nothing.

    Raises:
        RunError: it names another.
    """
    for name in names:
        for found in _own_code(folder / name):
            if found != trusted:
                raise RunError(
                    f"{str(folder / name)!r} names code of its maker's own ({found[:200]!r}), which is not run unasked",
                    remedy=f"If it is yours, or you trust it: --model {found[:200]}",
                )


def _own_code(path: Path) -> Iterator[str]:
    try:
        text = read_file(path, most=_LARGEST_NAMING).decode()
        yield from _imported(tomllib.loads(text) if path.suffix == ".toml" else json.loads(text))
    except (OSError, ValueError, RecursionError):
        return  # whoever reads it will say so


def _imported(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if value.get("model") == "imported":
            yield str(value.get("name"))
        for part in value.values():
            yield from _imported(part)
    elif isinstance(value, list):
        for part in value:
            yield from _imported(part)
