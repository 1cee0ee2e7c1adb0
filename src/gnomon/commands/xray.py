"""`gnomon xray`: one's own inputs, followed through one's own network."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ..errors import ModelFileError
from ..options import positive
from .parsing import add_command, add_texts

if TYPE_CHECKING:
    from .parsing import Commands


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = add_command(
        commands,
        "xray",
        run,
        help="look inside a network: a page that follows inputs through it",
        description="Write xray.html into the run: every layer's answers to some inputs, the arithmetic behind each "
        "number, what each unit answers to in the training data, gates and states over time. One file, no network.",
    )
    parser.add_argument("directory", metavar="RUN", help="the run directory")
    parser.add_argument("files", metavar="FILES", nargs="*", help="inputs to follow [some rows of the test part]")
    add_texts(parser)
    parser.add_argument("--rows", type=positive, default=6, metavar="N", help="how many test rows to follow [6]")


def run(chosen: argparse.Namespace) -> int:
    """Do it. Returns the exit code: 2 where a file could not be read."""
    from ..explain.follow import follow_files, follow_test_rows
    from ..explain.xray import write_xray
    from ..predicting.modelfile import load
    from ..rundir.run import MODEL, RECIPE, open_run
    from ..sources.unlabelled import usual_columns
    from ..spine.reopening import dataset_of

    directory = open_run(chosen.directory)
    if not directory.has(MODEL):
        raise ModelFileError(
            f"the run {chosen.directory!r} holds no {MODEL}", remedy=f"gnomon report {chosen.directory}"
        )
    model = load(directory.model_file())
    rows, problems = follow_files(model, chosen.files, chosen.texts, usual_columns(directory.read_text(RECIPE)))
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    if problems and not rows:
        return 2
    dataset = dataset_of(directory)
    page = write_xray(directory, dataset, model, rows or follow_test_rows(directory, dataset, model, chosen.rows))
    sys.stdout.write(f"page: {page} ({page.stat().st_size / 1e6:.1f} MB); open it in a browser\n")
    return 2 if problems else 0
