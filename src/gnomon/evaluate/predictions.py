"""The table of predictions: one line for each row that was judged, with all that the model says of it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

from ..predicting.modelfile import Model
from ..rows.dataset import Dataset
from ..tasks import Classify, Regress, Tag
from ..types import Split
from .answers import Judged


def predictions(dataset: Dataset, model: Model, judged: dict[Split, Judged]) -> bytes:
    """A Parquet table of these parts."""
    rows = np.concatenate([block.rows for block in judged.values()])
    matrix = np.concatenate([block.answers for block in judged.values()])
    columns: dict[str, Any] = {
        "row": rows,
        "key": [dataset.rows[row].key for row in rows],
        "split": [part for part, block in judged.items() for _ in range(len(block.labels))],
        "label": [dataset.rows[row].label for row in rows],
    }
    if any(block.num_groups for block in judged.values()):
        columns["group"] = [dataset.rows[row].group for row in rows]
    task = model.header.task
    if isinstance(task, Classify):
        best = matrix.argmax(axis=1)
        columns["predicted"] = np.array(model.classes, dtype=object)[best]
        columns["confidence"] = matrix[np.arange(len(rows)), best]
    elif isinstance(task, Tag):
        columns["predicted"] = [";".join(answer.labels) for answer in task.answers(matrix)]
    prefix = "value:" if isinstance(task, Regress) else "p:"
    columns |= {f"{prefix}{name}": matrix[:, index] for index, name in enumerate(model.classes)}
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), sink, compression="zstd")
    return sink.getvalue()
