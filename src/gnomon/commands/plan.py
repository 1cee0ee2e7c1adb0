"""`gnomon plan`: what `train` would do, and what to expect of it."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Final

from ..deadline import parse_deadline, process_start_s
from ..errors import RecipeError
from ..options import (
    DATA_EPILOG,
    add_data_options,
    add_network_options,
    add_output,
    not_negative,
    positive,
    positive_float,
    recipe_of,
)
from .parsing import add_command

if TYPE_CHECKING:
    from ..planning.estimate import Cluster
    from .parsing import Commands


GPUS: Final = ("t4", "p100", "v100", "l4", "a100", "h100", "h200")
"""Those of `estimate.DEVICES`, which help does not load."""


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
    group = parser.add_argument_group("on other machines")
    group.add_argument("--gpus", choices=GPUS, help="what the same training would take on these")
    group.add_argument("--machines", type=positive, metavar="N", help="how many [1]")
    group.add_argument("--per-machine", type=positive, metavar="N", help="GPUs in each [8]")
    group.add_argument("--link", type=positive_float, metavar="GB/S", help="between a GPU and the next [12.5]")
    group.add_argument("--price", type=not_negative, help="of a GPU and hour, in any currency")
    add_output(parser)


def run(chosen: argparse.Namespace) -> int:
    """Do it. Returns the exit code."""
    deadline = parse_deadline(chosen.by, start_s=process_start_s())
    import msgspec

    from ..display import choose_mode, foretell, open_display
    from ..spine.preparing import look_ahead

    recipe, cluster = recipe_of(chosen), _cluster(chosen)
    events = look_ahead(recipe, deadline, cluster=cluster)
    shown = "quiet" if chosen.json else choose_mode(json=False, quiet=chosen.quiet, stream=sys.stdout)
    with open_display(shown, recipe.source.location, deadline) as show:
        while True:
            try:
                show(next(events))
            except StopIteration as stop:
                forecast = stop.value
                break
    sys.stdout.write((msgspec.json.encode(forecast).decode() if chosen.json else foretell(forecast, cluster)) + "\n")
    return 0


def _cluster(chosen: argparse.Namespace) -> Cluster | None:
    """The machines that an estimate is asked for."""
    from ..planning.estimate import Cluster

    others = {"machines": chosen.machines, "per_machine": chosen.per_machine, "price": chosen.price}
    others |= {"link": None if chosen.link is None else 1e9 * chosen.link}
    given = {name: value for name, value in others.items() if value is not None}
    if chosen.gpus is None and given:
        option = f"--{next(iter(given)).replace('_', '-')}"
        raise RecipeError(f"{option} means nothing without --gpus", remedy=f"Known are {', '.join(GPUS)}.")
    return None if chosen.gpus is None else Cluster(gpus=chosen.gpus, **given)
