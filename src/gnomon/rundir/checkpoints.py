"""All that decides how a training goes on ↔ a checkpoint, written beside the training by a thread of its own.

model.safetensors   the weights that the run would predict with now
state.safetensors   weights, optimizer, average, position in the data, losses not told yet, the best network
state.json          step, history, scores, time used and left, machine and versions
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import msgspec
from safetensors import SafetensorError
from safetensors.torch import load as from_safetensors
from safetensors.torch import save as to_safetensors
from torch import Tensor

from ..errors import RunError
from ..models import Imported, ModelSpec
from ..models.bounds import empty_network
from ..planning.hardware import Surroundings
from ..planning.progress import Change, times_back
from ..predicting.tensorfile import misfit
from ..types import Event, Value
from .run import Checkpoint

VERSION: Final = 3
WEIGHTS: Final = "model.safetensors"

_STATE, _POSITION = "state.safetensors", "state.json"
_SECONDS_BETWEEN: Final = 10.0
_SHARE: Final = 0.01
"""Of the training's time that writing checkpoints may take; what takes longer is done less often."""


class Position(Value, frozen=True):
    """Where a training stands, beside its tensors: `state.json`.

    Attributes:
        version: of the checkpoint's layout.
        step: made so far.
        history: every change of the plan on the way.
        told_step: of the last account; the losses since then are among the tensors.
        validated_step: of the last validation.
        best_step, best_score: of the network that is kept; step 0 before the first validation.
        elapsed_s: of the command, when it was saved.
        remaining_s: until its deadline; None without one.
        made: on what, and by what.
    """

    step: int
    history: tuple[Change, ...]
    told_step: int
    validated_step: int
    best_step: int
    best_score: float
    elapsed_s: float
    remaining_s: float | None
    made: Surroundings
    version: Literal[3] = VERSION


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A training at one moment. Nothing of it changes any more, so that it can be written while the training goes on.

    Attributes:
        position: all but tensors.
        tensors: by name, all that the next step needs.
        weights: to predict with.
    """

    position: Position
    tensors: dict[str, Tensor]
    weights: dict[str, Tensor]


class Keeps(Protocol):
    """Where a training is kept: a run directory, or memory."""

    def save_checkpoint(self, step: int, files: Mapping[str, bytes], *, back: int = 0) -> None:
        """Keep the files of one checkpoint."""
        ...

    def events(self) -> Iterator[Event]:
        """What has been told, in order."""
        ...

    def drop_events_after(self, step: int) -> None:
        """Forget what was told behind a step that the training goes back to."""
        ...


class CheckpointWriter:
    """Writes snapshots one at a time, and knows when the next one is due.

    Args:
        run: where they go.
    """

    def __init__(self, run: Keeps) -> None:
        self._run = run
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[int] | None = None
        self._began_at = time.monotonic()
        self._cost_s = 0.0

    def is_due(self) -> bool:
        """Whether another one is worth its time, and the one before is on the disk."""
        interval_s = max(_SECONDS_BETWEEN, self._cost_s / _SHARE)
        return self._writing is None and time.monotonic() - self._began_at > interval_s

    def write(self, snapshot: Snapshot, *, taking_s: float = 0.0) -> None:
        """Write it beside what comes next. Waits only where the one before is still being written.

        Args:
            snapshot: to be written.
            taking_s: what taking it cost.

        Raises:
            RunError: the one before could not be written.
        """
        self.wait()
        self._began_at, self._cost_s = time.monotonic(), taking_s
        self._writing = self._thread.submit(self._write, snapshot)

    def written(self) -> int | None:
        """The step of a checkpoint that has come onto the disk since this was last asked.

        Raises:
            RunError: it could not be written.
        """
        return self.wait() if self._writing is not None and self._writing.done() else None

    def wait(self) -> int | None:
        """As `written`, but waits for it."""
        writing, self._writing = self._writing, None
        return None if writing is None else writing.result()

    def close(self) -> None:
        """Let what is being written come to its end, whether well or not."""
        self._thread.shutdown(wait=True)

    def _write(self, snapshot: Snapshot) -> int:
        began_s = time.thread_time()
        write_checkpoint(self._run, snapshot)
        self._cost_s += time.thread_time() - began_s
        return snapshot.position.step


def write_checkpoint(run: Keeps, snapshot: Snapshot) -> None:
    """Write it now.

    Raises:
        RunError: the disk is full, or writing is not allowed; the checkpoints before stand.
    """
    files = {
        WEIGHTS: to_safetensors(snapshot.weights),
        _STATE: to_safetensors(snapshot.tensors),
        _POSITION: msgspec.json.encode(snapshot.position),
    }
    run.save_checkpoint(snapshot.position.step, files, back=times_back(snapshot.position.history))


def read_checkpoint(checkpoint: Checkpoint) -> Snapshot:
    """All of it.

    Raises:
        RunError: it is whole, but of another version.
    """
    return Snapshot(position_of(checkpoint), _tensors(checkpoint, _STATE), final_weights(checkpoint))


def final_weights(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The weights that a checkpoint would predict with: the best validated ones."""
    return _tensors(checkpoint, WEIGHTS)


def require_fitting(checkpoint: Checkpoint, spec: ModelSpec, input_shape: tuple[int, ...], num_outputs: int) -> None:
    """Hold the plan's network against the checkpoint's weights before memory is taken for either.

    Raises:
        RunError: the network is impossible or immense, or not that of the checkpoint.
    """
    if isinstance(spec, Imported):
        return
    try:
        fault = misfit(checkpoint.path / WEIGHTS, empty_network(spec, input_shape, num_outputs))
    except ValueError as error:
        fault = str(error)
    if fault:
        raise RunError(
            f"the checkpoint {checkpoint.path.name} does not fit its plan: {fault}",
            remedy="Bring both back from a copy, or train anew.",
        )


def position_of(checkpoint: Checkpoint) -> Position:
    """Where the training of a checkpoint stands.

    Raises:
        RunError: it is whole, but of another version.
    """
    try:
        position = msgspec.json.decode(checkpoint.read(_POSITION), type=Position)
        if position.step != checkpoint.step or not 0 <= position.best_step <= position.step:
            raise msgspec.ValidationError(f"it is of step {position.step:,}, and stands at {checkpoint.step:,}")
        return position
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _of_another_version(checkpoint, error) from None


def _tensors(checkpoint: Checkpoint, name: str) -> dict[str, Tensor]:
    try:
        return from_safetensors(checkpoint.read(name))
    except (OSError, SafetensorError) as error:
        raise _of_another_version(checkpoint, error) from None


def _of_another_version(checkpoint: Checkpoint, error: Exception) -> RunError:
    return RunError(
        f"the checkpoint {str(checkpoint.path)!r} is whole but can't be used: {error}",
        remedy="It is of another version of Gnomon, or made by other hands. Go on with that version, or train anew.",
    )
