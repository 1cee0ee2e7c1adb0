"""`gnomon explain`: what a network looks at in files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import ModelFileError, RecipeError
from .parsing import add_command, add_texts

if TYPE_CHECKING:
    from ..explain.values import Example
    from .parsing import Commands

_METHODS: Final = ("integrated-gradients", "occlusion", "grad-cam", "gradients")


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = add_command(
        commands,
        "explain",
        run,
        help="show what an answer rests on",
        description="Show what in pictures, texts, recordings or series speaks for an answer and what against it: "
        "a page in the run directory, and the findings in words.",
    )
    parser.add_argument("directory", metavar="RUN", help="the run directory")
    parser.add_argument("files", metavar="FILES", nargs="*", help="files, folders, archives, tables")
    add_texts(parser)
    parser.add_argument(
        "--method",
        dest="methods",
        action="append",
        choices=_METHODS,
        metavar="METHOD",
        help=f"{', '.join(_METHODS)}; may be given several times [the two most telling]",
    )
    parser.add_argument(
        "--class",
        dest="outputs",
        action="append",
        metavar="NAME",
        help="the class, label or value to explain; may be given several times [the answer]",
    )


def run(chosen: argparse.Namespace) -> int:
    """Do it. Returns the exit code: 2 where a row could not be read."""
    if not chosen.files and not chosen.texts:
        raise RecipeError("there is nothing to explain", remedy="gnomon explain RUN FILES, or --text TEXT.")
    from ..explain.files import MOST_ROWS, explain_raw, given_rows, page_name
    from ..explain.page import explanation_page, in_words
    from ..predicting.modelfile import load
    from ..rundir.run import MODEL, RECIPE, open_run
    from ..sources.unlabelled import usual_columns

    directory = open_run(chosen.directory)
    if not directory.has(MODEL):
        raise ModelFileError(
            f"the run {chosen.directory!r} holds no {MODEL}", remedy=f"gnomon report {chosen.directory}"
        )
    model = load(directory.model_file())
    examples: list[Example] = []
    failed = more = 0
    for name, raw, encoded in given_rows(model, chosen.files, chosen.texts, usual_columns(directory.read_text(RECIPE))):
        if len(examples) == MOST_ROWS:
            more += 1
        elif isinstance(encoded, str):
            failed += 1
            sys.stderr.write(f"{name}: {encoded}\n")
        else:
            example = explain_raw(model, name, raw, encoded, outputs=chosen.outputs or (), methods=chosen.methods or ())
            examples.append(example)
            sys.stdout.write(in_words(example) + "\n")
    if more:
        sys.stderr.write(f"gnomon: {more:,} more rows are left out: a page holds {MOST_ROWS}\n")
    if examples:
        page = page_name([example.key for example in examples])
        directory.write(page, explanation_page(examples, title=Path(chosen.directory).resolve().name))
        sys.stdout.write(f"page: {directory.path / page}\n")
    return 2 if failed else 0
