"""A run's model in a smaller file, with fewer filters where that is asked, and what it costs on the run's test rows."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import torch

from .. import chance
from ..batches import open_rows
from ..errors import RecipeError
from ..evaluate.answers import outputs_of
from ..evaluate.compare import FEWEST_ROWS, compared
from ..evaluate.remembering import with_memory
from ..evaluate.table import read_predictions
from ..judgement import Comparison
from ..models import Cnn, Network, channels_last
from ..planning.plan import Plan
from ..predicting.modelfile import Model, load
from ..rows.dataset import Dataset
from ..rundir.run import PLAN, SMALL_MODEL, Run
from ..rundir.writing import write_atomically
from ..tasks import Tag
from ..types import Value
from .thin import thinned

_MOST_ROWS: Final = 1024
_PIXELS: Final = 2**22


class Shrunk(Value, frozen=True):
    """What became of it.

    Attributes:
        path: of the smaller file.
        bytes_before, bytes_after: of the two files.
        compared: the smaller model against the whole one, on the test rows; None where these are too few.
    """

    path: str
    bytes_before: int
    bytes_after: int
    compared: Comparison | None


def shrink(run: Run, dataset: Dataset, *, filters: float | None = None, out: Path | None = None) -> Shrunk:
    """Write the run's model with large tensors in eight bits, and judge what is read back.

    Args:
        run: judged.
        dataset: of the run.
        filters: share of a convolutional network's filters that stay; None for all.
        out: the smaller file; None for one in the run directory.

    Raises:
        RecipeError: the network has no filters to leave out, or would not become smaller.
        RunError: the run has not been judged.
        ModelFileError: its model file can't be used.
    """
    before = read_predictions(run, "test")
    whole = run.model_file()
    model = load(whole)
    content = (model if filters is None else _thinned(model, run, dataset, filters)).to_bytes(numbers="int8")
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
    titles = "float32", "int8" if filters is None else f"int8, {filters:.0%} of filters"
    return Shrunk(
        path=str(path),
        bytes_before=whole.stat().st_size,
        bytes_after=len(content),
        compared=compared(before, after, titles) if len(before.keys) >= FEWEST_ROWS else None,
    )


def _thinned(model: Model, run: Run, dataset: Dataset, share: float) -> Model:
    """With fewer filters, and what it needs to tell rows that are unlike its training data found anew."""
    spec, network = model.header.model, model.network
    if not isinstance(spec, Cnn) or not isinstance(network, Network):
        raise RecipeError("this network has no filters that could be left out", remedy="Leave --filters out.")
    seed = run.read_json(PLAN, Plan).seed
    rows = open_rows(dataset, "train", device=torch.device("cpu"), free_bytes=0)
    count = min(_MOST_ROWS, max(16, _PIXELS // math.prod(dataset.spec.input_shape[1:])))
    chosen = chance.permutation(seed, "thinning", 0, len(rows))[:count]
    spec, network = thinned(spec, network, rows.inputs(chosen).float(), share)
    header = msgspec.structs.replace(model.header, model=spec, familiar=None)
    thin = Model(header, channels_last(network))
    return with_memory(dataset, thin, outputs_of(dataset, thin, dataset.parts["validation"]), seed=seed)
