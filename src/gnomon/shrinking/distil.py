"""A small network learns from a large one: its targets are, for the greater part, what the teacher says of each row.

A teacher's probabilities tell how a row resembles other classes too, which a label does not (Hinton, Vinyals, Dean,
"Distilling the knowledge in a neural network", 2015). They are found once, of the rows as they are, before the plan is
made; so a step costs what it costs without a teacher.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec
import torch

from ..batches import Rows
from ..errors import RecipeError
from ..evaluate.answers import outputs_of
from ..predicting.modelfile import Model
from ..predicting.predict import load_of
from ..rows.dataset import Dataset
from ..tasks import Classify


def taught(rows: Rows, teacher: str | None) -> Rows:
    """Training rows with what a teacher says of each.

    Args:
        rows: of the training part.
        teacher: a model file, or a run directory that holds one; None for none.

    Raises:
        ModelFileError: it can't be read.
        RecipeError: it answers another question, or sees other rows.
    """
    if teacher is None:
        return rows
    model = load_of(teacher)
    _require_fitting(model, rows.dataset, teacher)
    task = msgspec.structs.replace(model.header.task, views="none")  # one pass for a row
    asked = Model(msgspec.structs.replace(model.header, task=task, familiar=None), model.network)
    outputs = outputs_of(rows.dataset, asked, rows.indices).averaged
    answers = torch.from_numpy(model.answers_of_outputs(outputs))
    return replace(rows, taught=answers.to(rows.labels.device), teacher=model.digest)


def _require_fitting(model: Model, dataset: Dataset, teacher: str) -> None:
    if not isinstance(model.header.task, Classify) or dataset.spec.question != "classify":
        raise RecipeError("a teacher is for classes", remedy="Leave --teacher out.")
    if model.classes != dataset.spec.classes:
        raise RecipeError(
            f"the teacher {teacher!r} knows other classes than the data have",
            remedy="Train it on the same data, with the same --seed.",
        )
    if model.header.encoder != dataset.encoder:
        raise RecipeError(
            f"the teacher {teacher!r} sees rows in another form than the network that it is to teach",
            remedy="Train both on the same data with the same --seed and, for pictures, the same --size.",
        )
