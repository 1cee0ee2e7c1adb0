"""Tables that name image files: columns found and asked for, and rows that can not be used."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from gnomon.errors import DataError, RecipeError
from source_files import JPEG, close_all, labels, opened, reasons, write_folder


@pytest.fixture(autouse=True)
def _closing() -> Iterator[None]:
    yield
    close_all()


# --- Tables ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_folder(tmp_path, {f"img/{number}.jpg": JPEG + bytes([number]) for number in range(6)})


def write_table(folder: Path, rows: Sequence[Mapping[str, object]], extension: str) -> Path:
    path = folder / f"labels{extension}"
    if extension == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows))
    elif extension == ".parquet":
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.Table.from_pylist(list(rows)), path)
    else:
        sign = "\t" if extension == ".tsv" else ","
        lines = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
        path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(sign.join(line) for line in lines).encode())
    return path


@pytest.mark.parametrize("extension", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_a_table_with_obvious_columns(images: Path, extension: str) -> None:
    rows = [{"file": f"img/{number}.jpg", "note": f"n{number}", "Label": number % 2} for number in (3, 0, 5, 2)]
    source = opened(write_table(images, rows, extension))
    assert [(row.key, row.label) for row in source.rows] == [
        ("img/3.jpg", "1"),
        ("img/0.jpg", "0"),
        ("img/5.jpg", "1"),
        ("img/2.jpg", "0"),
    ]
    assert source.read(0) == JPEG + b"\x03"
    assert source.name == "labels"
    assert "the files are named by the column 'file'" in source.notes
    assert "the labels are given by the column 'Label'" in source.notes
    assert opened(images / f"labels{extension}").fingerprint == source.fingerprint


def test_labels_keep_leading_zeros_and_lose_a_spreadsheets_decimals(images: Path) -> None:
    path = images / "t.csv"
    path.write_text("file,label\nimg/0.jpg,007\nimg/1.jpg,8\n")
    assert {row.label for row in opened(path).rows} == {"007", "8"}
    path.write_text("file,label\nimg/0.jpg,3.0\nimg/1.jpg,4\nimg/2.jpg,\n")
    source = opened(path)
    assert [row.label for row in source.rows] == ["3", "4"]
    assert reasons(source) == {"img/2.jpg": "its label is missing"}
    assert "labels such as '3.0' are read as '3'" in source.notes
    assert "1 row set aside: its label is missing" in source.notes


def test_parts_and_groups_from_columns(images: Path) -> None:
    rows = [
        {"file": f"img/{n}.jpg", "label": "ab"[n % 2], "split": part, "person": f"p{n // 2}"}
        for n, part in enumerate(["Train", "train", "VAL", "dev", "test", "elsewhere"])
    ]
    source = opened(write_table(images, rows, ".csv"), group="person")
    assert [row.split for row in source.rows] == ["train", "train", "validation", "validation", "test"]
    assert [row.group for row in source.rows] == ["p0", "p0", "p1", "p1", "p2"]
    assert reasons(source) == {"img/5.jpg": "its part is none of train, validation, test"}
    assert "the parts are given by the column 'split'" in source.notes
    by_name = opened(images / "labels.csv", group="([0-9])")
    assert [row.group for row in by_name.rows] == list("01234")


def test_files_that_are_missing_outside_or_named_twice(images: Path) -> None:
    write_folder(images.parent, {"outside.jpg": JPEG})
    inside = images / "img" / "4.jpg"
    path = images / "t.csv"
    named = ["img/0.jpg", "img/../img/1.jpg", "img/nope.jpg", "../outside.jpg", "/etc/hostname", str(inside), ""]
    again = ["img/2.jpg,a", "img/2.jpg,b", "img/3.jpg,b", "img\\3.jpg,b", "img,a"]
    path.write_text("\n".join(["file,label", *(f"{name},{'ab'[n % 2]}" for n, name in enumerate(named)), *again]))
    source = opened(path)
    assert labels(source) == {"img/0.jpg": "a", "img/1.jpg": "b", "img/4.jpg": "b", "img/3.jpg": "b"}
    assert reasons(source) == {
        "img/nope.jpg (row 3)": "the file does not exist",
        "../outside.jpg (row 4)": "leads out of the table's folder",
        "/etc/hostname (row 5)": "leads out of the table's folder",
        "row 7": "no file is named",
        "img (row 12)": "not a regular file",
        "img/2.jpg": "named several times, with different labels or parts",
        "img/3.jpg": "named several times; it counts once",
    }


def test_columns_that_are_not_obvious_or_not_there(images: Path) -> None:
    path = images / "t.csv"
    path.write_text("file,colour,size\n" + "".join(f"img/{n}.jpg,{n % 2},{n % 3}\n" for n in range(6)))
    with pytest.raises(DataError, match="several could be: colour, size") as caught:
        opened(path)
    assert "--target" in caught.value.remedy
    assert {row.label for row in opened(path, target="size").rows} == {"0", "1", "2"}
    with pytest.raises(RecipeError, match="--target 'colur'") as misspelt:
        opened(path, target="colur")
    assert "Did you mean 'colour'?" in misspelt.value.remedy
    with pytest.raises(RecipeError, match="--group 'siz'"):
        opened(path, target="size", group="siz")
    with pytest.raises(DataError, match=r"none of 6 rows .* 'colour'"):
        opened(path, input="colour", target="size")


def test_the_only_column_with_few_values_is_the_label(images: Path) -> None:
    path = images / "t.csv"
    path.write_text("file,id,animal\n" + "".join(f"img/{n}.jpg,{n},{'ab'[n % 2]}\n" for n in range(6)))
    source = opened(path)
    assert {row.label for row in source.rows} == {"a", "b"}
    assert "the labels are given by the column 'animal'" in source.notes


def test_a_table_whose_files_are_not_there_shows_its_columns(images: Path) -> None:
    path = images / "t.csv"
    path.write_text("id,label\n000bec,a\n000bed,b\n")
    with pytest.raises(DataError, match=r"no column .* names existing files.*id \('000bec'\)"):
        opened(path)


def test_damaged_lines_of_a_csv_and_a_jsonl_are_set_aside(images: Path) -> None:
    path = images / "t.csv"
    path.write_text("file,label\nimg/0.jpg,a\nimg/1.jpg,b,extra\nimg/2.jpg,b\n")
    source = opened(path)
    assert len(source.rows) == 2
    assert reasons(source) == {"t.csv, line 3": "3 values where the header has 2"}
    path = images / "t.jsonl"
    path.write_text('{"file": "img/0.jpg", "label": 1}\n{"file": \n\n{"file": "img/1.jpg", "label": 2.0}\n')
    source = opened(path)
    assert [row.label for row in source.rows] == ["1", "2"]
    assert list(reasons(source)) == ["t.jsonl, line 2"]


def test_other_separators_and_encodings(images: Path) -> None:
    path = images / "t.csv"
    path.write_text("file;label\nimg/0.jpg;a\nimg/1.jpg;b\n")
    assert [row.label for row in opened(path).rows] == ["a", "b"]
    path.write_bytes("file,label\nimg/0.jpg,a\nimg/1.jpg,caf\xe9\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"line 3 .* no UTF-8 text: byte 0xe9"):
        opened(path)
    path.write_text("file,label\nimg/0.jpg,a\n", encoding="utf-16")
    with pytest.raises(DataError, match="UTF-16"):
        opened(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"t\.csv"):
        opened(path)
    path.write_text("file,label\n")
    with pytest.raises(DataError, match="no rows"):
        opened(path)
    (images / "t.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(DataError, match="can't be read"):
        opened(images / "t.parquet")


def test_a_table_that_is_cut_in_the_middle_of_a_character_is_refused(tmp_path: Path) -> None:
    """Found by fuzzing: a row that PyArrow could neither refuse nor read."""
    path = tmp_path / "t.csv"
    path.write_bytes("text,label\ngood,1\nbad,0\na,b,cafß".encode()[:-1])
    with pytest.raises(DataError, match=r"line 4 .* no UTF-8 text: byte 0xc3"):
        opened(path)
