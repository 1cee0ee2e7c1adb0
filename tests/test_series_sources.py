"""Series from `.ts` files, folders of tables, one long table and arrays; what is set aside, and what is refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from conftest import SharedData
from gnomon.encoders import SeriesEncoder, choose_series
from gnomon.errors import DataError, RecipeError, RowError
from gnomon.sources import Source
from gnomon.sources.series import series_source
from gnomon.splits import find_duplicates
from source_files import JPEG, close_all, labels, opened, reasons, write_folder, write_tar, write_zip

HEAD: Final = "#about\n@problemName x\n@dimensions 2\n@classLabel true walk run\n@data\n"
GOOD: Final = "1,2,3:4,5,6:walk\n7,8:9,10:run\n"


@pytest.fixture(autouse=True)
def _closing() -> Iterator[None]:
    yield
    close_all()


def arrays_of(source: Source) -> list[NDArray[Any]]:
    rows = [source.read(index) for index in range(len(source.rows))]
    return [row for row in rows if isinstance(row, np.ndarray)]


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


# --- .ts files -------------------------------------------------------------------------------------------------------


def test_a_ts_file_gives_series_of_different_lengths(tmp_path: Path) -> None:
    source = opened(write(tmp_path, "My set.ts", HEAD + "#between\n\n" + GOOD + "?,1.5:NaN,2:walk\n"))
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
    write(tmp_path, "My set.ts", HEAD + "#between\n\n" + GOOD + "?,1.5:NaN,2.5:walk\n")
    assert opened(tmp_path / "My set.ts").fingerprint != source.fingerprint


def test_headers_in_their_many_forms(tmp_path: Path) -> None:
    univariate = "\ufeff@PROBLEMNAME x\r\n@univariate true\r\n@ClassLabel TRUE 1 2\r\n@DATA\r\n1,2:1\r\n3:2.0\r\n"
    source = opened(write(tmp_path, "a.ts", univariate))
    assert [row.label for row in source.rows] == ["1", "2"]
    assert [array.shape for array in arrays_of(source)] == [(2, 1), (1, 1)]
    numbers = "@targetlabel true\n@data\n" + "".join(f"1,2:3,4:{n / 4}\n" for n in range(30))
    source = opened(write(tmp_path, "b.ts", numbers))
    assert (source.question, source.rows[3].label) == ("regress", "0.75")
    assert opened(tmp_path / "b.ts", task="classify").question == "classify"
    wholly = opened(write(tmp_path, "c.ts", "@classLabel true a b\n@data\n1,2,3:?:a\n1,2:3,4:b\n"))
    assert np.isnan(arrays_of(wholly)[0]).tolist() == [[False, True]] * 3


def test_time_stamps_are_read_and_left_out(tmp_path: Path) -> None:
    head = "@timeStamps true\n@classLabel true a b\n@data\n"
    lines = (
        "(0,1.5),(1,2):(0,3),(1,?):a\n"
        "(2007-01-01 00:00:00,1),(2007-01-01 00:01:00,2):(2007-01-01 00:00:00,7),(2007-01-01 00:01:00,8):b\n"
        "(0,1),(1,2):(0,3),(2,4):a\n1,2:3,4:b\n"
    )
    source = opened(write(tmp_path, "t.ts", head + lines))
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
    source = opened(write(tmp_path, "x.ts", HEAD + GOOD + line + "\n" + GOOD))
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
        opened(write(tmp_path, "x.ts", text))
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
    path = write(tmp_path, "x.ts", HEAD + GOOD)
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
        "train/3/notes.txt": "not a .csv or .tsv file",
        "train/3/none.tsv": "empty (0 bytes)",
        "a.csv": "lies beside the folders test, train, in none of them",
    }
    assert "1 file is no .csv or .tsv file (.txt): left out" in opened(root).notes
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
    path = write(tmp_path, "labels.csv", "file,label\n" + "".join(f"runs/{n}.csv,{'ab'[n % 2]}\n" for n in range(4)))
    source = opened(path)
    assert (source.kind, source.read(0)) == ("series", b"x\n1\n")
    assert opened(path, kind="series").kind == "series"
    table = write(tmp_path, "steps.csv", "id,x,label\n" + "".join(f"{n // 2},{n},{n // 4}\n" for n in range(8)))
    for kind in (None, "series"):
        with pytest.raises(DataError) as caught:
            opened(table, kind=kind)
        assert "one step of a series: --series-id COLUMN" in caught.value.remedy


# --- One long table --------------------------------------------------------------------------------------------------


def long_table(folder: Path, *, name: str = "steps.csv", extra: str = "", head: str = "sensor,time,x,y,label") -> Path:
    """Six series of three steps, out of order, and what is given beside them."""
    lines = [
        f"{'abcdef'[one]},{step},{one + step / 10},{one * step},{'good' if one % 2 else 'bad'}"
        for step in (2, 0, 1)
        for one in range(6)
    ]
    return write(folder, name, "\n".join([head, *lines, *extra.split()]) + "\n")


def test_rows_of_one_id_are_one_series_by_time(tmp_path: Path) -> None:
    source = opened(long_table(tmp_path), series_id="sensor")
    assert (source.kind, len(source.rows)) == ("series", 6)
    assert labels(source) == {"a": "bad", "b": "good", "c": "bad", "d": "good", "e": "bad", "f": "good"}
    third = arrays_of(source)[2]
    assert third.dtype.names == ("x", "y")
    assert third["x"].tolist() == [2, 2.1, 2.2]
    assert third["y"].tolist() == [0, 2, 4]
    assert source.notes == [
        "6 rows in 2 classes",
        "the steps of a series are ordered by the column 'time'; --time names another",
        "the labels are given by the column 'label'; --target names another",
    ]
    encoder = choose_series(arrays_of(source))[0]
    assert encoder.channels == ("x", "y")
    assert encoder.encode(third).tolist()[:3] == encoder.encode("y,x\n0,2\n2,2.1\n4,2.2\n").tolist()[:3]
    asked = opened(tmp_path / "steps.csv", series_id="sensor", time="y", target="label", group="(.)")
    assert arrays_of(asked)[2].dtype.names == ("time", "x")
    assert asked.rows[2].group == "c"


@pytest.mark.parametrize("extension", [".tsv", ".jsonl", ".parquet"])
def test_other_tables_say_the_same(tmp_path: Path, extension: str) -> None:
    import json

    import pyarrow as pa
    from pyarrow import parquet

    text = long_table(tmp_path).read_text("utf-8")
    head, *lines = [line.split(",") for line in text.splitlines()]
    rows = [dict(zip(head, [a, int(t), float(x), int(y), label], strict=True)) for a, t, x, y, label in lines]
    path = tmp_path / f"other{extension}"
    if extension == ".tsv":
        path.write_text(text.replace(",", "\t"), "utf-8")
    elif extension == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    else:
        parquet.write_table(pa.Table.from_pylist(rows), path)
    source, first = opened(path, series_id="sensor"), opened(tmp_path / "steps.csv", series_id="sensor")
    assert source.content_hints == first.content_hints
    assert source.rows == first.rows


def test_series_that_can_not_be_used_are_set_aside_by_their_id(tmp_path: Path) -> None:
    lines = (
        "p,0,1,2,bad p,1,1,2,good q,0,1,2, q,1,1,2, r,0,1,oops,bad r,1,1,2,bad ,0,1,2,bad s,,1,2,bad s,1,1,2,bad "
        "t,soon,1,2,bad u,0,1"
    )
    source = opened(long_table(tmp_path, extra=lines), series_id="sensor")
    assert len(source.rows) == 6
    assert reasons(source) == {
        "steps.csv, line 30": "3 values where the header has 5",
        "row 25": "its series is missing (column 'sensor')",
        "p": "its label changes: 'bad', 'good'",
        "q": "its label is missing",
        "r": "holds 'oops' in row 23, where a number should stand; channel 'y'",
        "s": "its time in row 26 is missing",
        "t": "its time in row 28 is no number and no date",
    }
    assert any("1 row set aside: its series is missing (column 'sensor')" in note for note in source.notes)


def test_a_label_may_stand_in_one_row_alone_and_values_may_be_missing(tmp_path: Path) -> None:
    source = opened(long_table(tmp_path, extra="g,0,,1,good g,1,NA,2, g,2,5,3,"), series_id="sensor")
    assert labels(source)["g"] == "good"
    last = arrays_of(source)[-1]
    assert np.isnan(last["x"]).tolist() == [True, True, False]


def test_times_that_come_twice_are_averaged_and_uneven_ones_are_said(tmp_path: Path) -> None:
    lines = (
        "g,0,1,,good g,1,2,5,good g,1,4,,good g,1,6,8,good h,0,1,1,bad h,1,2,2,bad h,5,3,3,bad i,0,1,1,bad i,7,2,2,bad"
    )
    source = opened(long_table(tmp_path, extra=lines), series_id="sensor")
    doubled = arrays_of(source)[6]
    assert doubled["x"].tolist() == [1, 4]
    assert np.isnan(doubled["y"][0])
    assert doubled["y"][1] == 6.5
    assert [note for note in source.notes if "time" in note or "gap" in note][1:] == [
        "in 1 of 9 series times come twice or more (2 rows too many; the first: 'g', 2): "
        "the values of one time are averaged",
        "the steps of 1 of 9 series are not evenly spaced in time (the first: 'h', 2 of 2 gaps): "
        "they are taken as they come",
        "the usual gap between steps differs between series: 1 to 7",
    ]


def test_times_are_numbers_or_dates_and_a_table_may_have_none(tmp_path: Path) -> None:
    dates = ["2016-07-01 02:00:00", "2016-07-01T01:00:00Z", "2016-07-01"]
    lines = [f"{one},{date},{place},{one % 2}" for one in range(4) for place, date in enumerate(dates)]
    path = write(tmp_path, "d.csv", "\n".join(["id,when,x,class", *lines]) + "\n")
    assert arrays_of(opened(path, series_id="id", time="when"))[0]["x"].tolist() == [2, 1, 0]
    unordered = opened(path, series_id="id")
    assert arrays_of(unordered)[0]["x"].tolist() == [0, 1, 2]
    assert "the steps of a series are ordered as the table has them: no column gives times" in unordered.notes
    assert "columns that are no channels: 'when' (holds no numbers)" in unordered.notes
    words = write(tmp_path, "w.csv", path.read_text("utf-8").replace("2016", "zero"))
    with pytest.raises(DataError, match=r"the column 'when' of .* holds no times: 'zero-07-01"):
        opened(words, series_id="id", time="when")


def test_labels_are_guessed_by_what_is_the_same_throughout_a_series(tmp_path: Path) -> None:
    lines = [f"{one},{step},{one * step},{step},{'ab'[one % 2]},{one}" for one in range(6) for step in range(3)]
    head = "id,x,y,z,activity,age"
    source = opened(write(tmp_path, "t.csv", "\n".join([head, *lines]) + "\n"), series_id="id")
    assert {row.label for row in source.rows} == {"a", "b"}
    assert arrays_of(source)[0].dtype.names == ("x", "y", "z", "age")
    several = write(tmp_path, "s.csv", "\n".join([head, *(f"{line[:-1]}{int(line[0]) // 2}" for line in lines)]) + "\n")
    with pytest.raises(DataError, match="not obvious; several could be: activity, age") as caught:
        opened(several, series_id="id")
    assert "--target" in caught.value.remedy


def test_parts_and_groups_must_be_the_same_throughout_a_series(tmp_path: Path) -> None:
    lines = []
    for one in range(8):
        part = ["train", "train", "train", "train", "test", "test", "elsewhere", "train"][one]
        lines += [f"{one},{step},{step},{'ab'[one % 2]},{part},p{one // 2}" for step in range(2)]
    lines[-1] = "7,1,1,b,test,p3"
    lines[2] = "1,0,0,b,train,p9"
    path = write(tmp_path, "t.csv", "\n".join(["id,time,x,label,split,person", *lines]) + "\n")
    source = opened(path, series_id="id", group="person")
    assert [(row.key, row.split, row.group) for row in source.rows] == [
        ("0", "train", "p0"),
        ("2", "train", "p1"),
        ("3", "train", "p1"),
        ("4", "test", "p2"),
        ("5", "test", "p2"),
    ]
    assert reasons(source) == {
        "1": "its rows stand in several groups",
        "6": "its part is none of train, validation, test",
        "7": "its rows stand in several parts",
    }


def test_two_long_tables_are_a_pair(tmp_path: Path) -> None:
    path = long_table(tmp_path, name="x-train.csv")
    long_table(tmp_path, name="x-test.csv")
    source = opened(path, series_id="sensor")
    assert [(row.key, row.split) for row in source.rows][5:7] == [
        ("x-train.csv, f", "train"),
        ("x-test.csv, a", "test"),
    ]
    assert "'x-test.csv' beside it is the test part" in source.notes
    assert len(find_duplicates(source)) == 6
    long_table(tmp_path, name="x-test.csv", head="sensor,time,x,z,label")
    with pytest.raises(DataError, match=r"x-test.csv', which belongs to .* has no column 'y'"):
        opened(path, series_id="sensor")


Asks = Literal["regress", "tag"]


@pytest.mark.parametrize(("task", "label"), [("regress", "0.5"), ("tag", "b;x")])
def test_numbers_and_several_labels_are_asked_for_as_of_other_tables(tmp_path: Path, task: Asks, label: str) -> None:
    said = ["0.25", "0.5", "0.75"] if task == "regress" else ["a", "b;x", "x"]
    lines = [f"{one},{step},{step},{said[one]}" for one in range(3) for step in range(2)]
    path = write(tmp_path, "t.csv", "\n".join(["id,time,x,label", *lines]) + "\n")
    source = opened(path, series_id="id", task=task)
    assert (source.question, source.rows[1].label) == (task, label)


def test_ids_and_columns_that_are_not_there_or_make_no_sense(tmp_path: Path) -> None:
    path = long_table(tmp_path)
    with pytest.raises(RecipeError, match="--series-id 'sensr' is no column") as caught:
        opened(path, series_id="sensr")
    assert "'sensor'" in caught.value.remedy
    for option in ("time", "target", "group"):
        with pytest.raises(RecipeError, match=f"--{option} 'nope' is no column"):
            opened(path, series_id="sensor", **{option: "nope"})  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="the column 'sensor' is given two parts"):
        opened(path, series_id="sensor", target="sensor")
    with pytest.raises(RecipeError, match="--input 'x' means nothing"):
        opened(path, series_id="sensor", input="x")
    with pytest.raises(RecipeError, match="--series-id 'sensor' makes series of rows, and --kind says 'text'"):
        opened(path, series_id="sensor", kind="text")
    alone = opened(path, series_id="x", target="label")
    assert "every series has one row alone: is 'x' the column that says which rows belong together?" in alone.notes
    texts = write(
        tmp_path, "texts.csv", "id,text,label\n" + "".join(f"{n // 2},some words,{n // 4}\n" for n in range(8))
    )
    with pytest.raises(
        DataError, match=r"no column .* is left that holds numbers: 'text' \(holds no numbers\)"
    ) as refused:
        opened(texts, series_id="id")
    assert "Where each row is a text or names a file, leave them out" in refused.value.remedy
    for bad, problem in (("", "can't be read"), ("a,b\n", "has no rows")):
        with pytest.raises(DataError, match=problem):
            opened(write(tmp_path, "bad.csv", bad), series_id="a")


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
