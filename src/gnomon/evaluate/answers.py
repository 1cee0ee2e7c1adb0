"""A part of a data set, through the network: outputs, answers, truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..predicting.modelfile import Model
from ..rows.dataset import Dataset
from ..scoring.intervals import Groups, groups_of


@dataclass(frozen=True, slots=True)
class Outputs:
    """Of the network for some rows, `(N, K)` each, before `activated`.

    Attributes:
        averaged: what a prediction rests on.
        single: by one view of each row.
        unlikeness: to the training data, `(N,)`, where the model knows.
        features: `(N, F)`, what the network makes of each row before it answers.
    """

    averaged: NDArray[np.float32]
    single: NDArray[np.float32]
    unlikeness: NDArray[np.float32] | None = None
    features: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """Some rows with what is said of them and what is true.

    Attributes:
        rows: `(N,)`, indices into the data set.
        outputs: of the network.
        answers: `(N, K)`, probabilities or values, as predicted.
        labels: as `Targets` has them.
        groups: of the rows, where they come in several groups.
        num_groups: 0 where each row is one of its own.
    """

    rows: NDArray[np.int64]
    outputs: Outputs
    answers: NDArray[np.float32]
    labels: NDArray[Any]
    groups: Groups | None
    num_groups: int

    def __len__(self) -> int:
        return len(self.rows)


def outputs_of(dataset: Dataset, model: Model, rows: NDArray[np.int64]) -> Outputs:
    """These rows, ascending, through the network."""
    averaged, single = (np.empty((len(rows), len(model.classes)), np.float32) for _ in range(2))
    unlikeness = None if model.header.familiar is None else np.empty(len(rows), np.float32)
    features, start = [], 0
    for chosen, block in dataset.encoded.blocks(rows):
        place, passed = slice(start, start + len(chosen)), model.passed(block)
        averaged[place], single[place] = passed.averaged, passed.single
        features.append(passed.features)
        if unlikeness is not None:
            unlikeness[place] = model.unlikeness(block, passed.features)
        start += len(chosen)
    return Outputs(averaged, single, unlikeness, np.concatenate(features) if features else None)


def with_other_views(dataset: Dataset, model: Model, rows: NDArray[np.int64], known: Outputs) -> Outputs:
    """As `outputs_of`, where the outputs for the single views are known; without unlikeness."""
    single = known.single
    averaged, start = np.empty_like(single), 0
    for chosen, block in dataset.encoded.blocks(rows):
        place = slice(start, start + len(chosen))
        averaged[place] = model.averaged(block, single[place])
        start += len(chosen)
    return Outputs(averaged, single, features=known.features)


def judged_by(dataset: Dataset, model: Model, rows: NDArray[np.int64], outputs: Outputs) -> Judged:
    """These rows with their answers and their truth."""
    names = [dataset.rows[row].group for row in rows]
    groups = groups_of(names)
    alone = len(names) > 1 and names[0] is not None and len(set(names)) == 1
    count = int(alone) if groups is None else int(groups.max()) + 1
    return Judged(rows, outputs, model.answers_of_outputs(outputs.averaged), dataset.labels[rows], groups, count)
