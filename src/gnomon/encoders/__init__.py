"""Raw row → numbers, one module per kind of data.

An encoder is a frozen value: fitted once on the training part, written into the model file as plain JSON, and the one
way from a raw row to the network's input in training, evaluation and prediction alike.
"""

from .image import FITS, MAX_PIXELS, Fit, Header, ImageEncoder, choose_geometry, quiet_decoding, read_header

__all__ = [
    "FITS",
    "MAX_PIXELS",
    "Fit",
    "Header",
    "ImageEncoder",
    "choose_geometry",
    "quiet_decoding",
    "read_header",
]
