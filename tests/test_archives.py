"""Zip and tar archives: read in place, in any order; hostile and damaged ones cost at most what is damaged."""

import gzip
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from gnomon.errors import DataError, RowError
from gnomon.sources.archives import open_files
from gnomon.sources.files import open_folder
from source_files import JPEG, ONE_EACH, PNG, close_all, labels, opened, reasons, write_folder, write_tar, write_zip


@pytest.fixture(autouse=True)
def _closing() -> Iterator[None]:
    yield
    close_all()


# --- Archives --------------------------------------------------------------------------------------------------------

Writer = Callable[[Path, Mapping[str, bytes]], Path]
WRITERS: Sequence[tuple[str, Writer]] = [
    ("x.zip", write_zip),
    ("stored.zip", lambda path, files: write_zip(path, files, zipfile.ZIP_STORED)),
    ("lzma.zip", lambda path, files: write_zip(path, files, zipfile.ZIP_LZMA)),
    ("x.tar", write_tar),
    ("x.tar.gz", lambda path, files: write_tar(path, files, "w:gz")),
    ("x.tgz", lambda path, files: write_tar(path, files, "w:gz")),
    ("x.tar.bz2", lambda path, files: write_tar(path, files, "w:bz2")),
    ("x.tar.xz", lambda path, files: write_tar(path, files, "w:xz")),
    ("really_a_tar.zip", write_tar),
]


@pytest.mark.parametrize(("name", "write"), WRITERS, ids=[name for name, _ in WRITERS])
def test_archives_are_read_in_place_in_any_order(tmp_path: Path, name: str, write: Writer) -> None:
    files = {f"wrap/{label}/{number}.jpg": JPEG + os.urandom(5000) for label in "zab" for number in (2, 1)}
    path = write(tmp_path / name, files)
    source = opened(path)
    assert [row.key for row in source.rows] == list(files), "storage order"
    for index in (5, 0, 3, 3, 1):
        assert source.read(index) == list(files.values())[index]
    assert os.listdir(tmp_path) == [name]
    assert opened(path).fingerprint == source.fingerprint
    source.close()


def test_equal_files_in_a_zip_have_equal_hints(tmp_path: Path) -> None:
    source = opened(write_zip(tmp_path / "x.zip", {"a/1.jpg": JPEG, "b/2.jpg": JPEG, "b/3.jpg": PNG[:4]}))
    assert source.content_hints is not None
    assert source.content_hints[0] == source.content_hints[1] != source.content_hints[2]


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_names_in_archives_never_lead_out(tmp_path: Path, write: Writer) -> None:
    files = {"../../evil/1.jpg": JPEG, "/abs/a/1.jpg": JPEG + b"x", "./abs/b/1.jpg": JPEG}
    source = opened(write(tmp_path / "x.archive", files))
    assert labels(source) == {"abs/a/1.jpg": "a", "abs/b/1.jpg": "b"}
    assert reasons(source) == {"../../evil/1.jpg": "its name leads out of the archive"}
    assert source.read(0) == JPEG + b"x"


def test_links_and_devices_in_a_tar_are_set_aside(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", ONE_EACH)
    with tarfile.open(path, "a") as archive:
        for name, kind in (("cat/soft.jpg", tarfile.SYMTYPE), ("cat/hard.jpg", tarfile.LNKTYPE)):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, "/etc/passwd"
            archive.addfile(link)
        device = tarfile.TarInfo("cat/device.jpg")
        device.type = tarfile.CHRTYPE
        archive.addfile(device)
    source = opened(path)
    assert set(labels(source)) == set(ONE_EACH)
    assert reasons(source) == {
        "cat/soft.jpg": "a link, not a file",
        "cat/hard.jpg": "a link, not a file",
        "cat/device.jpg": "not a regular file",
    }


def test_links_and_encrypted_members_of_a_zip_are_set_aside(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", {**ONE_EACH, "dog/encrypted.jpg": JPEG})
    link = zipfile.ZipInfo("dog/link.jpg")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02", 0, content.rindex(b"dog/encrypted.jpg")) + 8] |= 1
    path.write_bytes(content)
    source = opened(path)
    assert set(labels(source)) == set(ONE_EACH)
    assert reasons(source) == {"dog/link.jpg": "a link, not a file", "dog/encrypted.jpg": "encrypted"}


def test_the_last_of_several_members_of_one_name_counts(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", ONE_EACH)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("cat/1.jpg", JPEG + b"new")
    source = opened(path)
    assert source.read([row.key for row in source.rows].index("cat/1.jpg")) == JPEG + b"new"
    assert reasons(source) == {"cat/1.jpg": "a later member of the archive has the same name"}


def test_undeclared_utf8_and_backslashes_in_zip_names(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", {"a\\1.jpg": JPEG, "XX\\2.jpg": JPEG})
    # As macOS writes it: the bytes of UTF-8, without the flag that says so.
    path.write_bytes(path.read_bytes().replace(b"XX", "ä".encode()))
    assert {row.label for row in opened(path).rows} == {"a", "ä"}


def test_a_damaged_member_is_one_bad_row(tmp_path: Path) -> None:
    files = {"a/1.jpg": JPEG + os.urandom(500), "b/1.jpg": JPEG + os.urandom(500)}
    path = write_zip(tmp_path / "x.zip", files, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[content.index(files["a/1.jpg"]) + 100] ^= 255
    path.write_bytes(content)
    source = opened(path)
    with pytest.raises(RowError, match="checksum is wrong"):
        source.read(0)
    assert source.read(1) == files["b/1.jpg"]


@pytest.mark.parametrize("declared", [100, 9_999])
def test_a_member_that_holds_more_or_less_than_it_declares_is_one_bad_row(tmp_path: Path, declared: int) -> None:
    path = write_zip(tmp_path / "x.zip", {"a/1.jpg": JPEG + b"0" * 4_000, "b/1.jpg": JPEG})
    content = bytearray(path.read_bytes())
    place = content.index(b"PK\x01\x02") + 24
    content[place : place + 4] = declared.to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(RowError, match=f"holds {'more' if declared == 100 else 'less'} than the {declared:,} bytes"):
        opened(path).read(0)


def test_a_bomb_is_set_aside_unread(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", {**ONE_EACH, "a/bomb.jpg": JPEG})
    content = bytearray(path.read_bytes())
    place = content.rindex(b"PK\x01\x02") + 24
    content[place : place + 4] = (2**31).to_bytes(4, "little")
    path.write_bytes(content)
    assert reasons(opened(path))["a/bomb.jpg"].startswith("too large: 2,147,483,648 bytes")


def test_a_tar_that_unpacks_to_far_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    header = tarfile.TarInfo("a/bomb.jpg")
    header.size = 2**31
    path.write_bytes(gzip.compress(header.tobuf()))
    with pytest.raises(DataError, match="unpacks to more than"):
        opened(path)


@pytest.mark.parametrize(("name", "write"), [WRITERS[0], *WRITERS[3:5]], ids=["zip", "tar", "tar.gz"])
def test_a_truncated_archive_is_an_error(tmp_path: Path, name: str, write: Writer) -> None:
    files = {f"{label}/{number}.jpg": JPEG + os.urandom(3000) for label in "ab" for number in range(5)}
    path = write(tmp_path / name, files)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="can't be read") as caught:
        opened(path)
    assert "again" in caught.value.remedy


def test_a_damaged_header_inside_a_tar_is_an_error_not_the_end(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", {**ONE_EACH, "dog/2.jpg": JPEG})
    content = bytearray(path.read_bytes())
    content[content.index(b"dog/2.jpg") + 148] ^= 255
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged at byte 2,048"):
        opened(path)


def test_a_folder_and_its_archives_give_the_same_rows(tmp_path: Path) -> None:
    files = {f"{part}/{label}/{n}.jpg": JPEG for part in ("test", "train") for label in "ab" for n in (1, 2)}
    sources = [
        opened(write_folder(tmp_path / "folder", files)),
        opened(write_zip(tmp_path / "x.zip", files)),
        opened(write_tar(tmp_path / "x.tar.gz", files, "w:gz")),
    ]
    assert sources[0].rows == sources[1].rows == sources[2].rows
    assert sources[0].notes == sources[1].notes == sources[2].notes


def test_only_the_beginning_is_read_where_that_is_asked(tmp_path: Path) -> None:
    files = {"a": os.urandom(5000)}
    for location in (
        write_folder(tmp_path / "folder", files),
        write_zip(tmp_path / "x.zip", files),
        write_tar(tmp_path / "x.tar", files),
    ):
        opened_files = open_files(str(location))
        assert opened_files.read("a", at_most=16) == files["a"][:16]
        opened_files.close()
    assert open_folder(str(tmp_path / "folder")).names == ["a"]
