"""Lives of a command: whole processes that are ended at a chosen moment.

Most are forked from this process, which has loaded everything and computed nothing, so that a life begins in some
milliseconds instead of seconds; some are real processes from their very start.
"""

from __future__ import annotations

import errno
import importlib
import os
import runpy
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..errors import GnomonError

_LONGEST_S: Final = 120.0
_FAULT: Final = 70

_REFUSED: Final = frozenset({"write", "fsync", "replace", "mkdir"})
_NEEDED: Final = (
    *("torch._dynamo", "pyarrow.parquet", "pyarrow.csv", "scipy.signal", "soundfile", "jinja2"),
    *("..commands.train", "..commands.resume", "..commands.working", "..evaluate", "..report"),
)

SYSTEM_CALLS: Final = ("write", "fsync", "replace", "mkdir", "unlink", "rmdir")
"""What a life is counted by, and can be ended or refused at: the calls of `os` that change what is on the disk."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a life ends: at the n-th time that a thing is done, before or after it is; or when so many seconds are over.

    Attributes:
        what: a name of `SYSTEM_CALLS`, `step`, `validation`, `judging`; empty for a moment in seconds.
        number: the n-th time.
        after: it is done, and then the life ends.
        seconds: from the life's start.
        signals: sent to the whole process group, one right after the other.
        real: a process of its own instead of a fork.
        error: instead of a signal, the system refuses what is to be done with this number.
        for_good: it does so from then on.
    """

    what: str = ""
    number: int = 0
    after: bool = False
    seconds: float = _LONGEST_S
    signals: tuple[int, ...] = (signal.SIGKILL,)
    real: bool = False
    error: int = 0
    for_good: bool = False

    def __str__(self) -> str:
        if self.error:
            return f"{errno.errorcode[self.error]} at {self.what} {self.number}{' and ever after' * self.for_good}"
        names = "+".join(signal.Signals(number).name for number in self.signals)
        if not self.what:
            return f"{names} after {self.seconds:.3f} s" + (" of a real process" if self.real else "")
        return f"{names} {'after' if self.after else 'at'} {self.what} {self.number}"


NEVER: Final = Moment(seconds=_LONGEST_S)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a life ended.

    Attributes:
        code: exit code as a shell has it: 128 + number for a signal.
        seconds: it lasted.
        counts: how often each thing was done; only of a life that came to its end.
        said: the end of what it wrote.
    """

    code: int
    seconds: float
    counts: Mapping[str, int] = field(default_factory=dict)
    said: str = ""


def load_everything() -> None:
    """Load what lives need, so that each is forked with it; nothing is computed, so that there are no threads yet."""
    for name in _NEEDED:
        importlib.import_module(name, __package__)


def live(
    words: Sequence[str],
    folder: Path,
    moment: Moment = NEVER,
    *,
    prepared: Callable[[], None] = lambda: None,
    notes: Path | None = None,
) -> Ended:
    """Run `gnomon WORDS` in a folder until it ends by itself or at the moment.

    Args:
        words: of the command line.
        folder: where it runs.
        moment: when it is ended.
        prepared: is called in the new process before the command, forks only.
        notes: a folder for what it says, if not the same one.

    Raises:
        GnomonError: it neither ended nor could be ended.
    """
    output = (notes or folder).absolute() / "said.txt"
    began = time.monotonic()
    process = _begin_real(words, folder, output) if moment.real else _fork(words, folder, output, moment, prepared)
    try:
        status = _wait(process, moment, began)
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - began
    said = output.read_text(errors="replace")[-2000:] if output.is_file() else ""
    counts = _counts(output.with_name("counts.txt")) if code == 0 and not moment.real else {}
    return Ended(128 - code if code < 0 else code, seconds, counts, said)


def _wait(process: int, moment: Moment, began: float) -> int:
    """The status that the process ends with; it gets its signals when the moment has come."""
    handle = os.pidfd_open(process)
    try:
        timed = bool(not moment.what and moment.seconds < _LONGEST_S)
        if not _ended(handle, began + moment.seconds - time.monotonic()) and timed:
            for number in moment.signals:
                with suppress(ProcessLookupError):
                    os.killpg(process, number)
        if not _ended(handle, _LONGEST_S):
            raise GnomonError(f"process {process} did not end")
    finally:
        os.close(handle)
    return os.waitpid(process, 0)[1]


def _ended(handle: int, seconds: float) -> bool:
    return bool(select.select([handle], [], [], max(0.0, seconds))[0])


def heed_signals() -> None:
    """In a process that a shell began in the background, where Ctrl-C is ignored from the start, as if it were not."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _begin_real(words: Sequence[str], folder: Path, output: Path) -> int:
    source = str(Path(__file__).parents[2])
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "gnomon", *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": source},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
            preexec_fn=heed_signals,
        )
    number = process.pid
    process.returncode = 0  # it is waited for here, not by the object
    return number


def _fork(words: Sequence[str], folder: Path, output: Path, moment: Moment, prepared: Callable[[], None]) -> int:
    sys.stdout.flush()
    process = os.fork()
    if process:
        with suppress(PermissionError, ProcessLookupError):
            os.setpgid(process, process)
        return process
    code = _FAULT
    try:
        os.setpgid(0, 0)
        heed_signals()
        os.chdir(folder)
        sink = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        counts = _count(moment)
        prepared()
        code = _command(words)
        output.with_name("counts.txt").write_text("\n".join(f"{name} {count}" for name, count in counts.items()))
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _command(words: Sequence[str]) -> int:
    sys.argv = ["gnomon", *words]
    try:
        runpy.run_module("gnomon", run_name="__main__")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception:
        traceback.print_exc()
        return _FAULT
    return 0


def _count(moment: Moment) -> dict[str, int]:
    """Count what is done in this process from now on, and end it at the moment."""
    from ..spine import finish
    from ..training import stepping
    from ..training import train as training

    counts: dict[str, int] = {}
    places: list[tuple[Any, str, str]] = [(os, name, name) for name in SYSTEM_CALLS]
    places += [(stepping, "gradients", "step"), (training, "validate", "validation"), (finish, "evaluate", "judging")]
    for module, name, what in places:
        _wrap(module, name, what, moment, counts)
    return counts


def _wrap(module: Any, name: str, what: str, moment: Moment, counts: dict[str, int]) -> None:
    does = getattr(module, name)
    counts[what] = 0

    def counted(*arguments: Any, **named: Any) -> Any:
        counts[what] += 1
        now = what == moment.what and counts[what] == moment.number
        if moment.error:
            _refuse(moment, what, counts)
        elif now and not moment.after:
            if what == "write":  # a part of it comes onto the disk
                does(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
            _end(moment)
        done = does(*arguments, **named)
        if now and moment.after and not moment.error:
            _end(moment)
        return done

    setattr(module, name, counted)


def _refuse(moment: Moment, what: str, counts: dict[str, int]) -> None:
    """As a disk that is full, broken or read-only: once, or from the moment on in all that changes it."""
    begun = counts[moment.what] >= moment.number
    now = counts[what] == moment.number if what == moment.what else False
    if now or (moment.for_good and begun and what in _REFUSED):
        raise OSError(moment.error, os.strerror(moment.error))


def _end(moment: Moment) -> None:
    for number in moment.signals:
        os.killpg(0, number)


def _counts(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in path.read_text().splitlines()) if path.is_file() else ()
    return {name: int(count) for name, count in pairs}
