"""Pictures, archives, tables and model files that are wrong in one way each, made of bytes; and the good set beside.

Every function makes its files below the folder that it is given.
"""

import io
import itertools
import json
import random
import shlex
import struct
import tarfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gnomon.cli import main
from source_files import write_folder, write_tar, write_zip

PHOTOS: Final = "photos"
QUICK: Final = " --steps 2 --threads 2 --size 8 --widths 4 --format float32 --quiet --out run"
_SEEDS: Final = itertools.count()


# --- Commands --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Said:
    """What a command ended with."""

    code: int
    out: str
    error: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A command that must end with exit code 2.

    Attributes:
        name: of the test.
        command: as it is typed behind `gnomon`, in a folder that holds `photos`.
        says: phrases that must stand in what it says: what is wrong, and the remedy.
        make: makes what the command needs.
    """

    name: str
    command: str
    says: tuple[str, ...]
    make: Callable[[Path], object] = lambda _: None


def run_command(command: str, capture: pytest.CaptureFixture[str]) -> Said:
    """Runs a command in this process. Its messages must be readable: no traceback, no sign that moves a cursor."""
    capture.readouterr()
    try:
        code = main(shlex.split(command))
    except SystemExit as end:  # a word is missing: argparse says so itself
        code = int(end.code or 0)
    out, error = capture.readouterr()
    assert "Traceback" not in error
    assert all(line.isprintable() for line in (*out.splitlines(), *error.splitlines())), repr(out + error)
    return Said(code, out, error)


def check_refused(case: Refused, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
    """It ends with exit code 2, says what is wrong, then the remedy, and leaves nothing behind."""
    case.make(folder)
    before = sorted(folder.rglob("*"))
    said = run_command(case.command, capture)
    assert said.code == 2, said
    assert [phrase for phrase in case.says if phrase not in said.error] == [], said.error
    problem, _, remedy = said.error.partition("\n")
    assert problem.startswith("gnomon: ")
    assert remedy.strip(), "no remedy"
    assert sorted(folder.rglob("*")) == before


# --- Pictures --------------------------------------------------------------------------------------------------------


def picture(kind: str = "PNG", size: tuple[int, int] = (8, 8), *, seed: int | None = None) -> bytes:
    """A picture of noise, unlike every other; the same one for the same seed."""
    draw = random.Random(next(_SEEDS) if seed is None else f"picture {seed}")
    sink = io.BytesIO()
    Image.frombytes("RGB", size, draw.randbytes(3 * size[0] * size[1])).save(sink, kind)
    return sink.getvalue()


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A grey PNG whose header says this size, whatever the chunks behind it hold."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, data in ((b"IHDR", header), *chunks, (b"IEND", b"")):
        parts.append(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
    return b"".join(parts)


def decompression_bomb() -> bytes:
    """90 million black pixels in 90 kB."""
    return png(10_000, 9_000, (b"IDAT", zlib.compress(bytes(10_001) * 9_000, 1)))


def text_bomb() -> bytes:
    """An 8×8 picture beside 80 MB of a comment, in 80 kB."""
    comment = b"comment\0\0" + zlib.compress(bytes(80_000_000), 1)
    return png(8, 8, (b"zTXt", comment), (b"IDAT", zlib.compress(bytes(9 * 8))))


# --- Sets of pictures ------------------------------------------------------------------------------------------------


def names(classes: Sequence[str] = ("cat", "dog"), each: int = 12, *, below: str = "") -> list[str]:
    """`cat/00.png` and so on."""
    return [f"{below}{label}/{number:02d}.png" for label in classes for number in range(each)]


def pictures(classes: Sequence[str] = ("cat", "dog"), each: int = 12, *, below: str = "") -> dict[str, bytes]:
    return {name: picture() for name in names(classes, each, below=below)}


def photos(folder: Path, extra: Mapping[str, bytes] | None = None, *, each: int = 12) -> Path:
    """`photos` with two classes of good pictures, and what is given beside them."""
    return write_folder(folder / PHOTOS, {**pictures(each=each), **(extra or {})})


def only(folder: Path, files: Mapping[str, bytes]) -> Path:
    """`photos` with these files alone."""
    return write_folder(folder / PHOTOS, files)


# --- Archives --------------------------------------------------------------------------------------------------------


def encrypted_zip(path: Path, which: str) -> None:
    """A zip in which the members whose names begin so are marked as encrypted."""
    _patch_directory(write_zip(path, pictures()), which, offset=8, value=struct.pack("<H", 1))


def lying_zip(path: Path, which: str) -> None:
    """A zip with members that unpack to far more than they declare."""
    write_zip(path, {**pictures(), which: bytes(3_000_000)})
    _patch_directory(path, which, offset=24, value=struct.pack("<I", 100))


def huge_member_zip(path: Path, which: str) -> None:
    """A zip with members that declare a gigabyte."""
    write_zip(path, {**pictures(), which: picture()})
    _patch_directory(path, which, offset=24, value=struct.pack("<I", 2**30))


def _patch_directory(path: Path, which: str, *, offset: int, value: bytes) -> None:
    """Overwrites a field in the central directory, whose entries have their name at byte 46."""
    data = bytearray(path.read_bytes())
    at = data.find(b"PK\x01\x02")
    while at >= 0:
        if data[at + 46 :].startswith(which.encode()):
            data[at + offset : at + offset + len(value)] = value
        at = data.find(b"PK\x01\x02", at + 4)
    path.write_bytes(data)


def tar_with_links(path: Path) -> None:
    """A tar with a soft link, a hard link, and names that lead out of it."""
    write_tar(path, {**pictures(), "../cat/up.png": picture(), "/cat/absolute.png": picture()})
    with tarfile.open(path, "a") as archive:
        for name, kind in (("cat/soft.png", tarfile.SYMTYPE), ("cat/hard.png", tarfile.LNKTYPE)):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, "/etc/passwd"
            archive.addfile(link)


def cut(path: Path, size: int | None = None) -> Path:
    """The file without its second half, or without what stands behind `size` bytes."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2 if size is None else size])
    return path


# --- Tables and arrays -----------------------------------------------------------------------------------------------


def table(folder: Path, *lines: str, name: str = "labels.csv", head: str = "file,label", good: int = 12) -> Path:
    """A table beside `photos` that names its pictures, and has these lines at its end."""
    photos(folder)
    files = [f"{PHOTOS}/{file},{file[:3]}" for file in names(each=good)]
    extra = "," * (head.count(",") - 1)
    text = "\n".join([head, *(f"{line}{extra}" for line in files), *lines]) + "\n"
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def arrays(path: Path, **others: NDArray[Any]) -> None:
    """An `.npz` of grey pictures and labels of two classes; other arrays take the place of those of their names."""
    random_numbers = np.random.default_rng(0)
    usual: dict[str, NDArray[Any]] = {"X": random_numbers.random((24, 8, 8)), "y": np.arange(24) % 2}
    np.savez(path, **{**usual, **others})  # type: ignore[arg-type]


# --- Model files -----------------------------------------------------------------------------------------------------


def with_header(content: bytes, change: Mapping[str, object]) -> bytes:
    """A model file whose description has these fields changed; a dotted name leads inside."""
    (length,) = struct.unpack("<Q", content[:8])
    outer = json.loads(content[8 : 8 + length])
    described = json.loads(outer["__metadata__"]["gnomon"])
    for place, value in change.items():
        inside = described
        *way, last = place.split(".")
        for step in way:
            inside = inside[step]
        inside[last] = value
    outer["__metadata__"]["gnomon"] = json.dumps(described)
    header = json.dumps(outer).encode()
    return struct.pack("<Q", len(header)) + header + content[8 + length :]
