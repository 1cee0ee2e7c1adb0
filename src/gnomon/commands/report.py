"""`gnomon report`: a run is judged, and its report and model file written."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..deadline import Deadline, process_start_s
from ..options import add_output, add_records
from .parsing import add_command

if TYPE_CHECKING:
    from .parsing import Commands


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = add_command(
        commands,
        "report",
        run,
        help="judge a run and write its report and model file",
        description="Judge the best checkpoint of a run, finished or not, and write its report and model file.",
    )
    parser.add_argument("directory", metavar="RUN", help="the run directory")
    parser.add_argument(
        "--model", metavar="NAME", help="package.module:Name, where the run's network is your own code: it is run then"
    )
    add_output(parser)
    add_records(parser, training=False)


def run(chosen: argparse.Namespace) -> int:
    """Do it. Returns the exit code."""
    deadline = Deadline(process_start_s())
    from ..rundir.run import MAY_NAME_CODE, open_run
    from ..rundir.seals import require_trust
    from .working import work

    opened = open_run(chosen.directory)
    require_trust(opened.path, MAY_NAME_CODE, trusted=chosen.model)
    return work(opened, deadline, chosen, None, title=chosen.directory)
