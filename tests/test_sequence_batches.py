"""Rows of different lengths: filled up to few sizes, in batches of like length, every row once a pass."""

from __future__ import annotations

import numpy as np
import pytest

from gnomon.batches import Passes
from gnomon.encoders import padded_length

LENGTHS = np.random.default_rng(3).integers(1, 200, 1000)


def test_lengths_are_filled_up_to_few_sizes_and_by_little() -> None:
    sizes = [padded_length(length, 4096) for length in range(1, 4097)]
    assert all(size >= length and size % 8 == 0 for length, size in enumerate(sizes, start=1))
    assert all(size <= 1.25 * length for length, size in enumerate(sizes, start=1) if length >= 64)
    assert sizes == sorted(sizes)
    assert len(set(sizes)) < 45
    assert padded_length(0, 64) == 8
    assert padded_length(63, 60) == 60  # never more than there is


@pytest.mark.parametrize("size", [16, 64])
def test_batches_hold_rows_of_like_length(size: int) -> None:
    passes = Passes(len(LENGTHS), seed=0, lengths=LENGTHS)
    spreads = []
    for _ in range(len(LENGTHS) // size):
        positions, numbers = passes.take(size, 0.0)
        assert set(numbers) == {0}
        spreads.append(np.ptp(LENGTHS[positions]))
    assert np.median(spreads) < 0.25 * np.ptp(LENGTHS)


def test_a_pass_takes_each_row_at_most_once_and_others_are_left_out_next_time() -> None:
    passes, left = Passes(len(LENGTHS), seed=0, lengths=LENGTHS), []
    for number in range(4):
        taken = [passes.take(64, 0.0) for _ in range(len(LENGTHS) // 64)]
        assert all(set(numbers) == {number} for _, numbers in taken)
        rows = np.concatenate([positions for positions, _ in taken])
        assert len(np.unique(rows)) == len(rows) == 960
        left.append(set(range(1000)) - set(rows.tolist()))
    assert len(set.intersection(*left)) < 5


def test_batches_come_in_another_order_each_pass_and_the_same_for_a_seed() -> None:
    def firsts(seed: int) -> list[list[int]]:
        passes = Passes(len(LENGTHS), seed=seed, lengths=LENGTHS)
        return [sorted(passes.take(50, 0.0)[0].tolist()) for _ in range(40)]

    assert firsts(1) == firsts(1)
    assert firsts(1)[0] != firsts(2)[0]
    means = [LENGTHS[batch].mean() for batch in firsts(1)[:20]]
    assert means != sorted(means)


def test_going_on_takes_the_same_batches() -> None:
    first = Passes(len(LENGTHS), seed=0, lengths=LENGTHS)
    for _ in range(23):
        first.take(64, 0.0)
    second = Passes(len(LENGTHS), seed=0, lengths=LENGTHS)
    second.load_state(first.state())
    assert all(np.array_equal(first.take(64, 0.0)[0], second.take(64, 0.0)[0]) for _ in range(30))


def test_more_rows_asked_for_than_there_are() -> None:
    passes = Passes(10, seed=0, lengths=LENGTHS[:10])
    positions, _ = passes.take(32, 0.0)
    assert len(positions) == 32
    assert set(positions.tolist()) == set(range(10))
