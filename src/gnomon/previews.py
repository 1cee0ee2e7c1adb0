"""A row as the network sees it, for people: a small picture or a piece of text."""

from __future__ import annotations

import base64
import io
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .encoders import FIRST_TOKEN, Encoder, TextEncoder, kind_of
from .encoders.text import spelled
from .types import Value

_SIDE: Final = 128
_CHART: Final = (256, 96)
_MOST_TOKENS: Final = 60
_MOST_CHANNELS: Final = 8
_COLOURS: Final = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#888888", "#222222")


class Preview(Value, frozen=True):
    """`png` in base64, or a text; the other one is empty."""

    png: str = ""
    text: str = ""


def preview(encoder: Encoder, encoded: NDArray[Any]) -> Preview:
    """One encoded row for people.

    Args:
        encoder: that encoded it.
        encoded: of the encoder's shape and storage.
    """
    if isinstance(encoder, TextEncoder):
        return Preview(text=words_of(encoder, encoded))
    return Preview(png=_written(_drawn(encoder, encoded), "PNG"))


def small_picture(encoder: Encoder, encoded: NDArray[Any]) -> str:
    """The same picture with a small loss, as WebP in base64: a third of a PNG's bytes; "" of a text."""
    return "" if isinstance(encoder, TextEncoder) else _written(_drawn(encoder, encoded), "WEBP")


def _drawn(encoder: Encoder, encoded: NDArray[Any]) -> Image.Image:
    kind = kind_of(encoder)
    if kind == "image":
        return _picture(encoded)
    steps = encoded[~np.isnan(encoded).all(axis=1)].astype(np.float32)
    return _spectrogram(steps) if kind == "sound" else _chart(steps)


def words_of(encoder: TextEncoder, encoded: NDArray[Any]) -> str:
    """The first tokens, those that are not in the vocabulary as `▢`."""
    tokens = encoded[encoded > 0][:_MOST_TOKENS].tolist()
    known = [encoder.vocabulary[token - FIRST_TOKEN] if token >= FIRST_TOKEN else "▢" for token in tokens]
    return spelled(known, encoder.unit) + (" …" if np.count_nonzero(encoded) > _MOST_TOKENS else "")


def _picture(picture: NDArray[Any]) -> Image.Image:
    """At most 128 pixels wide; one channel or the first three."""
    shown = _bytes(picture)
    shown = shown[:, :, 0] if shown.shape[2] < 3 else shown[:, :, :3]
    image = Image.fromarray(np.ascontiguousarray(shown))
    image.thumbnail((_SIDE, _SIDE))
    return image


def _spectrogram(steps: NDArray[np.float32]) -> Image.Image:
    """Time to the right, high bands above."""
    return Image.fromarray(np.ascontiguousarray(_bytes(steps).T[::-1])).resize(_CHART)


def _chart(steps: NDArray[np.float32]) -> Image.Image:
    """Each channel as a line, on its own scale."""
    width, height = _CHART
    image = Image.new("RGB", _CHART, "white")
    draw = ImageDraw.Draw(image)
    across = np.linspace(2, width - 3, max(2, len(steps)))
    there = steps.T[~np.isnan(steps).any(axis=0)]  # a channel without a value has no line
    for channel, colour in zip(there[:_MOST_CHANNELS], _COLOURS, strict=False):
        low, high = float(channel.min()), float(channel.max())
        up = height - 3 - (channel - low) / max(high - low, 1e-9) * (height - 6)
        points = np.stack((across, np.resize(up, len(across))), axis=1)
        draw.line([tuple(point) for point in points.tolist()], fill=colour, width=2)
    return image


def _bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.dtype == np.uint8:
        return values
    low, high = float(values.min()), float(values.max())
    scaled: NDArray[np.uint8] = ((values - low) / max(high - low, 1e-9) * 255).astype(np.uint8)
    return scaled


def _written(image: Image.Image, form: str) -> str:
    sink = io.BytesIO()
    image.save(sink, form, quality=90)
    return base64.b64encode(sink.getvalue()).decode()
