"""Zip and tar archives: bombs, links and devices, names that lead elsewhere, lies about sizes and places."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from . import Case, Ends, predict_words, train_words
from .material import good_photos, picture

_NAMES: Final = (
    *(
        "../outside/up.png",
        "../../../../tmp/up.png",
        "cat/../../outside/up.png",
        "/tmp/absolute.png",
        "//host/share/a.png",
    ),
    *("C:\\Windows\\a.png", "C:/a.png", "..\\outside\\up.png", "\\\\host\\share\\a.png", "cat\\..\\..\\up.png"),
    *(
        "cat/\x00.png",
        "cat/\x1b[31mred\x1b[0m.png",
        "cat/a\nb.png",
        "cat/\u202egnp.exe.png",
        "cat/\ud800.png",
        ".",
        "..",
    ),
    *(
        "",
        "/",
        "cat//a.png",
        "cat/" + "x" * 5000 + ".png",
        "d/" * 2000 + "a.png",
        "cat/CON.png",
        "~/a.png",
        "$HOME/a.png",
    ),
    *(
        "cat/.png",
        "cat/%2e%2e%2fa.png",
        "cat/\u2025/a.png",
        "-rf.png",
        "cat/a.png/",
        "file:///etc/passwd",
        "__MACOSX/a.png",
    ),
)
_MEMBERS: Final = {
    tarfile.SYMTYPE: "soft link",
    tarfile.LNKTYPE: "hard link",
    tarfile.CHRTYPE: "character device",
    tarfile.BLKTYPE: "block device",
    tarfile.FIFOTYPE: "pipe",
    tarfile.CONTTYPE: "contiguous file",
    tarfile.GNUTYPE_SPARSE: "sparse file",
    b"Z": "unknown kind",
    b"D": "dump of a folder",
    b"M": "second half",
    b"V": "volume",
    b"N": "old long name",
}


def archive_cases(seed: int) -> Iterator[Case]:
    """All of them, in an order that the seed decides; each file is trained on, and predicted."""
    draw = random.Random(f"{seed}/archives")
    made: list[tuple[str, str, Callable[[Path], object], Ends]] = [
        *_zips(),
        *_tars(),
        *_damaged(draw),
    ]
    cases = [
        Case(kind, f"{what} ({words[0]})", words, make, ends)
        for kind, what, make, ends in made
        for words in (train_words(f"a.{kind}"), predict_words(f"a.{kind}"))
    ]
    draw.shuffle(cases)
    yield from cases


_Made = tuple[str, str, Callable[[Path], object], Ends]

# --- Zip -------------------------------------------------------------------------------------------------------------


def _zips() -> Iterator[_Made]:
    for name in _NAMES:
        yield "zip", f"a member named {name!r:.40}", partial(_zip, {name: picture("x")}), "any"
    zeros = {f"{size / 1e6:.0f} MB of zeros": size for size in (10**8, 2**28, 2**28 + 1)}
    for what, size in zeros.items():
        yield "zip", f"a picture that is {what}", partial(_zip, {"cat/x.png": bytes(size)}), "aside"
        for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
            make = partial(_zip, {"cat/x.png": bytes(size)}, method=method)
            yield "zip", f"the same, by method {method}", make, "aside"
    yield "zip", "a hundred bombs", partial(_zip, {f"cat/{n}x.png": bytes(10**7) for n in range(100)}), "aside"
    yield "zip", "a zip in a zip in a zip", _nested, "aside"
    yield (
        "zip",
        "nothing but a zip that holds itself",
        partial(_zip, {"a.zip": b"PK\x05\x06" + bytes(18)}, good=False),
        "refused",
    )
    yield "zip", "30,000 members", partial(_zip, {f"cat/{number}.txt": b"" for number in range(30_000)}), "aside"
    yield "zip", "1,000 overlapping members", _overlapping, "aside"
    for field, offset, size in _FIELDS:
        for value in (0, 1, 2 ** (8 * size) - 1, 2 ** (8 * size - 1), 99):
            yield "zip", f"{field} {value}", partial(_patched, offset, size, value), "any"
    for field, offset, size in (
        ("entries", 10, 2),
        ("directory size", 12, 4),
        ("directory place", 16, 4),
        ("comment", 20, 2),
    ):
        for value in (0, 1, 2 ** (8 * size) - 1, 2 ** (8 * size - 1)):
            yield "zip", f"{field} {value} at the end", partial(_patched_end, offset, size, value), "any"
    yield "zip", "a link to a secret", partial(_linked, 0o120777), "aside"
    yield "zip", "a device", partial(_linked, 0o020666), "aside"
    yield "zip", "a pipe", partial(_linked, 0o010666), "aside"


_FIELDS: Final = (
    *(("version", 6, 2), ("flags", 8, 2), ("method", 10, 2), ("checksum", 16, 4), ("packed size", 20, 4)),
    *(("size", 24, 4), ("length of name", 28, 2), ("length of extra", 30, 2), ("disk", 34, 2), ("place", 42, 4)),
)
"""Of an entry of the central directory."""


def _zip(extra: Mapping[str, bytes], folder: Path, *, method: int = zipfile.ZIP_DEFLATED, good: bool = True) -> None:
    with zipfile.ZipFile(folder / "a.zip", "w", method) as archive:
        for name, content in {**(good_photos() if good else {}), **extra}.items():
            member = zipfile.ZipInfo("placeholder")
            member.filename, member.compress_type = name.encode("utf-8", "replace").decode(), method
            archive.writestr(member, content)


def _nested(folder: Path) -> None:
    content = bytes(10**7)
    for level in range(3):
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(10):
                archive.writestr(f"{level}{number}.zip" if level else f"{number}.png", content)
        content = sink.getvalue()
    _zip({"cat/bomb.zip": content}, folder)


def _overlapping(folder: Path) -> None:
    """Entries that all point to one member of 4 MB: D. Fifield, A better zip bomb (WOOT 2019)."""
    _zip({"cat/x.png": bytes(4 * 10**6)}, folder)
    data = (folder / "a.zip").read_bytes()
    begin, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    directory, last = data[begin:end], data.rindex(b"PK\x01\x02", 0, end)
    entry = data[last:end]
    copies = b"".join(entry.replace(b"cat/x.png", f"cat/{number:05d}"[:9].encode()) for number in range(1000))
    ending = bytearray(data[end:])
    ending[8:12] = struct.pack("<HH", 1024, 1024)
    ending[12:16] = struct.pack("<I", len(directory) + len(copies))
    (folder / "a.zip").write_bytes(data[:begin] + directory + copies + ending)


def _patched(offset: int, size: int, value: int, folder: Path) -> None:
    """A field of the first entry of the directory is overwritten."""
    _zip({}, folder)
    data = bytearray((folder / "a.zip").read_bytes())
    at = data.index(b"PK\x01\x02") + offset
    data[at : at + size] = value.to_bytes(size, "little")
    (folder / "a.zip").write_bytes(data)


def _patched_end(offset: int, size: int, value: int, folder: Path) -> None:
    _zip({}, folder)
    data = bytearray((folder / "a.zip").read_bytes())
    at = data.index(b"PK\x05\x06") + offset
    data[at : at + size] = value.to_bytes(size, "little")
    (folder / "a.zip").write_bytes(data)


def _linked(mode: int, folder: Path) -> None:
    _zip({}, folder)
    with zipfile.ZipFile(folder / "a.zip", "a") as archive:
        member = zipfile.ZipInfo("cat/link.png")
        member.external_attr = mode << 16
        archive.writestr(member, "../outside/secret.png")


# --- Tar -------------------------------------------------------------------------------------------------------------


def _tars() -> Iterator[_Made]:
    for name in _NAMES:
        yield "tar", f"a member named {name!r:.40}", partial(_tar, [(name, tarfile.REGTYPE, "", picture("x"))]), "any"
    for kind, what in _MEMBERS.items():
        for target in ("../outside/secret.png", "/etc/passwd", "cat/00.png", "link.png"):
            make = partial(_tar, [("cat/link.png", kind, target, b"")])
            yield "tar", f"a {what} to {target}", make, "any"
    for size in (2**28 + 1, 2**33 - 1, 2**63 - 1):
        yield "tar", f"a member that claims {size:,} bytes", partial(_claiming, size), "any"
    for what, headers in _PAX.items():
        yield "tar", f"extended header: {what}", partial(_extended, headers), "any"
    for how, pack in (("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)):
        for size in (10**8, 2 * 10**8):
            make = partial(_packed, pack, [("cat/x.png", tarfile.REGTYPE, "", bytes(size))])
            yield "tar", f"{how}: {size / 1e6:.0f} MB of zeros", make, "any"
        many = [(f"cat/{number}.txt", tarfile.REGTYPE, "", b"") for number in range(5000)]
        yield "tar", f"{how}: 5,000 empty members", partial(_packed, pack, many), "any"
        yield "tar", f"{how} of random bytes", partial(_raw, pack(random.Random(how).randbytes(10_000))), "refused"
        yield "tar", f"{how} of itself", partial(_raw, pack(pack(bytes(10**7)))), "refused"
        yield "tar", f"{how} cut off", partial(_cut, pack), "refused"
    yield "tar", "xz with a dictionary of 1.5 GB", partial(_raw, _xz_of_much_memory()), "refused"


_PAX: Final[Mapping[str, Mapping[str, str]]] = {
    "size -1": {"size": "-1"},
    "size 10**30": {"size": "9" * 30},
    "size no number": {"size": "x"},
    "a path that leads out": {"path": "../../outside/secret.png"},
    "a path of 1 MB": {"path": "x" * 10**6},
    "a link path": {"linkpath": "/etc/passwd"},
    "a character set": {"hdrcharset": "BINARY"},
    "sparse": {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "../x.png",
        "GNU.sparse.realsize": "9" * 18,
    },
    "sparse map": {"GNU.sparse.map": "0,1,9223372036854775807,1", "GNU.sparse.size": "10"},
    "10,000 words": {f"word{number}": "x" for number in range(10_000)},
    "times": {"mtime": "nan", "atime": "1e308"},
}


def _tar(members: Sequence[tuple[str, bytes, str, bytes]], folder: Path) -> None:
    (folder / "a.tar").write_bytes(_tar_bytes(members))


def _tar_bytes(members: Sequence[tuple[str, bytes, str, bytes]]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", errors="surrogateescape") as archive:
        for name, content in good_photos().items():
            archive.addfile(_member(name, len(content)), io.BytesIO(content))
        for name, kind, target, content in members:
            member = _member(name.encode("utf-8", "replace").decode(), len(content))
            member.type, member.linkname = kind, target
            archive.addfile(member, io.BytesIO(content))
    return sink.getvalue()


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    return member


def _claiming(size: int, folder: Path) -> None:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, content in good_photos().items():
            archive.addfile(_member(name, len(content)), io.BytesIO(content))
        archive.addfile(_member("cat/x.png", size))
    (folder / "a.tar").write_bytes(sink.getvalue())


def _extended(headers: Mapping[str, str], folder: Path) -> None:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in good_photos().items():
            archive.addfile(_member(name, len(content)), io.BytesIO(content))
        member = _member("cat/x.png", 5)
        member.pax_headers = dict(headers)
        archive.addfile(member, io.BytesIO(b"12345"))
    (folder / "a.tar").write_bytes(sink.getvalue())


def _packed(pack: Callable[[bytes], bytes], members: Sequence[tuple[str, bytes, str, bytes]], folder: Path) -> None:
    (folder / "a.tar").write_bytes(pack(_tar_bytes(members)))


def _raw(content: bytes, folder: Path) -> None:
    (folder / "a.tar").write_bytes(content)


def _cut(pack: Callable[[bytes], bytes], folder: Path) -> None:
    packed = pack(_tar_bytes([]))
    (folder / "a.tar").write_bytes(packed[: len(packed) // 2])


def _xz_of_much_memory() -> bytes:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 2**30 + 2**29, "mode": lzma.MODE_FAST, "mf": lzma.MF_HC3}]
    small = [{"id": lzma.FILTER_LZMA2, "dict_size": 2**20}]
    packed = bytearray(lzma.compress(bytes(10**6), filters=small))
    assert filters
    packed[16] = 37  # of the block's header: 1.5 GB, as LZMA2 writes it
    packed[20:24] = struct.pack("<I", zlib.crc32(bytes(packed[12:20])))
    return bytes(packed)


# --- What chance does ------------------------------------------------------------------------------------------------


def _damaged(draw: random.Random) -> Iterator[_Made]:
    for number in range(60):
        seed = draw.random()
        yield "zip", f"spoilt, {number}", partial(_spoilt, "zip", seed), "any"
        yield "tar", f"spoilt, {number}", partial(_spoilt, "tar", seed), "any"


def _spoilt(kind: str, seed: float, folder: Path) -> None:
    """Some bytes of the archive's structure are others."""
    if kind == "zip":
        _zip({}, folder)
    else:
        _tar([], folder)
    path, draw = folder / f"a.{kind}", random.Random(seed)
    data = bytearray(path.read_bytes())
    places = [place for place in range(len(data)) if kind == "zip" or place % 2048 < 512]
    for _ in range(draw.choice((1, 3, 30))):
        data[draw.choice(places)] = draw.randrange(256)
    path.write_bytes(data)
