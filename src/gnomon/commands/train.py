"""`gnomon train`: data to run directory, report and model file, by the deadline."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..deadline import parse_deadline, process_start_s
from ..errors import InputError
from ..options import (
    DATA_EPILOG,
    add_data_options,
    add_length,
    add_network_options,
    add_output,
    add_records,
    recipe_of,
)
from .parsing import add_command

if TYPE_CHECKING:
    from .parsing import Commands


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = add_command(
        commands,
        "train",
        run,
        help="train a network on your data",
        description="Train, judge, and write a report and one model file, all by the deadline.",
        epilog=DATA_EPILOG,
    )
    parser.add_argument("data", metavar="DATA", nargs="?", help="your data, see below")
    add_length(parser)
    add_data_options(parser.add_argument_group("data"))
    add_network_options(parser.add_argument_group("network and training"))
    add_output(parser, out=True)
    add_records(parser, training=True)


def run(chosen: argparse.Namespace) -> int:
    """Do it. Returns the exit code."""
    deadline = parse_deadline(chosen.by, start_s=process_start_s())
    from ..rundir.run import RECIPE, Run, create_run, open_run
    from ..spine.fit import fit, resume
    from ..spine.reopening import deadline_of_start
    from ..training.launch import is_led, under_torchrun
    from .working import work

    if is_led():
        from ..spine.following import main

        return main()
    if under_torchrun() and chosen.out and Run(Path(chosen.out)).has(RECIPE):  # started again, since one was lost
        begun = open_run(chosen.out)
        deadline = deadline_of_start(begun, deadline)
        return work(begun, deadline, chosen, resume(begun, deadline), title=chosen.out)
    recipe = recipe_of(chosen)
    made = create_run(chosen.out, data=_stem(recipe.source.location), model=chosen.model or "cnn")
    try:
        return work(made, deadline, chosen, fit(recipe, made, deadline), title=recipe.source.location)
    except InputError:
        made.remove_unplanned()
        raise


def _stem(location: str) -> str:
    return os.path.splitext(os.path.basename(os.path.normpath(location)))[0] or "data"
