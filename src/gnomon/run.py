"""The run directory: the only module that knows its file names. Imports no torch.

    recipe.toml  plan.json  data.json  environment.json  network.json  split.csv
    metrics.jsonl                                        one event a line, append-only
    checkpoints/step-000500/{model.safetensors, state.safetensors, state.json, MANIFEST.json}
    evaluation/{validation,test,mistakes,slices,suspects,duplicates}.json  predictions.parquet
    explain/{examples.json,<row>.html}
    report.html  xray.html  model.safetensors  model-card.md

A file is written under another name, synced, renamed, and its folder synced: whoever reads sees the old file or the
new one, whole. `MANIFEST.json` is written last; a checkpoint whose files do not match it does not exist.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from .errors import RunError, nearest
from .types import Event, Finished, Stopped, Validated, Value

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
PREDICTIONS: Final = "predictions.parquet"
REPORT: Final = "report.html"
MODEL: Final = "model.safetensors"
MODEL_CARD: Final = "model-card.md"
EXAMPLES: Final = "explain/examples.json"
EXPLANATIONS: Final = "explain"
XRAY: Final = "xray.html"

_CHECKPOINTS = "checkpoints"
_FOLDERS = ("evaluation", _CHECKPOINTS)
_LATEST = "latest"
_MANIFEST = "MANIFEST.json"
_KEPT_CHECKPOINTS = 2

T = TypeVar("T")


class FileSeal(Value, frozen=True):
    """Size and SHA-256 of one file of a checkpoint."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A whole and verified checkpoint."""

    step: int
    path: Path

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
        try:
            return msgspec.json.decode((self.path / name).read_bytes(), type=kind)
        except OSError as error:
            raise RunError(
                f"{str(self.path / name)!r} can't be read: {error.strerror}", remedy="Was the run begun?"
            ) from None
        except msgspec.DecodeError as error:
            raise RunError(
                f"{str(self.path / name)!r} is damaged: {error}", remedy="Bring it back from a copy, or train anew."
            ) from None

    def read_text(self, name: str) -> str:
        """Read a text file back.

        Raises:
            RunError: missing or not a text.
        """
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(f"{str(self.path / name)!r} can't be read: {error}", remedy="Was the run begun?") from None

    def has(self, name: str) -> bool:
        return (self.path / name).is_file()

    def append(self, event: Event) -> None:
        """Add one line to the events; a line that a crash tore is ignored by readers.

        Of the run's path only the name is kept, so that the directory can be moved.
        """
        if isinstance(event, Finished):
            event = msgspec.structs.replace(event, run=self.path.name)
        with (self.path / METRICS).open("ab") as file:
            file.write(msgspec.json.encode(event) + b"\n")

    def drop_events_after(self, step: int, *, validated_step: int | None = None) -> None:
        """Forget the events behind a checkpoint that the run goes back to, so that each stands there once.

        Args:
            step: of the checkpoint.
            validated_step: of the last validation that the checkpoint knows of; None for the same.
        """
        kept = []
        for line in self._lines():
            event = _event(line)
            last = validated_step if isinstance(event, Validated) and validated_step is not None else step
            if event is not None and getattr(event, "step", 0) <= last and not isinstance(event, Stopped | Finished):
                kept.append(line)
        self.write(METRICS, b"".join(line + b"\n" for line in kept))

    def events(self) -> Iterator[Event]:
        """All events, in order; lines that a crash tore are left out."""
        for line in self._lines():
            event = _event(line)
            if event is not None:
                yield event

    def save_checkpoint(self, step: int, files: Mapping[str, bytes]) -> None:
        """Write a checkpoint, then its manifest, then remove all but the last two.

        Raises:
            RunError: the disk is full, or writing is not allowed; the checkpoints before stand.
        """
        folder = self.path / _CHECKPOINTS / f"step-{step:06d}"
        if folder.exists():
            shutil.rmtree(folder)
        for name, content in files.items():
            write_atomically(folder / name, content)
        seals = {name: _seal(content) for name, content in files.items()}
        write_atomically(folder / _MANIFEST, msgspec.json.encode(seals))
        for old in self._checkpoint_folders()[:-_KEPT_CHECKPOINTS]:
            shutil.rmtree(old, ignore_errors=True)

    def latest_checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint whose files match its manifest."""
        for folder in reversed(self._checkpoint_folders()):
            if _is_whole(folder):
                return Checkpoint(int(folder.name.removeprefix("step-")), folder)
        return None

    def remove_unplanned(self) -> None:
        """Take back a run that never came to a plan, so that its name is free and `latest` means the one before."""
        if self.has(PLAN):
            return
        for name in (RECIPE, METRICS):
            (self.path / name).unlink(missing_ok=True)
        link = self.path.parent / _LATEST
        was_latest = link.is_symlink() and str(link.readlink()) == self.path.name
        with suppress(OSError):  # what others put there stays, and so do the folders around it
            for folder in (*(self.path / name for name in _FOLDERS), self.path):
                folder.rmdir()
            if was_latest:
                link.unlink()
                before = sorted(path.parent for path in link.parent.glob(f"*/{PLAN}"))
                if before:
                    _point_latest(before[-1])
                link.parent.rmdir()

    def _lines(self) -> list[bytes]:
        try:
            lines = (self.path / METRICS).read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        return [line for line in lines[:-1] if line]

    def _checkpoint_folders(self) -> list[Path]:
        folders = (path for path in (self.path / _CHECKPOINTS).glob("step-*") if path.is_dir())
        return sorted(folders, key=lambda path: (len(path.name), path.name))


def create_run(out: str | Path | None, *, data: str, model: str) -> Run:
    """Make the run's directory: `out`, or `runs/<date-time>-<data>-<model>` with `runs/latest` pointing to it.

    Raises:
        RunError: it exists and is not empty, or can't be written.
    """
    try:
        if out is not None:
            path = Path(out)
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()):
                raise RunError(f"{str(path)!r} is not empty", remedy="Give another --out, or remove it first.")
        else:
            path = _unused(Path("runs"), f"{time.strftime('%Y%m%d-%H%M%S')}-{_slug(data)}-{_slug(model)}")
        for name in _FOLDERS:
            (path / name).mkdir()
        if out is None:
            _point_latest(path)
    except OSError as error:
        raise RunError(
            f"the run directory can't be made: {error.filename!r}: {error.strerror}",
            remedy="Give a folder that you may write to, with --out.",
        ) from error
    return Run(path)


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
    if not run.has(RECIPE):
        raise RunError(
            f"{str(path)!r} is not a run directory: it has no {RECIPE}", remedy="Give one, such as runs/latest."
        )
    return run


def write_atomically(path: Path, content: bytes) -> None:
    """Write under another name, sync, rename, sync the folder.

    Raises:
        RunError: with the system's reason.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RunError(
            f"{str(path)!r} can't be written: {error.strerror} ({len(content) / 1e6:.1f} MB needed)",
            remedy="Free disk space or check the permissions; what was saved before is intact.",
        ) from error


def _event(line: bytes) -> Event | None:
    try:
        event: Event = msgspec.json.decode(line, type=Event)
    except msgspec.DecodeError:
        return None
    return event


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _seal(content: bytes) -> FileSeal:
    return FileSeal(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def _is_whole(folder: Path) -> bool:
    try:
        seals = msgspec.json.decode((folder / _MANIFEST).read_bytes(), type=dict[str, FileSeal])
        return all(_seal((folder / Path(name).name).read_bytes()) == seal for name, seal in seals.items())
    except (OSError, msgspec.DecodeError):
        return False


def _unused(folder: Path, name: str) -> Path:
    for number in range(1, 1000):
        path = folder / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        return path
    raise RunError(f"{str(folder / name)!r} and 998 like it exist", remedy="Give --out.")


def _point_latest(path: Path) -> None:
    """`latest` beside the run, replaced in one step; where links are not allowed, none."""
    temporary = path.parent / f".latest.{os.getpid()}"
    try:
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(path.name)
        temporary.replace(path.parent / _LATEST)
    except OSError:
        temporary.unlink(missing_ok=True)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "run"
