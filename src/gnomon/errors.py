"""Every error that Gnomon raises on purpose, and the exit code that it ends with.

    GnomonError
    ├── InputError                 the user's input can't be used; exit code 2
    │   ├── DataError              … the data: nothing found, one class, labels missing
    │   ├── RecipeError            … an option or a recipe file
    │   ├── DeadlineError          … the time given is too short, or already past
    │   ├── ModelFileError         … a model file: damaged, hostile, or of another version
    │   ├── RunError               … a run directory: not one, incomplete, not writable
    │   └── DownloadError          … a download that was asked for
    ├── LostError                  another process of a training is gone, or has been silent for too long; exit code 1
    └── RowError                   one row can't be used; it is set aside, named and counted, and stops nothing

    Interrupted                    a signal ends the work; exit code 128 + signal number. Like KeyboardInterrupt, it is
                                   no `Exception`: raised anywhere, it is never to be taken for a fault

A message says what is wrong, the value received, where, and the remedy. Where several things are wrong, all of
them are in one error.
"""

import difflib
from collections.abc import Iterable, Sequence
from typing import Final

EXIT_FAULT: Final = 1
EXIT_INPUT: Final = 2


class GnomonError(Exception):
    """Root of the tree; never raised itself.

    Args:
        problem: what is wrong, with the value received and where it stands; or several such sentences.
        remedy: what to do about it.
    """

    def __init__(self, problem: str | Sequence[str], *, remedy: str = "") -> None:
        self.problems: tuple[str, ...] = (problem,) if isinstance(problem, str) else tuple(problem)
        self.remedy = remedy
        super().__init__("\n".join((*self.problems, *((remedy,) if remedy else ()))))


class InputError(GnomonError):
    """The user's input can't be used."""


class DataError(InputError):
    """The data can't be used as a whole."""


class RecipeError(InputError):
    """An option, or a line of a recipe file, can't be used."""


class DeadlineError(InputError):
    """The deadline is unreadable, past, or too near to train anything."""


class ModelFileError(InputError):
    """A model file is damaged, hostile, or of a version that this Gnomon does not read."""


class RunError(InputError):
    """A run directory is missing, incomplete, damaged, or can't be written."""


class DownloadError(InputError):
    """A download that the user asked for did not end with the right bytes."""


class LostError(GnomonError):
    """Another process is gone, or has been silent for too long."""


class RowError(GnomonError):
    """One row can't be used. `reason` is a phrase that can stand behind the row's name."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Interrupted(BaseException):
    """A signal ended the work; what was there is saved.

    Args:
        signal_number: 1 for SIGHUP, 2 for SIGINT, 15 for SIGTERM.
    """

    def __init__(self, signal_number: int) -> None:
        self.exit_code = 128 + signal_number
        super().__init__(f"stopped by signal {signal_number}")


def nearest(name: str, candidates: Iterable[str]) -> str:
    """A sentence that names the candidates, nearest first: "Did you mean 'cat'?" or "Known: cat, dog."."""
    known = sorted(candidates)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]!r}?"
    shown = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
    return f"Known: {shown}." if known else "There are none."
