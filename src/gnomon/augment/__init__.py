"""More data from the data, one module per kind, on whole batches on the device.

Each row's random numbers are a pure function of (seed, epoch, row), whatever batch it stands in.
"""

from typing import Final, TypeAlias

import msgspec

from ..types import DataSpec, Decision, Kind
from .image import ImageAugment, choose_augment, mirror_symmetry, parse_augment
from .sequence import SequenceAugment, choose_sequence_augment, parse_sequence_augment
from .text import TextAugment, choose_text_augment, parse_text_augment

Augment: TypeAlias = ImageAugment | TextAugment | SequenceAugment
"""What a plan holds; its tag field `augment` tells several apart."""

PROBED: Final[dict[Kind, Augment]] = {
    "image": ImageAugment(flip=True, shift=1),
    "text": TextAugment(token_dropout=0.1),
    "sound": SequenceAugment(shift=0.1, speed=0.1, pitch=0.1, gain=0.1, hiss=0.1, time_masks=0.1, band_masks=0.1),
    "series": SequenceAugment(shift=0.1, speed=0.1, scaling=0.1, noise=0.1),
}
"""What a training step is timed with."""


def augment_for(spec: DataSpec, asked: str, symmetry: tuple[float, float], epochs: float) -> tuple[Augment, Decision]:
    """What was asked for; under `auto`, what the data and so many epochs call for.

    Args:
        spec: the data.
        asked: `auto`, `none`, or names; `auto` among names adds them to what the data call for.
        symmetry: what `mirror_symmetry` measured.
        epochs: how often each row will be seen.

    Raises:
        RecipeError: an unknown name or an unreadable strength.
    """
    names = [name.strip() for name in asked.split(",")]
    more = ",".join(name for name in names if name != "auto")
    if "auto" not in names:
        return _parsed(asked, spec), Decision(name="augmentation", value=asked, reason="asked for")
    if not more:
        return _chosen(spec, symmetry, epochs)
    chosen, decision = _chosen(spec, symmetry, epochs)
    wanted = msgspec.structs.asdict(_parsed(more, spec))
    both = msgspec.structs.replace(chosen, **{name: strength for name, strength in wanted.items() if strength})
    return both, msgspec.structs.replace(decision, value=f"{decision.value}, and {more} as asked for")


def _chosen(spec: DataSpec, symmetry: tuple[float, float], epochs: float) -> tuple[Augment, Decision]:
    if spec.kind == "image":
        return choose_augment(spec.input_shape, symmetry, epochs)
    if spec.kind == "text":
        return choose_text_augment(spec.num_train, len(spec.classes))
    return choose_sequence_augment(spec.kind, spec.num_train, spec.question)


def _parsed(asked: str, spec: DataSpec) -> Augment:
    if spec.kind == "image":
        return parse_augment(asked, spec.input_shape)
    return parse_text_augment(asked) if spec.kind == "text" else parse_sequence_augment(asked, spec.kind)


__all__ = [
    "PROBED",
    "Augment",
    "ImageAugment",
    "SequenceAugment",
    "TextAugment",
    "augment_for",
    "choose_augment",
    "choose_sequence_augment",
    "choose_text_augment",
    "mirror_symmetry",
    "parse_augment",
    "parse_sequence_augment",
    "parse_text_augment",
]
