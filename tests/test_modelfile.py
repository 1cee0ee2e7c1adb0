"""The model file: the same bits after a round trip, in any company of rows and in any process; and hostile files.

A hostile file is a good one with its header, or one of its tensors, changed; see also `test_bad_inputs`.
"""

import json
import os
import random
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow.parquet
import pytest
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

import gnomon
from conftest import PictureFolder
from gnomon.deadline import Deadline
from gnomon.encoders import ImageEncoder
from gnomon.errors import ModelFileError
from gnomon.models import Cnn, Imported, ModelSpec, Plain, channels_last, sized
from gnomon.planning.asked import TrainingSpec
from gnomon.predicting.chunks import side_by_side
from gnomon.predicting.modelfile import Header, Model, load, to_bytes
from gnomon.rundir.run import MODEL, PREDICTIONS, create_run
from gnomon.sources import SourceSpec
from gnomon.spine.finish import finish
from gnomon.spine.fit import fit
from gnomon.spine.recipe import Recipe
from gnomon.tasks import Classify, Views
from gnomon.types import Metric

SOURCE: Final = Path(gnomon.__file__).parents[1]
TRAINING_MODULES: Final = (
    *(
        "gnomon.training.train",
        "gnomon.optim",
        "gnomon.rows.dataset",
        "gnomon.batches",
        "gnomon.planning.plan",
        "gnomon.spine.recipe",
    ),
    *("gnomon.estimator", "gnomon.evaluate", "pyarrow", "sklearn", "scipy"),
)
SMALL: Final = Cnn(widths=(8, 16), convolutions=3)
Change = Callable[[dict[str, Any]], object]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def make_model(spec: ModelSpec = SMALL, *, side: int = 12, channels: int = 3, views: Views = "none") -> Model:
    """A network with random weights, and batch norms that have seen something."""
    torch.manual_seed(0)
    network = spec.build((channels, side, side), 4)
    network.train()(torch.randn(32, channels, side, side))
    header = Header(
        encoder=ImageEncoder(
            height=side, width=side, channels=channels, mean=(120.5,) * channels, std=(60.25,) * channels
        ),
        model=spec,
        task=Classify(classes=("a", "b", "c", "ü"), views=views),
        metrics={"accuracy": Metric(value=0.5, low=0.4, high=0.6)},
    )
    return Model(header, channels_last(network.requires_grad_(False)).eval())


def pictures(rows: int, *, side: int = 12, channels: int = 3) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (rows, side, side, channels), dtype=np.uint8)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A model file."""
    path = tmp_path / "good.safetensors"
    model = make_model()
    path.write_bytes(to_bytes(model.header, model.network.state_dict()))
    return path


# --- Round trip ------------------------------------------------------------------------------------------------------


def test_files_of_before_the_stem_had_a_choice_have_the_one_of_then() -> None:
    old = b'{"model":"cnn","widths":[8,16],"convolutions":3,"stem_width":32,"stem_stride":1,"dropout":0.0}'
    assert msgspec.json.decode(old, type=Cnn).stem_activation == "gelu"
    assert sized((8, 16)).stem_activation == "relu"


@pytest.mark.parametrize("spec", [SMALL, Cnn(widths=(8,), stem_stride=2), Plain(widths=(4, 6, 8), dense=5)])
@pytest.mark.parametrize("views", ["none", "mirror", "four", "mirror+shift"])
def test_a_round_trip_changes_no_bit(tmp_path: Path, spec: ModelSpec, views: Views) -> None:
    model = make_model(spec, side=18, views=views)
    content = to_bytes(model.header, model.network.state_dict())
    (tmp_path / "model.safetensors").write_bytes(content)
    loaded = load(tmp_path / "model.safetensors")
    rows = pictures(20, side=18)
    assert loaded.header == model.header
    assert to_bytes(loaded.header, loaded.network.state_dict()) == content
    assert np.array_equal(loaded.probabilities_of_encoded(rows), model.probabilities_of_encoded(rows))
    assert not any(parameter.requires_grad for parameter in loaded.network.parameters())
    assert not loaded.network.training


def test_probabilities_are_the_softmax_of_the_normalised_rows() -> None:
    model, rows = make_model(), pictures(20)
    inputs = torch.from_numpy((rows.transpose(0, 3, 1, 2) - 120.5) / 60.25).float()
    with torch.inference_mode():
        logits = model.network(inputs).double().numpy()
    wanted = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.probabilities_of_encoded(rows), wanted, atol=1e-6)


@pytest.mark.parametrize("views", ["none", "mirror", "four", "mirror+shift"])
def test_views_are_pictures_beside_mirrored_and_moved_by_a_pixel(views: Views) -> None:
    """Against the definition: each view made by NumPy, and its outputs by a network that looks at all pixels."""
    model, rows = make_model(side=9, views="none"), pictures(40, side=9)
    padded = np.pad(rows, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    whole, left, right = rows, padded[:, :-2, :-2], padded[:, 2:, 2:]
    weights = {
        "none": ((whole, 1.0),),
        "mirror": ((whole, 1 / 2), (whole[:, :, ::-1], 1 / 2)),
        "four": tuple((view, 1 / 4) for view in (whole, whole[:, :, ::-1], left, right[:, :, ::-1])),
        "mirror+shift": (
            *((view, 1 / 4) for view in (whole, whole[:, :, ::-1])),
            *((view, 1 / 8) for view in (left, right, left[:, :, ::-1], right[:, :, ::-1])),
        ),
    }[views]
    expected = sum(share * model.outputs_of_encoded(view.copy())[0].astype(np.float64) for view, share in weights)
    found = make_model(side=9, views=views).outputs_of_encoded(rows)[0]
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_only_where_the_first_view_leaves_a_doubt_are_there_others() -> None:
    rows = pictures(200)
    alone = make_model().probabilities_of_encoded(rows)
    mirrored = make_model(views="mirror").probabilities_of_encoded(rows)
    sure = float(np.median(alone.max(axis=1)))
    model = make_model(views="mirror")
    model.header = msgspec.structs.replace(model.header, task=msgspec.structs.replace(model.header.task, sure=sure))
    wanted = np.where((alone.max(axis=1) > sure)[:, None], alone, mirrored)
    assert 50 < (wanted == alone).all(axis=1).sum() < 150
    averaged, single = map(model.answers_of_outputs, model.outputs_of_encoded(rows))
    np.testing.assert_array_equal(averaged, wanted)
    np.testing.assert_array_equal(single, alone)
    for count in (1, 3, 17, 150):  # and still no row depends on its neighbours
        np.testing.assert_array_equal(model.probabilities_of_encoded(rows[:count]), wanted[:count])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("spec", [SMALL, Cnn(widths=(24, 40, 64)), Plain(widths=(32, 64, 64), dense=64)])
def test_answers_do_not_depend_on_the_neighbours(spec: ModelSpec, threads: int) -> None:
    torch.set_num_threads(threads)
    model, rows = make_model(spec, side=18, channels=1), pictures(300, side=18, channels=1)
    whole = model.probabilities_of_encoded(rows)
    for count in (1, 2, 5, 15, 16, 17, 33, 65, 100, 128, 129):
        assert np.array_equal(model.probabilities_of_encoded(rows[:count]), whole[:count]), count
        assert np.array_equal(model.probabilities_of_encoded(rows[-count:]), whole[-count:]), count


@pytest.mark.parametrize("alike", [True, False])
def test_blocks_side_by_side_give_the_same_bits(monkeypatch: pytest.MonkeyPatch, alike: bool) -> None:
    torch.set_num_threads(2)
    model, rows = make_model(side=18, channels=1, views="mirror+shift"), pictures(700, side=18, channels=1)
    pieces = [model.passed(rows[start : start + 100]) for start in range(0, 700, 100)]
    counted: list[int] = []

    def counting(chunks: Sequence[Any], *rest: Any, **how: Any) -> list[Any]:
        counted.append(len(chunks))
        return side_by_side(chunks, *rest, **how)

    monkeypatch.setattr("gnomon.predicting.modelfile.side_by_side", counting)
    if not alike:  # a machine on which one thread rounds otherwise than two
        monkeypatch.setattr(Model, "_threads_alike", lambda *_: False)
    whole = model.passed(rows)
    for name in ("averaged", "single", "features"):
        joined = np.concatenate([getattr(piece, name) for piece in pieces])
        np.testing.assert_array_equal(getattr(whole, name), joined)
    np.testing.assert_array_equal(model.features(rows), whole.features)
    np.testing.assert_array_equal(model.averaged(rows, whole.single), whole.averaged)
    assert counted == ([6, 6, 6] if alike else [])
    assert torch.get_num_threads() == 2


def test_one_picture_may_be_a_path_bytes_or_an_array(good: Path, picture_folder: PictureFolder) -> None:
    path = picture_folder(per_class=1, size=12) / "squares" / "000.png"
    model = load(good)
    answer = model.predict(path, top=2)[0]
    assert [answer] == model.predict(path.read_bytes(), top=2) == model.predict([str(path)], top=2)
    assert answer.top[0] == (answer.label, answer.confidence)
    assert len(answer.top) == 2
    assert answer.top[0][1] >= answer.top[1][1]
    assert model.predict([]) == []


# --- Another process, another folder ---------------------------------------------------------------------------------

PREDICT: Final = """
import json, sys
import gnomon
answers = gnomon.load("copy.safetensors").predict(json.loads(sys.stdin.read()))
said = [(answer.label, answer.confidence) for answer in answers]
print(json.dumps({"said": said, "modules": sorted(sys.modules)}))
"""


def test_a_copy_alone_answers_as_the_evaluation_did(tmp_path: Path, picture_folder: PictureFolder) -> None:
    folder = picture_folder(size=20)
    recipe = Recipe(
        source=SourceSpec(location=str(folder)),
        model=SMALL,
        training=TrainingSpec(steps=6, batch=16, threads=1, format="float32", views="mirror+shift"),
    )
    run, deadline = create_run(tmp_path / "run", data="pictures", model="cnn"), Deadline(time.monotonic())
    for events in (fit(recipe, run, deadline), finish(run, deadline)):
        assert list(events)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.move(run.path / MODEL, elsewhere / "copy.safetensors")
    table = pyarrow.parquet.read_table(run.path / PREDICTIONS).to_pydict()
    shutil.rmtree(run.path)
    said, modules = _answers_elsewhere(elsewhere, [str(folder / key) for key in table["key"]])
    assert len(said) > 5
    assert [label for label, _ in said] == table["predicted"]
    assert [confidence for _, confidence in said] == table["confidence"]
    loaded = {name for name in TRAINING_MODULES if name in modules}
    assert loaded == set()


def _answers_elsewhere(folder: Path, files: list[str]) -> tuple[list[tuple[str, float]], set[str]]:
    """What a fresh interpreter in the folder, with the model file alone, says of the files; and what it imported."""
    done = subprocess.run(
        [sys.executable, "-c", PREDICT],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"},
        input=json.dumps(files),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    return [(label, confidence) for label, confidence in said["said"]], set(said["modules"])


# --- Hostile files ---------------------------------------------------------------------------------------------------


def _reheaded(content: bytes, change: Change) -> bytes:
    """The file with its outer header changed; tensors stay."""
    (length,) = struct.unpack("<Q", content[:8])
    outer = json.loads(content[8 : 8 + length])
    change(outer)
    text = json.dumps(outer).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def _redescribed(content: bytes, change: Change) -> bytes:
    """The file with Gnomon's own part of the header changed."""

    def inner(outer: dict[str, Any]) -> None:
        said = json.loads(outer["__metadata__"]["gnomon"])
        change(said)
        outer["__metadata__"]["gnomon"] = json.dumps(said)

    return _reheaded(content, inner)


def _retensored(content: bytes, change: Callable[[dict[str, torch.Tensor]], object]) -> bytes:
    """The file with its tensors changed."""
    (length,) = struct.unpack("<Q", content[:8])
    tensors = load_tensors(content)
    change(tensors)
    return save_tensors(tensors, metadata=json.loads(content[8 : 8 + length])["__metadata__"])


def _deep(outer: dict[str, Any]) -> None:
    outer["__metadata__"]["gnomon"] = '{"model":' * 5 + "[" * 200_000


DESCRIPTIONS: Final[dict[str, Change]] = {
    "another version": lambda said: said.update(version=4),
    "another format": lambda said: said.update(format="gnomon-recipe"),
    "an unknown field": lambda said: said.update(surprise=1),
    "an unknown field inside": lambda said: said["task"].update(surprise=1),
    "an unknown model": lambda said: said["model"].update(model="transformer"),
    "no encoder": lambda said: said.pop("encoder"),
    "a text for a number": lambda said: said["encoder"].update(height="12"),
    "no classes": lambda said: said["task"].update(classes=[]),
    "a class twice": lambda said: said["task"].update(classes=["a", "a", "b", "c"]),
    "more classes than outputs": lambda said: said["task"].update(classes=["a", "b", "c", "d", "e"]),
    "a side of 0": lambda said: said["encoder"].update(height=0),
    "a negative side": lambda said: said["encoder"].update(width=-12),
    "an immense picture": lambda said: said["encoder"].update(width=65_536, height=65_536),
    "too few means": lambda said: said["encoder"].update(mean=[0.0]),
    "a deviation of 0": lambda said: said["encoder"].update(std=[1.0, 0.0, 1.0]),
    "an infinite mean": lambda said: said["encoder"].update(mean=[1e308 * 10, 0.0, 0.0]),
    "no widths": lambda said: said["model"].update(widths=[]),
    "a width of 0": lambda said: said["model"].update(widths=[0, 16]),
    "a negative width": lambda said: said["model"].update(widths=[-8, 16]),
    "immense widths": lambda said: said["model"].update(widths=[60_000] * 8),
    "10**18 filters": lambda said: said["model"].update(widths=[10**18, 16]),
    "very many widths": lambda said: said["model"].update(widths=[8] * 10_000),
    "very many convolutions": lambda said: said["model"].update(convolutions=65_000, widths=[8] * 200),
    "no convolutions": lambda said: said["model"].update(convolutions=0),
    "a stride of 0": lambda said: said["model"].update(stem_stride=0),
    "a dropout of 7": lambda said: said["model"].update(dropout=7.0),
    "other shapes": lambda said: said["model"].update(widths=[8, 24]),
    "code to import": lambda said: said.update(model={"model": "imported", "name": "os:getcwd", "arguments": {}}),
}
HEADERS: Final[dict[str, Change]] = {
    "no description": lambda outer: outer.pop("__metadata__"),
    "another program's description": lambda outer: outer.update(__metadata__={"format": "pt"}),
    "a number as description": lambda outer: outer["__metadata__"].update(gnomon=5),
    "a list as description": lambda outer: outer["__metadata__"].update(gnomon="[]"),
    "a tensor renamed": lambda outer: outer.update(other=outer.pop("head.weight")),
    "a shape that its bytes do not fill": lambda outer: outer["head.weight"].update(shape=[4, 1 << 40]),
    "offsets behind the end": lambda outer: outer["head.weight"].update(data_offsets=[0, 1 << 50]),
    "overlapping tensors": lambda outer: outer["head.weight"].update(data_offsets=[0, 256]),
    "an unknown type": lambda outer: outer["head.weight"].update(dtype="OBJECT"),
    "deep nesting": _deep,
}
TENSORS: Final[dict[str, Callable[[dict[str, torch.Tensor]], object]]] = {
    "a value that is no number": lambda tensors: tensors["head.weight"].fill_(float("nan")),
    "an infinite value": lambda tensors: tensors["stem.bias"].fill_(float("inf")),
    "a tensor more": lambda tensors: tensors.update(extra=torch.zeros(3)),
    "a tensor less": lambda tensors: tensors.pop("stem.bias"),
    "another shape": lambda tensors: tensors.update({"stem.bias": torch.zeros(7)}),
    "a transposed shape": lambda tensors: tensors.update({"head.weight": tensors["head.weight"].T.contiguous()}),
    "another type": lambda tensors: tensors.update({"stem.bias": tensors["stem.bias"].half()}),
}
RAW: Final[dict[str, bytes]] = {
    "an empty file": b"",
    "five bytes": b"\x01\x02\x03\x04\x05",
    "a header of 2**63 bytes": struct.pack("<Q", 2**63) + b"{}",
    "a header longer than the file": struct.pack("<Q", 10**6) + b"{}",
    "a header of 100 MB": struct.pack("<Q", 10**8) + b"{" * 1000,
    "deep brackets": struct.pack("<Q", 2**20) + b"[" * 2**20,
    "a list as header": struct.pack("<Q", 2) + b"[]",
    "bytes that are no text": struct.pack("<Q", 8) + b"\xff" * 8,
    "a pickle": b"\x80\x04\x95\x0f\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94\x8c\x06system\x94\x93\x94.",
}


def hostile(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Every hostile file, by name."""
    yield from ((name, _redescribed(content, change)) for name, change in DESCRIPTIONS.items())
    yield from ((name, _reheaded(content, change)) for name, change in HEADERS.items())
    yield from ((name, _retensored(content, change)) for name, change in TENSORS.items())
    yield from RAW.items()
    yield "cut off", content[:-100]
    yield "with bytes behind its end", content + bytes(1000)


LOAD_ALL: Final = """
import json, pathlib, resource, sys
import torch, gnomon
from gnomon.errors import ModelFileError
def peak():
    text = pathlib.Path("/proc/self/status").read_text()
    return int(text.partition("VmHWM:")[2].split()[0]) * 1024
gnomon.load("good.safetensors")
before = peak()
resource.setrlimit(resource.RLIMIT_CPU, (30, 30))
said = {}
for path in sorted(pathlib.Path("hostile").iterdir()):
    try:
        gnomon.load(path)
        said[path.name] = "loaded"
    except ModelFileError as error:
        said[path.name] = "refused" if error.remedy and str(path) in str(error) else f"poor message: {error}"
    except BaseException as error:
        said[path.name] = repr(error)
print(json.dumps({"said": said, "grown": peak() - before, "modules": sorted(sys.modules)}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads peak memory from /proc")
def test_hostile_files_are_refused_at_no_cost(tmp_path: Path, good: Path) -> None:
    """In a process of its own: a limit on its time, and its peak memory, hold for all of them together."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    wanted = {}
    for name, content in hostile(good.read_bytes()):
        (folder / name).write_bytes(content)
        wanted[name] = "refused"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOAD_ALL],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["said"] == wanted
    assert found["grown"] < 100 * 2**20


def test_no_damage_of_single_bytes_gives_another_error(tmp_path: Path, good: Path) -> None:
    """A file that loads in spite of it has the same description as before, or one that fits its tensors."""
    content, path, draw = good.read_bytes(), tmp_path / "damaged", random.Random(0)
    (length,) = struct.unpack("<Q", content[:8])
    refused = 0
    for _ in range(400):
        damaged = bytearray(content)
        for _ in range(draw.randrange(1, 4)):
            damaged[draw.randrange(8 + length)] = draw.randrange(256)
        path.write_bytes(damaged)
        try:
            load(path)
        except ModelFileError:
            refused += 1
    assert refused > 300


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="there is no model file"):
        load(tmp_path / "none.safetensors")
    with pytest.raises(ModelFileError, match="can't be"):
        load(tmp_path)


# --- Networks of the user's own --------------------------------------------------------------------------------------


def _own_network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(432, 4))


def test_a_network_of_the_users_own_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "own.safetensors"
    trained = _own_network()
    header = msgspec.structs.replace(make_model().header, model=Imported(name="surprise_module:Network"))
    path.write_bytes(to_bytes(header, trained.state_dict()))
    (tmp_path / "surprise_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelFileError, match="module=") as refused:
        load(path)
    assert "surprise_module:Network" in str(refused.value)
    assert "surprise_module" not in sys.modules
    loaded = load(path, module=_own_network())
    assert all(torch.equal(loaded.network.state_dict()[name], value) for name, value in trained.state_dict().items())


def test_a_module_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    header = msgspec.structs.replace(make_model().header, model=Imported(name="own:Network"))
    path.write_bytes(to_bytes(header, _own_network().state_dict()))
    with pytest.raises(ModelFileError, match="shape"):
        load(path, module=nn.Sequential(nn.Flatten(), nn.Linear(432, 5)))
    with pytest.raises(ModelFileError, match="tensors"):
        load(path, module=nn.Sequential(nn.Linear(432, 4)))


def test_files_of_version_1_which_knew_pictures_alone_are_read(tmp_path: Path) -> None:
    model, path = make_model(), tmp_path / "model.safetensors"
    content = to_bytes(model.header, model.network.state_dict())
    length = int.from_bytes(content[:8], "little")
    outer = json.loads(content[8 : 8 + length])
    described = json.loads(outer["__metadata__"]["gnomon"])
    described["version"] = 1
    del described["encoder"]["kind"]
    outer["__metadata__"]["gnomon"] = json.dumps(described)
    head = json.dumps(outer).encode()
    head += b" " * (-len(head) % 8)
    path.write_bytes(len(head).to_bytes(8, "little") + head + content[8 + length :])
    assert load(path).header == model.header
