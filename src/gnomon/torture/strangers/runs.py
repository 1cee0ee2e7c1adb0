"""Run directories: recipes, plans and checkpoints that say what they should not, under seals that fit."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import safetensors.numpy

from ...rundir.run import DATA, DECIDING, ENVIRONMENT, METRICS, NETWORK, PLAN, RECIPE, SEALS, SPLIT
from ...rundir.seals import Manifest, seal_of, write_seals
from . import Case

_IMPORTED: Final = {"model": "imported", "name": "os:system", "arguments": {"command": "touch ../outside/made"}}
_VALUES: Final[tuple[Any, ...]] = (
    -1,
    0,
    2**31,
    2**63,
    1e308,
    "x",
    "../../outside",
    None,
    [],
    {},
    [0] * 10**5,
    "[" * 1000,
)
_MODELS: Final[Mapping[str, Any]] = {
    "terabytes of weights": {"model": "cnn", "widths": [2**22] * 3},
    "gigabytes of weights": {"model": "cnn", "widths": [20_000] * 4},
    "other weights": {"model": "cnn", "widths": [6, 6]},
    "another architecture": {"model": "plain"},
    "one for texts": {"model": "textcnn"},
    "a thousand networks": {
        "model": "ensemble",
        "members": [{"model": "rnn", "width": 4096, "layers": 16}] * 16,
        "times": 64,
    },
    "code": _IMPORTED,
}


def run_cases(seed: int) -> Iterator[Case]:
    """All of them, in an order that the seed decides; each is resumed, and reported. `run` is a good one, finished."""
    draw = random.Random(f"{seed}/runs")
    made: list[tuple[str, Callable[[Path], object]]] = [*_plans(), *_texts(), *_checkpoints(), *_others()]
    cases = [
        Case("run", f"{what} ({word})", (word, "run", "--quiet"), make, "any")
        for what, make in made
        for word in ("resume", "report")
    ]
    draw.shuffle(cases)
    yield from cases


def _sealed(folder: Path) -> None:
    """The seals fit what stands there now: whoever means harm sees to that."""
    write_seals(folder / "run", SEALS, DECIDING)


# --- The plan and the data -------------------------------------------------------------------------------------------


def _plans() -> Iterator[tuple[str, Callable[[Path], object]]]:
    for what, model in _MODELS.items():
        yield f"plan: {what}", partial(_changed, PLAN, "model", model)
    for name in (PLAN, DATA):
        for field in _FIELDS[name]:
            for value in _VALUES:
                yield f"{name}: {field} = {value!r:.30}", partial(_changed, name, field, value)


_FIELDS: Final = {
    PLAN: ("batch", "optimizer", "format", "seed", "device", "threads", "history", "validate_every"),
    DATA: ("encoder", "classes", "fingerprint", "counts", "input_shape", "set_aside"),
}


def _changed(name: str, field: str, value: Any, folder: Path) -> None:
    path = folder / "run" / name
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {field: value}), encoding="utf-8")
    _sealed(folder)


# --- Texts -----------------------------------------------------------------------------------------------------------


def _texts() -> Iterator[tuple[str, Callable[[Path], object]]]:
    contents = {
        "nothing": b"",
        "zeros": bytes(10**6),
        "no UTF-8": b"\xff\xfe",
        "deep lists": b"[" * 10**6,
        "deep objects": b'{"a":' * 10**5,
        "20 MB of a text": b'"' + b"x" * 2 * 10**7 + b'"',
        "5,000,000 numbers": b"[" + b"1," * 5 * 10**6 + b"1]",
        "a pickle": b"cposix\nsystem\n(S'touch ../outside/made'\ntR.",
    }
    for name in (RECIPE, PLAN, DATA, ENVIRONMENT, NETWORK, SPLIT, METRICS, SEALS, "evaluation/test.json"):
        for what, content in contents.items():
            yield f"{name} is {what}", partial(_written, name, content)
        yield f"{name} is a pipe", partial(_pipe, name)
        yield f"{name} is a folder", partial(_folder, name)
        yield f"{name} is a link to itself", partial(_loop, name)
    recipe = b"[source]\nlocation = '%s'\n"
    for location in (
        b"/dev/zero",
        b"/dev/stdin",
        b"pipe",
        b"/proc/self/mem",
        b"\x00",
        b"x" * 10_000,
        b"../outside",
    ):
        yield f"a recipe for the data {location[:20]!r}", partial(_written, RECIPE, recipe % location)
    yield "a recipe with a pattern that never ends", partial(_pattern, "(a|a)*$(a)")
    yield "a recipe with a pattern of many stars", partial(_pattern, "(.*.*.*.*.*.*.*.*.*.*x)")
    yield "a recipe with a pattern of 100,000 brackets", partial(_pattern, "(" * 100_000)


def _written(name: str, content: bytes, folder: Path) -> None:
    if not (folder / "pipe").exists():
        os.mkfifo(folder / "pipe")
    (folder / "run" / name).write_bytes(content)
    if name != SEALS:
        _sealed(folder)


def _pattern(expression: str, folder: Path) -> None:
    """With names on which it takes for ever."""
    for label in ("cat", "dog"):
        source = folder / "photos" / label / "00.png"
        (folder / "photos" / label / ("a" * 60 + "b.png")).write_bytes(source.read_bytes() + label.encode())
    _written(RECIPE, f"[source]\nlocation = 'photos'\ngroup = '{expression}'\n".encode(), folder)


def _pipe(name: str, folder: Path) -> None:
    (folder / "run" / name).unlink()
    os.mkfifo(folder / "run" / name)


def _folder(name: str, folder: Path) -> None:
    (folder / "run" / name).unlink()
    (folder / "run" / name).mkdir()


def _loop(name: str, folder: Path) -> None:
    path = folder / "run" / name
    path.unlink()
    path.symlink_to(path.name)


# --- Checkpoints -----------------------------------------------------------------------------------------------------


def _checkpoints() -> Iterator[tuple[str, Callable[[Path], object]]]:
    weights: dict[str, Any] = {
        "no tensors": {},
        "tensors of others": {"x": np.zeros(3, np.float32)},
        "a gigabyte of zeros": {"x": np.zeros(10**6, np.float32)},
    }
    for file in ("model.safetensors", "state.safetensors"):
        for what, tensors in weights.items():
            yield f"{file}: {what}", partial(_checkpoint, file, safetensors.numpy.save(tensors))
        for content in (
            b"",
            b"\xff" * 8,
            bytes(10**6),
            b"\x00\x00\x00\x80\x00\x00\x00\x00{",
            b"\x02" + bytes(7) + b"{}",
        ):
            yield f"{file}: {content[:9]!r}", partial(_checkpoint, file, content)
        yield f"{file}: a file of terabytes", partial(_sparse, file)
        yield f"{file}: values that are no numbers", partial(_not_finite, file)
    for content in (b"", b"{}", b"[" * 10**6, b'{"step":-1}', b"null"):
        yield f"state.json: {content[:12]!r}", partial(_checkpoint, "state.json", content)
    for field, value in (("step", 2**62), ("step", -5), ("best_step", 2**70), ("history", [0] * 1000), ("version", 99)):
        yield f"state.json: {field} = {value!r:.20}", partial(_position, field, value)
    for name in ("../../../outside/secret.png", "/etc/passwd", "x" * 5000, "", ".", "a\x00b"):
        yield f"a manifest that names {name[:30]!r}", partial(_manifest, name)


def _latest(folder: Path) -> Path:
    return sorted((folder / "run" / "checkpoints").iterdir())[-1]


def _checkpoint(file: str, content: bytes, folder: Path) -> None:
    (_latest(folder) / file).write_bytes(content)
    _resealed(_latest(folder))


def _resealed(checkpoint: Path) -> None:
    path = checkpoint / "MANIFEST.json"
    said = msgspec.json.decode(path.read_bytes(), type=Manifest)
    files = {name: seal_of((checkpoint / name).read_bytes()) for name in said.files}
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(said, files=files)))


def _sparse(file: str, folder: Path) -> None:
    """Terabytes that take no room on the disk, and a manifest that says so."""
    checkpoint = _latest(folder)
    os.truncate(checkpoint / file, 2**42)
    path = checkpoint / "MANIFEST.json"
    said = json.loads(path.read_bytes())
    said["files"][file]["bytes"] = 2**42
    path.write_text(json.dumps(said), encoding="utf-8")


def _not_finite(file: str, folder: Path) -> None:
    tensors = safetensors.numpy.load((_latest(folder) / file).read_bytes())
    spoilt = {
        name: np.full_like(tensor, np.nan) if tensor.dtype.kind == "f" else tensor for name, tensor in tensors.items()
    }
    _checkpoint(file, safetensors.numpy.save(spoilt), folder)


def _position(field: str, value: Any, folder: Path) -> None:
    said = json.loads((_latest(folder) / "state.json").read_bytes())
    _checkpoint("state.json", json.dumps(said | {field: value}).encode(), folder)


def _manifest(name: str, folder: Path) -> None:
    path = _latest(folder) / "MANIFEST.json"
    said = json.loads(path.read_bytes())
    said["files"][name] = said["files"]["state.json"]
    path.write_text(json.dumps(said), encoding="utf-8")


# --- What else may stand there ---------------------------------------------------------------------------------------


def _others() -> Iterator[tuple[str, Callable[[Path], object]]]:
    yield "links out of the run in place of its folders", _linked_folders
    yield "10,000 checkpoints", _many_checkpoints
    yield "checkpoints of strange names", _strange_checkpoints
    yield "events without end", partial(_written, METRICS, b'{"event":"note","text":"x"}\n' * 5_000)
    yield "events of strange numbers", partial(_written, METRICS, b'{"event":"checkpoint","step":%d}\n' % 2**70 * 100)


def _linked_folders(folder: Path) -> None:
    """Judging writes into `evaluation`: it must not do so elsewhere."""
    target = folder / "elsewhere"
    (folder / "run" / "evaluation").rename(target)
    (folder / "run" / "evaluation").symlink_to(target)


def _many_checkpoints(folder: Path) -> None:
    for number in range(10_000):
        (folder / "run" / "checkpoints" / f"step-{number + 10:06d}").mkdir()


def _strange_checkpoints(folder: Path) -> None:
    for name in ("step-", "step--1", "step-" + "9" * 200, "step-1e9", "step-\u0663", "step-000001\n", ".step-000001"):
        (folder / "run" / "checkpoints" / name).mkdir()
