"""Recordings and series: earlier or later, quicker or slower, louder, higher, noisier, with holes.

All that moves a row in time is one resampling: where in the row each of its new steps is taken from. So shift, speed,
warp and crop together cost what one of them does, and their sum is smoothed only once. Rows stay as long as the batch
is at most, and what stands behind a row's end stays padding.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import chance
from ..types import NOUNS, Decision, Kind, Question, Value
from .strengths import read_strengths

_USUAL: Final[dict[str, float]] = {
    "shift": 0.1,
    "speed": 0.15,
    "warp": 0.1,
    "crop": 0.2,
    "pitch": 0.1,
    "gain": 0.3,
    "scaling": 0.1,
    "noise": 0.1,
    "hiss": 0.8,
    "time-masks": 0.15,
    "band-masks": 0.15,
}
_MOST: Final[dict[str, float]] = {"gain": 10, "noise": 10, "scaling": 2, "speed": 0.7, "hiss": 2}
_ONLY_SOUND: Final = ("pitch", "hiss", "band-masks")
_CHANGE_NO_NUMBER: Final = ("noise", "time-masks", "band-masks")
_QUIET, _UNITS = 3.0, 3.0
"""Deviations below the mean where no recording of speech is quieter; and units of log energy in a deviation, about."""
_CHOSEN: Final[dict[Kind, dict[str, float]]] = {
    "sound": {
        "shift": 0.1,
        "speed": 0.3,
        "pitch": 0.2,
        "gain": 0.5,
        "noise": 0.1,
        "hiss": 1.0,
        "time-masks": 0.2,
        "band-masks": 0.25,
    },
    "series": {"shift": 0.1, "speed": 0.2, "warp": 0.1, "scaling": 0.2, "noise": 0.2, "time-masks": 0.2},
}
_MASKS: Final = 2
_BANK: Final = 2**16
_SHORTEST: Final = 2


class SequenceAugment(Value, tag="sequence", tag_field="augment", frozen=True):
    """What is done to a training batch; 0 leaves it out.

    Attributes:
        shift: earlier or later by up to this share of the length; the first or last step is repeated.
        speed: quicker or slower by up to this, as a logarithm.
        warp: how far, in shares of the length, a middle part may come earlier or later while both ends stay.
        crop: up to this share of the length is cut off, at both ends together.
        pitch: bands stretched up or down by up to this, as a logarithm (Jaitly and Hinton, 2013); recordings alone.
        gain: deviation of a number added to a whole row: of log energies, a factor of the loudness.
        scaling: deviation of a factor, one for each channel.
        noise: deviation of a number added to each value.
        hiss: as if the place were noisier: energy as of a steady noise is added to every band, of a level drawn from
            3 deviations below the mean up to this share of the way to it; recordings alone.
        time_masks, band_masks: share of the steps and of the bands in up to two runs that are set to 0, the mean
            (SpecAugment, Park et al., 2019).
    """

    shift: float = 0.0
    speed: float = 0.0
    warp: float = 0.0
    crop: float = 0.0
    pitch: float = 0.0
    gain: float = 0.0
    scaling: float = 0.0
    noise: float = 0.0
    hiss: float = 0.0
    time_masks: float = 0.0
    band_masks: float = 0.0

    def apply(
        self, inputs: Tensor, targets: Tensor, *, seed: int, epochs: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> tuple[Tensor, Tensor]:
        """Augmented inputs; the targets as they are.

        Args:
            inputs: `(N, T, C + 1)`, normalised, the last channel telling steps from padding.
            targets: `(N, K)`.
            seed: of the training.
            epochs: `(N,)`, how often the row has been seen before.
            rows: `(N,)`, which rows of the data these are.
        """
        if self == SequenceAugment():
            return inputs, targets
        steps, there = inputs[..., :-1], inputs[..., -1]
        lengths = there.sum(dim=1).long()
        draws = _Draws(seed, epochs, rows, inputs)
        if self.shift or self.speed or self.warp or self.crop:
            places, lengths = self._places(lengths, inputs.shape[1], draws)
            steps = _taken(steps, places)
            there = (torch.arange(inputs.shape[1], device=inputs.device) < lengths[:, None]).to(inputs.dtype)
        if self.pitch:
            bands = torch.arange(steps.shape[2], device=steps.device) * draws.centred("pitch", self.pitch).exp()
            steps = _taken(steps.mT, bands.clamp(max=steps.shape[2] - 1)).mT
        if self.scaling:
            steps = steps * (1 + self.scaling * draws.normal("scaling", steps.shape[2]))[:, None]
        if self.gain:
            steps = steps + self.gain * draws.normal("gain", 1)[:, None]
        if self.hiss:
            level = _QUIET * (self.hiss * draws.between("hiss") - 1)[..., None]
            steps = level + torch.nn.functional.softplus(_UNITS * (steps - level)) / _UNITS
        if self.noise:
            steps = steps + self.noise * draws.noise(steps.shape[1:])
        if self.time_masks:
            steps = steps * _holes(lengths, steps.shape[1], self.time_masks, draws, "time masks")[..., None]
        if self.band_masks:
            whole = torch.full_like(lengths, steps.shape[2])
            steps = steps * _holes(whole, steps.shape[2], self.band_masks, draws, "band masks")[:, None]
        return torch.cat((steps * there[..., None], there[..., None]), dim=2), targets

    def _places(self, lengths: Tensor, most: int, draws: _Draws) -> tuple[Tensor, Tensor]:
        """Where each new step is taken from, `(N, T)`, and how many each row has now."""
        length = lengths.to(torch.float32)[:, None]
        cut = (self.crop * draws.between("crop") * length).floor()
        begin = ((cut + 1) * draws.between("crop begins")).floor()
        pace = draws.centred("speed", self.speed).exp() if self.speed else torch.ones_like(length)
        now = ((length - cut) / pace).round().clamp(min=_SHORTEST, max=most)
        now = torch.where(length < _SHORTEST, length, now)
        places = begin + torch.arange(most, device=lengths.device) * pace
        if self.warp:
            within = ((places - begin) / (length - cut - 1).clamp_min(1)).clamp(0, 1)
            bump = 4 * within * (1 - within)
            places = places + bump * draws.centred("warp", self.warp) * (length - cut)
        places = places + draws.centred("shift", self.shift) * length
        return places.clamp_min(0).minimum((length - 1).clamp_min(0)), now[:, 0].long()


def parse_sequence_augment(text: str, kind: Kind) -> SequenceAugment:
    """What `--augment` says of recordings and series: `none`, or names separated by commas.

    Args:
        text: each name may have a strength, `speed=0.2`.
        kind: sound or series.

    Raises:
        RecipeError: an unknown name or an unreadable strength.
    """
    usual = {name: strength for name, strength in _USUAL.items() if kind == "sound" or name not in _ONLY_SOUND}
    most = {name: _MOST.get(name, 0.9) for name in usual}
    strengths = read_strengths(text, usual, most=most, what=f" for {NOUNS[kind][1]}", example="speed=0.15")
    return _of(strengths)


def choose_sequence_augment(kind: Kind, rows: int, question: Question) -> tuple[SequenceAugment, Decision]:
    """What recordings or series call for, and why.

    Args:
        kind: sound or series.
        rows: of the training part.
        question: numbers may hang on how loud, high or quick something is, so that for them none of these is changed.
    """
    strengths = _CHOSEN[kind]
    what = "voices, places and microphones differ" if kind == "sound" else "what is measured never comes again alike"
    reason = f"{what}; {rows:,} rows show little of it"
    if question == "regress":
        strengths = {name: strength for name, strength in strengths.items() if name in _CHANGE_NO_NUMBER}
        reason = "a number may hang on height, loudness and speed, so these stay as they are"
    value = ", ".join(f"{name} {strength:g}" for name, strength in strengths.items())
    return _of(strengths), Decision(name="augmentation", value=value, reason=reason)


def _of(strengths: dict[str, float]) -> SequenceAugment:
    return SequenceAugment(**{name.replace("-", "_"): strength for name, strength in strengths.items()})


class _Draws:
    """Random numbers of each row, as functions of (seed, purpose, epoch, row)."""

    def __init__(self, seed: int, epochs: NDArray[np.int64], rows: NDArray[np.int64], like: Tensor) -> None:
        self._seed, self._epochs, self._rows, self._like = seed, epochs, rows, like

    def between(self, purpose: str, count: int = 1) -> Tensor:
        """`(N, count)` in [0, 1)."""
        drawn = np.empty((len(self._rows), count), dtype=np.float32)
        for epoch in np.unique(self._epochs):
            here = self._epochs == epoch
            drawn[here] = chance.uniform(self._seed, f"sequence {purpose}", int(epoch), self._rows[here], count)
        return torch.from_numpy(drawn).to(self._like)

    def centred(self, purpose: str, most: float) -> Tensor:
        """`(N, 1)` in [−most, most)."""
        return (2 * self.between(purpose) - 1) * most

    def normal(self, purpose: str, count: int) -> Tensor:
        """`(N, count)` of a normal distribution."""
        return self.between(purpose, count).clamp(1e-6, 1 - 1e-6).mul(2).sub(1).erfinv() * math.sqrt(2)

    def noise(self, shape: torch.Size) -> Tensor:
        """`(N, *shape)` of a normal distribution: stretches of one long table, each row's from a place of its own."""
        begin = (self.between("noise") * _BANK).long()
        places = (begin + torch.arange(shape.numel(), device=begin.device)) % _BANK
        return _bank().to(self._like)[places].view(-1, *shape)


@cache
def _bank() -> Tensor:
    """Numbers of a normal distribution, the same in every process."""
    return torch.randn(_BANK, generator=torch.Generator().manual_seed(chance.key(0, "noise")))


def _taken(steps: Tensor, places: Tensor) -> Tensor:
    """`(N, T, C)` at places `(N, T')` between its steps, by linear interpolation: `(N, T', C)`."""
    before = places.floor().clamp(0, steps.shape[1] - 1)
    share = (places - before)[..., None]
    first = before.long()
    second = (first + 1).clamp_max(steps.shape[1] - 1)
    wide = (-1, -1, steps.shape[2])
    return torch.lerp(
        steps.gather(1, first[..., None].expand(wide)), steps.gather(1, second[..., None].expand(wide)), share
    )


def _holes(lengths: Tensor, most: int, share: float, draws: _Draws, purpose: str) -> Tensor:
    """`(N, most)` of ones, with runs of zeros in each row's first `lengths`, together up to this share of them."""
    kept = torch.ones(len(lengths), most, device=lengths.device)
    size = lengths[:, None].float()
    places = torch.arange(most, device=lengths.device)
    for number in range(_MASKS):
        drawn = draws.between(f"{purpose} {number}", 2)
        long = (drawn[:, :1] * share / _MASKS * size).round()
        begin = (drawn[:, 1:] * (size - long + 1)).floor()
        kept = kept.masked_fill((places >= begin) & (places < begin + long), 0.0)
    return kept
