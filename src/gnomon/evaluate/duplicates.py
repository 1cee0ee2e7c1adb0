"""Rows that are nearly the same, inside and across the parts of the data."""

from __future__ import annotations

import time
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .. import chance
from ..judgement import NearDuplicates, NearPair
from ..previews import preview
from ..rows.dataset import Dataset
from ..types import SPLITS, Split
from .alike import MOST_PAIRS, alike_rows

MOST_LISTED: Final = 5000
MOST_SHOWN: Final = 24

_TRIAL_ROWS: Final = 1000


def near_duplicates(dataset: Dataset, *, seed: int, seconds: float | None = None) -> NearDuplicates:
    """Pairs of rows that are nearly the same.

    Args:
        dataset: all parts of it are searched.
        seed: of the choice of rows, where time is short.
        seconds: that the search may take; None for as long as it takes. Rows to be tested come first, then those that
            are trained on.
    """
    part_of: dict[int, Split] = {int(row): part for part in SPLITS for row in dataset.parts[part]}
    rows, skipped = _affordable(dataset, seed=seed, seconds=seconds)
    found = alike_rows(dataset, rows)
    pairs = rows[found.pairs]
    parts = [(part_of[int(first)], part_of[int(second)]) for first, second in pairs]
    across = np.array([first != second for first, second in parts], dtype=bool)
    labels = [(dataset.rows[first].label, dataset.rows[second].label) for first, second in pairs]
    unlike = np.array([first != second for first, second in labels], dtype=bool)
    order = np.lexsort((-found.likeness, ~unlike, ~across))[:MOST_LISTED].tolist()
    if len(pairs) >= MOST_PAIRS:
        skipped = f"the search ended at {MOST_PAIRS:,} pairs: rows of this data are much alike. {skipped}".strip()
    return NearDuplicates(
        compared=len(rows),
        pairs_found=len(pairs),
        across_parts=int(across.sum()),
        across_labels=int(unlike.sum()),
        pairs=tuple(
            _pair(
                dataset,
                pairs[place],
                parts[place],
                labels[place],
                float(found.likeness[place]),
                shown=rank < MOST_SHOWN,
            )
            for rank, place in enumerate(order)
        ),
        skipped=skipped,
    )


def _affordable(dataset: Dataset, *, seed: int, seconds: float | None) -> tuple[NDArray[np.int64], str]:
    """The rows that can be compared in time, ascending; and what that leaves out. The time grows with their square."""
    tested = np.concatenate([dataset.parts["test"], dataset.parts["validation"]])
    trained = dataset.parts["train"][chance.permutation(seed, "duplicates", 0, len(dataset.parts["train"]))]
    rows = np.concatenate([tested, trained])
    if seconds is None:
        return np.sort(rows), ""
    count = 0
    if seconds > 0:
        began = time.monotonic()
        alike_rows(dataset, np.sort(rows[:_TRIAL_ROWS]))
        taken = time.monotonic() - began
        count = int(_TRIAL_ROWS * max(0.0, (seconds - taken) / max(taken, 1e-6)) ** 0.5)
    if count >= len(rows):
        return np.sort(rows), ""
    return np.sort(rows[:count]), f"time was short: {count:,} of {len(rows):,} rows were compared"


def _pair(
    dataset: Dataset,
    rows: NDArray[np.int64],
    parts: tuple[Split, Split],
    labels: tuple[str, str],
    likeness: float,
    *,
    shown: bool,
) -> NearPair:
    seen = (
        [preview(dataset.encoder, dataset.encoded.take(rows[place : place + 1])[0]) for place in (0, 1)]
        if shown
        else []
    )
    return NearPair(
        keys=(dataset.rows[rows[0]].key, dataset.rows[rows[1]].key),
        parts=parts,
        labels=labels,
        likeness=likeness,
        thumbnails=tuple(each.png for each in seen if each.png),
        texts=tuple(each.text for each in seen if each.text),
    )
