"""Rows → split → fitted encoder → `Dataset` with its `DataSpec`. The encoder is fitted on the training part alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from . import chance
from .cache import EncodedRows, encode_rows, set_aside_rows
from .encoders import Fit, Header, ImageEncoder, choose_geometry, quiet_decoding, read_header
from .errors import DataError, RowError
from .sources import Source
from .splits import Duplicates, SplitSpec, describe_duplicates, find_duplicates, split_rows
from .types import SPLITS, Count, DataSpec, Decision, Row, SetAside, Split, Value, listed, plural

_SAMPLE: Final = 256
_STATISTICS_ROWS: Final = 4096
SMALLEST_SIDE: Final = 3
"""What a 3×3 filter needs."""


class DatasetSpec(Value, frozen=True):
    """How rows become a data set.

    Attributes:
        split: shares of the parts that the data does not give.
        size: longer side of the encoded picture; None chooses it from the data and the time.
        fit: what happens to pictures of another shape.
    """

    split: SplitSpec = SplitSpec()
    size: Count | None = None
    fit: Fit = "letterbox"


class DataSummary(Value, frozen=True):
    """What was seen: `data.json`. Counts are per class, in the order of `classes`."""

    name: str
    kind: str
    classes: tuple[str, ...]
    counts: dict[str, tuple[int, ...]]
    split_origin: str
    notes: tuple[str, ...]
    set_aside: tuple[SetAside, ...]
    input_shape: tuple[int, int, int]
    encoder: ImageEncoder
    duplicates: Duplicates
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """Everything that training and evaluation need of the data.

    Attributes:
        rows: as the source lists them.
        labels: `(N,)` class index of each row; −1 for rows set aside.
        parts: for each split the indices of its rows, ascending.
        input_decision: which input size was chosen, and why.
    """

    rows: Sequence[Row]
    encoded: EncodedRows
    encoder: ImageEncoder
    spec: DataSpec
    labels: NDArray[np.int64]
    parts: dict[Split, NDArray[np.int64]]
    summary: DataSummary
    input_decision: Decision


def build_dataset(
    source: Source,
    spec: DatasetSpec,
    *,
    seed: int,
    max_pixels: int,
    threads: int,
    geometry: ImageEncoder | None = None,
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
    parts, origin = split_rows(source.rows, duplicates, spec.split, seed=seed)
    if geometry is None:
        geometry, decision = _geometry(source, parts["train"], spec, max_pixels)
    else:
        decision = Decision(name="input", value=f"{geometry.width}×{geometry.height}", reason="as before")
    encoded = yield from encode_rows(source, geometry, threads=threads)
    failed = set_aside_rows(source, encoded)
    parts, lost = _usable_parts(source.rows, parts, set(encoded.index.set_aside))
    classes = sorted({source.rows[row].label for row in parts["train"]}, key=_natural)
    if len(classes) < 2:
        raise DataError(_all_failed(source, failed), remedy="At least two classes need pictures that can be read.")
    encoder = _with_statistics(geometry, encoded, parts["train"], seed)
    labels = _labels(source.rows, classes, parts)
    counts = {part: tuple(np.bincount(labels[rows], minlength=len(classes)).tolist()) for part, rows in parts.items()}
    return Dataset(
        rows=source.rows,
        encoded=encoded,
        encoder=encoder,
        spec=DataSpec(
            kind=source.kind,
            input_shape=(encoder.channels, encoder.height, encoder.width),
            classes=tuple(classes),
            train_counts=counts["train"],
            given_split=any(row.split for row in source.rows),
        ),
        labels=labels,
        parts=parts,
        summary=DataSummary(
            name=source.name,
            kind=source.kind,
            classes=tuple(classes),
            counts={str(part): numbers for part, numbers in counts.items()},
            split_origin=origin,
            notes=tuple(source.notes),
            set_aside=(*source.set_aside, *failed, *lost),
            input_shape=(encoder.channels, encoder.height, encoder.width),
            encoder=encoder,
            duplicates=describe_duplicates(source.rows, duplicates, parts),
            fingerprint=source.fingerprint,
        ),
        input_decision=decision,
    )


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
    """`split.csv`: every row of the source with the part that it is in, or why it is in none."""
    part_of = {int(row): part for part, rows in dataset.parts.items() for row in rows}
    reasons = {row.key: row.reason for row in dataset.summary.set_aside}
    sink = io.StringIO()
    table = csv.writer(sink, lineterminator="\n")
    table.writerow(("row", "key", "label", "split", "set_aside"))
    for index, row in enumerate(dataset.rows):
        part = part_of.get(index, "")
        table.writerow((index, row.key, row.label, part, "" if part else reasons.get(row.key, "")))
    return sink.getvalue()


def _geometry(
    source: Source, train: NDArray[np.int64], spec: DatasetSpec, max_pixels: int
) -> tuple[ImageEncoder, Decision]:
    """Fit the size on the headers of up to 256 training rows, evenly spaced so that reading goes forward."""
    headers: list[Header] = []
    channels = None
    first_reason = ""
    sample = train[np.unique(np.linspace(0, len(train) - 1, _SAMPLE).astype(int))].tolist()
    with quiet_decoding():
        for row in sample:
            try:
                raw = source.read(row)
                headers.append(read_header(raw))
                if isinstance(raw, np.ndarray):
                    channels = raw.shape[2] if raw.ndim == 3 and raw.shape[2] not in (2, 4) else channels
            except RowError as error:  # named and counted when it is encoded
                first_reason = first_reason or error.reason
    if not headers:
        raise DataError(
            f"none of {plural(len(sample), 'picture')} of the training part that were looked at can be read: "
            f"{source.rows[sample[0]].key} {first_reason}",
            remedy="Open the first one by hand: is it a picture?",
        )
    if not headers[0].whole_numbers:
        first = source.read(int(train[0]))
        channels = first.shape[2] if isinstance(first, np.ndarray) and first.ndim == 3 else 1
    encoder, decision = choose_geometry(headers, channels=channels, fit=spec.fit, side=spec.size, max_pixels=max_pixels)
    if min(encoder.height, encoder.width) < SMALLEST_SIDE:
        raise DataError(
            f"pictures of {encoder.width}×{encoder.height} are too small: {SMALLEST_SIDE}×{SMALLEST_SIDE} is the least",
            remedy=f"Give a larger --size, such as 32; {decision.reason}.",
        )
    return encoder, decision


def _with_statistics(encoder: ImageEncoder, encoded: EncodedRows, train: NDArray[np.int64], seed: int) -> ImageEncoder:
    """Mean and deviation per channel over up to 4,096 training rows, a bounded number at a time, in float64."""
    order = chance.permutation(seed, "statistics", 0, len(train))[:_STATISTICS_ROWS]
    sums, squares, count = np.zeros(encoder.channels), np.zeros(encoder.channels), 0
    for start in range(0, len(order), 64):
        values = (
            encoded.take(np.sort(train[order[start : start + 64]])).reshape(-1, encoder.channels).astype(np.float64)
        )
        sums, squares, count = sums + values.sum(axis=0), squares + (values**2).sum(axis=0), count + len(values)
    mean = sums / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    std = np.where(std > 1e-6 * (1 + np.abs(mean)), std, 1.0)
    return msgspec.structs.replace(encoder, mean=tuple(mean.tolist()), std=tuple(std.tolist()))


def _usable_parts(
    rows: Sequence[Row], parts: dict[Split, NDArray[np.int64]], failed: set[int]
) -> tuple[dict[Split, NDArray[np.int64]], list[SetAside]]:
    """The parts without rows that can't be decoded, and without rows of classes that are not trained on."""
    trained = {rows[row].label for row in parts["train"] if row not in failed}
    lost = [
        SetAside(key=rows[row].key, reason=f"its class {rows[row].label!r} has no training pictures")
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
                f"no picture of the {part} part can be used: {plural(len(parts[part]), 'row')}, all set aside",
                remedy="Look at the first ones by hand; are they images of the classes in the training part?",
            )
    return usable, lost


def _labels(rows: Sequence[Row], classes: Sequence[str], parts: dict[Split, NDArray[np.int64]]) -> NDArray[np.int64]:
    position = {name: index for index, name in enumerate(classes)}
    labels = np.full(len(rows), -1, dtype=np.int64)
    for indices in parts.values():
        labels[indices] = [position[rows[row].label] for row in indices]
    return labels


def _all_failed(source: Source, failed: Sequence[SetAside]) -> str:
    first = listed([f"{row.key} {row.reason}" for row in failed])
    rows = plural(len(source.rows), "picture")
    return f"{len(failed):,} of {rows} can't be read, and fewer than 2 classes are left: {first}"


def _natural(name: str) -> tuple[int, float, str]:
    """Numbers in the order of their value, before words in the order of their letters."""
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name
