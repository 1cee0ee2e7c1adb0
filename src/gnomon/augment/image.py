"""Pictures: mirror, shift, cut out, mix; and which of them the data allows.

Whether a mirror image is still a picture of its class is measured, not assumed: a linear model is fitted on the
training part, and asked about training pictures that it has not seen, as they are and mirrored. Digits and texts
lose most of its accuracy when mirrored; animals lose nothing.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import chance
from ..rows.baseline import fit_linear
from ..types import Decision, Value
from .strengths import read_strengths

_MIRROR_KEEPS: Final = 0.8
_LONG_TRAINING_EPOCHS: Final = 30


class ImageAugment(Value, tag="image", tag_field="augment", frozen=True):
    """What is done to a training batch.

    Attributes:
        flip: mirror each picture in every second epoch; which half begins is drawn per row (alternating flip,
            arXiv 2404.00498, section 3.6).
        shift: largest shift in pixels, in both directions; the border is repeated.
        cutout: side of a square that is set to the mean colour, in pixels; 0 for none (arXiv 1708.04552).
        mixup: parameter of the Beta distribution of the mixing share; 0 for none (arXiv 1710.09412).
        cutmix: parameter of that of the share that stays where a rectangle of another picture is laid over; 0 for none
            (arXiv 1905.04899).
    """

    flip: bool = False
    shift: int = 0
    cutout: int = 0
    mixup: float = 0.0
    cutmix: float = 0.0

    def apply(
        self, inputs: Tensor, targets: Tensor, *, seed: int, epochs: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> tuple[Tensor, Tensor]:
        """Augmented inputs and targets.

        Args:
            inputs: `(N, C, H, W)`, normalised.
            targets: `(N, K)`, distributions over the classes.
            seed: of the training.
            epochs: `(N,)`, how often the row has been seen before: a batch may reach over the end of an epoch.
            rows: `(N,)`, which rows of the data these are.
        """
        chances = _drawn(seed, "augment", epochs, rows, draws=5)
        if self.flip or self.shift:
            odd = torch.from_numpy(_first_half(seed, rows) ^ (epochs % 2 == 1)) if self.flip else None
            inputs = _moved(inputs, odd, chances[:, 0:2] if self.shift else None, self.shift)
        if self.cutout:
            inputs = _cut_out(inputs, chances[:, 2:4], self.cutout)
        if self.mixup:
            inputs, targets = _mixed(inputs, targets, chances[:, 4], self.mixup)
        if self.cutmix:
            inputs, targets = _laid_over(inputs, targets, _drawn(seed, "cutmix", epochs, rows, draws=3), self.cutmix)
        return inputs.contiguous(memory_format=torch.channels_last), targets


def parse_augment(text: str, shape: tuple[int, ...]) -> ImageAugment:
    """What `--augment` says: `none`, or names out of flip, shift, cutout, mixup, cutmix, separated by commas.

    Args:
        text: each name may have a strength, `shift=3`, `cutout=8`, `mixup=0.4`.
        shape: `(C, H, W)` of the input, for the strengths that are not given.

    Raises:
        RecipeError: an unknown name or an unreadable strength.
    """
    usual = _usual(shape)
    strengths = read_strengths(text, usual, most=dict.fromkeys(usual, max(shape[1:])), example="shift=3")
    return ImageAugment(
        flip=bool(strengths.get("flip", 0)),
        shift=round(strengths.get("shift", 0)),
        cutout=round(strengths.get("cutout", 0)),
        mixup=strengths.get("mixup", 0.0),
        cutmix=strengths.get("cutmix", 0.0),
    )


def choose_augment(
    shape: tuple[int, ...], symmetry: tuple[float, float], epochs: float
) -> tuple[ImageAugment, Decision]:
    """What this data and this many epochs call for, and why.

    Args:
        shape: `(C, H, W)` of the input.
        symmetry: what `mirror_symmetry` measured.
        epochs: how often each row will be seen.
    """
    as_is, mirrored = symmetry
    flip = mirrored >= _MIRROR_KEEPS * as_is
    usual = _usual(shape)
    long = epochs >= _LONG_TRAINING_EPOCHS
    augment = ImageAugment(flip=flip, shift=round(usual["shift"]), cutout=round(usual["cutout"]) if long else 0)
    parts = [f"shift by up to {augment.shift}"] if augment.shift else []
    parts = (["flip"] if flip else []) + parts + ([f"cutout {augment.cutout}"] if augment.cutout else [])
    reason = (
        f"a linear model keeps {mirrored:.0%} of {as_is:.0%} accuracy on mirrored pictures: "
        f"{'mirror images are like the data' if flip else 'mirror images would be something else'}"
    )
    reason += f"; cutout because each picture is seen {epochs:.0f} times" if augment.cutout else ""
    return augment, Decision(name="augmentation", value=", ".join(parts) or "none", reason=reason)


def mirror_symmetry(features: Tensor, labels: NDArray[np.int64]) -> tuple[float, float]:
    """Accuracy of a linear model on pictures it has not seen: as they are, and mirrored.

    Args:
        features: `(N, C, h, w)`, as `baseline.features_of` gives them; every fourth row is held out.
        labels: `(N,)`.
    """
    held = np.arange(len(labels)) % 4 == 0
    known, judged = torch.from_numpy(~held), features[torch.from_numpy(held)]
    model = fit_linear(features[known].flatten(1), labels[~held], int(labels.max()) + 1)
    as_is, mirrored = (model.predict(view.flatten(1)) == labels[held] for view in (judged, judged.flip(3)))
    return float(as_is.mean()), float(mirrored.mean())


def _usual(shape: tuple[int, ...]) -> dict[str, float]:
    """Usual strengths: a shift of 1/16 of the shorter side, a cut-out of 3/8 of it, 0.2 for mixup and 1 for cutmix."""
    side = min(shape[1:])
    return {
        "flip": 1,
        "shift": max(1, round(side / 16)) if side >= 6 else 0,
        "cutout": round(side * 3 / 8) if side >= 16 else 0,
        "mixup": 0.2,
        "cutmix": 1.0,
    }


def _drawn(seed: int, purpose: str, epochs: NDArray[np.int64], rows: NDArray[np.int64], *, draws: int) -> Tensor:
    """`(N, draws)`: of "augment" shift down and right, cut-out down and right, mixing share; of "cutmix" the middle of
    the rectangle, down and right, and the share that stays.
    """
    chances = torch.empty(len(rows), draws)
    for epoch in np.unique(epochs):
        of = epochs == epoch
        chances[torch.from_numpy(of)] = torch.from_numpy(chance.uniform(seed, purpose, int(epoch), rows[of], draws))
    return chances


def _first_half(seed: int, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    return chance.uniform(seed, "flip", 0, rows, 1)[:, 0] < 0.5


def _moved(inputs: Tensor, mirrored: Tensor | None, moves: Tensor | None, most: int) -> Tensor:
    """Pictures mirrored and then moved, in one pass: every pixel is taken from where it was.

    Args:
        inputs: `(N, C, H, W)`.
        mirrored: `(N,)`, which ones; None for none.
        moves: `(N, 2)`, each below 1: of the pixels from `most` up and left to `most` down and right; None for none.
            The border is repeated.
        most: pixels.
    """
    rows, _, height, width = inputs.shape
    down, right = (torch.arange(side, device=inputs.device).expand(rows, side) for side in (height, width))
    if moves is not None:
        steps = (moves * (2 * most + 1)).floor().long().clamp_(0, 2 * most).to(inputs.device, non_blocking=True) - most
        down, right = (down + steps[:, 0:1]).clamp_(0, height - 1), (right + steps[:, 1:2]).clamp_(0, width - 1)
    if mirrored is not None:
        right = torch.where(mirrored.to(inputs.device)[:, None], width - 1 - right, right)
    places = (torch.arange(rows, device=inputs.device)[:, None] * height + down)[:, :, None] * width + right[:, None]
    pixels = inputs.permute(0, 2, 3, 1).reshape(-1, inputs.shape[1])
    return pixels.index_select(0, places.flatten()).view(rows, height, width, -1).permute(0, 3, 1, 2)


def _cut_out(inputs: Tensor, chances: Tensor, side: int) -> Tensor:
    """A square around a random point set to 0, the mean colour; near the border only a part of it falls inside."""
    masks = []
    for axis, size in enumerate(inputs.shape[2:]):
        centre = (chances[:, axis : axis + 1] * size).floor()
        distance = torch.arange(size)[None] - centre
        masks.append((distance >= -(side // 2)) & (distance < math.ceil(side / 2)))
    inside = (masks[0][:, None, :, None] & masks[1][:, None, None, :]).to(inputs.device)
    return inputs.masked_fill(inside, 0.0)


def _laid_over(inputs: Tensor, targets: Tensor, chances: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """On each row a rectangle of the one before it, of the picture's proportions; near the border only a part of it is
    inside. Each target counts by the area that is left of it.
    """
    from scipy.special import betaincinv  # slow to import, and rarely needed

    side = np.sqrt(1 - betaincinv(alpha, alpha, chances[:, 2].double().numpy()))
    masks = []
    for axis, size in enumerate(inputs.shape[2:]):
        centre = (chances[:, axis : axis + 1].double() * size).floor()
        half = torch.from_numpy(side)[:, None] * size / 2
        distance = torch.arange(size)[None] - centre
        masks.append((distance >= -half) & (distance < half))
    inside = masks[0][:, None, :, None] & masks[1][:, None, None, :]
    kept = (1 - inside.double().mean(dim=(1, 2, 3)))[:, None].to(targets)
    mixed = torch.where(inside.to(inputs.device), inputs.roll(1, 0), inputs)
    return mixed, targets * kept + targets.roll(1, 0) * (1 - kept)


def _mixed(inputs: Tensor, targets: Tensor, chances: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Each row mixed with the one before it in the batch, whose order is random already.

    The share has a Beta distribution, drawn by the inverse of its distribution function; the larger part is first.
    """
    from scipy.special import betaincinv  # slow to import, and rarely needed

    share = betaincinv(alpha, alpha, chances.double().numpy())
    larger = torch.from_numpy(np.maximum(share, 1 - share)).to(inputs.dtype).to(inputs.device)
    first, second = larger[:, None, None, None], larger[:, None].to(targets.dtype)
    return inputs * first + inputs.roll(1, 0) * (1 - first), targets * second + targets.roll(1, 0) * (1 - second)
