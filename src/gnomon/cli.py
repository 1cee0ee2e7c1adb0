"""`gnomon`: the words to a command, what goes wrong to a message and an exit code. Imports neither torch nor numpy."""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence

from .commands import understood
from .errors import EXIT_FAULT, EXIT_INPUT, GnomonError, InputError, Interrupted, LostError, RowError
from .rounding import round_alike
from .visible import inert_streams, visible


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0 done, 1 fault of ours, 2 the user's input, 128 + number for signals."""
    # Threads that wait for each other by spinning are starved, many times over, as soon as another process takes a
    # core. Read when torch loads its threads, hence here.
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    round_alike()
    # Nothing is looked through for cycles at the end: with PyTorch in memory that takes half a second of a deadline.
    atexit.register(gc.freeze)
    try:
        chosen = understood(sys.argv[1:] if arguments is None else arguments)
        run: Callable[[argparse.Namespace], int] = chosen.run
        with inert_streams():
            return run(chosen)
    except (InputError, LostError, RowError) as error:
        return _complain(error)
    except Interrupted as error:
        return error.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAULT


def _complain(error: GnomonError) -> int:
    for problem in error.problems:
        sys.stderr.write(f"gnomon: {visible(problem)}\n")
    if error.remedy:
        sys.stderr.write(f"        {visible(error.remedy)}\n")
    return EXIT_FAULT if isinstance(error, LostError) else EXIT_INPUT
