"""More data from the data, one module per kind, on whole batches on the device.

Each row's random numbers are a pure function of (seed, epoch, row), whatever batch it stands in.
"""

from typing import Final, TypeAlias

from ..types import Kind
from .image import ImageAugment, choose_augment, mirror_symmetry, parse_augment
from .sequence import SequenceAugment, choose_sequence_augment, parse_sequence_augment
from .text import TextAugment, choose_text_augment, parse_text_augment

Augment: TypeAlias = ImageAugment | TextAugment | SequenceAugment
"""What a plan holds; its tag field `augment` tells several apart."""

PROBED: Final[dict[Kind, Augment]] = {
    "image": ImageAugment(flip=True, shift=1),
    "text": TextAugment(token_dropout=0.1),
    "sound": SequenceAugment(shift=0.1, speed=0.1, pitch=0.1, gain=0.1, time_masks=0.1, band_masks=0.1),
    "series": SequenceAugment(shift=0.1, speed=0.1, scaling=0.1, noise=0.1),
}
"""What a training step is timed with."""

__all__ = [
    "PROBED",
    "Augment",
    "ImageAugment",
    "SequenceAugment",
    "TextAugment",
    "choose_augment",
    "choose_sequence_augment",
    "choose_text_augment",
    "mirror_symmetry",
    "parse_augment",
    "parse_sequence_augment",
    "parse_text_augment",
]
