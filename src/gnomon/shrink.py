"""A run's model in a smaller file, and what that costs on its test rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from .dataset import Dataset
from .evaluate.answers import outputs_of
from .evaluate.compare import compared
from .evaluate.table import read_predictions
from .judgement import Comparison
from .modelfile import load
from .run import SMALL_MODEL, Run
from .tasks import Tag
from .types import Value
from .writing import write_atomically


class Shrunk(Value, frozen=True):
    """What became of it.

    Attributes:
        path: of the smaller file.
        bytes_before, bytes_after: of the two files.
        compared: the smaller model against the whole one, on the test rows.
    """

    path: str
    bytes_before: int
    bytes_after: int
    compared: Comparison


def shrink(run: Run, dataset: Dataset, *, out: Path | None = None) -> Shrunk:
    """Write the run's model with large tensors in eight bits, and judge what is read back.

    Args:
        run: judged.
        dataset: of the run.
        out: the smaller file; None for one in the run directory.

    Raises:
        RunError: the run has not been judged.
        ModelFileError: its model file can't be used.
    """
    before = read_predictions(run, "test")
    whole = run.model_file()
    content = load(whole).to_bytes(numbers="int8")
    if out is None:
        run.write(SMALL_MODEL, content)
    else:
        write_atomically(out, content)
    path = out or run.path / SMALL_MODEL
    model, rows = load(path), dataset.parts["test"]
    answers = model.answers_of_outputs(outputs_of(dataset, model, rows).averaged)
    task = model.header.task
    given = before.given
    if isinstance(task, Tag):
        names = np.array(task.classes, dtype=object)
        given = tuple(frozenset(names[marks]) for marks in task.given(answers))
    after = replace(before, answers=answers.astype(np.float64), given=given)
    return Shrunk(
        path=str(path),
        bytes_before=whole.stat().st_size,
        bytes_after=len(content),
        compared=compared(before, after, ("float32", "int8")),
    )
