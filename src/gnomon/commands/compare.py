"""`gnomon compare`: which of several runs is better, and whether that can be told."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ..errors import RecipeError
from .parsing import add_command

if TYPE_CHECKING:
    from .parsing import Commands


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = add_command(
        commands,
        "compare",
        run,
        help="say which of two runs is better, and whether that can be told",
        description="Compare runs on the same test rows, each with the first: the difference, its 95 % interval, and "
        "by a paired test whether chance alone would explain it.",
    )
    parser.add_argument("directories", metavar="RUN", nargs="+", help="two run directories or more")
    parser.add_argument("--common", action="store_true", help="on the rows of both, where their test parts differ")
    parser.add_argument("--json", action="store_true", help="as one line of JSON")


def run(chosen: argparse.Namespace) -> int:
    """Do it. Returns the exit code."""
    if len(chosen.directories) < 2:
        raise RecipeError("one run alone can't be compared", remedy="gnomon compare RUN RUN")
    import msgspec

    from ..evaluate.compare import compare
    from ..evaluate.told import told_comparison
    from ..rundir.run import open_run

    first, *others = map(open_run, chosen.directories)
    found = [compare(first, other, common=chosen.common) for other in others]
    if chosen.json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        sys.stdout.write("\n\n".join(map(told_comparison, found)) + "\n")
    return 0
