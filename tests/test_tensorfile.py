"""What stands around a model's tensors: bounds of the header, and the checksum that shows any damage."""

import json
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import safetensors.numpy

from gnomon.errors import ModelFileError
from gnomon.models import Plain
from gnomon.predicting.modelfile import load, to_bytes
from gnomon.predicting.tensorfile import LARGEST_HEADER, MOST_VALUES, read_outside
from gnomon.tasks import Classify
from test_modelfile import make_model

TINY: Final = Plain(widths=(2, 2, 2), dense=2)


def content_of_tiny() -> bytes:
    model = make_model(TINY, side=18, channels=1)
    return to_bytes(model.header, model.network.state_dict())


def redescribed(content: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """The file with Gnomon's part of the header changed, written as Gnomon writes it."""
    (length,) = struct.unpack("<Q", content[:8])
    outer = json.loads(content[8 : 8 + length])
    said = json.loads(outer["__metadata__"]["gnomon"])
    change(said)
    outer["__metadata__"]["gnomon"] = json.dumps(said, separators=(",", ":"))
    text = json.dumps(outer).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def same(path: Path, content: bytes) -> bool | None:
    """Whether a file loads to the same network as the good one; None where it is refused."""
    path.write_bytes(content)
    try:
        loaded = load(path)
    except ModelFileError:
        return None
    return to_bytes(loaded.header, loaded.network.state_dict()) == content_of_tiny()


# --- The checksum ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_no_flipped_bit_is_used(tmp_path: Path, seed: int) -> None:
    content, draw = content_of_tiny(), random.Random(seed)
    for _ in range(60):
        place, bit = draw.randrange(len(content)), draw.randrange(8)
        flipped = bytearray(content)
        flipped[place] ^= 1 << bit
        assert same(tmp_path / "m.safetensors", bytes(flipped)) is not False, (place, bit)


def test_a_weight_that_became_another_number_is_found(tmp_path: Path) -> None:
    content = bytearray(content_of_tiny())
    content[-1] ^= 1  # of the exponent of the last weight: a finite number still
    (tmp_path / "m.safetensors").write_bytes(content)
    with pytest.raises(ModelFileError, match="its checksum does not fit its contents"):
        load(tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda said: said["task"]["classes"].reverse(), "checksum does not fit"),
        (lambda said: said["encoder"].update(mean=[1.0]), "checksum does not fit"),
        (lambda said: said.update(version=2), "checksum does not fit"),
        (lambda said: said.pop("sha256"), "checksum is missing"),
        (lambda said: said.update(sha256=""), "checksum is missing"),
        (lambda said: said.update(made={"sha256": said.pop("sha256")}), "checksum is missing"),
    ],
)
def test_a_changed_description_is_found(tmp_path: Path, change: Callable[[dict[str, Any]], object], says: str) -> None:
    (tmp_path / "m.safetensors").write_bytes(redescribed(content_of_tiny(), change))
    with pytest.raises(ModelFileError, match=says):
        load(tmp_path / "m.safetensors")


def test_tensors_that_changed_places_are_found(tmp_path: Path) -> None:
    content = content_of_tiny()
    tensors = safetensors.numpy.load(content)
    one, other = (name for name, tensor in tensors.items() if tensor.shape == (2, 2, 3, 3))
    tensors[one], tensors[other] = tensors[other], tensors[one]
    (length,) = struct.unpack("<Q", content[:8])
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    assert same(tmp_path / "m.safetensors", safetensors.numpy.save(tensors, metadata=metadata)) is None


@pytest.mark.parametrize("version", [1, 2])
def test_files_of_older_versions_are_read(tmp_path: Path, version: int) -> None:
    def older(said: dict[str, Any]) -> None:
        del said["sha256"]
        said["version"] = version
        if version == 1:
            del said["encoder"]["kind"]

    assert same(tmp_path / "m.safetensors", redescribed(content_of_tiny(), older))


def test_a_class_may_be_named_like_a_checksum(tmp_path: Path) -> None:
    model = make_model(TINY, side=18, channels=1)
    trap = f'"sha256":"{"0" * 64}"' + "}"
    header = type(model.header)(
        encoder=model.header.encoder,
        model=model.header.model,
        task=Classify(classes=("a", "b", trap, "d")),
        made={"sha256": "0" * 64},
    )
    (tmp_path / "m.safetensors").write_bytes(to_bytes(header, model.network.state_dict()))
    assert load(tmp_path / "m.safetensors").header == header


# --- The header ------------------------------------------------------------------------------------------------------


def file_of(header: object, data: bytes = b"", *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _f32(shape: list[int], begin: int, end: int) -> dict[str, object]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}


WRONG: Final = {
    "ten terabytes": (file_of({"a": _f32([2**31, 2**10], 0, 2**43)}), "and it holds 0"),
    "a shape whose product overflows": (file_of({"a": _f32([2**48] * 16, 0, 4)}, bytes(4)), "does not lie"),
    "overlapping": (file_of({"a": _f32([2], 0, 8), "b": _f32([2], 4, 12)}, bytes(12)), "'b' does not lie"),
    "a hole": (file_of({"a": _f32([1], 0, 4), "b": _f32([1], 8, 12)}, bytes(12)), "'b' does not lie"),
    "bytes behind": (file_of({"a": _f32([1], 0, 4)}, bytes(5)), "not fully covered"),
    "backwards": (file_of({"a": _f32([1], 4, 0)}, bytes(4)), "does not lie"),
    "negative": (file_of({"a": _f32([-1], 0, 4)}, bytes(4)), "can't be read"),
    "another type": (file_of({"a": {"dtype": "OBJ", "shape": [1], "data_offsets": [0, 4]}}, bytes(4)), "unknown type"),
    "a field more": (file_of({"a": {**_f32([1], 0, 4), "code": "x"}}, bytes(4)), "unknown field"),
    "metadata a number": (file_of({"__metadata__": {"a": 1}}), "can't be read"),
    "very deep": (file_of(b'{"a":' * 2000 + b"1" + b"}" * 2000), "can't be read"),
    "very many tensors": (file_of({str(place): _f32([0], 0, 0) for place in range(20_001)}), "20,001 tensors"),
    "very many values": (file_of(b"[" + b"1," * MOST_VALUES + b"1]"), "more than 2,000,000 values"),
    "an immense header": (file_of(b"{}", length=LARGEST_HEADER + 1), "claims 16,777,217 bytes"),
    "shorter than it claims": (file_of(b"{}", length=3), "2 are there"),
    "seven bytes": (bytes(7), "the file has 7 bytes"),
    "no text": (file_of(b"\xff{}"), "can't be read"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_header_that_cannot_be_is_refused(tmp_path: Path, name: str) -> None:
    content, says = WRONG[name]
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=says):
        read_outside(tmp_path / "x.safetensors")


def test_what_the_library_writes_is_read(tmp_path: Path) -> None:
    tensors: dict[str, Any] = {
        "a": np.zeros((2, 3), np.float16),
        "b": np.ones(5, np.int64),
        "c": np.zeros((0, 4), np.uint8),
    }
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors.numpy.save(tensors, metadata={"who": "I"}))
    outside = read_outside(path)
    assert outside.described == {"who": "I"}
    assert {name: place.shape for name, place in outside.places.items()} == {
        name: tensor.shape for name, tensor in tensors.items()
    }
