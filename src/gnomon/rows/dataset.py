"""Rows → split → fitted encoder → `Dataset` with its `DataSpec`. The encoder is fitted on the training part alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..encoders import Encoder, Fit
from ..errors import DataError
from ..sources import Source
from ..sources.cells import protected
from ..types import (
    NOUNS,
    SPLITS,
    Count,
    DataSpec,
    Decision,
    Kind,
    Question,
    Row,
    SetAside,
    Split,
    Value,
    counted,
    listed,
    plural,
)
from .cache import EncodedRows, encode_rows, set_aside_rows
from .fitting import fit_geometry, original_sizes, with_statistics
from .sample import Drawn, drawn_from
from .splits import Duplicates, SplitSpec, describe_duplicates, find_duplicates, split_rows
from .targets import read_targets, with_strata


class DatasetSpec(Value, frozen=True):
    """How rows become a data set.

    Attributes:
        split: shares of the parts that the data does not give.
        size: longer side of the encoded picture; None chooses it from the data and the time.
        fit: what happens to pictures of another shape.
        rows: that are used, drawn by chance within each class; None for all, or as many as the deadline lets decode.
    """

    split: SplitSpec = SplitSpec()
    size: Count | None = None
    fit: Fit = "letterbox"
    rows: Count | None = None


class DataSummary(Value, frozen=True):
    """What was seen: `data.json`. Counts are per class, in the order of `classes`."""

    name: str
    kind: Kind
    question: Question
    classes: tuple[str, ...]
    counts: dict[str, tuple[int, ...]]
    split_origin: str
    notes: tuple[str, ...]
    set_aside: tuple[SetAside, ...]
    input_shape: tuple[int, ...]
    encoder: Encoder
    duplicates: Duplicates
    fingerprint: str
    drawn: Drawn | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """Everything that training and evaluation need of the data.

    Attributes:
        rows: as the source lists them.
        labels: of each row, as `Targets` has them.
        parts: for each split the indices of its rows, ascending.
        decisions: what was decided of the encoding, and why.
        original_sizes: width and height of some test pictures as they were, by row, where they differ.
    """

    rows: Sequence[Row]
    encoded: EncodedRows
    encoder: Encoder
    spec: DataSpec
    labels: NDArray[Any]
    parts: dict[Split, NDArray[np.int64]]
    summary: DataSummary
    decisions: tuple[Decision, ...]
    original_sizes: dict[int, tuple[int, int]]


def build_dataset(
    source: Source,
    spec: DatasetSpec,
    *,
    seed: int,
    max_pixels: int,
    threads: int,
    geometry: Encoder | None = None,
) -> Generator[int, None, Dataset]:
    """Split, fit, encode. Yields the number of rows decoded so far, now and then, and returns the data set.

    Args:
        source: rows with labels.
        spec: how.
        seed: of the split.
        max_pixels: pixels of one encoded picture that the time allows, where the user gave no size.
        threads: that decode.
        geometry: as an earlier run chose it; None chooses it now.

    Raises:
        DataError: fewer than two classes, too few rows to judge anything, or nothing can be decoded.
    """
    duplicates = find_duplicates(source)
    strata = with_strata(source.rows, source.question)
    parts, origin = split_rows(strata, duplicates, spec.split, seed=seed)
    notes, decisions = tuple[str, ...](), _of_all(drawn_from(source))
    if geometry is None:
        fitted = fit_geometry(source, parts["train"], size=spec.size, fit=spec.fit, max_pixels=max_pixels)
        geometry, decisions, notes = fitted[0], (*decisions, *fitted[1]), fitted[2]
    encoded = yield from encode_rows(source, geometry, threads=threads)
    failed = set_aside_rows(source, encoded)
    parts, lost = _usable_parts(source, parts, set(encoded.index.set_aside))
    targets = read_targets(source.rows, parts, source.question)
    if len(targets.classes) < (2 if source.question == "classify" else 1):
        raise DataError(
            _all_failed(source, failed), remedy=f"At least two classes need {NOUNS[source.kind][1]} that can be read."
        )
    encoder = with_statistics(geometry, encoded, parts["train"], seed)
    return Dataset(
        rows=source.rows,
        encoded=encoded,
        encoder=encoder,
        spec=DataSpec(
            kind=source.kind,
            input_shape=encoder.input_shape,
            classes=targets.classes,
            train_counts=targets.counts["train"],
            train_rows=len(parts["train"]),
            question=source.question,
            mean=targets.mean,
            scale=targets.scale,
            given_split=any(row.split for row in source.rows),
        ),
        labels=targets.labels,
        parts=parts,
        summary=DataSummary(
            name=source.name,
            kind=source.kind,
            question=source.question,
            classes=targets.classes,
            counts={str(part): numbers for part, numbers in targets.counts.items()},
            split_origin=origin,
            notes=(*source.notes, *notes),
            set_aside=(*source.set_aside, *failed, *lost),
            input_shape=encoder.input_shape,
            encoder=encoder,
            duplicates=describe_duplicates(source.rows, duplicates, parts),
            fingerprint=source.fingerprint,
            drawn=drawn_from(source),
        ),
        decisions=decisions,
        original_sizes=original_sizes(source, parts["test"]),
    )


def _of_all(drawn: Drawn | None) -> tuple[Decision, ...]:
    if drawn is None:
        return ()
    return (Decision(name="rows", value=f"{drawn.rows:,} of {drawn.of:,} rows", reason=drawn.reason),)


def dataset_notes(dataset: Dataset) -> list[str]:
    """What the user should know of the data after reading it."""
    summary = dataset.summary
    sizes = {part: len(dataset.parts[part]) for part in SPLITS}
    notes = [
        f"{sizes['train']:,} to train, {sizes['validation']:,} to validate, {sizes['test']:,} to test: "
        f"{summary.split_origin}"
    ]
    if summary.set_aside:
        first = listed([f"{row.key} {row.reason}" for row in summary.set_aside])
        notes.append(f"{plural(len(summary.set_aside), 'row')} set aside: {first}")
    double = summary.duplicates
    if double.groups:
        notes.append(
            f"{double.rows:,} rows are byte for byte the same as another ({plural(double.groups, 'group')}); "
            f"{double.across_splits} groups stand in several parts, {double.across_labels} under several classes"
        )
    return notes


def split_table(dataset: Dataset) -> str:
    """`split.csv`: every row of the source with the part that it is in, or why it is in none; a name that a spreadsheet
    would calculate has an apostrophe before it."""
    part_of = {int(row): part for part, rows in dataset.parts.items() for row in rows}
    reasons = {row.key: row.reason for row in dataset.summary.set_aside}
    sink = io.StringIO()
    table = csv.writer(sink, lineterminator="\n")
    table.writerow(("row", "key", "label", "split", "set_aside"))
    for index, row in enumerate(dataset.rows):
        part = part_of.get(index, "")
        why = "" if part else reasons.get(row.key, "")
        table.writerow((index, protected(row.key), protected(row.label), part, protected(why)))
    return sink.getvalue()


def _usable_parts(
    source: Source, parts: dict[Split, NDArray[np.int64]], failed: set[int]
) -> tuple[dict[Split, NDArray[np.int64]], list[SetAside]]:
    """The parts without rows that can't be decoded, and without rows of classes that are not trained on."""
    rows, (noun, nouns) = source.rows, NOUNS[source.kind]
    trained = {rows[row].label for row in parts["train"] if row not in failed}
    if source.question != "classify":
        trained = {row.label for row in rows}
    lost = [
        SetAside(key=rows[row].key, reason=f"its class {rows[row].label!r} has no training {nouns}")
        for part in SPLITS
        for row in parts[part]
        if row not in failed and rows[row].label not in trained
    ]
    usable = {
        part: np.array([row for row in indices if row not in failed and rows[row].label in trained], dtype=np.int64)
        for part, indices in parts.items()
    }
    for part, indices in usable.items():
        if len(parts[part]) and not len(indices):
            raise DataError(
                f"no {noun} of the {part} part can be used: {plural(len(parts[part]), 'row')}, all set aside",
                remedy=f"Look at the first ones by hand; are they {nouns} of the classes in the training part?",
            )
    return usable, lost


def _all_failed(source: Source, failed: Sequence[SetAside]) -> str:
    first = listed([f"{row.key} {row.reason}" for row in failed])
    rows = counted(len(source.rows), source.kind)
    return f"{len(failed):,} of {rows} can't be read, and fewer than 2 classes are left: {first}"
