"""Damage to what Gnomon has written: each piece must be found, or must change nothing that is read.

A mutation is made in a copy of a run directory, and then whoever reads that file is asked. It holds where the reader
refuses or names the file, or where what it gives back is, bit for bit, what it gave before. Of checkpoints the one
before must be taken.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from ..deadline import Deadline, process_start_s
from ..errors import InputError, RunError
from ..predicting.modelfile import load
from ..report.files import read_run
from ..rundir.checkpoints import final_weights, position_of
from ..rundir.run import DECIDING, JUDGED, JUDGED_SEALS, METRICS, MODEL, PREDICTIONS, SEALS, Run, create_run
from ..spine.finish import finish
from ..spine.fit import fit
from . import Tried
from .cases import cases, make_data

_PAGE: Final = 4096
_SHOWN: Final = "report"
_HARMLESS: Final = "harmless: nothing that is read is another"
_AS_A_CRASH: Final = "as a crash leaves it: told to be unfinished"


@dataclass(frozen=True, slots=True)
class Mutation:
    """One piece of damage.

    Attributes:
        what: was done.
        file: to which file of the run.
        content: what stands in it then; None: it is gone.
    """

    what: str
    file: str
    content: bytes | None


def corrupt(folder: Path, *, count: int, seed: int) -> Iterator[Tried]:
    """So many mutations.

    Args:
        folder: of its own.
        count: of mutations.
        seed: of what they are.
    """
    made = _trained(folder, "run", seed=0)
    other = _trained(folder, "other", seed=1)
    files, others = _files(made), _files(other)
    before = {name: read(made) for name, read in _READERS.items()}
    draw = random.Random(f"{seed}/corrupt")
    names = sorted(files)
    for number in range(count):
        mutation = mutated(names[number % len(names)], files, others, draw)
        yield _try(mutation, made, files, before)


def mutated(name: str, files: Mapping[str, bytes], others: Mapping[str, bytes], draw: random.Random) -> Mutation:
    """One file with a piece of damage that the draw decides."""
    content = bytearray(files[name])
    size = len(content)
    kind = draw.choice(("bit", "bit", "bits", "byte", "page", "cut", "cut", "swapped", "stale", "longer", "moved"))
    if kind in ("bit", "bits"):
        places = [draw.randrange(8 * size) for _ in range(1 if kind == "bit" else draw.randrange(2, 50))]
        for place in places:
            content[place // 8] ^= 1 << place % 8
        return Mutation(f"{len(places)} bits flipped, the first {places[0]}", name, bytes(content))
    if kind == "byte":
        place, value = draw.randrange(size), draw.randrange(256)
        content[place] = value
        return Mutation(f"byte {place} is {value}", name, bytes(content))
    if kind == "page":
        start = draw.randrange(0, size, min(size, _PAGE))
        content[start : start + _PAGE] = bytes(len(content[start : start + _PAGE]))
        return Mutation(f"zeros from {start}", name, bytes(content))
    if kind == "cut":
        end = draw.randrange(size)
        return Mutation(f"cut after {end} bytes", name, bytes(content[:end]))
    if kind == "longer":
        more = draw.choice((b"\x00", b" ", b"\n", draw.randbytes(100), bytes(_PAGE)))
        return Mutation(f"{len(more)} bytes more", name, bytes(content) + more)
    if kind == "moved":
        start, end = sorted(draw.randrange(size) for _ in range(2))
        return Mutation(f"bytes {start} to {end} twice", name, bytes(content[:end] + content[start:]))
    if kind == "stale":
        return Mutation("that of another run", name, others.get(name))
    taken = draw.choice(sorted(files))
    return Mutation(f"holds {taken}", name, files[taken])


# --- What holds ------------------------------------------------------------------------------------------------------


def _try(mutation: Mutation, made: Run, files: Mapping[str, bytes], before: Mapping[str, Any]) -> Tried:
    """Damage the run, ask whoever reads the file, and mend it again."""
    path = made.path / mutation.file
    if mutation.content is None:
        path.unlink()
    else:
        path.write_bytes(mutation.content)
    try:
        ends = [_end(read, made, before[name], mutation) for name, read in _readers_of(mutation.file).items()]
    finally:
        path.write_bytes(files[mutation.file])
    broken = [end for end in ends if end.startswith("used")]
    found = broken[0] if broken else "found" if "found" in ends else _AS_A_CRASH if _AS_A_CRASH in ends else ends[0]
    kind = mutation.file.partition("/")[0] if mutation.file.startswith("checkpoints/") else mutation.file
    if kind == "checkpoints":
        kind = f"checkpoint {Path(mutation.file).name}"
    return Tried(f"{mutation.file}: {mutation.what}", not broken, found, kind=kind)


def _end(read: Callable[[Run], Any], made: Run, before: Any, mutation: Mutation) -> str:
    try:
        after = read(made)
    except InputError:
        return "found"
    except Exception as error:
        return f"used, and failed: {type(error).__name__}: {error}"
    if after == before:
        return _HARMLESS
    if isinstance(after, _Fell) and after.damaged and after.content in before.others:
        return "found, and the checkpoint before taken"
    if isinstance(after, dict) and _is_named(mutation.file, after):
        return "found"
    if isinstance(after, list) and _is_cut(after, before):
        return _AS_A_CRASH
    return f"used: {str(after)[:200]}"


def _is_named(file: str, page: dict[str, Any]) -> bool:
    """Whether the report says that the file is damaged or not there, or that the seals are."""
    named = " ".join([*(name for name, _ in page["damaged"]), *page["missing"]])
    return file in named or (file in (SEALS, JUDGED_SEALS) and bool(page["damaged"]))


@dataclass(frozen=True, slots=True)
class _Fell:
    """The checkpoint that a run goes on from: what is in it, what others hold, and what was said of damaged ones."""

    content: tuple[object, ...]
    others: tuple[tuple[object, ...], ...] = ()
    damaged: tuple[str, ...] = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Fell) and self.content == other.content

    __hash__ = None  # type: ignore[assignment]


def _checkpoint(run: Run) -> _Fell:
    latest = run.latest_checkpoint()
    if latest is None:
        return _Fell((), (), run.damaged_checkpoints())
    contents = tuple(_held(found) for found in run.whole_checkpoints())
    return _Fell(_held(latest), contents, latest.damaged)


def _held(checkpoint: Any) -> tuple[object, ...]:
    weights = {name: tensor.numpy().tobytes() for name, tensor in final_weights(checkpoint).items()}
    return position_of(checkpoint), tuple(sorted(weights.items())), checkpoint.read("state.safetensors")


def _model(run: Run) -> bytes:
    return load(run.model_file()).to_bytes()


def _deciding(run: Run) -> tuple[bytes, ...]:
    run.require_seals()
    return tuple((run.path / name).read_bytes() for name in DECIDING)


def _page(run: Run) -> dict[str, Any]:
    """All that a report is made of, and what it says of damage; the events are asked for apart."""
    read = read_run(run.path)
    return {name: getattr(read, name) for name in read.__slots__ if name != "events"}


def _events(run: Run) -> list[bytes]:
    """What was told. A damaged line is left out, and that is said of the run."""
    run.require_whole(METRICS)
    if run.unreadable_events():
        raise RunError("lines are left out")
    return [msgspec.json.encode(event) for event in run.events()]


def _is_cut(after: list[bytes], before: list[bytes]) -> bool:
    """Whether only the end is missing, and nothing of the training: the run then counts as unfinished."""
    lost = before[len(after) :]
    return after == before[: len(after)] and not any(b'"step"' in line for line in lost)


def _predictions(run: Run) -> bytes:
    run.require_whole(PREDICTIONS)
    return (run.path / PREDICTIONS).read_bytes()


_READERS: Final[Mapping[str, Callable[[Run], Any]]] = {
    "checkpoint": _checkpoint,
    "model": _model,
    "deciding": _deciding,
    "events": _events,
    "predictions": _predictions,
    _SHOWN: _page,
}


def _readers_of(file: str) -> Mapping[str, Callable[[Run], Any]]:
    """Whoever reads the file."""
    if file.startswith("checkpoints/"):
        wanted = {"checkpoint"}
    elif file == MODEL:
        wanted = {"model"}
    elif file in (*DECIDING, SEALS):
        wanted = {"deciding", _SHOWN}
    else:
        wanted = {METRICS: {"events", _SHOWN}, PREDICTIONS: {"predictions"}}.get(file, {_SHOWN})
    return {name: read for name, read in _READERS.items() if name in wanted}


# --- What is damaged -------------------------------------------------------------------------------------------------


def _trained(folder: Path, name: str, *, seed: int) -> Run:
    """A run with its two last checkpoints, judged."""
    data = folder / "data"
    if not data.exists():
        data.mkdir(parents=True)
        make_data(data)
    recipe = cases()[0].recipe
    location = str(data / recipe.source.location)
    recipe = msgspec.structs.replace(
        recipe, seed=seed, source=msgspec.structs.replace(recipe.source, location=location)
    )
    made = create_run(folder / name, data="digits", model="cnn")
    for _ in fit(recipe, made, Deadline(process_start_s())):
        pass
    for _ in finish(made, Deadline(process_start_s())):
        pass
    return made


def _files(run: Run) -> dict[str, bytes]:
    """Every file that a program reads again; the pages are for people."""
    wanted = {*DECIDING, *JUDGED, SEALS, JUDGED_SEALS, MODEL}
    paths = [path for path in run.path.rglob("*") if path.is_file()]
    named = {path.relative_to(run.path).as_posix(): path for path in paths}
    return {
        name: path.read_bytes()
        for name, path in named.items()
        if (name in wanted or name.startswith("checkpoints/")) and path.stat().st_size
    }
