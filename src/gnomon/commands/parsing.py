"""A command's parser, made alike for all of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
    """The list of commands, which a new one is added to."""


def add_command(
    commands: Commands,
    name: str,
    does: Callable[[argparse.Namespace], int],
    *,
    help: str,
    description: str,
    epilog: str | None = None,
) -> argparse.ArgumentParser:
    """A parser for the words behind `name`. `does` is called with what they mean, and returns the exit code."""
    parser = commands.add_parser(
        name,
        help=help,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter if epilog else argparse.HelpFormatter,
        allow_abbrev=False,
        exit_on_error=False,
    )
    parser.set_defaults(run=does, parser=parser)
    return parser


def add_texts(parser: argparse.ArgumentParser) -> None:
    """`--text`, for commands that take rows; given twice, both count."""
    parser.add_argument(
        "--text", dest="texts", nargs="+", action="extend", default=[], metavar="TEXT", help="texts given here"
    )
