"""`gnomon plan`: what `train` would do, and what to expect of it."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ..deadline import parse_deadline, process_start_s
from ..options import DATA_EPILOG, add_data_options, add_network_options, add_output, recipe_of
from .parsing import add_command

if TYPE_CHECKING:
    from .parsing import Commands


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = add_command(
        commands,
        "plan",
        run,
        help="say what train would do, and what to expect of it",
        description="Read the data, measure the machine, and say what train would do by the deadline: the network and "
        "why, the accuracy to expect, memory, disk, energy, and what more time would buy. Trains nothing.",
        epilog=DATA_EPILOG,
    )
    parser.set_defaults(epochs=None, steps=None)
    parser.add_argument("data", metavar="DATA", nargs="?", help="your data, see below")
    parser.add_argument("--by", metavar="TIME", help="deadline: 90s, 5m, 1h30m, or a time of day, 18:30")
    add_data_options(parser.add_argument_group("data"))
    add_network_options(parser.add_argument_group("network and training"))
    add_output(parser)


def run(chosen: argparse.Namespace) -> int:
    """Do it. Returns the exit code."""
    deadline = parse_deadline(chosen.by, start_s=process_start_s())
    import msgspec

    from ..display import choose_mode, foretell, open_display
    from ..recipe import look_ahead

    recipe = recipe_of(chosen)
    events = look_ahead(recipe, deadline)
    shown = "quiet" if chosen.json else choose_mode(json=False, quiet=chosen.quiet, stream=sys.stdout)
    with open_display(shown, recipe.source.location, deadline) as show:
        while True:
            try:
                show(next(events))
            except StopIteration as stop:
                forecast = stop.value
                break
    sys.stdout.write((msgspec.json.encode(forecast).decode() if chosen.json else foretell(forecast)) + "\n")
    return 0
