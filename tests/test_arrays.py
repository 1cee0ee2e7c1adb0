"""Arrays in memory and in `.npz` files."""

import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import gnomon
from gnomon.errors import DataError, RecipeError
from gnomon.sources import SourceSpec
from gnomon.sources.arrays import array_source, open_npz
from gnomon.sources.texts import text_source
from source_files import close_all, opened, reasons, write_zip


@pytest.fixture(autouse=True)
def _closing() -> Iterator[None]:
    yield
    close_all()


# --- Arrays ----------------------------------------------------------------------------------------------------------


def write_npz(path: Path, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """As `numpy.savez` does, whose keyword arguments can't be typed."""
    members = {}
    for key, array in arrays.items():
        content = io.BytesIO()
        np.save(content, array, allow_pickle=False)
        members[f"{key}.npy"] = content.getvalue()
    write_zip(path, members)


def test_arrays_in_memory() -> None:
    inputs = np.arange(4 * 6 * 5 * 3, dtype=np.uint16).astype(np.uint8).reshape(4, 6, 5, 3)
    source = array_source(inputs, ["b", "a", "b", None])
    assert [(row.key, row.label) for row in source.rows] == [("0", "b"), ("1", "a"), ("2", "b")]
    assert np.array_equal(source.read(1), inputs[1])
    assert reasons(source) == {"3": "its label is missing"}
    assert source.name == "arrays"
    assert array_source(inputs.copy(), ["b", "a", "b", None]).fingerprint == source.fingerprint
    inputs[2, 0, 0, 0] += 1
    assert array_source(inputs, ["b", "a", "b", None]).fingerprint != source.fingerprint


def test_reading_goes_to_the_right_row_when_rows_are_set_aside() -> None:
    inputs = np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    source = array_source(inputs, np.array([np.nan, 0, 1, np.nan, 1]))
    assert [int(source.read(index).flat[0]) for index in range(len(source.rows))] == [1, 2, 4]
    assert [row.label for row in source.rows] == ["0", "1", "1"]


@pytest.mark.parametrize(
    ("shape", "row"),
    [((4, 8, 9), (8, 9)), ((4, 8, 9, 1), (8, 9, 1)), ((4, 3, 8, 9), (8, 9, 3)), ((4, 1, 8, 9), (8, 9, 1))],
)
def test_shapes_of_images(shape: tuple[int, ...], row: tuple[int, ...]) -> None:
    source = array_source(np.zeros(shape, np.float32), [0, 1, 0, 1])
    assert np.shape(source.read(0)) == row
    assert any("channels first" in note for note in source.notes) == (shape[1] in (1, 3))


def test_types_of_images() -> None:
    assert array_source(np.full((2, 4, 4), 255, np.int64), [0, 1]).read(0).dtype == np.uint8
    assert array_source(np.full((2, 4, 4), 256, np.int32), [0, 1]).read(0).dtype == np.uint16
    assert array_source(np.ones((2, 4, 4), bool), [0, 1]).read(0).max() == 255
    assert array_source(np.ones((2, 4, 4), np.float16), [0, 1]).read(0).dtype == np.float16
    with pytest.raises(DataError, match="from -1 to 3"):
        array_source(np.array([[[-1]], [[3]]]), [0, 1])
    with pytest.raises(DataError, match="type object"):
        array_source(np.full((2, 4, 4), None), [0, 1])


def test_labels_of_arrays() -> None:
    inputs = np.zeros((4, 2, 2), np.uint8)
    one_hot = array_source(inputs, np.eye(3)[[0, 2, 1, 2]])
    assert [row.label for row in one_hot.rows] == ["0", "2", "1", "2"]
    assert any("one-hot" in note for note in one_hot.notes)
    assert [row.label for row in array_source(inputs, np.array([[3], [4], [3], [4]])).rows] == ["3", "4", "3", "4"]
    assert [row.label for row in array_source(inputs, np.array(["x", "y", "x", "y"])).rows] == ["x", "y", "x", "y"]
    with pytest.raises(DataError, match="4 images and 3 labels"):
        array_source(inputs, [0, 1, 0])
    with pytest.raises(DataError, match=r"labels of 'arrays' have the shape \(4, 2\)"):
        array_source(inputs, np.ones((4, 2)))
    with pytest.raises(DataError, match="only one class, '7'"):
        array_source(inputs, [7, 7, 7, 7])
    with pytest.raises(DataError, match="none of images") as caught:
        array_source(np.zeros((4, 784)), [0, 1, 0, 1])
    assert "reshape" in caught.value.remedy


@pytest.mark.parametrize(
    "keys",
    [("x_train", "y_train", "x_test", "y_test"), ("train_images", "train_labels", "test_images", "test_labels")],
)
def test_npz_with_parts(tmp_path: Path, keys: tuple[str, str, str, str]) -> None:
    arrays = [np.zeros((3, 4, 4), np.uint8), np.array([0, 1, 1]), np.ones((2, 4, 4), np.uint8), np.array([1, 5])]
    write_npz(tmp_path / "set.npz", dict(zip(keys, arrays, strict=True)))
    source = opened(tmp_path / "set.npz")
    assert [(row.key, row.label, row.split) for row in source.rows] == [
        ("train/0", "0", "train"),
        ("train/1", "1", "train"),
        ("train/2", "1", "train"),
        ("test/0", "1", "test"),
    ]
    assert reasons(source) == {"test/1": "its class '5' has no training rows"}
    assert int(np.max(source.read(3))) == 1
    assert source.name == "set"


@pytest.mark.parametrize("keys", [("X", "y"), ("images", "labels"), ("data", "target")])
def test_npz_without_parts(tmp_path: Path, keys: tuple[str, str]) -> None:
    write_npz(tmp_path / "set.npz", {keys[0]: np.zeros((2, 4, 4), np.uint8), keys[1]: np.array(["a", "b"])})
    source = opened(tmp_path / "set.npz")
    assert [(row.key, row.label, row.split) for row in source.rows] == [("0", "a", None), ("1", "b", None)]
    assert any(f"{keys[0]} with {keys[1]}" in note for note in source.notes)


def test_npz_keys_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, pixels=np.zeros((2, 4, 4), np.uint8), kind=np.array([1, 2]))
    with pytest.raises(DataError, match="not obvious"):
        opened(path)
    assert len(opened(path, input="pixels", target="kind").rows) == 2
    with pytest.raises(RecipeError, match="'pixel'") as caught:
        opened(path, input="pixel", target="kind")
    assert "'pixels'" in caught.value.remedy
    with pytest.raises(RecipeError, match="--group"):
        opened(path, input="pixels", target="kind", group="(.)")


def test_npz_with_objects_or_a_lying_header_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, X=np.zeros((2, 4, 4), np.uint8), y=np.array([{}, []], dtype=object))
    with pytest.raises(DataError, match="Python objects"):
        open_npz(str(path))
    np.savez(path, X=np.zeros((2, 4, 4), np.uint8), y=np.array([0, 1]))
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["X.npy"] = members["X.npy"].replace(b"(2, 4, 4)", b"(9, 4, 4)")
    write_zip(path, members)
    with pytest.raises(DataError, match=r"says 144 bytes, and holds 32"):
        open_npz(str(path))
    members["X.npy"] = members["X.npy"].replace(b"(9, 4, 4), }       ", b"(99999999999, 4, 4), }")
    write_zip(path, members)
    with pytest.raises(DataError, match=r"too large: 1,599,999,999,984 bytes"):
        open_npz(str(path))
    path.write_bytes(b"nonsense")
    with pytest.raises(DataError, match="can't be read"):
        open_npz(str(path))


def test_equal_arrays_have_equal_hints() -> None:
    inputs = np.zeros((4, 2, 2), np.uint8)
    inputs[1] = 1
    hints = array_source(inputs, [0, 1, 0, 1]).content_hints
    assert hints is not None
    assert hints[0] == hints[2] == hints[3] != hints[1]


# --- Texts in memory -------------------------------------------------------------------------------------------------


def test_texts_in_memory() -> None:
    source = text_source(["one", " ", None, "two", "three", float("nan")], ["b", "a", "b", None, "a", "a"])
    assert [(row.key, row.label) for row in source.rows] == [("0", "b"), ("4", "a")]
    assert [source.read(place) for place in range(2)] == ["one", "three"]
    assert [(row.key, row.reason) for row in source.set_aside] == [
        ("1", "its text is empty"),
        ("2", "its text is missing"),
        ("3", "its label is missing"),
        ("5", "its text is missing"),
    ]
    assert source.kind == "text"
    same = text_source(np.array(["one", "three"]), np.array(["b", "a"]))
    assert same.content_hints == source.content_hints


@pytest.mark.parametrize(
    ("texts", "labels", "told"),
    [
        (["a", "b"], ["x"], "has 2 texts and 1 labels"),
        (["", " "], ["x", "y"], "none of the 2 texts can be used"),
        ([], [], "none of the 0 texts can be used"),
        (["a", "b"], ["x", "x"], "one class"),
    ],
)
def test_texts_that_can_t_be_used_are_refused(texts: list[str], labels: list[str], told: str) -> None:
    with pytest.raises(DataError, match=told):
        text_source(texts, labels)


def test_a_list_of_texts_is_trained_on_and_answered(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    texts = [f"{word} {draw.integers(100)} days {draw.integers(100)}" for word in ("warm", "cold") for _ in range(60)]
    run = gnomon.train((texts, ["yes"] * 60 + ["no"] * 60), epochs=2, out=tmp_path / "run", progress=False)
    assert run.metrics["accuracy"].value == 1
    assert [answer.label for answer in run.predict(["a cold day", "a warm day"])] == ["no", "yes"]
    assert run.xray(["a cold day"]).exists()


def test_what_is_asked_counts_for_rows_in_memory_too(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (60, 8, 8)).astype(np.uint8)
    stars = [1, 2, 3, 4, 5] * 12
    recipe = gnomon.Recipe(source=SourceSpec(location="", task="regress"))
    for asked, measure in ((None, "accuracy"), (recipe, "r2")):
        run = gnomon.train((pictures, stars), epochs=0.1, recipe=asked, out=tmp_path / measure, progress=False)
        assert measure in run.metrics
