"""Series in one long table: ids, times, labels, channels; what is set aside by its id, and what is refused."""

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from gnomon.encoders import choose_series
from gnomon.errors import DataError, RecipeError
from gnomon.rows.splits import find_duplicates
from gnomon.sources.cells import numbers_of, times_of
from source_files import arrays_of, close_all, labels, opened, reasons, write_text


@pytest.fixture(autouse=True)
def _closing() -> Iterator[None]:
    yield
    close_all()


def long_table(folder: Path, *, name: str = "steps.csv", extra: str = "", head: str = "sensor,time,x,y,label") -> Path:
    """Six series of three steps, out of order, and what is given beside them."""
    lines = [
        f"{'abcdef'[one]},{step},{one + step / 10},{one * step},{'good' if one % 2 else 'bad'}"
        for step in (2, 0, 1)
        for one in range(6)
    ]
    return write_text(folder, name, "\n".join([head, *lines, *extra.split()]) + "\n")


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
    path = write_text(tmp_path, "d.csv", "\n".join(["id,when,x,class", *lines]) + "\n")
    assert arrays_of(opened(path, series_id="id", time="when"))[0]["x"].tolist() == [2, 1, 0]
    unordered = opened(path, series_id="id")
    assert arrays_of(unordered)[0]["x"].tolist() == [0, 1, 2]
    assert "the steps of a series are ordered as the table has them: no column gives times" in unordered.notes
    assert "columns that are no channels: 'when' (holds no numbers)" in unordered.notes
    words = write_text(tmp_path, "w.csv", path.read_text("utf-8").replace("2016", "zero"))
    with pytest.raises(DataError, match=r"the column 'when' of .* holds no times: 'zero-07-01"):
        opened(words, series_id="id", time="when")


def test_cells_are_numbers_times_missing_or_something_else() -> None:
    numbers, others = numbers_of([1, "2.5", True, None, " ", "n/a", "x", [1], 10**400])
    assert numbers.tolist()[:3] == [1, 2.5, 1]
    assert np.isnan(numbers).tolist() == [False] * 3 + [True] * 5 + [False]
    assert others.tolist() == [False] * 6 + [True, True, False]
    zone = datetime.timezone(datetime.timedelta(hours=1))
    dates = [datetime.datetime(1970, 1, 2), datetime.date(1970, 1, 2), datetime.datetime(1970, 1, 2, 1, tzinfo=zone)]
    times, wrong = times_of([*dates, "1970-01-02T01:00+01:00", "", "soon", None])
    assert times.tolist()[:4] == [86400.0] * 4
    assert wrong.tolist() == [False] * 5 + [True, False]
    times, wrong = times_of(["1", "inf", "x", ""])
    assert (times.tolist()[0], wrong.tolist()) == (1, [False, True, True, False])


def test_labels_are_guessed_by_what_is_the_same_throughout_a_series(tmp_path: Path) -> None:
    lines = [f"{one},{step},{one * step},{step},{'ab'[one % 2]},{one}" for one in range(6) for step in range(3)]
    head = "id,x,y,z,activity,age"
    source = opened(write_text(tmp_path, "t.csv", "\n".join([head, *lines]) + "\n"), series_id="id")
    assert {row.label for row in source.rows} == {"a", "b"}
    assert arrays_of(source)[0].dtype.names == ("x", "y", "z", "age")
    several = write_text(
        tmp_path, "s.csv", "\n".join([head, *(f"{line[:-1]}{int(line[0]) // 2}" for line in lines)]) + "\n"
    )
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
    path = write_text(tmp_path, "t.csv", "\n".join(["id,time,x,label,split,person", *lines]) + "\n")
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
    path = write_text(tmp_path, "t.csv", "\n".join(["id,time,x,label", *lines]) + "\n")
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
    texts = write_text(
        tmp_path, "texts.csv", "id,text,label\n" + "".join(f"{n // 2},some words,{n // 4}\n" for n in range(8))
    )
    with pytest.raises(
        DataError, match=r"no column .* is left that holds numbers: 'text' \(holds no numbers\)"
    ) as refused:
        opened(texts, series_id="id")
    assert "Where each row is a text or names a file, leave them out" in refused.value.remedy
    for bad, problem in (("", "can't be read"), ("a,b\n", "has no rows")):
        with pytest.raises(DataError, match=problem):
            opened(write_text(tmp_path, "bad.csv", bad), series_id="a")
