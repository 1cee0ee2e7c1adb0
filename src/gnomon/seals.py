"""Sizes and SHA-256 of a run directory's files, what each line of its events adds up to, and code that it may name.

seals.json              of the files that decide how a run goes on; written before the first step
evaluation/seals.json   of what the judging found; removed before it begins, written when all of it is there

So a file that was damaged, exchanged or left over from another run is named, in place of being believed. Against
somebody who wants to deceive they are no protection: whoever changes a file can change its seal.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from .errors import RunError
from .types import Value
from .writing import write_atomically

_CHECK: Final = re.compile(rb',"check":"([0-9a-f]{8})"}$')


class Seal(Value, frozen=True):
    """Size and SHA-256 of one file."""

    bytes: int
    sha256: str


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


def broken_seals(folder: Path, seals: str, names: Sequence[str]) -> list[str]:
    """What is wrong with the sealed files, a sentence each; nothing where there are no seals, as of older versions."""
    try:
        said = msgspec.json.decode((folder / seals).read_bytes(), type=dict[str, Seal])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [f"{seals} is damaged"]
    unknown = [f"{seals} names {name[:80]!r}, which is none of the run's files" for name in said if name not in names]
    return unknown + [fault for name, seal in said.items() if name in names and (fault := _fault(folder, name, seal))]


def _fault(folder: Path, name: str, seal: Seal) -> str:
    try:
        size = (folder / name).stat().st_size
        if size != seal.bytes:
            return f"{name} has {size:,} bytes instead of {seal.bytes:,}"
        content = (folder / name).read_bytes()
    except OSError as error:
        return f"{name} can't be read ({error.strerror})"
    return "" if seal_of(content) == seal else f"{name} is not as it was written (its SHA-256 is another)"


def require_seals(folder: Path, seals: str, names: Sequence[str]) -> None:
    """Raises RunError where a file is not as it was sealed."""
    faults = broken_seals(folder, seals, names)
    if faults:
        raise RunError(
            [f"{str(folder)!r}: {fault}" for fault in faults],
            remedy=f"Bring it back from a copy, or train anew. If it was changed on purpose, remove {seals}.",
        )


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
        text = path.read_text(encoding="utf-8")
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
