"""`gnomon torture`: what Gnomon promises is tried on this machine."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import EXIT_FAULT
from .parsing import add_command

if TYPE_CHECKING:
    from ..torture import Tried
    from .parsing import Commands


def add(commands: Commands) -> None:
    """Describe the command: one suite is a command below it."""
    parser = add_command(
        commands,
        "torture",
        run,
        help="try to break what Gnomon promises, on this machine",
        description="Try to break what Gnomon promises on this machine, in a folder of its own, and say how it went. "
        "The same seed tries the same things. Exit code 0: every promise held; 1: one was broken.",
    )
    suites = parser.add_subparsers(required=True, metavar="SUITE")
    for add_suite in _SUITES:
        add_suite(suites)


def run(chosen: argparse.Namespace) -> int:
    """Try the suite that was chosen. Returns the exit code."""
    # Of processes that are forked, so that there may be no threads yet; read when NumPy and Arrow are loaded.
    os.environ.update(OPENBLAS_NUM_THREADS="1", ARROW_DEFAULT_MEMORY_POOL="system")
    folder = Path(tempfile.mkdtemp(prefix="gnomon-torture-", dir=chosen.where))
    os.environ["GNOMON_CACHE"] = str(folder / "cache")
    from ..torture import judge

    verdict = None
    try:
        verdict = judge(chosen.suite, chosen.seed, chosen.attempts(folder, chosen), as_json=chosen.json)
    finally:
        if verdict is None or verdict.held:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            sys.stderr.write(f"What is left of the broken attempts is in {folder}\n")
    return 0 if verdict.held else EXIT_FAULT


def _add_suite(
    suites: Commands, name: str, attempts: Callable[[Path, argparse.Namespace], Iterator[Tried]], *, help: str
) -> argparse.ArgumentParser:
    """A suite's parser; `attempts` makes its attempts, in a folder of their own, of what was said."""
    parser = add_command(suites, name, run, help=help, description=help[0].upper() + help[1:] + ".")
    parser.set_defaults(suite=name, attempts=attempts)
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of what is tried [0]")
    parser.add_argument("--where", metavar="DIR", help="make the folder of its own here, instead of in the system's")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each attempt, and for the verdict")
    return parser


def _add_resume(suites: Commands) -> None:
    parser = _add_suite(
        suites, "resume", _resume, help="kill trainings and go on with them: do the bits stay the same?"
    )
    parser.add_argument("--kills", type=_count, default=100, metavar="N", help="of trainings, 1 to 8 each [100]")
    parser.add_argument(
        "--saves", type=_count, default=200, metavar="N", help="kills of a process that only saves [200]"
    )


def _resume(folder: Path, chosen: argparse.Namespace) -> Iterator[Tried]:
    from ..torture.resume import kills
    from ..torture.saves import saves

    yield from saves(folder, count=chosen.saves, seed=chosen.seed)
    yield from kills(folder, count=chosen.kills, seed=chosen.seed)


def _add_signals(suites: Commands) -> None:
    parser = _add_suite(
        suites, "signals", _signals, help="stop trainings by signals: is the exit code right, and the rest?"
    )
    parser.add_argument("--signals", type=_count, default=50, metavar="N", help="at least so many [50]")


def _signals(folder: Path, chosen: argparse.Namespace) -> Iterator[Tried]:
    from ..torture.resume import signals

    yield from signals(folder, count=chosen.signals, seed=chosen.seed)


def _add_disk(suites: Commands) -> None:
    parser = _add_suite(suites, "disk", _disk, help="refuse what is written: is what was saved still there?")
    parser.add_argument("--sizes", type=_count, default=30, metavar="N", help="of a small disk that fills up [30]")
    parser.add_argument("--trainings", type=_count, default=20, metavar="N", help="with calls that are refused [20]")


def _disk(folder: Path, chosen: argparse.Namespace) -> Iterator[Tried]:
    from ..torture.disk import disk

    yield from disk(folder, sizes=chosen.sizes, trainings=chosen.trainings, seed=chosen.seed)


def _add_files(suites: Commands) -> None:
    parser = _add_suite(suites, "files", _files, help="give it files made to do harm: is each refused, quickly?")
    parser.add_argument("--count", type=_count, default=500, metavar="N", help="of files [500]")


def _files(folder: Path, chosen: argparse.Namespace) -> Iterator[Tried]:
    from ..torture.files import files

    yield from files(folder, count=chosen.count, seed=chosen.seed)


def _add_corrupt(suites: Commands) -> None:
    parser = _add_suite(suites, "corrupt", _corrupt, help="damage what it has written: is each piece found?")
    parser.add_argument("--count", type=_count, default=5000, metavar="N", help="of mutations [5000]")


def _corrupt(folder: Path, chosen: argparse.Namespace) -> Iterator[Tried]:
    from ..torture.corrupt import corrupt

    yield from corrupt(folder, count=chosen.count, seed=chosen.seed)


def _count(text: str) -> int:
    """A whole number, 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 0 or more")
    return int(text)


_SUITES: tuple[Callable[[Commands], None], ...] = (_add_resume, _add_signals, _add_disk, _add_files, _add_corrupt)
