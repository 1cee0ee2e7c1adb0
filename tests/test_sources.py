"""Sources of pictures: folders, groups, names and built-in sets, and real data."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from conftest import SharedData
from gnomon.errors import DataError, RecipeError, RowError
from gnomon.sources.files import natural_key, short_name
from source_files import JPEG, ONE_EACH, PNG, close_all, labels, opened, reasons, write_folder, write_zip


@pytest.fixture(autouse=True)
def _closing() -> Iterator[None]:
    yield
    close_all()


# --- Folders ---------------------------------------------------------------------------------------------------------


def test_a_folder_reads_its_files_in_natural_order(tmp_path: Path) -> None:
    files = {f"{label}/img{number}.jpg": JPEG + label.encode() * number for label in "ab" for number in (10, 9, 1)}
    source = opened(write_folder(tmp_path / "My photos_2", files))
    assert [row.key for row in source.rows] == [f"{label}/img{number}.jpg" for label in "ab" for number in (1, 9, 10)]
    assert [source.read(index) for index in range(6)] == [files[row.key] for row in source.rows]
    assert source.name == "My-photos-2"
    assert source.kind == "image"
    assert source.content_hints == [5, 13, 14, 5, 13, 14]


def test_odd_names_work(tmp_path: Path) -> None:
    long = "x" * 200
    files = {f"{long}/{long}/{long}.jpg": JPEG, "日本 語/é\u0301 .jpg": JPEG, "new\nline/1.jpg": JPEG}
    write_folder(tmp_path, files)
    latin = os.path.join(os.fsencode(tmp_path), b"caf\xe9")
    os.mkdir(latin)
    with open(os.path.join(latin, b"\xff.jpg"), "wb") as file:
        file.write(JPEG + b"!")
    source = opened(tmp_path)
    assert {row.label for row in source.rows} == {long, "日本 語", "new\\x0aline", "caf\\xe9"}
    index = [row.key for row in source.rows].index("caf\\xe9/\\xff.jpg")
    assert source.read(index) == JPEG + b"!"
    assert all(row.key.encode() for row in source.rows)


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    outside = write_folder(tmp_path / "outside", {"2.jpg": JPEG})
    root = write_folder(tmp_path / "photos", ONE_EACH)
    (root / "cat" / "file.jpg").symlink_to(outside / "2.jpg")
    (root / "fish").symlink_to(outside, target_is_directory=True)
    (root / "cat" / "loop").symlink_to(root, target_is_directory=True)
    (root / "cat" / "gone.jpg").symlink_to(root / "nothing")
    source = opened(root)
    assert {row.key for row in source.rows} == {"cat/1.jpg", "cat/file.jpg", "dog/1.jpg", "fish/2.jpg"}
    assert reasons(source) == {
        "cat/loop": "a link back to a folder that contains it",
        "cat/gone.jpg": "a link that leads nowhere",
    }
    assert any("2 files could not be read" in note for note in source.notes)


def test_what_may_not_be_read_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_folder(tmp_path, {**ONE_EACH, "dog/secret.jpg": JPEG, "locked/1.jpg": JPEG})
    may_access, scan = os.access, os.scandir

    def refuse_secret(path: str, mode: int) -> bool:
        return "secret" not in str(path) and may_access(path, mode)

    def refuse_locked(path: str) -> object:
        if "locked" in str(path):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "access", refuse_secret)
    monkeypatch.setattr(os, "scandir", refuse_locked)
    source = opened(root)
    assert set(labels(source)) == set(ONE_EACH)
    assert reasons(source) == {
        "dog/secret.jpg": "may not be read (permission denied)",
        "locked/": "the folder can't be read: Permission denied",
    }


def test_special_and_oversized_files_are_set_aside_unread(tmp_path: Path) -> None:
    root = write_folder(tmp_path, ONE_EACH)
    os.mkfifo(root / "cat" / "pipe.jpg")
    with open(root / "cat" / "huge.jpg", "wb") as file:
        file.truncate(2**28 + 1)
    source = opened(root)
    assert set(labels(source)) == set(ONE_EACH)
    assert reasons(source)["cat/pipe.jpg"] == "not a regular file"
    assert reasons(source)["cat/huge.jpg"].startswith("too large: 268,435,457 bytes")


def test_a_file_that_changes_or_goes_is_one_bad_row(tmp_path: Path) -> None:
    source = opened(write_folder(tmp_path, ONE_EACH))
    (tmp_path / "dog/1.jpg").unlink()
    for content in (JPEG * 10, JPEG):
        (tmp_path / "cat/1.jpg").write_bytes(content)
        with pytest.raises(RowError, match="changed while it was in use"):
            source.read(0)
    with pytest.raises(RowError, match="No such file"):
        source.read(1)


def test_wrong_and_missing_extensions(tmp_path: Path) -> None:
    files = {"a/png.jpg": PNG, "a/noextension": JPEG, "b/photo.dat": PNG, "b/noise.dat": b"noise", "b/n.txt": JPEG}
    source = opened(write_folder(tmp_path, files))
    assert set(labels(source)) == {"a/png.jpg", "a/noextension", "b/photo.dat"}
    assert set(reasons(source)) == {"b/noise.dat", "b/n.txt"}


def test_fingerprints_change_with_names_sizes_times_and_groups(tmp_path: Path) -> None:
    root = write_folder(tmp_path, ONE_EACH)
    first = opened(root).fingerprint
    assert opened(root).fingerprint == first
    os.utime(root / "cat/1.jpg", ns=(1, 1))
    second = opened(root).fingerprint
    (root / "cat/1.jpg").rename(root / "dog/2.jpg")
    write_folder(root, {"cat/3.jpg": JPEG})
    third = opened(root).fingerprint
    assert len({first, second, third, opened(root, group="/([0-9])").fingerprint}) == 4


def test_a_fingerprint_is_the_same_in_another_process(tmp_path: Path) -> None:
    write_zip(tmp_path / "x.zip", ONE_EACH)
    code = "import sys; from gnomon.sources import *; print(open_source(SourceSpec(location=sys.argv[1])).fingerprint)"
    environment = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(tmp_path / "x.zip")]
    other = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()
    assert other == opened(tmp_path / "x.zip").fingerprint


def test_natural_order() -> None:
    assert sorted(["b1", "a10", "a9", "a09", "a"], key=natural_key) == ["a", "a09", "a9", "a10", "b1"]


@pytest.mark.parametrize(
    ("location", "name"),
    [("x/My Photos.zip", "My-Photos"), ("a.tar.gz", "a"), ("照片_1.zip", "照片-1"), ("---.zip", "data")],
)
def test_names_for_run_directories(location: str, name: str) -> None:
    assert short_name(location) == name


# --- Groups ----------------------------------------------------------------------------------------------------------


def test_groups_from_a_regular_expression(tmp_path: Path) -> None:
    files = {"a/anna_1.jpg": JPEG, "b/anna_2.jpg": JPEG, "b/ben_1.jpg": JPEG, "b/7.jpg": JPEG, "b/8.jpg": JPEG}
    source = opened(write_folder(tmp_path, files), group=r"/([a-z]+)_")
    groups = {row.key: row.group for row in source.rows}
    assert groups["a/anna_1.jpg"] == groups["b/anna_2.jpg"] == "anna"
    assert groups["b/ben_1.jpg"] == "ben"
    assert len({None, "anna", "ben", groups["b/7.jpg"], groups["b/8.jpg"]}) == 5
    assert any("2 groups" in note and "2 rows matched no group" in note for note in source.notes)


@pytest.mark.parametrize(
    ("group", "problem"),
    [("(", "no regular expression"), ("anna", "no part in brackets"), ("(zzz)", "matches none of 2")],
)
def test_groups_that_can_not_be_used(tmp_path: Path, group: str, problem: str) -> None:
    with pytest.raises(RecipeError, match=problem):
        opened(write_folder(tmp_path, ONE_EACH), group=group)


# --- Names -----------------------------------------------------------------------------------------------------------


def test_the_digits() -> None:
    source = opened("digits")
    assert len(source.rows) == 1797
    assert {row.label for row in source.rows} == set("0123456789")
    image = source.read(0)
    assert isinstance(image, np.ndarray)
    assert image.shape == (8, 8)
    assert image.dtype == np.uint8
    assert image.max() == 239  # 15 of 16
    assert max(int(np.max(source.read(index))) for index in range(20)) == 255


def test_a_path_wins_over_a_built_in_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "digits", ONE_EACH)
    monkeypatch.chdir(tmp_path)
    source = opened("digits")
    assert len(source.rows) == 2
    assert "not the built-in set" in source.notes[0]


def test_a_location_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "photos", ONE_EACH)
    monkeypatch.chdir(tmp_path)
    for location, meant in (("photo", "photos"), ("digit", "digits"), ("photos/cats", "cat"), ("fotos/cat", "photos")):
        with pytest.raises(DataError, match="there is no") as caught:
            opened(location)
        assert f"Did you mean '{meant}'?" in caught.value.remedy
    with pytest.raises(DataError, match="empty"):
        opened("")


def test_options_that_would_do_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"--target 'label' means nothing"):
        opened(write_folder(tmp_path, ONE_EACH), target="label")
    with pytest.raises(RecipeError, match="--group"):
        opened("digits", group="(.)")


def test_a_single_file_is_no_source(tmp_path: Path) -> None:
    write_folder(tmp_path, {"1.jpg": JPEG})
    with pytest.raises(DataError, match="neither a folder nor") as caught:
        opened(tmp_path / "1.jpg")
    assert ".csv" in caught.value.remedy


def test_importing_sources_imports_nothing_heavy() -> None:
    code = "import sys, gnomon.sources; print({'PIL', 'pyarrow', 'torch', 'sklearn'} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# --- Real data -------------------------------------------------------------------------------------------------------


def test_cifar10_as_jpeg(shared_data: SharedData) -> None:
    source = opened(shared_data("cifar10-jpeg.zip"))
    assert source.notes == ["60,000 rows in 10 classes; the folders give train and test parts (50,000 + 10,000)"]
    assert not source.set_aside
    assert len({row.label for row in source.rows}) == 10
    assert all(source.read(index)[:3] == JPEG[:3] for index in range(0, 60_000, 997))


def test_sign_language_digits(shared_data: SharedData) -> None:
    source = opened(shared_data("sign-language-digits.zip"))
    assert source.notes == ["2,062 rows in 10 classes"]
    assert {row.label for row in source.rows} == set("0123456789")
    assert source.rows[0].split is None
