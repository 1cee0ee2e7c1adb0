"""How quickly a model answers on this machine: one row alone, and many together."""

from __future__ import annotations

import time
from typing import Any, Final

from numpy.typing import NDArray

from .predicting.modelfile import Model
from .rows.dataset import Dataset
from .rundir.run import SPEED, Run
from .types import Value

_ROWS: Final = 64
_TIMES: Final = 5
_MOST_S: Final = 0.1


class AnswerSpeed(Value, frozen=True):
    """`evaluation/speed.json`: seconds for one row alone (the quickest of five), and rows a second of a block.

    Both from encoded rows to answers, with all views that a prediction averages.
    """

    one_row_s: float
    rows_per_s: float


def write_answer_speed(run: Run, dataset: Dataset, model: Model, *, seconds: float | None = None) -> None:
    """Measure it on test rows, and write it.

    Args:
        run, dataset, model: as the run has them.
        seconds: that it may take: by one row's, so many are passed together, and of less than two nothing is written.
            None for less than a second, or the time of one pass.
    """
    block = dataset.encoded.take(dataset.parts["test"][:_ROWS])
    if not len(block) or (seconds is not None and seconds <= 0):
        return
    one_row_s = _seconds(model, block[:1])
    if seconds is not None:
        block = block[: int(seconds / one_row_s)]
    if len(block) > 1 or seconds is None:
        run.write_json(SPEED, AnswerSpeed(one_row_s=one_row_s, rows_per_s=len(block) / _seconds(model, block)))


def _seconds(model: Model, block: NDArray[Any]) -> float:
    """Of the quickest of some passes: the first one may set things up. A slow one is not repeated."""
    found: list[float] = []
    while not found or (len(found) < _TIMES and sum(found) < _MOST_S):
        start_s = time.perf_counter()
        model.outputs_of_encoded(block)
        found.append(time.perf_counter() - start_s)
    return max(min(found), 1e-9)
