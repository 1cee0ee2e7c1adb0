"""More data from the data, one module per kind, on whole batches on the device.

Each row's random numbers are a pure function of (seed, epoch, row), whatever batch it stands in.
"""

from .image import ImageAugment, choose_augment, mirror_symmetry, parse_augment

__all__ = ["ImageAugment", "choose_augment", "mirror_symmetry", "parse_augment"]
