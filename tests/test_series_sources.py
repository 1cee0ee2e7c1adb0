"""Series from `.ts` files, folders of tables, one long table and arrays; what is set aside, and what is refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from conftest import SharedData
from gnomon.encoders import SeriesEncoder, choose_series
from gnomon.errors import DataError, RecipeError, RowError
from gnomon.sources.series import series_source
from source_files import (
    JPEG,
    arrays_of,
    close_all,
    labels,
    opened,
    reasons,
    write_folder,
    write_tar,
    write_text,
    write_zip,
)

HEAD: Final = "#about\n@problemName x\n@dimensions 2\n@classLabel true walk run\n@data\n"
GOOD: Final = "1,2,3:4,5,6:walk\n7,8:9,10:run\n"


@pytest.fixture(autouse=True)
def _closing() -> Iterator[None]:
    yield
    close_all()


# --- .ts files -------------------------------------------------------------------------------------------------------


def test_a_ts_file_gives_series_of_different_lengths(tmp_path: Path) -> None:
    source = opened(write_text(tmp_path, "My set.ts", HEAD + "#between\n\n" + GOOD + "?,1.5:NaN,2:walk\n"))
    assert (source.kind, source.name, source.question) == ("series", "My-set", "classify")
    assert labels(source) == {"My set.ts, line 8": "walk", "My set.ts, line 9": "run", "My set.ts, line 10": "walk"}
    first, second, third = arrays_of(source)
    assert first.tolist() == [[1, 4], [2, 5], [3, 6]]
    assert second.tolist() == [[7, 9], [8, 10]]
    assert np.isnan(third[0]).all()
    assert third[1].tolist() == [1.5, 2]
    assert source.notes[0] == "3 rows in 2 classes"
    again = opened(tmp_path / "My set.ts")
    assert again.fingerprint == source.fingerprint
    write_text(tmp_path, "My set.ts", HEAD + "#between\n\n" + GOOD + "?,1.5:NaN,2.5:walk\n")
    assert opened(tmp_path / "My set.ts").fingerprint != source.fingerprint


def test_headers_in_their_many_forms(tmp_path: Path) -> None:
    univariate = "\ufeff@PROBLEMNAME x\r\n@univariate true\r\n@ClassLabel TRUE 1 2\r\n@DATA\r\n1,2:1\r\n3:2.0\r\n"
    source = opened(write_text(tmp_path, "a.ts", univariate))
    assert [row.label for row in source.rows] == ["1", "2"]
    assert [array.shape for array in arrays_of(source)] == [(2, 1), (1, 1)]
    numbers = "@targetlabel true\n@data\n" + "".join(f"1,2:3,4:{n / 4}\n" for n in range(30))
    source = opened(write_text(tmp_path, "b.ts", numbers))
    assert (source.question, source.rows[3].label) == ("regress", "0.75")
    assert opened(tmp_path / "b.ts", task="classify").question == "classify"
    wholly = opened(write_text(tmp_path, "c.ts", "@classLabel true a b\n@data\n1,2,3:?:a\n1,2:3,4:b\n"))
    assert np.isnan(arrays_of(wholly)[0]).tolist() == [[False, True]] * 3


def test_time_stamps_are_read_and_left_out(tmp_path: Path) -> None:
    head = "@timeStamps true\n@classLabel true a b\n@data\n"
    lines = (
        "(0,1.5),(1,2):(0,3),(1,?):a\n"
        "(2007-01-01 00:00:00,1),(2007-01-01 00:01:00,2):(2007-01-01 00:00:00,7),(2007-01-01 00:01:00,8):b\n"
        "(0,1),(1,2):(0,3),(2,4):a\n1,2:3,4:b\n"
    )
    source = opened(write_text(tmp_path, "t.ts", head + lines))
    first, second = arrays_of(source)
    assert first[0].tolist() == [1.5, 3]
    assert np.isnan(first[1]).tolist() == [False, True]
    assert second.tolist() == [[1, 7], [2, 8]]
    assert reasons(source) == {
        "t.ts, line 6": "has dimensions with different time stamps",
        "t.ts, line 7": "holds values that are no pairs (time,value), though its header says @timeStamps true",
    }
    assert "the time stamps of the series are not used: their steps count as evenly spaced" in source.notes


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,2:3,x:walk", "holds 'x' as a value, which is no number (number 2 of its dimension)"),
        ("1,2:walk", "has 1 dimension, where 2 are expected"),
        ("1:2:3:walk", "has 3 dimensions, where 2 are expected"),
        ("1,2:3:walk", "has dimensions of different lengths: 2, 1"),
        ("1,2:3,4:swim", "has the class 'swim', which its header does not name"),
        ("1,2:3,4:?", "its label is missing"),
        ("1,2:3,4:", "its label is missing"),
        ("walk", "has no ':' before a label"),
        ("\x00\xff", "has no ':' before a label"),
    ],
)
def test_damaged_lines_are_set_aside(tmp_path: Path, line: str, reason: str) -> None:
    source = opened(write_text(tmp_path, "x.ts", HEAD + GOOD + line + "\n" + GOOD))
    assert reasons(source) == {"x.ts, line 8": reason}
    assert len(source.rows) == 4
    assert f"1 row set aside: {reason}" in source.notes


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "has no line '@data'"),
        (HEAD.replace("@data\n", ""), "has no line '@data'"),
        ("import x from 'y'\n", "line 1 is neither a comment"),
        ("@dimensions 2\n1,2:3,4:a\n", "line 2 is neither a comment"),
        (HEAD, "holds no series with a label"),
        (HEAD + "x:y:walk\n", "holds no series with a label that can be read; the first: x.ts, line 6: holds 'x'"),
        (HEAD.replace("@classLabel true walk run", "@classLabel false") + "1:2\n", "holds no labels"),
        (HEAD + "1:2:walk\n", "only one class, 'walk'"),
    ],
)
def test_files_that_are_no_ts_files_are_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem) as caught:
        opened(write_text(tmp_path, "x.ts", text))
    assert "x.ts" in str(caught.value)
    assert caught.value.remedy


def test_a_pair_of_ts_files_is_read_together_from_a_file_a_folder_and_an_archive(tmp_path: Path) -> None:
    texts = {"set/A_TRAIN.ts": (HEAD + GOOD * 2).encode(), "set/A_TEST.ts": (HEAD + GOOD).encode(), "set/a.arff": b"x"}
    folder = write_folder(tmp_path / "in", texts) / "set"
    places = [folder / "A_TRAIN.ts", folder, tmp_path / "in", write_zip(tmp_path / "a.zip", texts)]
    for place in (*places, write_tar(tmp_path / "a.tar.gz", texts, "w:gz")):
        source = opened(place)
        assert [row.split for row in source.rows] == ["train"] * 4 + ["test"] * 2
        assert list(labels(source))[3:5] == ["A_TRAIN.ts, line 9", "A_TEST.ts, line 6"]
        assert any("'A_TEST.ts' beside it is the test part" in note for note in source.notes)
    alone = opened(folder / "A_TEST.ts")
    assert [row.split for row in alone.rows] == [None, None]
    (folder / "A_TEST.ts").unlink()
    assert [row.split for row in opened(folder / "A_TRAIN.ts").rows] == [None] * 4
    for kind in (None, "series"):
        with pytest.raises(DataError, match=r"1 \.ts file, not one pair"):
            opened(folder, kind=kind)


def test_options_that_mean_nothing_for_series_are_refused(tmp_path: Path) -> None:
    path = write_text(tmp_path, "x.ts", HEAD + GOOD)
    with pytest.raises(RecipeError, match="--target 'y' means nothing"):
        opened(path, target="y")
    with pytest.raises(RecipeError, match="--group"):
        opened(path, group="(.)")
    with pytest.raises(RecipeError, match="--series-id 'id' means nothing"):
        opened(path, series_id="id")
    with pytest.raises(RecipeError, match="--time 't' means nothing without --series-id"):
        opened(path, time="t")
    write_folder(tmp_path / "photos", {"a/1.jpg": JPEG, "b/1.jpg": JPEG})
    with pytest.raises(RecipeError, match="--series-id 'id' means nothing"):
        opened(tmp_path / "photos", series_id="id")


@pytest.mark.parametrize(
    ("name", "rows", "classes", "channels", "lengths"),
    [("JapaneseVowels", (270, 370), 9, 12, (7, 29)), ("BasicMotions", (40, 40), 4, 6, (100, 100))],
)
def test_real_pairs_against_a_simple_reading(
    shared_data: SharedData, name: str, rows: tuple[int, int], classes: int, channels: int, lengths: tuple[int, int]
) -> None:
    source = opened(shared_data(f"{name}_TRAIN.ts"))
    assert f"{rows[0] + rows[1]} rows in {classes} classes" in source.notes[0]
    assert [row.split for row in source.rows] == ["train"] * rows[0] + ["test"] * rows[1]
    assert not source.set_aside
    read = []
    for part in ("TRAIN", "TEST"):
        text = shared_data(f"{name}_{part}.ts").read_text("utf-8").split("@data\n")[1]
        read += [line.split(":") for line in text.splitlines() if line.strip()]
    assert [row.label for row in source.rows] == [line[-1] for line in read]
    steps = []
    for array, line in zip(arrays_of(source), read, strict=True):
        expected = np.array([dimension.split(",") for dimension in line[:-1]], dtype=np.float32).T
        assert array.shape == expected.shape == (len(expected), channels)
        assert np.array_equal(array, expected)
        steps.append(len(array))
    assert (min(steps), max(steps)) == lengths
    encoder, _, notes = choose_series(arrays_of(source)[: rows[0]])
    assert notes == []
    stored = np.stack([encoder.encode(array) for array in arrays_of(source)])
    assert encoder.lengths(stored).tolist() == steps
    assert encoder.length == -(-lengths[1] // 8) * 8


# --- Folders and archives of tables ----------------------------------------------------------------------------------


FILES: Final = {
    f"{part}/{label}/{number}.csv": f"x,y\n{number},1\n2,{label}\n".encode()
    for part in ("train", "test")
    for label in ("3", "4")
    for number in range(2)
}


def test_folders_and_archives_of_tables(tmp_path: Path) -> None:
    root = write_folder(
        tmp_path / "motion", {**FILES, "train/3/notes.txt": b"x", "train/3/none.tsv": b"", "a.csv": b"1"}
    )
    for place in (root, write_zip(tmp_path / "m.zip", FILES), write_tar(tmp_path / "m.tar", FILES)):
        source = opened(place)
        assert source.kind == "series"
        assert labels(source) == {key: key.split("/")[1] for key in FILES}
        assert [row.split for row in source.rows].count("test") == 4
        index = [row.key for row in source.rows].index("train/4/1.csv")
        assert source.read(index) == FILES["train/4/1.csv"]
    assert reasons(opened(root)) == {
        "train/3/notes.txt": "not a .csv or .tsv series",
        "train/3/none.tsv": "empty (0 bytes)",
        "a.csv": "lies beside the folders test, train, in none of them",
    }
    assert "1 file is no .csv or .tsv series (.txt): left out" in opened(root).notes
    grouped = opened(root, group=r"/(\d)\.csv")
    assert {row.group for row in grouped.rows} == {"0", "1"}


def test_folders_without_classes_or_tables_are_refused(tmp_path: Path) -> None:
    write_folder(tmp_path / "flat", {"1.csv": b"x\n1\n", "2.csv": b"x\n1\n"})
    with pytest.raises(DataError, match="all 2 series lie side by side"):
        opened(tmp_path / "flat", kind="series")
    write_folder(tmp_path / "photos", {"a/1.jpg": JPEG, "b/1.jpg": JPEG})
    with pytest.raises(DataError, match=r"there are no series in .*photos"):
        opened(tmp_path / "photos", kind="series")


def test_a_table_may_name_files_of_series(tmp_path: Path) -> None:
    write_folder(tmp_path, {f"runs/{number}.csv": b"x\n1\n" for number in range(4)})
    path = write_text(
        tmp_path, "labels.csv", "file,label\n" + "".join(f"runs/{n}.csv,{'ab'[n % 2]}\n" for n in range(4))
    )
    source = opened(path)
    assert (source.kind, source.read(0)) == ("series", b"x\n1\n")
    assert opened(path, kind="series").kind == "series"
    table = write_text(tmp_path, "steps.csv", "id,x,label\n" + "".join(f"{n // 2},{n},{n // 4}\n" for n in range(8)))
    for kind in (None, "series"):
        with pytest.raises(DataError) as caught:
            opened(table, kind=kind)
        assert "one step of a series: --series-id COLUMN" in caught.value.remedy


# --- Arrays ----------------------------------------------------------------------------------------------------------


def test_arrays_are_series_where_that_is_said(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(6, 5, 2))
    for name, inputs in (("a", values), ("b", values[:, :, 0])):
        np.savez(tmp_path / f"{name}.npz", X=inputs, y=np.arange(6) % 2)
        source = opened(tmp_path / f"{name}.npz", kind="series")
        assert (source.kind, len(source.rows)) == ("series", 6)
        assert np.array_equal(arrays_of(source)[4], inputs[4])
        assert "series and labels are the arrays X with y" in source.notes
    np.savez(tmp_path / "d.npz", X=np.zeros((2, 5, 5)), y=np.arange(2))
    assert opened(tmp_path / "d.npz").kind == "image"
    with pytest.raises(DataError) as caught:
        opened(tmp_path / "b.npz")
    assert "--kind series" in caught.value.remedy
    wide = np.zeros((4, 3, 50))
    np.savez(tmp_path / "c.npz", x_train=wide, y_train=np.arange(4) % 2, x_test=wide + 1, y_test=np.arange(4) % 2)
    source = opened(tmp_path / "c.npz", kind="series")
    assert [(row.key, row.split) for row in source.rows][3:5] == [("train/3", "train"), ("test/0", "test")]
    assert any("if it is the other way round: X.transpose(0, 2, 1)" in note for note in source.notes)


def test_arrays_in_memory_may_differ_in_length() -> None:
    rows = [np.arange(2.0 * steps).reshape(steps, 2) for steps in (1, 4, 2)]
    source = series_source(rows, ["a", "b", "a"])
    assert [array.shape for array in arrays_of(source)] == [(1, 2), (4, 2), (2, 2)]
    assert labels(source) == {"0": "a", "1": "b", "2": "a"}
    assert series_source([[1, 2], [3, 4]], [0, 1]).read(1).tolist() == [3, 4]
    missing = series_source(rows, ["a", None, "b"])
    assert reasons(missing) == {"1": "its label is missing"}
    with pytest.raises(DataError, match="3 series and 2 labels"):
        series_source(rows, ["a", "b"])
    for bad in (np.zeros((2, 2, 2, 2)), np.zeros(2), np.zeros((2, 0)), np.array([["a"], ["b"]])):
        with pytest.raises(DataError, match="which are not those of series"):
            series_source(bad, [0, 1])
    with pytest.raises(RowError, match="has 1 channel, where 2 are expected"):
        SeriesEncoder(channels=("x", "y"), length=8).encode(np.zeros(3))
