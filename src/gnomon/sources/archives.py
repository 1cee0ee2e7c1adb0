"""The files inside a zip or tar archive, which is read in place and never unpacked.

A member's name is a key, never a path. Links, devices, encrypted and oversized members are set aside when listing.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, BinaryIO, Final, Literal, TypeAlias, TypeVar, cast

from ..errors import DataError, RowError
from ..types import SetAside
from .files import Files, digest, open_folder, printable, size_problem

SMALL: Final = 4 * 2**20
"""Bytes that may be packed as small as they like."""
MOST_UNPACKED: Final = 200
"""Times its packed size that anything larger may take unpacked."""

_BUFFER: Final = 2**20
_ZIP_HEADER: Final = 30
_SMALL_TAR: Final = 64 * 2**20
_ENCRYPTED: Final = 0x1 | 0x40
_UTF8_NAME: Final = 0x800
_ZIP_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_DAMAGED: Final = "its place in the archive is damaged"
_COPY_AGAIN: Final = "Copy or download it again, or pack it anew."

Archive: TypeAlias = Literal["zip", "tar", "gz", "bz2", "xz"]


def open_files(path: str) -> Files:
    """The files of a folder or an archive; what an archive is shows in its first bytes, not in its extension.

    Raises:
        DataError: neither, or damaged as a whole.
    """
    if os.path.isdir(path):
        return open_folder(path)
    kind = archive_kind(path)
    if kind is None:
        raise DataError(
            f"{path!r} is neither a folder nor a zip or tar archive",
            remedy="Give a folder, a zip or tar archive, a table (.csv, .tsv, .jsonl, .parquet), or arrays (.npz).",
        )
    return open_zip(path) if kind == "zip" else open_tar(path, kind)


def archive_kind(path: str) -> Archive | None:
    """What kind of archive a file is, by its content; None if it is none."""
    try:
        with open(path, "rb") as file:
            head = file.read(512)
    except OSError as error:
        raise DataError(f"{path!r} can't be read: {error.strerror}") from error
    magics: tuple[tuple[bytes, Archive], ...] = (
        (b"PK\x03\x04", "zip"),
        (b"PK\x05\x06", "zip"),
        (b"\x1f\x8b", "gz"),
        (b"BZh", "bz2"),
        (b"\xfd7zXZ\x00", "xz"),
    )
    for magic, kind in magics:
        if head.startswith(magic):
            return kind
    if head[257:262] == b"ustar" or path.lower().endswith(".tar"):
        return "tar"
    return "zip" if zipfile.is_zipfile(path) else None


def _member_key(name: str) -> str:
    """A member's name as a key; "" if it would lead out of the archive."""
    parts = [part for part in printable(name).split("/") if part not in ("", ".")]
    return "" if ".." in parts else "/".join(parts)


@dataclass(frozen=True, slots=True)
class ZipFiles:
    """The members of a zip archive."""

    names: Sequence[str]
    sizes: Sequence[int]
    hints: Sequence[Hashable]
    set_aside: Sequence[SetAside]
    fingerprint: str
    file: BinaryIO
    archive: zipfile.ZipFile
    members: Mapping[str, zipfile.ZipInfo]

    def read(self, name: str, *, at_most: int | None = None) -> bytes:
        member = self.members[name]
        try:
            data = self._unpacked(member, member.file_size if at_most is None else at_most)
        except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
            raise RowError(f"damaged inside the archive: {error}") from error
        if at_most is not None:
            return data[:at_most]
        _check_member(data, member)
        return data

    def close(self) -> None:
        self.archive.close()
        self.file.close()

    def _unpacked(self, member: zipfile.ZipInfo, size: int) -> bytes:
        """At most size + 1 bytes. The two usual methods directly: it takes a third of the time of `ZipFile.open`."""
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            with self.archive.open(member) as stream:
                return stream.read(size + 1)
        self.file.seek(member.header_offset)
        header = self.file.read(30)
        if header[:4] != b"PK\x03\x04":
            raise RowError(_DAMAGED)
        self.file.seek(int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little"), os.SEEK_CUR)
        packed = self.file.read(member.compress_size)
        if member.compress_type == zipfile.ZIP_STORED:
            return packed[: size + 1]
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, size + 1)


def _check_member(data: bytes, member: zipfile.ZipInfo) -> None:
    if len(data) != member.file_size:
        more = "more" if len(data) > member.file_size else "less"
        raise RowError(f"damaged inside the archive: it holds {more} than the {member.file_size:,} bytes it declares")
    if zlib.crc32(data) != member.CRC:
        raise RowError("damaged inside the archive: its checksum is wrong")


def open_zip(path: str) -> ZipFiles:
    """Lists a zip archive. Links, encrypted members and what can't be read are set aside.

    Raises:
        DataError: damaged as a whole.
    """
    file = open(path, "rb", buffering=_BUFFER)  # noqa: SIM115 - held until close()
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        file.close()
        raise DataError(f"the zip archive {path!r} can't be read: {error}", remedy=_COPY_AGAIN) from error
    set_aside: list[SetAside] = []
    members: dict[str, zipfile.ZipInfo] = {}
    end = 0
    for member in sorted(archive.infolist(), key=lambda member: member.header_offset):
        if not member.filename.endswith("/"):
            problem = "overlaps another member" if member.header_offset < end else _zip_problem(member)
            _sort_in(_member_key(_zip_name(member)), member, problem, members, set_aside)
        end = max(end, member.header_offset + _ZIP_HEADER + member.compress_size)
    return ZipFiles(
        names=list(members),
        sizes=[member.file_size for member in members.values()],
        hints=[(member.file_size, member.CRC) for member in members.values()],
        set_aside=set_aside,
        fingerprint=digest(f"{name}\x00{member.file_size}\x00{member.CRC}" for name, member in members.items()),
        file=file,
        archive=archive,
        members=members,
    )


def _zip_name(member: zipfile.ZipInfo) -> str:
    """The name as it was meant: undeclared UTF-8 (macOS writes it so), and backslashes of old Windows tools."""
    name = member.filename
    if not name.isascii() and not member.flag_bits & _UTF8_NAME:
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            name = member.filename
    return name if "/" in name else name.replace("\\", "/")


def _zip_problem(member: zipfile.ZipInfo) -> str | None:
    mode = member.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "a link or a device, not a file" if not stat.S_ISLNK(mode) else "a link, not a file"
    if member.flag_bits & _ENCRYPTED:
        return "encrypted"
    if member.compress_type not in _ZIP_METHODS:
        return f"compressed by a method that can't be read (number {member.compress_type})"
    return size_problem(max(member.file_size, member.compress_size)) or ratio_problem(
        member.file_size, member.compress_size
    )


def ratio_problem(size: int, packed: int) -> str | None:
    """Why what unpacks so far is not unpacked, or None: pictures, texts and recordings never do."""
    if size > SMALL and size > MOST_UNPACKED * max(1, packed):
        return f"unpacks to {size:,} bytes, more than {MOST_UNPACKED} times what it takes in the archive"
    return None


def _sort_in(
    name: str, member: _Member, problem: str | None, members: dict[str, _Member], set_aside: list[SetAside]
) -> None:
    """Puts a member under its name, or sets it aside. Of several with one name the last counts, as when unpacking."""
    if not name:
        problem = "its name leads out of the archive"
    if problem is not None:
        set_aside.append(SetAside(key=name or printable(_original_name(member)), reason=problem))
        return
    if members.pop(name, None) is not None:
        set_aside.append(SetAside(key=name, reason="a later member of the archive has the same name"))
    members[name] = member


def _original_name(member: zipfile.ZipInfo | _TarMember) -> str:
    return member.filename if isinstance(member, zipfile.ZipInfo) else member.stored


@dataclass(frozen=True, slots=True)
class _TarMember:
    stored: str
    size: int
    offset: int


_Member = TypeVar("_Member", zipfile.ZipInfo, _TarMember)


@dataclass(frozen=True, slots=True)
class TarFiles:
    """The members of a tar archive, compressed or not.

    In a compressed one a cursor moves forward; reading an earlier member starts again from the beginning.
    """

    names: Sequence[str]
    sizes: Sequence[int]
    set_aside: Sequence[SetAside]
    fingerprint: str
    stream: BinaryIO
    members: Mapping[str, _TarMember]

    @property
    def hints(self) -> Sequence[Hashable]:
        return self.sizes

    def read(self, name: str, *, at_most: int | None = None) -> bytes:
        member = self.members[name]
        wanted = member.size if at_most is None else min(at_most, member.size)
        try:
            self.stream.seek(member.offset)
            data = self.stream.read(wanted)
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise RowError(f"damaged inside the archive: {error}") from error
        if len(data) != wanted:
            raise RowError(f"damaged inside the archive: it ends after {len(data):,} of {wanted:,} bytes")
        return data

    def close(self) -> None:
        self.stream.close()


def open_tar(path: str, kind: Archive) -> TarFiles:
    """Lists a tar archive. Links, devices and what can't be read are set aside.

    Raises:
        DataError: damaged, no tar archive, or far larger unpacked than a set of files can be.
    """
    stream = _open_stream(path, kind)
    set_aside: list[SetAside] = []
    members: dict[str, _TarMember] = {}
    try:
        for member in _tar_members(path, stream):
            found = _TarMember(member.name, member.size, member.offset_data)
            _sort_in(_member_key(member.name), found, _tar_problem(member), members, set_aside)
    except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        stream.close()
        raise DataError(f"the tar archive {path!r} can't be read: {error}", remedy=_COPY_AGAIN) from error
    except DataError:
        stream.close()
        raise
    status = os.stat(path)
    described = (f"{name}\x00{member.size}\x00{member.offset}" for name, member in members.items())
    return TarFiles(
        names=list(members),
        sizes=[member.size for member in members.values()],
        set_aside=set_aside,
        fingerprint=digest([status.st_size, status.st_mtime_ns, *described]),
        stream=stream,
        members=members,
    )


def _open_stream(path: str, kind: Archive) -> BinaryIO:
    openers: dict[str, Callable[[str], object]] = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}
    if kind in openers:
        return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, openers[kind](path)), _BUFFER))
    return open(path, "rb", buffering=_BUFFER)


def _tar_members(path: str, stream: BinaryIO) -> Iterator[tarfile.TarInfo]:
    """All members but folders; tarfile alone would stop without a word at a damaged header, or at an early end."""
    most = max(_SMALL_TAR, MOST_UNPACKED * os.path.getsize(path))
    total = 0
    with tarfile.open(fileobj=cast(IO[bytes], stream), mode="r:", errors="surrogateescape") as archive:
        for member in archive:
            total += member.size
            if total > most:
                raise DataError(
                    f"the tar archive {path!r} unpacks to more than {most:,} bytes: it is not read any further",
                    remedy="Such files hardly compress; if they are all meant, unpack the archive and give the folder.",
                )
            if not member.isdir():
                yield member
        end = archive.offset
    stream.seek(end)
    block = stream.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE:
        raise tarfile.ReadError(f"cut off at byte {end:,}: the mark of its end is missing")
    if block.strip(b"\x00"):
        raise tarfile.ReadError(f"damaged at byte {end:,}")


def _tar_problem(member: tarfile.TarInfo) -> str | None:
    if member.issym() or member.islnk():
        return "a link, not a file"
    if not member.isreg() or member.issparse():
        return "not a regular file"
    return size_problem(member.size)
