"""A command in a forked child that may write nowhere but in its own folders, run no code of theirs, and is measured."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

import msgspec

_NEVER: Final = (
    *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.startfile", "os.fork", "os.forkpty", "pty.spawn"),
    *("subprocess.Popen", "socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto", "webbrowser.open"),
    *("urllib.Request", "ftplib.connect", "smtplib.connect", "pickle.find_class", "code.__new__", "os.kill"),
)
_CHANGES: Final = {
    **dict.fromkeys(("os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.truncate", "os.utime"), (0,)),
    **dict.fromkeys(("os.rename", "os.link", "os.symlink", "shutil.copyfile", "shutil.move"), (0, 1)),
    **dict.fromkeys(("shutil.rmtree", "os.setxattr", "os.removexattr", "os.chflags", "os.lchown"), (0,)),
}
"""What changes files, and which of its arguments are paths. Of a symbolic link the first is only a text."""
_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_MOST_KEPT: Final = 20_000


class Outcome(msgspec.Struct, frozen=True):
    """How a command ended.

    Attributes:
        code: its exit code; negative where a signal ended it; None where it was ended for taking too long.
        text: the end of what it wrote on both streams.
        seconds: of a processor that it took; what else this machine does counts for nothing.
        extra_bytes: of memory, at the most, beside what was there before it.
        forbidden: what it did that no file from a stranger may make it do.
    """

    code: int | None
    text: str
    seconds: float
    extra_bytes: int
    forbidden: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a command may touch and take.

    Attributes:
        writable: folders that it may write in.
        secret: folders that it may not even read in.
        seconds: after which it is ended.
        bytes: of memory, beside what is there, at which the system refuses it more.
    """

    writable: tuple[Path, ...]
    secret: tuple[Path, ...] = ()
    seconds: float = 30.0
    bytes: int = 4 * 2**30


def run_watched(does: Callable[[], int], *, folder: Path, bounds: Bounds) -> Outcome:
    """Fork, do it there in that folder, and tell how it ended."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if not child:
        os.close(reading)
        os.setpgid(0, 0)
        _in_child(does, folder, bounds, writing)
    os.close(writing)
    began = time.monotonic()
    try:
        answer = _read_all(reading, began + bounds.seconds)
    finally:
        os.close(reading)
    if answer is None:
        os.killpg(child, signal.SIGKILL)
    _, status, used = os.wait4(child, 0)
    if answer:
        return msgspec.json.decode(answer, type=Outcome)
    code = None if answer is None else -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    return Outcome(code, "", used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def _read_all(reading: int, until: float) -> bytes | None:
    """What the child says before it ends; None where it takes too long."""
    parts: list[bytes] = []
    while (left := until - time.monotonic()) > 0:
        if select.select([reading], [], [], left)[0]:
            part = os.read(reading, 65536)
            if not part:
                return b"".join(parts)
            parts.append(part)
    return None


def _in_child(does: Callable[[], int], folder: Path, bounds: Bounds, writing: int) -> None:
    """Never returns."""
    code, sink, forbidden = 1, io.StringIO(), list[str]()
    try:
        os.chdir(folder)
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        before = _memory("VmRSS")
        _lower(resource.RLIMIT_AS, _memory("VmSize") + bounds.bytes)
        sys.addaudithook(_hook(forbidden, bounds))
        began = time.process_time()
        with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
            code = _coded(does)
        seconds = time.process_time() - began
        outcome = Outcome(code, sink.getvalue()[-_MOST_KEPT:], seconds, _memory("VmHWM") - before, tuple(forbidden))
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(msgspec.json.encode(outcome))
    finally:
        os._exit(code)


def _coded(does: Callable[[], int]) -> int:
    """The exit code that Python itself would end with."""
    try:
        return does()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BaseException as error:
        import traceback

        traceback.print_exception(error)
        return 1


def _lower(limit: int, value: int) -> None:
    _, hard = resource.getrlimit(limit)
    resource.setrlimit(limit, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _memory(what: str) -> int:
    """Bytes, as the system counts them: VmRSS now, VmHWM at the most, VmSize addressed."""
    with open("/proc/self/status", encoding="ascii") as file:
        return int(file.read().partition(f"{what}:")[2].split()[0]) * 1024


# --- What is seen ----------------------------------------------------------------------------------------------------


def _hook(forbidden: list[str], bounds: Bounds) -> Callable[[str, tuple[Any, ...]], None]:
    """Notes what is forbidden, and hinders nothing: what comes after is of interest too."""
    writable = tuple(os.path.realpath(folder) + os.sep for folder in (*bounds.writable, Path("/dev")))
    secret = tuple(os.path.realpath(folder) + os.sep for folder in bounds.secret)
    here = os.path.realpath(".") + os.sep

    def note(what: str) -> None:
        if len(forbidden) < 10:
            forbidden.append(what[:300])

    def inside(path: object, folders: Sequence[str]) -> bool:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return True  # a descriptor, which was opened before
        return (os.path.realpath(os.fsdecode(path)) + os.sep).startswith(tuple(folders))

    def hook(event: str, details: tuple[Any, ...]) -> None:
        if event.startswith(_NEVER):
            note(f"{event} {details!r}")
        elif event == "open":
            path, mode, flags = details
            writes = (flags or 0) & _WRITES or any(sign in (mode or "") for sign in "wax+")
            if writes and not inside(path, writable):
                note(f"open {path!r} for writing")
            elif secret and not isinstance(path, int) and inside(path, secret):
                note(f"open {path!r}, which is no part of the data")
        elif event in _CHANGES:
            details = _with_folder(details)
            for place in _CHANGES[event]:
                is_text = event == "os.symlink" and place == 0
                if not is_text and not inside(details[place], writable):
                    note(f"{event} {details[place]!r}")
        elif event == "exec" and _file_of(details[0], sys._getframe(1)).startswith(here):
            note(f"exec of code in {_file_of(details[0], sys._getframe(1))!r}")
        elif event == "import" and details[1] and str(details[1]).startswith(here):
            note(f"import of {details[0]!r} from {details[1]!r}")

    return hook


def _with_folder(details: tuple[Any, ...]) -> tuple[Any, ...]:
    """The path whole, where it is relative to an open folder, whose number stands last."""
    if (
        len(details) < 2
        or not isinstance(details[-1], int)
        or details[-1] < 0
        or not isinstance(details[0], str | bytes)
    ):
        return details
    return os.path.join(os.readlink(f"/proc/self/fd/{details[-1]}"), os.fsdecode(details[0])), *details[1:]


def _file_of(code: object, caller: FrameType) -> str:
    """Where code comes from; what was made on the spot, as dataclasses make it, counts as its maker's."""
    name = getattr(code, "co_filename", "<string>")
    return os.path.abspath(caller.f_code.co_filename if name.startswith("<") else name)
