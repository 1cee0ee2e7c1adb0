"""Attributions as pictures: orange where a place speaks for the output, blue where it speaks against it."""

from __future__ import annotations

import base64
import io
import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..types import Kind

FOR: Final = (222, 96, 10)
AGAINST: Final = (36, 98, 190)

_SIDE: Final = 224
_WIDE: Final = 640
_SOUND_HEIGHT: Final = 200
_STRIP: Final = 72
_MOST_STRIPS: Final = 8
_PERCENTILE: Final = 99.5
_MOST_OPAQUE: Final = 215
_FADED: Final = 0.55
_INK: Final = (30, 33, 38)


def relative(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """−1 to 1: by the greatest, or in pictures of many places by the 99.5th percentile, so that no single one rules."""
    size = np.abs(values)
    most = float(np.percentile(size, _PERCENTILE)) if values.size > 256 else float(size.max(initial=0.0))
    most = most or float(size.max(initial=0.0))
    scaled: NDArray[np.float64] = np.clip(values / most, -1, 1) if most > 0 else np.zeros_like(values)
    return scaled


def heat(kind: Kind, values: NDArray[np.float64]) -> str:
    """The attributions alone, transparent where there is nothing; PNG in base64."""
    return _png(_coloured(_upright(kind, relative(values)), _size(kind, values.shape)))


def overlaid(kind: Kind, encoded: NDArray[Any], values: NDArray[np.float64]) -> str:
    """The row, pale and grey, with the attributions over it; PNG in base64.

    Args:
        kind: of the row; no text.
        encoded: as stored.
        values: as `Attribution.values`.
    """
    size = _size(kind, values.shape)
    colours = _coloured(_upright(kind, relative(values)), size)
    if kind == "series":
        return _png(_with_lines(colours, encoded[: len(values)].astype(np.float64)))
    base = _grey(encoded if kind == "image" else encoded[: len(values)].T[::-1]).resize(
        size, _resampling(size, encoded)
    )
    pale = Image.blend(Image.new("L", size, 255), base, _FADED).convert("RGBA")
    return _png(Image.alpha_composite(pale, colours).convert("RGB"))


def strips(encoded: NDArray[Any], length: int) -> str:
    """A series of `length` steps, each channel in a strip of its own, as `overlaid` shows it but without colours."""
    blank = Image.new("RGBA", _size("series", (length, encoded.shape[1])), (255, 255, 255, 255))
    return _png(_with_lines(blank, encoded[:length].astype(np.float64)))


def _size(kind: Kind, shape: tuple[int, ...]) -> tuple[int, int]:
    """Width and height of the picture; of a small one a multiple of its own."""
    if kind == "sound":
        return _WIDE, _SOUND_HEIGHT
    if kind == "series":
        return _WIDE, _STRIP * min(_MOST_STRIPS, shape[1])
    height, width = shape
    scale = _SIDE / max(height, width)
    scale = float(math.ceil(scale)) if scale > 1 else scale
    return max(1, round(width * scale)), max(1, round(height * scale))


def _upright(kind: Kind, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """As it stands in the picture: time to the right, high bands above, one channel below the other."""
    if kind == "sound":
        return values.T[::-1]
    return values.T[:_MOST_STRIPS] if kind == "series" else values


def _coloured(values: NDArray[np.float64], size: tuple[int, int]) -> Image.Image:
    pixels = np.zeros((*values.shape, 4), np.uint8)
    pixels[..., :3] = np.where(values[..., None] > 0, FOR, AGAINST)
    pixels[..., 3] = (np.abs(values) ** 0.8 * _MOST_OPAQUE).astype(np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST)


def _resampling(size: tuple[int, int], encoded: NDArray[Any]) -> Image.Resampling:
    return Image.Resampling.NEAREST if size[0] >= encoded.shape[1] else Image.Resampling.BILINEAR


def _grey(values: NDArray[Any]) -> Image.Image:
    flat = values.astype(np.float64)
    flat = flat.mean(axis=2) if flat.ndim == 3 else flat
    low, high = (0.0, 255.0) if values.dtype == np.uint8 else (float(np.nanmin(flat)), float(np.nanmax(flat)))
    scaled = (np.nan_to_num(flat, nan=low) - low) / max(high - low, 1e-9) * 255
    return Image.fromarray(scaled.astype(np.uint8))


def _with_lines(colours: Image.Image, steps: NDArray[np.float64]) -> Image.Image:
    """One strip for each channel: its line, each on its own scale, over its colours."""
    image = Image.alpha_composite(Image.new("RGBA", colours.size, (255, 255, 255, 255)), colours).convert("RGB")
    draw = ImageDraw.Draw(image)
    width = colours.size[0]
    across = (np.arange(len(steps)) + 0.5) * width / len(steps)
    for number, channel in enumerate(steps.T[:_MOST_STRIPS]):
        top = number * _STRIP
        low, high = float(np.nanmin(channel, initial=np.inf)), float(np.nanmax(channel, initial=-np.inf))
        up = top + _STRIP - 8 - (channel - low) / max(high - low, 1e-9) * (_STRIP - 16)
        points = [(x, y) for x, y in zip(across.tolist(), up.tolist(), strict=True) if math.isfinite(y)]
        if number:
            draw.line([(0, top), (width, top)], fill=(225, 226, 222))
        draw.line(points, fill=_INK, width=2, joint="curve")
    return image


def _png(image: Image.Image) -> str:
    sink = io.BytesIO()
    image.save(sink, "PNG", optimize=True)
    return base64.b64encode(sink.getvalue()).decode()
