"""The run directory: the only module that knows its file names. Imports no torch.

    recipe.toml  plan.json  data.json  environment.json  network.json  split.csv  seals.json
    metrics.jsonl                                        one event a line, append-only
    checkpoints/step-000500/{model.safetensors, state.safetensors, state.json, MANIFEST.json}
    evaluation/{validation,test,mistakes,slices,suspects,duplicates,specimens,speed,seals}.json  predictions.parquet
    explain/{examples.json,<row>.html}
    report.html  xray.html  model.safetensors  model-card.md  tensorboard/

A search has a directory of its own, `best` in it being that of the final training:

    search.json  trials.jsonl  result.json  tune.html  best/

Files and checkpoints are written as `writing` does it: whoever reads sees the old one or the new one, whole. A
checkpoint's `MANIFEST.json` seals its files; one whose files do not match it does not exist.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from ..errors import RunError, nearest
from ..types import Event, Finished, Reverted, Stepped, Stopped, Validated
from . import lock
from .seals import (
    Manifest,
    manifest_fault,
    read_file,
    require_seals,
    seal_of,
    with_check,
    without_check,
    write_seals,
)
from .writing import append_line, link_to, remove_leftovers, sync_file, whole_name, write_atomically, write_folder

RECIPE: Final = "recipe.toml"
PLAN: Final = "plan.json"
DATA: Final = "data.json"
ENVIRONMENT: Final = "environment.json"
NETWORK: Final = "network.json"
SPLIT: Final = "split.csv"
METRICS: Final = "metrics.jsonl"
VALIDATION: Final = "evaluation/validation.json"
TEST: Final = "evaluation/test.json"
MISTAKES: Final = "evaluation/mistakes.json"
SLICES: Final = "evaluation/slices.json"
SUSPECTS: Final = "evaluation/suspects.json"
DUPLICATES: Final = "evaluation/duplicates.json"
SPECIMENS: Final = "evaluation/specimens.json"
SPEED: Final = "evaluation/speed.json"
PREDICTIONS: Final = "predictions.parquet"
REPORT: Final = "report.html"
MODEL: Final = "model.safetensors"
SMALL_MODEL: Final = "model-int8.safetensors"
MODEL_CARD: Final = "model-card.md"
SEALS: Final = "seals.json"
DECIDING: Final = (RECIPE, ENVIRONMENT, DATA, NETWORK, SPLIT, PLAN)
"""What `seals.json` seals."""
JUDGED_SEALS: Final = "evaluation/seals.json"
JUDGED: Final = (
    METRICS,
    VALIDATION,
    TEST,
    MISTAKES,
    SLICES,
    SUSPECTS,
    DUPLICATES,
    SPECIMENS,
    SPEED,
    PREDICTIONS,
    MODEL,
)
MAY_NAME_CODE: Final = (RECIPE, PLAN, "search.json")
EXAMPLES: Final = "explain/examples.json"
EXPLANATIONS: Final = "explain"
XRAY: Final = "xray.html"
TENSORBOARD: Final = "tensorboard"
SEARCH: Final = "search.json"
TRIALS: Final = "trials.jsonl"
RESULT: Final = "result.json"
TUNE: Final = "tune.html"
BEST: Final = "best"

_CHECKPOINTS = "checkpoints"
_FOLDERS = ("evaluation", _CHECKPOINTS)
_OWN_FOLDERS = (*_FOLDERS, EXPLANATIONS, TENSORBOARD, BEST)
_LATEST = "latest"
_MANIFEST = "MANIFEST.json"
_CHECKPOINT = re.compile(r"step-(\d{1,18})(?:-back-(\d{1,4}))?")
KEPT_CHECKPOINTS: Final = 2
_MOST_CHECKPOINTS: Final = 100
_REMEDY: Final = f"Bring it back from a copy, or train anew. If it was changed on purpose, remove {SEALS}."

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A whole and verified checkpoint.

    Attributes:
        step: that the training stood at.
        path: its folder.
        damaged: what is wrong with each later one that can't be used.
    """

    step: int
    path: Path
    damaged: tuple[str, ...] = ()

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()


@dataclass(frozen=True, slots=True)
class Run:
    """A run directory that exists."""

    path: Path

    def write(self, name: str, content: bytes | str) -> None:
        """Write one file, wholly or not at all.

        Raises:
            RunError: the disk is full, or writing is not allowed; the old file stands.
        """
        write_atomically(self.path / name, content.encode() if isinstance(content, str) else content)

    def write_json(self, name: str, value: object) -> None:
        """Write a value as JSON for people: indented, its fields in their own order."""
        self.write(name, msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")

    def read_json(self, name: str, kind: type[T]) -> T:
        """Read a value back, strictly.

        Raises:
            RunError: missing or damaged.
        """
        self.require_whole(name)
        try:
            return msgspec.json.decode(read_file(self.path / name, most=most_bytes(name)), type=kind)
        except OSError as error:
            raise RunError(
                f"{str(self.path / name)!r} can't be read: {error.strerror}", remedy="Was the run begun?"
            ) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RunError(
                f"{str(self.path / name)!r} is damaged: {error}", remedy="Bring it back from a copy, or train anew."
            ) from None

    def read_text(self, name: str) -> str:
        """Read a text file back.

        Raises:
            RunError: missing or not a text.
        """
        try:
            return read_file(self.path / name, most=most_bytes(name)).decode()
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(f"{str(self.path / name)!r} can't be read: {error}", remedy="Was the run begun?") from None

    def has(self, name: str) -> bool:
        return (self.path / name).is_file()

    def seal(self) -> None:
        """Seal what decides how the run goes on."""
        write_seals(self.path, SEALS, DECIDING)

    def rewrite_json(self, name: str, value: object) -> None:
        """As `write_json`, of a file that is sealed. A crash on the way leaves it unsealed, never sealed wrongly."""
        sealed = self.has(SEALS)
        if sealed:
            write_seals(self.path, SEALS, [other for other in DECIDING if other != name])
        self.write_json(name, value)
        if sealed:
            self.seal()

    def require_seals(self) -> None:
        """Raises RunError where what decides how the run goes on is not as it was sealed."""
        require_seals(self.path, SEALS, DECIDING, remedy=_REMEDY)

    def require_whole(self, name: str) -> None:
        """Raises RunError where this file was sealed and is something else now."""
        if name in DECIDING:
            require_seals(self.path, SEALS, DECIDING, only=name, remedy=_REMEDY)
        if name in JUDGED:
            remedy = f"Write it anew: gnomon report {self.path}"
            require_seals(self.path, JUDGED_SEALS, JUDGED, grows=METRICS, only=name, remedy=remedy)

    def seal_judgement(self, *, begun: bool = False) -> None:
        """Seal what the judging found; where it has only `begun`, what was sealed before holds no more."""
        if begun:
            (self.path / JUDGED_SEALS).unlink(missing_ok=True)
        else:
            write_seals(self.path, JUDGED_SEALS, JUDGED)

    def model_file(self) -> Path:
        """The run's model file, that of this run and no other. Raises as `require_whole`."""
        self.require_whole(MODEL)
        return self.path / MODEL

    def append(self, event: Event) -> None:
        """Add one line to the events; a line that a crash tore is ignored by readers.

        Of the run's path only the name is kept, so that the directory can be moved.
        """
        if isinstance(event, Finished):
            event = msgspec.structs.replace(event, run=self.path.name)
        append_line(self.path / METRICS, with_check(msgspec.json.encode(event)))

    def drop_events_after(
        self,
        step: int,
        *,
        told_step: int | None = None,
        validated_step: int | None = None,
        reverted: int | None = None,
    ) -> None:
        """Forget the events behind a checkpoint that the run goes back to, so that each stands there once.

        Args:
            step: of the checkpoint.
            told_step, validated_step: of the last account and the last validation that the checkpoint knows of; None
                for the same step.
            reverted: how often the training had gone back by then; None for as often as it did.
        """
        last = {Stepped: told_step, Validated: validated_step}
        kept, times = [], 0
        for line in self._lines():
            event = _event(line)
            known = last.get(type(event)) if event is not None else None
            if event is None or getattr(event, "step", 0) > (step if known is None else known):
                continue
            times += isinstance(event, Reverted)
            surplus = isinstance(event, Reverted) and reverted is not None and times > reverted
            if not surplus and not isinstance(event, Stopped | Finished):
                kept.append(line)
        self.seal_judgement(begun=True)
        self.write(METRICS, b"".join(line + b"\n" for line in kept))

    def events(self) -> Iterator[Event]:
        """All events, in order; lines that a crash tore are left out."""
        for line in self._lines():
            event = _event(line)
            if event is not None:
                yield event

    def unreadable_events(self) -> int:
        """How many lines of the events are damaged; `events` leaves them out."""
        return sum(_event(line) is None for line in self._lines())

    def save_checkpoint(self, step: int, files: Mapping[str, bytes], *, back: int = 0) -> None:
        """Write a checkpoint and its manifest, then remove all but the last two.

        What was told before is on the disk before the checkpoint that it leads to.

        Args:
            step: that the training stands at.
            files: by name.
            back: how often the training has gone back; one that went back more often is the later one.

        Raises:
            RunError: the disk is full, or writing is not allowed; the checkpoints before stand.
        """
        sync_file(self.path / METRICS)
        manifest = Manifest(step=step, back=back, files={name: seal_of(content) for name, content in files.items()})
        name = f"step-{step:06d}" + (f"-back-{back}" if back else "")
        write_folder(self.path / _CHECKPOINTS / name, {**files, _MANIFEST: msgspec.json.encode(manifest)})
        for old in self._checkpoint_folders()[:-KEPT_CHECKPOINTS]:
            shutil.rmtree(old, ignore_errors=True)

    def latest_checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint whose files match its manifest; it says what is wrong with later ones."""
        damaged: list[str] = []
        for folder in reversed(self._checkpoint_folders()):
            fault = _fault(folder)
            if not fault:
                return Checkpoint(_order_of(folder)[1], folder, tuple(damaged))
            damaged.append(f"the checkpoint {folder.name} is damaged: {fault}")
        return None

    def damaged_checkpoints(self) -> tuple[str, ...]:
        """What is wrong with each checkpoint that can't be used, newest first."""
        faults = ((folder.name, _fault(folder)) for folder in reversed(self._checkpoint_folders()))
        return tuple(f"the checkpoint {name} is damaged: {fault}" for name, fault in faults if fault)

    def locked(self) -> AbstractContextManager[None]:
        """Work in the directory alone.

        Raises:
            RunError: another process does.
        """
        return lock.held(self.path)

    def remove_leftovers(self) -> None:
        """Take away what a killed process left half written."""
        for folder in (self.path, *(self.path / name for name in (*_FOLDERS, EXPLANATIONS))):
            remove_leftovers(folder)

    def whole_checkpoints(self) -> list[Checkpoint]:
        """All that match their manifests, the oldest first."""
        return [Checkpoint(_order_of(folder)[1], folder) for folder in self._checkpoint_folders() if not _fault(folder)]

    def remove_unplanned(self) -> None:
        """Take back a run that never came to a plan, so that its name is free and `latest` means the one before."""
        with suppress(RunError), self.locked():  # another process may have begun here meanwhile
            if not self.has(PLAN):
                self._take_back(RECIPE, METRICS, ENVIRONMENT, DATA, NETWORK, SPLIT)

    def remove_unsearched(self) -> None:
        """Take back a search that never came to a trial, likewise."""
        with suppress(RunError), self.locked():
            if not self.has(TRIALS):
                self._take_back(SEARCH, DATA, SPLIT)

    def _take_back(self, *names: str) -> None:
        for name in (*names, lock.NAME):
            (self.path / name).unlink(missing_ok=True)
        link = self.path.parent / _LATEST
        was_latest = link.is_symlink() and str(link.readlink()) in (self.path.name, f"{self.path.name}/{BEST}")
        with suppress(OSError):  # what others put there stays, and so do the folders around it
            for folder in (self.path / name for name in _FOLDERS):
                if folder.exists():
                    folder.rmdir()
            self.path.rmdir()
            if was_latest:
                link.unlink()
                before = sorted(path.parent for path in link.parent.glob(f"*/{PLAN}"))
                if before:
                    link_to(before[-1].name, link)
                link.parent.rmdir()

    def _lines(self) -> list[bytes]:
        try:
            lines = read_file(self.path / METRICS).split(b"\n")
        except OSError:
            return []
        return [line for line in lines[:-1] if line]

    def _checkpoint_folders(self) -> list[Path]:
        """Oldest first; files and folders of other names are none."""
        found = (path for path in (self.path / _CHECKPOINTS).glob("step-*") if path.is_dir())
        return sorted((path for path in found if _CHECKPOINT.fullmatch(whole_name(path.name))), key=_order_of)[
            -_MOST_CHECKPOINTS:
        ]


def create_run(out: str | Path | None, *, data: str, model: str) -> Run:
    """Make the run's directory: `out`, or `runs/<date-time>-<data>-<model>` with `runs/latest` pointing to it.

    Raises:
        RunError: it exists and is not empty, or can't be written.
    """
    try:
        if out is not None:
            path = Path(out)
            path.mkdir(parents=True, exist_ok=True)
            _check_free(path)
        else:
            path = _unused(Path("runs"), f"{time.strftime('%Y%m%d-%H%M%S')}-{_slug(data)}-{_slug(model)}")
        for name in _FOLDERS:
            (path / name).mkdir(exist_ok=True)
        if out is None:
            link_to(path.name, path.parent / _LATEST)
    except OSError as error:
        raise RunError(
            f"the run directory can't be made: {error.filename!r}: {error.strerror}",
            remedy="Give a folder that you may write to, with --out.",
        ) from error
    return Run(path)


def create_search(out: str | Path | None, *, data: str) -> Run:
    """Make the directory of a search, or open one that is there: `out`, or a new one as `create_run` does.

    `runs/latest` is then the run of its final training.

    Raises:
        RunError: `out` is something else, or can't be written.
    """
    try:
        if out is None:
            path = _unused(Path("runs"), f"{time.strftime('%Y%m%d-%H%M%S')}-{_slug(data)}-tune")
            link_to(f"{path.name}/{BEST}", path.parent / _LATEST)
            return Run(path)
        path = Path(out)
        path.mkdir(parents=True, exist_ok=True)
        if any(item.name[0] != "." for item in path.iterdir()) and not Run(path).has(SEARCH):
            raise RunError(f"{str(path)!r} is not empty, and no search", remedy="Give another --out.")
    except OSError as error:
        raise RunError(
            f"the search's directory can't be made: {error.filename!r}: {error.strerror}",
            remedy="Give a folder that you may write to, with --out.",
        ) from error
    return Run(path)


def is_search(path: str | Path) -> bool:
    """Whether a directory is that of a search, not of a run."""
    return Run(Path(path)).has(SEARCH)


def open_run(path: str | Path) -> Run:
    """An existing run directory.

    Raises:
        RunError: there is none.
    """
    run = Run(Path(path))
    if not run.path.is_dir():
        folder = run.path.parent
        beside = [found.name for found in folder.iterdir() if found.is_dir()] if folder.is_dir() else []
        raise RunError(f"there is no run directory {str(path)!r}", remedy=nearest(run.path.name, beside))
    for name in _OWN_FOLDERS:
        if (run.path / name).is_symlink():
            raise RunError(f"{str(run.path / name)!r} is a link", remedy="Put the folder itself there.")
    if not run.has(RECIPE):
        raise RunError(
            f"{str(path)!r} is not a run directory: it has no {RECIPE}", remedy="Give one, such as runs/latest."
        )
    return run


def _event(line: bytes) -> Event | None:
    bare = without_check(line)
    if bare is None:
        return None
    try:
        event: Event = msgspec.json.decode(bare, type=Event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return event


def _fault(folder: Path) -> str:
    """What is wrong with a checkpoint, as a phrase; empty where all its files match its manifest."""
    return manifest_fault(folder, _MANIFEST, _order_of(folder)[:2])


def most_bytes(name: str) -> int:
    """Bytes that a file may have; some grow with the data."""
    return 2**23 if name in (RECIPE, PLAN, ENVIRONMENT, NETWORK) else 2**30


def _order_of(folder: Path) -> tuple[int, int, bool]:
    """How often the training had gone back, its step, and whether the folder is where it belongs."""
    match = _CHECKPOINT.fullmatch(whole_name(folder.name))
    step, back = match.groups() if match else ("0", None)
    return int(back or 0), int(step), folder.name == whole_name(folder.name)


def _unused(folder: Path, name: str) -> Path:
    for number in range(1, 1000):
        path = folder / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        return path
    raise RunError(f"{str(folder / name)!r} and 998 like it exist", remedy="Give --out.")


def _check_free(path: Path) -> None:
    """Whether a run can begin here: in an empty folder, or in one where a run was killed before it wrote anything.

    Raises:
        RunError: else; it says how to go on with a run that is there.
    """
    remove_leftovers(path)
    names = {found.name for found in path.iterdir()}
    if not (names - {*_FOLDERS, lock.NAME} or any(any((path / name).iterdir()) for name in _FOLDERS if name in names)):
        return
    if RECIPE in names and MODEL not in names:
        raise RunError(
            f"{str(path)!r} holds a run that has not ended",
            remedy=f"gnomon resume {path} goes on with it; for a new run, give another --out.",
        )
    what = "holds a run that has ended" if RECIPE in names else "is not empty"
    raise RunError(f"{str(path)!r} {what}", remedy="Give another --out, or remove it first.")


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "run"
