"""`gnomon resume`: a run that was stopped goes on."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..deadline import parse_deadline, process_start_s
from ..options import add_output, add_records, positive
from .parsing import add_command

if TYPE_CHECKING:
    from .parsing import Commands


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = add_command(
        commands,
        "resume",
        run,
        help="go on with a run or a search that was stopped",
        description="Go on from the last checkpoint; with a search, from the last trial that was over.",
    )
    parser.add_argument("directory", metavar="RUN", help="the directory of the run, or of a search")
    parser.add_argument("--by", metavar="TIME", help="a new deadline; without one, all planned steps are made")
    parser.add_argument(
        "--model", metavar="NAME", help="package.module:Name, where the run's network is your own code: it is run then"
    )
    parser.add_argument("--processes", type=positive, metavar="N", help="that train together [as many as before]")
    add_output(parser)
    add_records(parser, training=True)


def run(chosen: argparse.Namespace) -> int:
    """Do it. Returns the exit code."""
    start_s = process_start_s()
    deadline = parse_deadline(chosen.by, start_s=start_s)
    from ..rundir.run import MAY_NAME_CODE, is_search, open_run
    from ..rundir.seals import require_trust
    from ..spine.fit import resume
    from ..training.launch import is_led

    if is_led():
        from ..spine.following import main

        return main()
    require_trust(Path(chosen.directory), MAY_NAME_CODE, trusted=chosen.model)
    if is_search(chosen.directory):
        from .tune import go_on

        return go_on(chosen, start_s)
    from .working import work

    opened = open_run(chosen.directory)
    return work(opened, deadline, chosen, resume(opened, deadline, processes=chosen.processes), title=chosen.directory)
