"""Which rows train, which validate, which test; and which are the same row twice.

Splits given by the data are respected. Else rows are drawn by a hash of (seed, name), so that the part of a row does
not depend on the order of the others; classes keep their shares; rows of one group, and rows of identical content,
stay together.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .. import chance
from ..errors import DataError, RowError
from ..sources import Source
from ..types import SPLITS, Row, Share, Split, Value, plural

MOST_TEST_ROWS: Final = 10_000
MOST_VALIDATION_ROWS: Final = 2_500
FEWEST_OF_A_CLASS: Final = 3


class SplitSpec(Value, frozen=True):
    """Shares that are drawn where the data gives no such part.

    Attributes:
        test: at most 10,000 rows; 0 draws no test part, for who judges elsewhere.
        validation: at most 2,500 rows.
    """

    test: Share = 0.15
    validation: Share = 0.10


class Duplicates(Value, frozen=True):
    """Rows of identical content: groups of them, rows in these groups, and what is wrong with them."""

    groups: int = 0
    rows: int = 0
    across_labels: int = 0
    across_splits: int = 0
    examples: tuple[tuple[str, ...], ...] = ()


def find_duplicates(source: Source) -> list[list[int]]:
    """Groups of rows whose content is identical, byte for byte. Only rows with equal hints are read."""
    if source.content_hints is None:
        return []
    alike = defaultdict(list)
    for row, hint in enumerate(source.content_hints):
        alike[hint].append(row)
    by_digest = defaultdict(list)
    for row in sorted(row for rows in alike.values() if len(rows) > 1 for row in rows):
        try:
            raw = source.read(row)
        except RowError:
            continue  # named and counted when it is encoded
        content = raw.encode() if isinstance(raw, str) else raw if isinstance(raw, bytes) else raw.tobytes()
        by_digest[hashlib.blake2b(content, digest_size=16).digest()].append(row)
    return [rows for rows in by_digest.values() if len(rows) > 1]


def split_rows(
    rows: Sequence[Row], duplicates: Sequence[Sequence[int]], spec: SplitSpec, *, seed: int
) -> tuple[dict[Split, NDArray[np.int64]], str]:
    """Indices of each part, and a sentence that says where the split comes from.

    Raises:
        DataError: too few rows to draw a part from.
    """
    given = {part: [index for index, row in enumerate(rows) if row.split == part] for part in SPLITS}
    drawable = given["train"] or [index for index, row in enumerate(rows) if row.split is None]
    parts: dict[Split, list[int]] = {"train": [], "validation": given["validation"], "test": given["test"]}
    if given["validation"] and not given["test"]:
        parts = {"train": [], "validation": [], "test": given["validation"]}
    wanted: dict[Split, int] = {}
    if not parts["test"] and spec.test:
        wanted["test"] = min(MOST_TEST_ROWS, round(len(drawable) * spec.test))
    if not parts["validation"]:
        wanted["validation"] = min(MOST_VALIDATION_ROWS, round(len(drawable) * spec.validation))
    drawn = _draw(rows, drawable, duplicates, wanted, seed)
    parts = {part: sorted(parts[part] + drawn.get(part, [])) for part in SPLITS}
    for part in ("test", "validation"):
        if not parts[part] and (part in wanted or parts["test"]):
            raise DataError(
                f"{plural(len(drawable), 'labelled row')}{_held_together(rows, drawable, duplicates)} "
                f"are too few to set a {part} part aside",
                remedy=f"Give at least {FEWEST_OF_A_CLASS} rows of two classes, better 50; with --group, 3 groups.",
            )
    if not parts["train"]:
        raise DataError(
            f"the shares for test ({spec.test:g}) and validation ({spec.validation:g}) leave no row to train on",
            remedy="Give smaller ones with --test and --validation; usual are 0.15 and 0.1.",
        )
    origin = _origin(given, wanted, grouped=any(row.group is not None for row in rows))
    return {part: np.array(indices, dtype=np.int64) for part, indices in parts.items()}, origin


def _draw(
    rows: Sequence[Row],
    drawable: Sequence[int],
    duplicates: Sequence[Sequence[int]],
    wanted: dict[Split, int],
    seed: int,
) -> dict[Split, list[int]]:
    """Draw whole bundles in random order; a part takes a bundle while its classes still lack at least half of it."""
    per_class = Counter(rows[index].label for index in drawable)
    quotas = {part: _quotas(per_class, number / max(1, len(drawable))) for part, number in wanted.items()}
    drawn: dict[Split, list[int]] = {part: [] for part in SPLITS}
    bundles = _bundles(rows, drawable, duplicates)
    for position in chance.ranked(seed, "split", [rows[bundle[0]].key for bundle in bundles]):
        bundle = bundles[position]
        labels = {rows[bundle[0]].label: 1} if len(bundle) == 1 else Counter(rows[index].label for index in bundle)
        for part, quota in quotas.items():
            lacking = sum(min(count, quota[label]) for label, count in labels.items())
            if 2 * lacking >= len(bundle):
                drawn[part] += bundle
                for label, count in labels.items():
                    quota[label] -= count
                break
        else:
            drawn["train"] += bundle
    return drawn


def _quotas(per_class: Counter[str], share: float) -> Counter[str]:
    """Rows of each class that a part should have: its share, at least one; none of a class too small to be divided."""
    return Counter(
        {label: max(1, round(count * share)) if count >= FEWEST_OF_A_CLASS else 0 for label, count in per_class.items()}
    )


def _bundles(rows: Sequence[Row], drawable: Sequence[int], duplicates: Sequence[Sequence[int]]) -> list[list[int]]:
    """Rows that must stay together: of one group, or of identical content. Union-find with path halving."""
    parent = {index: index for index in drawable}

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    def join(indices: Sequence[int]) -> None:
        for index in indices[1:]:
            first, second = sorted((root(indices[0]), root(index)))
            parent[second] = first

    groups = defaultdict(list)
    for index in drawable:
        if rows[index].group is not None:
            groups[rows[index].group].append(index)
    for together in (*groups.values(), *duplicates):
        join([index for index in together if index in parent])
    bundles = defaultdict(list)
    for index in drawable:
        bundles[root(index)].append(index)
    return list(bundles.values())


def _held_together(rows: Sequence[Row], drawable: Sequence[int], duplicates: Sequence[Sequence[int]]) -> str:
    """Says so where groups or identical files are why the rows can't be divided."""
    bundles = len(_bundles(rows, drawable, duplicates))
    if bundles == len(drawable):
        return ""
    return f" in {plural(bundles, 'piece')} that may not be divided (groups, or files of identical content)"


def _origin(given: dict[Split, list[int]], wanted: dict[Split, int], *, grouped: bool) -> str:
    drawn = f"drawn from {'the training part' if given['train'] else 'all rows'}, classes in equal shares"
    drawn += ", whole groups" if grouped else ""
    if "test" in wanted:
        return f"test and validation parts {drawn}"
    if not any(given.values()):
        return f"validation part {drawn}; no test part"
    if given["validation"] and not given["test"]:
        return f"the data's own validation part is the test part here, judged once at the end; validation {drawn}"
    return f"test part given by the data; validation {drawn}" if "validation" in wanted else "given by the data"


def describe_duplicates(
    rows: Sequence[Row], duplicates: Sequence[Sequence[int]], parts: dict[Split, NDArray[np.int64]]
) -> Duplicates:
    part_of = {int(row): part for part, indices in parts.items() for row in indices}
    found = [kept for group in duplicates if len(kept := [row for row in group if row in part_of]) > 1]
    return Duplicates(
        groups=len(found),
        rows=sum(map(len, found)),
        across_labels=sum(len({rows[row].label for row in group}) > 1 for group in found),
        across_splits=sum(len({part_of[row] for row in group}) > 1 for group in found),
        examples=tuple(tuple(rows[row].key for row in group[:4]) for group in found[:20]),
    )
