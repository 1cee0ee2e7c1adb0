"""Sources of recordings, and what is the same for files of every kind: layout, groups, test parts by a pattern."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from conftest import SharedData
from gnomon.commands import understood
from gnomon.encoders import SoundEncoder
from gnomon.errors import DataError, RecipeError
from gnomon.rows import decoding
from gnomon.rows.dataset import Dataset, DatasetSpec, build_dataset
from gnomon.sources import Source, SourceSpec
from gnomon.sources.forms import looks_like_sound
from gnomon.spine.recipe import Recipe, parse_recipe
from gnomon.types import Kind
from sound_files import sound_file, tone
from source_files import JPEG, close_all, labels, opened, reasons, write_folder, write_tar, write_zip

LOW, HIGH = sound_file(tone(300, 0.1)), sound_file(tone(2_000, 0.1))


@pytest.fixture(autouse=True)
def _closing() -> Iterator[None]:
    yield
    close_all()


def voices(count: int = 4) -> dict[str, bytes]:
    """`<class>/<class>_<speaker>_<take>.wav`, all different."""
    draw = np.random.default_rng(0)
    return {
        f"{label}/{label}_{speaker}_{take}.wav": sound_file(tone(hertz, 0.1 + 0.02 * take) + draw.normal(0, 0.01))
        for label, hertz in (("low", 300), ("high", 2_000))
        for speaker in ("ann", "ben", "cy")
        for take in range(count)
    }


def built(source: Source, threads: int = 1) -> Dataset:
    building = build_dataset(source, DatasetSpec(), seed=0, max_pixels=1024, threads=threads)
    while True:
        try:
            next(building)
        except StopIteration as stop:
            dataset: Dataset = stop.value
            return dataset


# --- Folders and archives --------------------------------------------------------------------------------------------


def test_folders_and_archives_of_recordings_are_told_by_their_names(tmp_path: Path) -> None:
    files = voices()
    sources = [
        opened(write_folder(tmp_path / "sounds", files)),
        opened(write_zip(tmp_path / "sounds.zip", files)),
        opened(write_tar(tmp_path / "sounds.tar.gz", files, "w:gz")),
    ]
    for source in sources:
        assert source.kind == "sound"
        assert labels(source) == {name: name.partition("/")[0] for name in files}
        assert [source.read(index) for index in range(24)] == [files[row.key] for row in source.rows]
        assert source.notes == [
            "24 files of 24 hold recordings, by their names: --kind says otherwise",
            "24 rows in 2 classes",
        ]


def test_folders_of_parts_are_respected(tmp_path: Path) -> None:
    parts = {f"{part}/{label}/{part}.wav": LOW for part in ("train", "test") for label in ("a", "b")}
    source = opened(write_folder(tmp_path / "x", parts))
    assert [row.split for row in source.rows] == ["test", "test", "train", "train"]
    assert "the folders give train and test parts (2 + 2)" in source.notes[1]


def test_messages_speak_of_recordings(tmp_path: Path) -> None:
    files = {
        "loose.wav": LOW,
        "a/1.wav": LOW,
        "b/2.flac": HIGH,
        "b/inner/3.mp3": HIGH,
        "b/empty.wav": b"",
        "b/cover.jpg": JPEG,
        "a/.hidden.wav": LOW,
        "a/notes.txt": b"hello",
    }
    source = opened(write_folder(tmp_path / "x", files))
    assert labels(source) == {"a/1.wav": "a", "b/2.flac": "b", "b/inner/3.mp3": "b"}
    assert reasons(source) == {
        "loose.wav": "lies in no class folder",
        "b/empty.wav": "empty (0 bytes)",
        "b/cover.jpg": "not a WAV, FLAC, OGG or MP3 recording",
        "a/notes.txt": "not a WAV, FLAC, OGG or MP3 recording",
    }
    assert source.notes[2:] == [
        "2 files are no WAV, FLAC, OGG or MP3 recordings (1 .txt, 1 .jpg): left out",
        "1 file left out: empty (0 bytes)",
        "1 hidden recording left out (a name in the path begins with a dot)",
        "1 recording set aside: lies in no class folder",
        "1 recording lies in folders inside a class folder, and belongs to that class "
        "(b/inner counts as the class 'b')",
    ]
    with pytest.raises(DataError, match=r"no class folders .* all 2 recordings lie side by side") as loose:
        opened(write_folder(tmp_path / "loose", {"1.wav": LOW, "2.wav": HIGH}))
    assert "sounds/bird/1.wav" in loose.value.remedy
    with pytest.raises(DataError, match="there are no recordings in"):
        opened(write_folder(tmp_path / "none", {"a/1.jpg": JPEG}), kind="sound")


def test_the_kind_that_is_asked_for_wins(tmp_path: Path) -> None:
    files = {f"{label}/{number}.jpg": JPEG + bytes([number]) for label in "ab" for number in range(5)}
    files |= {"a/1.wav": LOW, "b/1.wav": HIGH, "a/1.txt": b"good", "b/1.txt": b"bad"}
    path = write_zip(tmp_path / "mixed.zip", files)
    kinds: tuple[Kind | None, ...] = (None, "sound", "text")
    found = {kind: opened(path, kind=kind) for kind in kinds}
    assert [source.kind for source in found.values()] == ["image", "sound", "text"]
    assert set(labels(found["sound"])) == {"a/1.wav", "b/1.wav"}
    assert set(labels(found["text"])) == {"a/1.txt", "b/1.txt"}
    assert found["text"].read(0) == b"good"
    assert reasons(found["text"])["a/1.wav"] == "not a .txt text"


def test_recordings_without_an_extension_are_told_by_how_they_begin(tmp_path: Path) -> None:
    files = {"a/1": LOW, "a/2": sound_file(tone(440), form="FLAC"), "b/1": sound_file(tone(440), form="MP3")}
    source = opened(write_folder(tmp_path / "x", files | {"b/2.bin": HIGH, "b/README": b"RIFF of a guitar"}))
    assert source.kind == "sound"
    assert source.notes[0] == "the files hold recordings, by how the first ones begin: --kind says otherwise"
    assert set(labels(source)) == {"a/1", "a/2", "b/1", "b/2.bin"}
    assert set(reasons(source)) == {"b/README"}
    assert opened(write_folder(tmp_path / "y", {"a/1": JPEG, "b/1": JPEG + b"x"})).kind == "image"


@pytest.mark.parametrize("form", ["WAV", "RF64", "FLAC", "OGG", "MP3"])
def test_sound_content_is_recognised(form: str) -> None:
    file = sound_file(tone(440), form=form)
    assert looks_like_sound(file[:16])
    assert not looks_like_sound(b"x" + file[:15])
    assert looks_like_sound(b"ID3\x04\x00".ljust(16, b"\x00"))


@pytest.mark.parametrize("head", [JPEG, b"RIFF\x00\x00\x00\x00WEBP", b"\xff\xfeh\x00i\x00", b"\xff", b"", b"RIFF"])
def test_other_content_is_not(head: bytes) -> None:
    assert not looks_like_sound(head)


def test_groups_are_found_in_names(tmp_path: Path) -> None:
    source = opened(write_zip(tmp_path / "x.zip", voices()), group="_([a-z]+)_")
    assert {row.group for row in source.rows} == {"ann", "ben", "cy"}
    assert source.notes[-1] == "3 groups: rows of one group never stand in different parts"


# --- Tables ----------------------------------------------------------------------------------------------------------


def test_a_table_of_sound_files_is_read_from_end_to_end(tmp_path: Path) -> None:
    files = voices()
    write_folder(tmp_path, files | {"bad/noise.wav": b"not a sound at all", "bad/short.wav": LOW[:44]})
    lines = [f"{name},{name.partition('/')[0]}" for name in files]
    lines += ["bad/noise.wav,low", "bad/short.wav,high", "gone.wav,low"]
    (tmp_path / "t.csv").write_text("\n".join(["file,label", *lines]))
    source = opened(tmp_path / "t.csv")
    assert source.kind == "sound"
    assert "the column 'file' names sound files" in source.notes[0]
    dataset = built(source)
    assert isinstance(dataset.encoder, SoundEncoder)
    assert dataset.encoder.rate == 8_000
    assert dataset.spec.input_shape == dataset.encoder.input_shape
    assert {row.key: row.reason for row in dataset.summary.set_aside} == {
        "gone.wav (row 27)": "the file does not exist",
        "bad/noise.wav": "is not a readable WAV, FLAC, OGG or MP3 recording",
        "bad/short.wav": "holds no samples",
    }
    assert sum(map(len, dataset.parts.values())) == 24


def test_texts_in_a_folder_of_two_tables_and_files_of_one_are_told_apart(tmp_path: Path) -> None:
    files = write_folder(tmp_path / "x", voices())
    for part in ("train", "test"):
        (files / f"{part}.csv").write_text("file,label\n" + "\n".join(f"{name},low" for name in voices()))
    assert opened(files).kind == "sound"
    assert len(opened(files).rows) == 24


# --- Encoded ---------------------------------------------------------------------------------------------------------


def test_statistics_are_those_of_the_steps_of_the_training_part(tmp_path: Path) -> None:
    dataset = built(opened(write_zip(tmp_path / "x.zip", voices(8))))
    encoder = dataset.encoder
    assert isinstance(encoder, SoundEncoder)
    rows = dataset.encoded.take(dataset.parts["train"]).astype(np.float64).reshape(-1, encoder.bands)
    assert np.isnan(rows).any()
    np.testing.assert_allclose(encoder.mean, np.nanmean(rows, axis=0), rtol=1e-9)
    np.testing.assert_allclose(encoder.std, np.nanstd(rows, axis=0), rtol=1e-6)


def test_a_band_that_never_changes_has_the_deviation_1(tmp_path: Path) -> None:
    files = {f"{label}/{take}.wav": sound_file(np.zeros(800 + take)) for label in "ab" for take in range(20)}
    dataset = built(opened(write_zip(tmp_path / "x.zip", files)))
    assert isinstance(dataset.encoder, SoundEncoder)
    assert set(dataset.encoder.std) == {1.0}
    assert "recordings of 30 looked at are silent" in dataset.summary.notes[-1]


def test_processes_that_decode_write_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_WORTH_PROCESSES_S", -1.0)
    files = voices(100)
    dataset = built(opened(write_zip(tmp_path / "x.zip", files)), threads=2)
    rows = dataset.encoded.take(np.arange(600))
    expected = np.stack([dataset.encoder.encode(files[row.key]) for row in dataset.rows])
    np.testing.assert_array_equal(rows, expected)


# --- Test parts named by a pattern -----------------------------------------------------------------------------------

TAKES: Final = r"_[01]\.wav$"


@pytest.mark.parametrize("archive", [False, True])
def test_a_pattern_names_the_test_part(tmp_path: Path, archive: bool) -> None:
    files = voices()
    path = write_zip(tmp_path / "x.zip", files) if archive else write_folder(tmp_path / "x", files)
    source = opened(path, test_files=TAKES)
    assert {row.key: row.split for row in source.rows} == {
        name: "test" if name[-5] in "01" else "train" for name in files
    }
    assert source.notes[1:] == [
        "24 rows in 2 classes; --test-files gives train and test parts (12 + 12)",
        r"12 rows of 24 are the test part: --test-files '_[01]\\.wav$'",
    ]
    dataset = built(source)
    assert {dataset.rows[row].key[-5] for row in dataset.parts["test"]} == {"0", "1"}
    assert {dataset.rows[row].key[-5] for row in (*dataset.parts["train"], *dataset.parts["validation"])} == {"2", "3"}
    assert source.fingerprint != opened(path).fingerprint


def test_pictures_and_texts_have_test_files_too(tmp_path: Path) -> None:
    names = [f"{label}/{number}" for label in "ab" for number in range(4)]
    pictures = opened(write_zip(tmp_path / "p.zip", {f"{name}.jpg": JPEG for name in names}), test_files="/0")
    texts = opened(write_zip(tmp_path / "t.zip", {f"{name}.txt": b"x" for name in names}), test_files="/0")
    for source in (pictures, texts):
        assert [row.key[:3] for row in source.rows if row.split == "test"] == ["a/0", "b/0"]


def test_tables_have_test_files_too(tmp_path: Path) -> None:
    write_folder(tmp_path, voices())
    lines = [f"{name},{name.partition('/')[0]}" for name in voices()]
    (tmp_path / "files.csv").write_text("\n".join(["file,label", *lines]))
    files = opened(tmp_path / "files.csv", test_files=TAKES)
    assert sum(row.split == "test" for row in files.rows) == 12
    assert any("12 rows of 24 are the test part" in note for note in files.notes)
    texts = [f"a text number {number} of some words,{number % 2}" for number in range(12)]
    (tmp_path / "texts.csv").write_text("\n".join(["text,label", *texts]))
    named = opened(tmp_path / "texts.csv", test_files="^row (3|4)$")
    assert [row.key for row in named.rows if row.split == "test"] == ["row 3", "row 4"]
    assert any("2 rows of 12 are the test part" in note for note in named.notes)


def test_classes_that_only_the_test_part_has_are_set_aside(tmp_path: Path) -> None:
    source = opened(write_zip(tmp_path / "x.zip", voices() | {"other/x_ann_0.wav": LOW}), test_files=TAKES)
    assert reasons(source) == {"other/x_ann_0.wav": "its class 'other' has no training rows"}


def test_rows_of_a_given_validation_part_stay_there(tmp_path: Path) -> None:
    parts = {f"{part}/{label}/{number}.wav": LOW for part in ("train", "val") for label in "ab" for number in range(3)}
    source = opened(write_folder(tmp_path / "x", parts), test_files="train/./0")
    assert [row.split for row in source.rows].count("validation") == 6
    assert "gives train, validation and test parts (4 + 6 + 2)" in source.notes[1]


def test_groups_that_the_given_parts_cut_are_told(tmp_path: Path) -> None:
    source = opened(write_zip(tmp_path / "x.zip", voices()), test_files=TAKES, group="_([a-z]+)_")
    assert source.notes[-2:] == [
        "3 groups: rows of one group never stand in different parts that are drawn",
        "3 groups of 3 have rows in the given test part and in others",
    ]
    apart = opened(write_zip(tmp_path / "y.zip", voices()), test_files="_ann_", group="_([a-z]+)_")
    assert apart.notes[-1] == "3 groups: rows of one group never stand in different parts"


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("nothing", "--test-files 'nothing' matches none of 24 rows, such as 'low/low_ann_0.wav'"),
        ("wav", "--test-files 'wav' matches all 24 rows, such as"),
        ("(", r"the pattern of --test-files '\(' is no regular expression"),
    ],
)
def test_a_pattern_that_tells_nothing_is_an_error(tmp_path: Path, pattern: str, problem: str) -> None:
    path = write_zip(tmp_path / "x.zip", voices())
    with pytest.raises(RecipeError, match=problem) as caught:
        opened(path, test_files=pattern)
    assert caught.value.remedy


def test_a_pattern_beside_a_given_test_part_is_an_error(tmp_path: Path) -> None:
    parts = {f"{part}/{label}/{part}.wav": LOW for part in ("train", "test") for label in ("a", "b")}
    with pytest.raises(RecipeError, match=r"the data has one already \(2 rows\)"):
        opened(write_folder(tmp_path / "x", parts), test_files="a")
    with pytest.raises(RecipeError, match="--test-files 'a' means nothing for 'digits'"):
        opened("digits", test_files="a")


def test_the_command_line_and_recipes_name_test_files() -> None:
    chosen = understood(["train", "x", "--test-files", TAKES])
    assert chosen.test_files == TAKES
    recipe = Recipe(source=SourceSpec(location="x", test_files=TAKES))
    assert parse_recipe(recipe.to_toml()) == recipe


# --- Real recordings -------------------------------------------------------------------------------------------------


def test_spoken_digits(shared_data: SharedData) -> None:
    path = shared_data("spoken-digits.zip")
    source = opened(path, group="_([a-z]+)_", kind="sound")
    assert len(source.rows) == 3_000
    assert {row.label for row in source.rows} == set("0123456789")
    assert len({row.group for row in source.rows}) == 6
    parted = opened(path, test_files=r"_[0-4]\.wav$")
    assert "train and test parts (2,700 + 300)" in parted.notes[1]
    dataset = built(parted, threads=2)
    encoder = dataset.encoder
    assert isinstance(encoder, SoundEncoder)
    assert (encoder.rate, encoder.bands, encoder.window, encoder.hop) == (8_000, 40, 256, 80)
    assert 96 <= encoder.length <= 240
    assert not dataset.summary.set_aside
    assert {part: len(rows) for part, rows in dataset.parts.items()} == {"train": 2_430, "validation": 270, "test": 300}
    lengths = encoder.lengths(dataset.encoded.take(np.arange(3_000)))
    assert lengths.min() >= 8
    assert 35 <= np.median(lengths) <= 50


def test_spoken_digits_hold_nothing_above_half_their_rate(shared_data: SharedData) -> None:
    source = opened(shared_data("spoken-digits.zip"))
    encoder = SoundEncoder(rate=16_000, bands=64, length=64, window=512, hop=160, levelling=0.0)
    steps = np.stack([encoder.encode(source.read(index)) for index in range(0, 3_000, 300)]).astype(np.float64)
    means = np.nanmean(steps, axis=(0, 1))
    assert means[50:].max() < means[5:45].min() - 3  # bands 50 and up lie above 4.6 kHz
