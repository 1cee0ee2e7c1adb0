"""The table of predictions, read back: what a run said of its validation and test rows, without its network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from ..errors import RunError
from ..rundir.run import PREDICTIONS, Run
from ..scoring.intervals import Groups, groups_of
from ..types import Split


@dataclass(frozen=True, slots=True)
class Predicted:
    """What was said of the rows of one part.

    Attributes:
        keys, labels: of each row, as written.
        classes: names of the columns of `answers`.
        answers: `(N, K)`: probabilities of classes or labels; or values.
        groups: of the rows, where they come in groups.
        is_value: whether `answers` are values.
        given: of several labels those given, by row; else empty.
    """

    keys: tuple[str, ...]
    labels: tuple[str, ...]
    classes: tuple[str, ...]
    answers: NDArray[np.float64]
    groups: Groups | None
    is_value: bool
    given: tuple[frozenset[str], ...]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Of classes: which rows are named rightly, `(N,)`; of equal probabilities the first class counts."""
        said = np.array(self.classes, dtype=object)[self.answers.argmax(axis=1)]
        right: NDArray[np.bool_] = said == np.array(self.labels, dtype=object)
        return right


def read_predictions(run: Run, part: Split) -> Predicted:
    """What this run said of one part.

    Raises:
        RunError: the run has not been judged, or the table is damaged.
    """
    if not run.has(PREDICTIONS):
        raise RunError(f"{str(run.path)!r} has not been judged", remedy=f"Judge it first: gnomon report {run.path}")
    try:
        run.require_whole(PREDICTIONS)
        table = pyarrow.parquet.read_table(run.path / PREDICTIONS, filters=[("split", "==", part)])
        return _predicted(table)
    except (pyarrow.ArrowException, OSError, KeyError, ValueError) as error:
        raise RunError(
            f"the table of predictions of {str(run.path)!r} can't be read: {error}",
            remedy=f"Write it anew: gnomon report {run.path}",
        ) from None


def _predicted(table: Any) -> Predicted:
    prefixes = ("p:", "value:")
    columns = [name for name in table.column_names if name.startswith(prefixes)]
    is_value = all(name.startswith("value:") for name in columns)
    tagged = "confidence" not in table.column_names and not is_value
    groups = table["group"].to_pylist() if "group" in table.column_names else [None] * len(table)
    return Predicted(
        keys=tuple(table["key"].to_pylist()),
        labels=tuple(table["label"].to_pylist()),
        classes=tuple(name.partition(":")[2] for name in columns),
        answers=np.stack([table[name].to_numpy() for name in columns], axis=1).astype(np.float64),
        groups=groups_of(groups),
        is_value=is_value,
        given=tuple(frozenset(filter(None, said.split(";"))) for said in table["predicted"].to_pylist())
        if tagged
        else (),
    )
