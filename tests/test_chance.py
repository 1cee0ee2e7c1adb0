"""Random numbers are pure functions of (seed, purpose, epoch, row): the same in any batch, order and process."""

import numpy as np
import pytest
import scipy.stats

from gnomon import chance


def test_keys_differ_in_every_argument() -> None:
    keys = [
        chance.key(seed, purpose, *numbers)
        for seed in (0, 1, 11)
        for purpose in ("order", "flip", "1")
        for numbers in ((), (0,), (1,), (1, 1), (11,), (0, 1), (1, 0))
    ]
    assert len(set(keys)) == len(keys)
    assert all(0 <= key < 2**64 for key in keys)


def test_nothing_changes_from_one_version_to_the_next() -> None:
    """Pinned: another value would break every saved run's resumption, and every pinned split."""
    assert chance.key(0, "order", 3) == PINNED_KEY
    assert chance.permutation(0, "order", 0, 8).tolist() == PINNED_ORDER
    assert chance.uniform(7, "augment", 2, np.array([5]), 3)[0].tolist() == pytest.approx(PINNED_DRAWS, abs=1e-7)
    assert chance.ranked(0, "split", ["a", "b", "c", "d"]) == PINNED_RANKS


PINNED_KEY = 10972076058678547974
PINNED_ORDER = [6, 4, 3, 2, 1, 5, 0, 7]
PINNED_DRAWS = [0.14579469, 0.18455243, 0.12794596]
PINNED_RANKS = [1, 2, 0, 3]


def test_what_was_drawn_before_does_not_matter() -> None:
    first = chance.permutation(3, "order", 5, 100)
    np.random.default_rng(0).random(10)
    chance.permutation(3, "order", 6, 100)
    assert np.array_equal(chance.permutation(3, "order", 5, 100), first)
    assert sorted(first.tolist()) == list(range(100))
    assert not np.array_equal(first, chance.permutation(3, "order", 6, 100))
    assert not np.array_equal(first, chance.permutation(4, "order", 5, 100))


def test_a_rows_numbers_do_not_depend_on_its_batch() -> None:
    rows = np.array([17, 3, 99_999_999, 0, 5], dtype=np.int64)
    together = chance.uniform(1, "augment", 4, rows, 5)
    for place, row in enumerate(rows):
        alone = chance.uniform(1, "augment", 4, np.array([row]), 5)
        assert np.array_equal(alone[0], together[place])
    assert np.array_equal(chance.uniform(1, "augment", 4, rows[::-1].copy(), 5), together[::-1])
    assert together.shape == (5, 5)
    assert together.dtype == np.float32


@pytest.mark.parametrize(("seed", "purpose", "epoch"), [(0, "augment", 0), (0, "flip", 0), (12345, "augment", 7)])
def test_numbers_are_uniform_and_independent(seed: int, purpose: str, epoch: int) -> None:
    drawn = chance.uniform(seed, purpose, epoch, np.arange(20_000), 5).astype(np.float64)
    assert drawn.min() >= 0
    assert drawn.max() < 1
    for column in drawn.T:
        assert scipy.stats.kstest(column, "uniform").pvalue > 1e-4
        assert abs(np.corrcoef(column[:-1], column[1:])[0, 1]) < 0.03
    correlations = np.corrcoef(drawn, rowvar=False) - np.eye(5)
    assert np.abs(correlations).max() < 0.03
    next_epoch = chance.uniform(seed, purpose, epoch + 1, np.arange(20_000), 5)
    assert np.abs([np.corrcoef(drawn[:, k], next_epoch[:, k])[0, 1] for k in range(5)]).max() < 0.03


def test_every_order_is_equally_likely() -> None:
    orders = [tuple(chance.permutation(seed, "order", 0, 3).tolist()) for seed in range(3000)]
    counts = [orders.count(order) for order in set(orders)]
    assert len(counts) == 6
    assert scipy.stats.chisquare(counts).pvalue > 1e-4


def test_ranking_does_not_depend_on_the_other_names_nor_on_their_order() -> None:
    names = [f"cat/{number}.jpg" for number in range(50)] + ["ünïcode \udcff"]
    ranks = [names[index] for index in chance.ranked(0, "split", names)]
    assert sorted(ranks) == sorted(names)
    assert ranks != names
    backwards = names[::-1]
    assert [backwards[index] for index in chance.ranked(0, "split", backwards)] == ranks
    fewer = names[::3]
    assert [fewer[index] for index in chance.ranked(0, "split", fewer)] == [name for name in ranks if name in fewer]
    assert [names[index] for index in chance.ranked(1, "split", names)] != ranks
    assert chance.ranked(0, "split", ["same", "same"]) == [0, 1]
