"""New labelled data, for a model that is there: the same scores as for its own test part."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..encoders import kind_of
from ..errors import DataError
from ..judgement import Evaluation, Slices
from ..predicting.modelfile import Model
from ..rows.cache import encode_rows, set_aside_rows
from ..rows.dataset import Dataset, DataSummary
from ..rows.fitting import original_sizes
from ..rows.splits import Duplicates
from ..sources import Source
from ..sources.questions import labels_of
from ..tasks import Classify, Regress, Task
from ..types import NOUNS, DataSpec, SetAside, Value, counted, listed, plural, returned
from .answers import judged_by, outputs_of
from .rivals import constant_baseline
from .scores import evaluation_of, question_of
from .slices import slices_of


class Elsewhere(Value, frozen=True):
    """A judgement on other data than the run's.

    Attributes:
        data: what was judged on.
        evaluation, slices: as in a run.
        notes: what was set aside, and why.
    """

    data: str
    evaluation: Evaluation
    slices: Slices
    notes: tuple[str, ...]


def judge_on(source: Source, model: Model, summary: DataSummary, *, threads: int) -> Elsewhere:
    """Judge a model on all rows of a source. Rows of classes that it does not know are set aside, named and counted.

    Args:
        source: labelled rows of the model's kind.
        model: that answers.
        summary: of the data that it was trained on, for the baseline.
        threads: that decode.

    Raises:
        DataError: the rows are of another kind or question, or none can be judged.
    """
    _check_fits(source, model)
    encoder = model.header.encoder
    encoded = returned(encode_rows(source, encoder, threads=threads))
    failed = set_aside_rows(source, encoded)
    labels, unknown = _labels(source, model.header.task)
    usable = np.array(
        [row for row in range(len(source.rows)) if row not in encoded.index.set_aside and row not in unknown], np.int64
    )
    if not len(usable):
        raise _nothing_left(source, model, failed, unknown)
    dataset = Dataset(
        rows=source.rows,
        encoded=encoded,
        encoder=encoder,
        spec=_spec(model, summary),
        labels=labels,
        parts={"train": usable[:0], "validation": usable[:0], "test": usable},
        summary=_summary(source, summary, failed),
        decisions=(),
        original_sizes=original_sizes(source, usable),
    )
    judged = judged_by(dataset, model, usable, outputs_of(dataset, model, usable))
    evaluation = evaluation_of(model, judged, constant_baseline(dataset.spec, judged))
    return Elsewhere(
        data=source.name,
        evaluation=evaluation,
        slices=slices_of(dataset, model, judged),
        notes=tuple(_notes(source, failed, unknown)),
    )


def _check_fits(source: Source, model: Model) -> None:
    kind, question = kind_of(model.header.encoder), question_of(model.header.task)
    if source.kind != kind:
        raise DataError(f"{source.name!r} holds {NOUNS[source.kind][1]}, and the model was trained on {NOUNS[kind][1]}")
    if source.question != question:
        asked = {"classify": "one class", "tag": "any number of labels", "regress": "numbers"}
        raise DataError(
            f"{source.name!r} gives each row {asked[source.question]}, and the model was trained on {asked[question]}"
        )


def _labels(source: Source, task: Task) -> tuple[NDArray[Any], dict[int, str]]:
    """Labels as `Targets` has them; and rows with a class or label that the model does not know, by what it is."""
    if isinstance(task, Regress):
        return np.array([[float(row.label)] for row in source.rows]), {}
    position = {name: place for place, name in enumerate(task.classes)}
    if isinstance(task, Classify):
        labels = np.array([position.get(row.label, -1) for row in source.rows], np.int64)
        return labels, {row: source.rows[row].label for row in np.flatnonzero(labels < 0).tolist()}
    marks = np.zeros((len(source.rows), len(task.classes)), np.float32)
    unknown = {}
    for row, each in enumerate(source.rows):
        for label in labels_of(each.label):
            if label in position:
                marks[row, position[label]] = 1
            else:
                unknown[row] = label
    return marks, unknown


def _spec(model: Model, summary: DataSummary) -> DataSpec:
    task = model.header.task
    return DataSpec(
        kind=kind_of(model.header.encoder),
        input_shape=model.header.input_shape,
        classes=task.classes,
        train_counts=summary.counts["train"],
        question=question_of(task),
        mean=task.mean if isinstance(task, Regress) else (),
        scale=task.scale if isinstance(task, Regress) else (),
    )


def _summary(source: Source, trained: DataSummary, failed: list[SetAside]) -> DataSummary:
    return DataSummary(
        name=source.name,
        kind=source.kind,
        question=source.question,
        classes=trained.classes,
        counts={},
        split_origin="all rows are judged",
        notes=tuple(source.notes),
        set_aside=(*source.set_aside, *failed),
        input_shape=trained.input_shape,
        encoder=trained.encoder,
        duplicates=Duplicates(),
        fingerprint=source.fingerprint,
    )


def _notes(source: Source, failed: list[SetAside], unknown: dict[int, str]) -> list[str]:
    notes = [*source.notes]
    aside = [*source.set_aside, *failed]
    if aside:
        notes.append(f"{plural(len(aside), 'row')} set aside: {listed([f'{row.key} {row.reason}' for row in aside])}")
    if unknown:
        counts = Counter(unknown.values())
        named = listed([f"{label!r} ({plural(count, 'row')})" for label, count in counts.most_common()])
        notes.append(f"set aside, since the model does not know their classes: {named}")
    return notes


def _nothing_left(source: Source, model: Model, failed: list[SetAside], unknown: dict[int, str]) -> DataError:
    rows = counted(len(source.rows), source.kind)
    return DataError(
        f"none of {rows} can be judged: {len(failed):,} can't be read, {len(unknown):,} are of classes that the model "
        f"does not know: {listed(sorted(set(unknown.values())))}",
        remedy=f"The model knows: {listed(list(model.classes))}.",
    )
