"""`gnomon torture`: what Gnomon promises is tried on this machine."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
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
    from ..torture import judge

    attempts: Iterator[Tried] = chosen.attempts(chosen)
    verdict = judge(chosen.suite, chosen.seed, attempts, as_json=chosen.json)
    return 0 if verdict.held else EXIT_FAULT


def _add_suite(
    suites: Commands, name: str, attempts: Callable[[argparse.Namespace], Iterator[Tried]], *, help: str
) -> argparse.ArgumentParser:
    """A suite's parser; `attempts` makes its attempts of what was said."""
    parser = add_command(suites, name, run, help=help, description=help[0].upper() + help[1:] + ".")
    parser.set_defaults(suite=name, attempts=attempts)
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of what is tried [0]")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each attempt, and for the verdict")
    return parser


_SUITES: tuple[Callable[[Commands], None], ...] = ()
