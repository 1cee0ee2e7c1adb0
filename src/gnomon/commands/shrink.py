"""`gnomon shrink`: a run's model in a quarter of the room."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..options import share
from .parsing import add_command

if TYPE_CHECKING:
    from .parsing import Commands


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = add_command(
        commands,
        "shrink",
        run,
        help="write a run's model in about a quarter of the room, and say what that costs",
        description="Write the model with its large tensors in eight bits, with fewer filters where you ask for that, "
        "judge it on the run's test rows, and say how it compares. The file is used like any other: "
        "gnomon predict FILE …",
    )
    parser.add_argument("directory", metavar="RUN", help="the run directory")
    parser.add_argument(
        "--filters", type=share, metavar="SHARE", help="of a cnn's filters that stay; the rest is made up for [all]"
    )
    parser.add_argument("--out", metavar="FILE", help="the smaller file (model-int8.safetensors in the run directory)")
    parser.add_argument("--json", action="store_true", help="as one line of JSON")


def run(chosen: argparse.Namespace) -> int:
    """Do it. Returns the exit code."""
    import msgspec

    from ..evaluate.told import told_comparison
    from ..rundir.run import open_run
    from ..rundir.writing import megabytes
    from ..shrinking.shrink import shrink
    from ..spine.reopening import dataset_of

    opened = open_run(chosen.directory)
    found = shrink(opened, dataset_of(opened), filters=chosen.filters, out=Path(chosen.out) if chosen.out else None)
    if chosen.json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        return 0
    share = found.bytes_after / found.bytes_before
    told = told_comparison(found.compared) if found.compared else "Too few test rows to say what that costs."
    sys.stdout.write(
        f"{told}\n"
        f"Size     {megabytes(found.bytes_before)} → {megabytes(found.bytes_after)} ({share:.0%})\n"
        f"Model    {found.path}\n"
    )
    return 0
