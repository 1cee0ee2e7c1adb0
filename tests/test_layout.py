"""What names mean: classes, parts, and which files are images; everything else is set aside with a reason."""

from collections.abc import Iterator

import pytest

from gnomon.errors import DataError
from gnomon.sources.forms import looks_like_image
from gnomon.sources.labels import Listing, label_text
from gnomon.sources.layout import read_layout
from source_files import JPEG, PNG, close_all, labels, reasons


@pytest.fixture(autouse=True)
def _closing() -> Iterator[None]:
    yield
    close_all()


def lay_out(*names: str) -> Listing:
    return read_layout(names, [1] * len(names), where="photos", is_kind=lambda name: False)


# --- Layout ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "photos/", "a/b/c/"])
def test_folders_are_classes_below_any_common_folder(prefix: str) -> None:
    listing = lay_out(f"{prefix}cat/1.jpg", f"{prefix}dog/1.PNG")
    assert labels(listing) == {f"{prefix}cat/1.jpg": "cat", f"{prefix}dog/1.PNG": "dog"}
    assert listing.notes == ["2 rows in 2 classes"]
    assert all(row.split is None for row in listing.rows)


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("VAL", "validation"),
        ("valid", "validation"),
        ("Validation", "validation"),
        ("dev", "validation"),
        ("test", "test"),
        ("testing", "test"),
    ],
)
def test_the_words_for_parts(folder: str, split: str) -> None:
    other = "test" if split == "train" else "train"
    listing = lay_out(*(f"x/{part}/{label}/1.jpg" for part in (folder, other) for label in ("a", "b")))
    assert {row.key: row.split for row in listing.rows}[f"x/{folder}/a/1.jpg"] == split
    assert {row.label for row in listing.rows} == {"a", "b"}


def test_parts_are_counted_in_the_note() -> None:
    listing = lay_out("train/a/1.jpg", "train/b/1.jpg", "train/b/2.jpg", "test/a/3.jpg", "val/a/4.jpg")
    assert listing.notes[0] == ("5 rows in 2 classes; the folders give train, validation and test parts (3 + 1 + 1)")


def test_a_class_may_be_named_train() -> None:
    assert set(labels(lay_out("train/1.jpg", "bus/1.jpg", "car/1.jpg")).values()) == {"train", "bus", "car"}
    nested = lay_out("train/steam/1.jpg", "train/diesel/1.jpg", "bus/city/1.jpg")
    assert set(labels(nested).values()) == {"train", "bus"}


def test_a_train_folder_alone_gives_no_parts() -> None:
    listing = lay_out("train/cat/1.jpg", "train/dog/1.jpg", "unlabelled/1.jpg")
    assert [(row.label, row.split) for row in listing.rows] == [("cat", None), ("dog", None)]
    assert "unlabelled/1.jpg" in reasons(listing)
    assert any("train part only" in note for note in listing.notes)


def test_folders_beside_the_parts_are_set_aside_with_the_reason() -> None:
    listing = lay_out("train/a/1.jpg", "train/b/1.jpg", "test/a/1.jpg", "extra/a/1.jpg")
    assert reasons(listing) == {"extra/a/1.jpg": "lies beside the folders test, train, in none of them"}
    assert any("1 image set aside" in note for note in listing.notes)


def test_parts_without_a_train_part_are_refused() -> None:
    with pytest.raises(DataError, match="no training rows"):
        lay_out("val/a/1.jpg", "val/b/1.jpg", "test/a/1.jpg", "test/b/1.jpg")


def test_a_folder_that_stands_alone_in_each_part_is_passed() -> None:
    listing = lay_out("train/images/a/1.jpg", "train/images/b/1.jpg", "test/images/a/1.jpg")
    assert set(labels(listing).values()) == {"a", "b"}


def test_parts_below_the_classes() -> None:
    listing = lay_out("a/train/1.jpg", "a/test/2.jpg", "b/train/3.jpg", "b/test/4.jpg")
    assert [(row.label, row.split) for row in listing.rows] == [
        ("a", "train"),
        ("a", "test"),
        ("b", "train"),
        ("b", "test"),
    ]


def test_folders_inside_a_class_belong_to_it_and_it_is_said() -> None:
    listing = lay_out("cat/1.jpg", "cat/holiday/rome/2.jpg", "dog/1.jpg")
    assert labels(listing)["cat/holiday/rome/2.jpg"] == "cat"
    assert any("cat/holiday/rome counts as the class 'cat'" in note for note in listing.notes)


def test_loose_images_are_set_aside_and_all_loose_is_an_error() -> None:
    listing = lay_out("loose.jpg", "photos/cat/1.jpg", "photos/dog/1.jpg")
    assert reasons(listing) == {"loose.jpg": "lies in no class folder"}
    with pytest.raises(DataError, match="no class folders") as caught:
        lay_out("1.jpg", "2.jpg", "labels.csv")
    assert "cat/1.jpg" in caught.value.remedy
    assert "'labels.csv'" in caught.value.remedy


def test_one_class_and_nothing_are_errors() -> None:
    with pytest.raises(DataError, match="only one class, 'cat'"):
        lay_out("cat/1.jpg", "cat/2.jpg")
    with pytest.raises(DataError, match="no images"):
        lay_out()
    with pytest.raises(DataError, match=r"2 files are no .* images \(\.txt\)"):
        lay_out("a/1.txt", "b/2.txt")


def test_a_class_without_training_images_is_set_aside() -> None:
    listing = lay_out("train/a/1.jpg", "train/b/1.jpg", "test/a/1.jpg", "test/B/1.jpg")
    assert reasons(listing) == {"test/B/1.jpg": "its class 'B' has no training rows"}
    assert any("'B', 'b' differ only in case" in note for note in listing.notes)
    assert any("no training rows for the class 'B'" in note for note in listing.notes)


@pytest.mark.parametrize("pair", [("Cat", "cat"), ("cat ", "cat"), ("caf\u00e9", "cafe\u0301")])
def test_classes_that_look_alike_are_kept_apart_and_named(pair: tuple[str, str]) -> None:
    listing = lay_out(f"{pair[0]}/1.jpg", f"{pair[1]}/1.jpg")
    assert {row.label for row in listing.rows} == set(pair)
    assert any(ascii(pair[0]) in note and ascii(pair[1]) in note for note in listing.notes)


def test_other_files_are_counted_by_extension() -> None:
    names = ["a/1.jpg", "b/1.jpg", "a/x.txt", "a/y.txt", "b/z.csv"]
    listing = lay_out(*names)
    assert set(reasons(listing)) == {"a/x.txt", "a/y.txt", "b/z.csv"}
    assert "3 files are no JPEG, PNG, WebP, BMP, GIF or TIFF images (2 .txt, 1 .csv): left out" in listing.notes


def test_only_names_that_tell_nothing_are_looked_into() -> None:
    asked: list[str] = []

    def is_image(name: str) -> bool:
        asked.append(name)
        return name != "b/unknown.bin"

    names = ["a/1", "b/1.jpeg", "b/unknown.bin", "b/x.txt"]
    listing = read_layout(names, [1] * 4, where="photos", is_kind=is_image)
    assert asked == ["a/1", "b/unknown.bin"]
    assert labels(listing) == {"a/1": "a", "b/1.jpeg": "b"}


def test_empty_files_are_set_aside() -> None:
    listing = read_layout(["a/1.jpg", "b/1.jpg", "b/2.jpg"], [1, 1, 0], where="x", is_kind=lambda name: False)
    assert reasons(listing) == {"b/2.jpg": "empty (0 bytes)"}


def test_hidden_files_are_left_out_and_only_images_are_counted() -> None:
    listing = lay_out(
        "a/1.jpg", "b/1.jpg", ".git/x.jpg", "a/.trash/y.jpg", "a/.DS_Store", "a/Thumbs.db", "__MACOSX/a/._1.jpg"
    )
    assert labels(listing) == {"a/1.jpg": "a", "b/1.jpg": "b"}
    assert not listing.set_aside
    assert listing.notes[1:] == ["2 hidden images left out (a name in the path begins with a dot)"]


@pytest.mark.parametrize(
    "head",
    [JPEG, PNG, b"GIF89a", b"II*\x00", b"MM\x00*", b"RIFF\x00\x00\x00\x00WEBP", b"BM\x01\x00\x00\x00" + b"\x00" * 4],
)
def test_image_content_is_recognised(head: bytes) -> None:
    assert looks_like_image(head.ljust(16, b"\x01"))
    assert not looks_like_image(b"x" + head)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (3.0, "3"),
        (2.5, "2.5"),
        ("007", "007"),
        (None, None),
        (float("nan"), None),
        (" ", None),
        (b"cat", "cat"),
    ],
)
def test_labels_become_text(value: object, text: str | None) -> None:
    assert label_text(value) == text
