"""`gnomon tune`: better settings are searched, and a network trained with them, by one deadline."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from ..deadline import Deadline, parse_deadline, process_start_s
from ..errors import Interrupted
from ..options import (
    DATA_EPILOG,
    add_data_options,
    add_length,
    add_network_options,
    add_output,
    add_records,
    positive,
    recipe_of,
)
from .parsing import add_command

if TYPE_CHECKING:
    from ..rundir.run import Run
    from ..tuning.records import SearchSpec
    from .parsing import Commands

_EPILOG = """\
examples:
  gnomon tune photos/ --by 1h                                        what to search follows from the data
  gnomon tune reviews.csv --by 10m --method random
  gnomon tune photos/ --by 1h --grid optimizer=muon,adam rate_factor=0.5,1,2
  gnomon tune digits --trials 20 --epochs 5                          the same result on every run
  gnomon tune --out runs/NAME                                        go on with a search that was stopped

A quantity is named as the option of train, with _ for -; or, relative to what the plan decides: rate_factor,
batch_factor, rungs (up the ladder of networks); or a field of the model that --model names, such as width.

"""


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = add_command(
        commands,
        "tune",
        run,
        help="search for better settings, and train with them",
        description="Search for settings that are better than the usual ones on your data, find out with fresh seeds "
        "whether they really are, and train with them: all by the deadline.",
        epilog=_EPILOG + DATA_EPILOG,
    )
    parser.add_argument("data", metavar="DATA", nargs="?", help="your data, see below")
    add_length(parser)
    _add_search_options(parser.add_argument_group("search"))
    add_data_options(parser.add_argument_group("data"))
    add_network_options(parser.add_argument_group("network and training: what is given is not searched"))
    add_output(parser, out=True)
    add_records(parser, training=False)


def _add_search_options(group: Any) -> None:
    group.add_argument("--method", choices=("bayes", "random", "grid"), help="[bayes; with --grid: grid]")
    group.add_argument(
        "--grid",
        nargs="+",
        action="extend",
        metavar="NAME=A,B",
        help="search these values, and nothing else; every combination by grid",
    )
    group.add_argument("--trials", type=positive, metavar="N", help="the most trials [as the time allows]")
    group.add_argument(
        "--storage",
        metavar="URL",
        help="share trials with other searches: postgresql://…, sqlite:///…, journal:///PATH",
    )
    group.add_argument("--workers", type=positive, metavar="N", help="trainings side by side, each in a process [1]")
    group.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="make them on a Ray cluster: auto, HOST:6379, or local (needs gnomon[cluster])",
    )
    group.add_argument("--study", default="gnomon", metavar="NAME", help="name in the storage [gnomon]")


def run(chosen: argparse.Namespace) -> int:
    """Do it. Returns the exit code."""
    start_s = process_start_s()
    from ..rundir.run import SEARCH, create_search, is_search

    if chosen.data is None and chosen.out and is_search(chosen.out):
        return go_on(chosen, start_s)
    deadline = parse_deadline(chosen.by, start_s=start_s)
    recipe = recipe_of(chosen)
    from ..tuning.python import checked
    from ..tuning.records import SearchSpec, read_search
    from ..tuning.settings import grid_space, with_arguments

    dimensions = grid_space(chosen.grid, recipe) if chosen.grid else ()
    spec = SearchSpec(
        recipe=with_arguments(recipe, dimensions),
        method=chosen.method or ("grid" if chosen.grid else "bayes"),
        dimensions=dimensions,
        trials=chosen.trials,
        total_s=deadline.total_s if deadline.is_set else 0.0,
        storage=chosen.storage or "",
        study=chosen.study,
        workers=chosen.workers,
        ray=chosen.ray or "",
    )
    checked(spec)
    made = create_search(
        chosen.out, data=os.path.splitext(os.path.basename(os.path.normpath(recipe.source.location)))[0]
    )
    if made.has(SEARCH):
        spec = read_search(made)
    return _work(made, spec, deadline, chosen)


def go_on(chosen: argparse.Namespace, start_s: float) -> int:
    """Go on with the search in a directory; without a new deadline, with what is left of its own."""
    from ..rundir.run import Run
    from ..tuning.records import read_records, read_search

    made = Run(path=_path(chosen))
    spec = read_search(made)
    deadline = parse_deadline(chosen.by, start_s=start_s)
    if not deadline.is_set and spec.total_s:
        spent_s = max((done.elapsed_s for done in read_records(made)), default=0.0)
        deadline = Deadline(start_s, start_s + max(1.0, spec.total_s - spent_s))
    return _work(made, spec, deadline, chosen)


def _path(chosen: argparse.Namespace) -> Any:
    from pathlib import Path

    return Path(getattr(chosen, "directory", None) or chosen.out)


def _work(made: Run, spec: SearchSpec, deadline: Deadline, chosen: argparse.Namespace) -> int:
    """The search, shown as it goes. A first Ctrl-C ends its stage, a second one at once leaves."""
    from ..display import choose_mode, summary
    from ..judgement import Evaluation
    from ..rundir.run import BEST, TEST, TUNE, Run
    from ..tuning.search import Wish, search
    from ..tuning.table import open_table
    from ..types import Finished
    from .working import signals_noted

    mode = choose_mode(json=chosen.json, quiet=chosen.quiet, stream=sys.stdout)
    wish, finished = Wish(), None
    with signals_noted(made) as signals, open_table(mode, spec.recipe.source.location, deadline) as show:
        signals.patient = True
        for event in search(made, spec, deadline, wish=wish, language=chosen.lang):
            show(event)
            finished = event if isinstance(event, Finished) else finished
            if signals.number:
                if signals.number == signal.SIGTERM:
                    raise Interrupted(signals.number)
                wish.enough, signals.number = True, 0
    if finished is not None and mode in ("panel", "lines"):
        judged = Run(made.path / BEST).read_json(TEST, Evaluation)
        baselines = {name: baseline.score for name, baseline in judged.baselines.items()}
        sys.stdout.write(f"{summary(finished, judged.headline, baselines)}\nSearch   {made.path}/{TUNE}\n")
    return 0
