"""Augmentation of recordings and series: what each does, and that it is a function of seed, epoch and row alone."""

from __future__ import annotations

import itertools
from typing import Final

import numpy as np
import pytest
import torch

from gnomon.augment import SequenceAugment, choose_sequence_augment, parse_sequence_augment
from gnomon.errors import RecipeError
from gnomon.types import Kind, Question

KINDS: Final[tuple[Kind, ...]] = ("sound", "series")
QUESTIONS: Final[tuple[Question, ...]] = ("classify", "tag", "regress")
ALL = SequenceAugment(
    shift=0.1,
    speed=0.2,
    warp=0.1,
    crop=0.2,
    pitch=0.1,
    gain=0.3,
    scaling=0.2,
    noise=0.1,
    hiss=0.5,
    time_masks=0.2,
    band_masks=0.3,
)


def ramps(lengths: list[int], *, steps: int = 64, channels: int = 6) -> torch.Tensor:
    """Each channel rises by 1 a step, from a height of its own."""
    rows = torch.zeros(len(lengths), steps, channels + 1)
    for row, length in enumerate(lengths):
        rows[row, :length, :-1] = torch.arange(length)[:, None] + 100.0 * torch.arange(channels)
        rows[row, :length, -1] = 1
    return rows


def applied(augment: SequenceAugment, rows: torch.Tensor, *, epoch: int = 3, first: int = 0) -> torch.Tensor:
    count = len(rows)
    targets = torch.eye(2)[torch.arange(count) % 2]
    said, same = augment.apply(
        rows, targets, seed=1, epochs=np.full(count, epoch), rows=np.arange(first, first + count)
    )
    assert same is targets
    return said


def lengths_of(rows: torch.Tensor) -> list[int]:
    return [int(length) for length in rows[..., -1].sum(dim=1)]


def test_nothing_asked_changes_nothing() -> None:
    rows = ramps([20, 64])
    assert torch.equal(applied(SequenceAugment(), rows), rows)


def test_a_row_is_changed_alike_wherever_it_stands() -> None:
    rows = ramps([30, 41, 17, 55])
    together = applied(ALL, rows)
    alone = torch.cat([applied(ALL, rows[row : row + 1], first=row) for row in range(4)])
    assert torch.allclose(together, alone, atol=1e-4)
    assert not torch.allclose(together, applied(ALL, rows, epoch=4))


def test_padding_stays_padding() -> None:
    rows = applied(ALL, ramps([1, 2, 30, 64]))
    there = rows[..., -1]
    assert ((there == 0) | (there == 1)).all()
    assert (there.diff(dim=1) <= 0).all()  # steps first, then padding
    assert (rows[..., :-1][there == 0] == 0).all()
    assert min(lengths_of(rows)) >= 1
    assert rows.isfinite().all()


def test_speed_stretches_time() -> None:
    rows = ramps([40] * 50)
    slopes, lengths = [], []
    for row in applied(SequenceAugment(speed=0.3), rows):
        length = int(row[:, -1].sum())
        slopes.append(float((row[10, 0] - row[0, 0]) / 10))
        lengths.append(length)
        assert length == min(64, round(40 / slopes[-1]))
    assert 0.7 < min(slopes) < 0.85
    assert 1.2 < max(slopes) < 1.36


def test_shift_moves_and_repeats_the_border() -> None:
    moved = applied(SequenceAugment(shift=0.25), ramps([40] * 50))
    middles = moved[:, 20, 0] - 20
    assert lengths_of(moved) == [40] * 50
    assert -10 <= middles.min() < -7
    assert 7 < middles.max() <= 10
    assert moved[..., 0].max() == 39


def test_crop_takes_a_part() -> None:
    parts = applied(SequenceAugment(crop=0.5), ramps([40] * 50))
    for row, length in zip(parts, lengths_of(parts), strict=True):
        assert 20 <= length <= 40
        steps = row[:length, 0]
        assert torch.allclose(steps.diff(), torch.ones(length - 1), atol=1e-4)
    assert len(set(lengths_of(parts))) > 10


def test_warp_keeps_both_ends() -> None:
    warped = applied(SequenceAugment(warp=0.1), ramps([41] * 20))
    assert torch.allclose(warped[:, 0, 0], torch.zeros(20))
    assert torch.allclose(warped[:, 40, 0], torch.full((20,), 40.0), atol=1e-3)
    assert warped[:, 20, 0].sub(20).abs().max() > 2


def test_pitch_stretches_the_bands() -> None:
    rows = torch.zeros(30, 8, 65)
    rows[..., :-1] = torch.arange(64.0)
    rows[..., -1] = 1
    bands = applied(SequenceAugment(pitch=0.2), rows)[:, 0, 30] / 30
    assert 0.8 < bands.min() < 0.9
    assert 1.1 < bands.max() < 1.23


def test_noise_gain_and_scaling_have_their_deviations() -> None:
    flat = ramps([64] * 300)
    flat[..., :-1] = 1.0
    noise = applied(SequenceAugment(noise=0.5), flat)[..., :-1] - 1
    assert float(noise.std()) == pytest.approx(0.5, rel=0.03)
    gain = applied(SequenceAugment(gain=0.5), flat)[..., :-1] - 1
    assert torch.allclose(gain, gain[:, :1, :1].expand_as(gain))
    assert float(gain[:, 0, 0].std()) == pytest.approx(0.5, rel=0.15)
    scaled = applied(SequenceAugment(scaling=0.5), flat)[..., :-1]
    assert torch.allclose(scaled, scaled[:, :1].expand_as(scaled))
    assert float(scaled[:, 0].std()) == pytest.approx(0.5, rel=0.05)


def test_hiss_adds_the_energy_of_a_steady_noise() -> None:
    rows = ramps([8] * 400, channels=2)
    rows[..., 0], rows[..., 1] = -20.0, 0.5  # a band in which there is nothing else, and a loud one
    heard = applied(SequenceAugment(hiss=1.0), rows)[:, :8, :2].double()
    level = heard[:, :1, :1]
    assert torch.allclose(heard[..., :1], level.expand_as(heard[..., :1]))
    assert -3 < float(level.min()) < -2.9
    assert -0.1 < float(level.max()) < 0
    assert float(level.mean()) == pytest.approx(-1.5, abs=0.15)
    both = torch.logaddexp(torch.tensor(3 * 0.5, dtype=torch.float64), 3 * level) / 3
    assert torch.allclose(heard[..., 1:], both.expand_as(heard[..., 1:]), atol=1e-5)
    quieter = applied(SequenceAugment(hiss=0.5), rows)[:, :8, 0]
    assert -3 < float(quieter.min()) < float(quieter.max()) < -1.5


def test_masks_cover_no_more_than_their_share() -> None:
    flat = ramps([40] * 200)
    flat[..., :-1] = 1.0
    steps = applied(SequenceAugment(time_masks=0.5), flat)[:, :40, 0]
    assert 0.6 < float(steps.mean()) < 0.9
    assert float((steps == 0).float().mean(dim=1).max()) <= 0.5
    bands = applied(SequenceAugment(band_masks=0.5), flat)[:, 0, :-1]
    assert 0 < float((bands == 0).float().mean()) <= 0.5


def test_words_for_it() -> None:
    assert parse_sequence_augment("none", "sound") == SequenceAugment()
    assert parse_sequence_augment("speed=0.3,time-masks", "sound") == SequenceAugment(speed=0.3, time_masks=0.15)
    with pytest.raises(RecipeError, match="'pitch' is not known for series"):
        parse_sequence_augment("pitch", "series")
    with pytest.raises(RecipeError, match="strength of 'speed=9'"):
        parse_sequence_augment("speed=9", "sound")


def test_what_is_chosen_can_be_said_in_words() -> None:
    for kind, question in itertools.product(KINDS, QUESTIONS):
        augment, decision = choose_sequence_augment(kind, 100, question)
        assert parse_sequence_augment(decision.value.replace(" ", "=").replace(",=", ","), kind) == augment


def test_what_a_number_may_hang_on_stays_as_it_is() -> None:
    for kind in KINDS:
        augment, _ = choose_sequence_augment(kind, 100, "regress")
        assert augment.noise > 0
        assert (augment.speed, augment.scaling, augment.gain, augment.pitch) == (0, 0, 0, 0)
