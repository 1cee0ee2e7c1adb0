"""Splits: fair shares, the same part for the same row whatever else is there, nothing related in two parts."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest

from gnomon.errors import DataError, RowError
from gnomon.rows.splits import SplitSpec, describe_duplicates, find_duplicates, split_rows
from gnomon.types import SPLITS, Row, SetAside, Split

USUAL = SplitSpec()


def labelled(counts: dict[str, int]) -> list[Row]:
    return [
        Row(key=f"{label}/{number:04d}.png", label=label) for label, count in counts.items() for number in range(count)
    ]


def parts_of(
    rows: Sequence[Row], spec: SplitSpec = USUAL, *, seed: int = 0, duplicates: Sequence[Sequence[int]] = ()
) -> dict[str, Split]:
    """The part of each row, by its key; every row is in one."""
    parts, _ = split_rows(rows, duplicates, spec, seed=seed)
    assert all(np.array_equal(np.sort(indices), indices) for indices in parts.values())
    found = {rows[index].key: part for part, indices in parts.items() for index in indices}
    assert sum(map(len, parts.values())) == len(found)
    return found


def shares(parts: dict[str, Split], label: str) -> dict[Split, int]:
    counts = Counter(part for key, part in parts.items() if key.startswith(f"{label}/"))
    return {part: counts[part] for part in SPLITS}


# --- Drawn -----------------------------------------------------------------------------------------------------------


def test_every_class_has_its_share_in_every_part() -> None:
    parts = parts_of(labelled({"many": 400, "some": 100, "few": 20, "least": 3}))
    assert shares(parts, "many") == {"train": 300, "validation": 40, "test": 60}
    assert shares(parts, "some") == {"train": 75, "validation": 10, "test": 15}
    assert shares(parts, "few") == {"train": 15, "validation": 2, "test": 3}
    assert shares(parts, "least") == {"train": 1, "validation": 1, "test": 1}


def test_a_class_too_small_to_be_divided_is_trained_on() -> None:
    parts = parts_of(labelled({"many": 50, "other": 50, "pair": 2, "single": 1}))
    assert shares(parts, "pair") == {"train": 2, "validation": 0, "test": 0}
    assert shares(parts, "single") == {"train": 1, "validation": 0, "test": 0}


def test_shares_as_asked() -> None:
    parts = parts_of(labelled({"a": 100, "b": 100}), SplitSpec(test=0.3, validation=0.2))
    assert shares(parts, "a") == shares(parts, "b") == {"train": 50, "validation": 20, "test": 30}


def test_large_parts_are_bounded() -> None:
    counts = Counter(parts_of(labelled({"a": 60_000, "b": 60_000})).values())
    assert counts["test"] == pytest.approx(10_000, abs=2)
    assert counts["validation"] == pytest.approx(2500, abs=2)


def test_the_seed_decides() -> None:
    rows = labelled({"a": 50, "b": 50})
    assert parts_of(rows) == parts_of(rows)
    assert parts_of(rows) != parts_of(rows, seed=1)


def test_order_does_not_matter() -> None:
    rows = labelled({"a": 50, "b": 30})
    shuffled = [rows[index] for index in np.random.default_rng(0).permutation(len(rows))]
    assert parts_of(shuffled) == parts_of(rows)


def test_more_rows_move_few() -> None:
    """A row's place in the draw does not depend on the others; only the quotas grow."""
    rows = labelled({"a": 200, "b": 200})
    more = [*rows, *(Row(key=f"a/new{number}.png", label="a") for number in range(20))]
    before, after = parts_of(rows), parts_of(more)
    assert sum(before[key] != after[key] for key in before) <= 10


def test_without_a_test_part() -> None:
    parts, origin = split_rows(labelled({"a": 20, "b": 20}), (), SplitSpec(test=0.0), seed=0)
    assert len(parts["test"]) == 0
    assert len(parts["validation"]) == 4
    assert "no test part" in origin


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(DataError, match="too few to set a test part aside") as refused:
        split_rows(labelled({"a": 2, "b": 2}), (), USUAL, seed=0)
    assert "4 labelled rows" in refused.value.problems[0]
    assert "at least 3" in refused.value.remedy


# --- What belongs together -------------------------------------------------------------------------------------------


def test_groups_stay_together_and_classes_keep_their_shares() -> None:
    rows = [
        Row(key=f"{label}/{group}-{number}.png", label=label, group=f"{label}{group}")
        for label in ("a", "b")
        for group in range(40)
        for number in range(1 + group % 4)
    ]
    parts = parts_of(rows)
    for group in {row.group for row in rows}:
        assert len({parts[row.key] for row in rows if row.group == group}) == 1
    for label in ("a", "b"):
        counts = shares(parts, label)
        assert counts["test"] == pytest.approx(15, abs=3)
        assert counts["validation"] == pytest.approx(10, abs=3)


def test_a_large_group_does_not_fill_a_small_part() -> None:
    rows = labelled({"a": 100, "b": 100})
    rows[:60] = [Row(key=row.key, label=row.label, group="large") for row in rows[:60]]
    for seed in range(10):
        counts = Counter(parts_of(rows, seed=seed).values())
        assert counts["test"] == 30
        assert counts["validation"] == 20


def test_one_group_alone_can_not_be_split() -> None:
    rows = [Row(key=str(number), label="ab"[number % 2], group="same") for number in range(50)]
    with pytest.raises(DataError, match="too few"):
        split_rows(rows, (), USUAL, seed=0)


def test_duplicates_stay_together_also_through_groups() -> None:
    """0 and 1 are the same picture, 1 and 2 of one group: all three belong together."""
    rows = labelled({"a": 60, "b": 60})
    rows[1], rows[2] = (Row(key=rows[n].key, label=rows[n].label, group="g") for n in (1, 2))
    pairs = [[0, 1], *([number, number + 60] for number in range(10, 50))]
    for seed in range(5):
        parts = parts_of(rows, seed=seed, duplicates=pairs)
        assert len({parts[rows[index].key] for index in (0, 1, 2)}) == 1
        assert all(parts[rows[first].key] == parts[rows[second].key] for first, second in pairs)
        assert Counter(parts.values())["test"] == pytest.approx(18, abs=4)


# --- Given by the data -----------------------------------------------------------------------------------------------


def given(counts: dict[Split | None, int]) -> list[Row]:
    return [
        Row(key=f"{split}/{label}/{number}.png", label=label, split=split)
        for split, count in counts.items()
        for label in ("a", "b")
        for number in range(count)
    ]


@pytest.mark.parametrize("spec", [USUAL, SplitSpec(test=0.5, validation=0.4), SplitSpec(test=0.0)])
def test_parts_given_by_the_data_are_respected(spec: SplitSpec) -> None:
    parts = parts_of(given({"train": 30, "validation": 5, "test": 7}), spec)
    assert all(key.startswith(part) for key, part in parts.items())
    assert len(parts) == 84


def test_with_train_and_test_validation_is_drawn_from_training() -> None:
    parts = parts_of(given({"train": 50, "test": 10}))
    assert all(part == "test" for key, part in parts.items() if key.startswith("test"))
    assert Counter(part for key, part in parts.items() if key.startswith("train")) == {"train": 90, "validation": 10}


def test_with_train_and_validation_the_given_part_is_the_test() -> None:
    """Whoever gives two parts means one to learn from and one to be judged on; no selection is made on the latter."""
    rows = given({"train": 50, "validation": 10})
    parts = parts_of(rows)
    assert all(part == "test" for key, part in parts.items() if key.startswith("validation"))
    assert Counter(part for key, part in parts.items() if key.startswith("train")) == {"train": 90, "validation": 10}
    assert "own validation part is the test part" in split_rows(rows, (), USUAL, seed=0)[1]


def test_a_given_test_part_and_rows_of_no_part() -> None:
    rows = given({None: 50, "test": 10})
    parts = parts_of(rows)
    assert Counter(part for key, part in parts.items() if key.startswith("None")) == {"train": 90, "validation": 10}


# --- Duplicates ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Contents:
    """A source of these bytes; a row of None can't be read."""

    contents: list[bytes | None]
    content_hints: Sequence[Hashable] | None
    name: str = "contents"
    kind: Literal["image"] = "image"
    question: Literal["classify"] = "classify"
    set_aside: Sequence[SetAside] = ()
    notes: Sequence[str] = ()
    fingerprint: str = ""

    @property
    def rows(self) -> list[Row]:
        return [Row(key=str(index), label="ab"[index % 2]) for index in range(len(self.contents))]

    def read(self, index: int) -> bytes:
        content = self.contents[index]
        if content is None:
            raise RowError("is gone")
        return content

    def close(self) -> None: ...


def test_duplicates_are_those_of_the_same_bytes() -> None:
    contents: list[bytes | None] = [b"one", b"two", b"one", b"six", None, b"three", b"three", b"one"]
    hints = [3, 3, 3, 3, 3, 5, 5, 3]
    assert find_duplicates(Contents(contents, hints)) == [[0, 2, 7], [5, 6]]
    assert find_duplicates(Contents(contents, None)) == []
    assert find_duplicates(Contents([b"a", b"a"], [1, 2])) == []  # hints that differ: not even read


def test_duplicates_are_counted_by_what_is_wrong_with_them() -> None:
    rows = Contents([b""] * 9, None).rows
    parts = {
        "train": np.array([0, 1, 2, 4, 6]),
        "validation": np.array([3]),
        "test": np.array([5, 7]),
    }
    found = describe_duplicates(rows, [[0, 2], [1, 4], [3, 5], [6, 8]], parts)  # type: ignore[arg-type]
    assert (found.groups, found.rows) == (3, 6)  # 8 is in no part
    assert (found.across_labels, found.across_splits) == (1, 1)
    assert found.examples == (("0", "2"), ("1", "4"), ("3", "5"))
