"""`gnomon evaluate`: how good a run's model is, at chosen thresholds and on new data too."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ..errors import RecipeError, RunError
from .parsing import add_command

if TYPE_CHECKING:
    from .parsing import Commands


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = add_command(
        commands,
        "evaluate",
        run,
        help="say how good a run's model is, on its test part or on new data",
        description="Show how good a run's model is on its test part: scores with 95 % intervals, baselines, classes, "
        "calibration, slices that fare worse. With --on the same on new labelled data.",
    )
    parser.add_argument("directory", metavar="RUN", help="the run directory")
    parser.add_argument("--on", metavar="DATA", help="new labelled data, laid out as for training")
    parser.add_argument(
        "--at",
        metavar="AIM",
        action="append",
        default=[],
        help="find a threshold: precision=0.95, recall=0.9:CLASS, or accuracy=0.99 of what is answered",
    )
    parser.add_argument("--part", choices=("test", "validation"), default="test", help="of the run's own data [test]")
    parser.add_argument("--json", action="store_true", help="as one line of JSON")


def run(chosen: argparse.Namespace) -> int:
    """Do it. Returns the exit code."""
    import msgspec

    from ..evaluate.operating import operating_points, wanted_of
    from ..evaluate.told import told_evaluation, told_points
    from ..judgement import Evaluation, Slices
    from ..rundir.run import SLICES, TEST, VALIDATION, open_run

    if chosen.on and chosen.at:
        raise RecipeError("--at is of the run's own parts, not of other data", remedy="Leave --on or --at out.")
    wanted = [wanted_of(text) for text in chosen.at]
    directory = open_run(chosen.directory)
    if wanted:
        points = [point for each in wanted for point in operating_points(directory, each)]
        sys.stdout.write((msgspec.json.encode(points).decode() if chosen.json else told_points(points)) + "\n")
        return 0
    if chosen.on:
        return _on_new_data(chosen)
    name = TEST if chosen.part == "test" else VALIDATION
    if not directory.has(name):
        raise RunError(
            f"{chosen.directory!r} has not been judged", remedy=f"Judge it first: gnomon report {chosen.directory}"
        )
    judged = directory.read_json(name, Evaluation)
    slices = directory.read_json(SLICES, Slices) if directory.has(SLICES) and chosen.part == "test" else None
    sys.stdout.write((msgspec.json.encode(judged).decode() if chosen.json else told_evaluation(judged, slices)) + "\n")
    return 0


def _on_new_data(chosen: argparse.Namespace) -> int:
    import msgspec

    from ..encoders import kind_of
    from ..evaluate.elsewhere import judge_on
    from ..evaluate.scores import question_of
    from ..evaluate.told import told_evaluation
    from ..planning.hardware import measure_hardware
    from ..predicting.modelfile import load
    from ..rows.dataset import DataSummary
    from ..rundir.run import DATA, RECIPE, open_run
    from ..sources import open_source
    from ..spine.recipe import parse_recipe

    directory = open_run(chosen.directory)
    asked = parse_recipe(directory.read_text(RECIPE)).source
    model = load(directory.model_file())
    kind, question = kind_of(model.header.encoder), question_of(model.header.task)
    asked = msgspec.structs.replace(asked, location=chosen.on, kind=kind, task=question, test_files=None)
    source = open_source(asked)
    hardware = measure_hardware(device="auto", threads=None)
    found = judge_on(source, model, directory.read_json(DATA, DataSummary), threads=hardware.threads)
    source.close()
    for note in found.notes:
        sys.stderr.write(f"gnomon: {note}\n")
    sys.stdout.write(
        (msgspec.json.encode(found).decode() if chosen.json else told_evaluation(found.evaluation, found.slices)) + "\n"
    )
    return 0
