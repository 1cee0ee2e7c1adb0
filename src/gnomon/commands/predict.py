"""`gnomon predict`: what is in files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import RecipeError
from ..options import positive, share
from .parsing import add_command, add_texts

if TYPE_CHECKING:
    from ..rundir.run import Run
    from ..sources.unlabelled import TableColumns
    from .parsing import Commands


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = add_command(
        commands,
        "predict",
        run,
        help="say what is in files",
        description="Say what is in pictures, texts, recordings or series: whatever the model was trained on.",
    )
    parser.add_argument("model", metavar="MODEL", help="a model file, or a run directory")
    parser.add_argument(
        "files",
        metavar="FILES",
        nargs="*",
        help="files, folders, archives, tables; - reads texts, one a line",
    )
    add_texts(parser)
    parser.add_argument("--top", type=positive, default=1, metavar="N", help="name the N most probable classes [1]")
    parser.add_argument(
        "--abstain-below", type=share, default=0.0, metavar="CONFIDENCE", help="call answers of less confidence unsure"
    )
    parser.add_argument(
        "--at", metavar="accuracy=A", help="the same by the confidence that made so many answers right in validation"
    )
    parser.add_argument("--csv", action="store_true", help="as a table: file, label, confidence")
    tables = parser.add_argument_group("tables", "whose rows are answered; by default the columns are those of the run")
    tables.add_argument("--input", metavar="COLUMN", help="of texts or file names")
    tables.add_argument("--series-id", metavar="COLUMN", help="rows of one value are one series, a row a step")
    tables.add_argument("--time", metavar="COLUMN", help="orders the rows of a series")


def run(chosen: argparse.Namespace) -> int:
    """Do it. Returns the exit code."""
    from ..predicting.predict import print_predictions
    from ..rundir.run import MODEL, Run

    if not chosen.files and not chosen.texts:
        raise RecipeError("there is nothing to predict", remedy="gnomon predict MODEL FILES, or --text TEXT.")
    run = Run(Path(chosen.model))
    if run.has(MODEL):
        run.require_whole(MODEL)
    return print_predictions(
        chosen.model,
        chosen.files,
        texts=chosen.texts,
        top=chosen.top,
        as_csv=chosen.csv,
        abstain_below=_confidence(chosen.model, chosen.at) if chosen.at else chosen.abstain_below,
        columns=_columns(chosen, run),
    )


def _columns(chosen: argparse.Namespace, run: Run) -> TableColumns:
    """Those that are asked for; else those that the run was trained by, where there is a run."""
    from ..rundir.run import RECIPE
    from ..sources.unlabelled import TableColumns, usual_columns

    asked = {name: getattr(chosen, name) for name in ("input", "series_id", "time")}
    if any(asked.values()) or not run.has(RECIPE):
        return TableColumns(**asked)
    return usual_columns(run.read_text(RECIPE))


def _confidence(model: str, at: str) -> float:
    from ..evaluate.operating import confidence_for, wanted_of
    from ..rundir.run import open_run

    return confidence_for(open_run(model), wanted_of(at))
