"""Pictures: decode, turn upright, bring to one size, scale to mean 0 and deviation 1.

What is done on purpose, so that nothing of a picture is lost unsaid:

    orientation    the EXIF tag is applied
    palette        its colours are looked up
    transparency   laid over white
    CMYK           converted to RGB
    16 bits        full range scaled to 8 bits
    grey           one channel where all of the data is grey, else repeated in three
    animation      the first frame
    size           letterboxed: the whole picture is kept and the rest filled (`fit` says otherwise)
"""

from __future__ import annotations

import io
import math
import statistics
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ..errors import RowError
from ..types import Decision, Raw, Value

if TYPE_CHECKING:
    import torch

Fit: TypeAlias = Literal["letterbox", "crop", "stretch"]
FITS: Final[tuple[Fit, ...]] = get_args(Fit)
MAX_PIXELS: Final = 80_000_000
"""A picture that claims more is refused before decoding; 80 million pixels take 240 MB."""

_FEW_PIXELS: Final = 16_000_000
_MOST_PIXELS_A_BYTE: Final = 500
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
_EXIF_ORIENTATION = 0x0112
_MAY_TURN = frozenset({"exif", "xmp"})
"""What a JPEG file has where it says how it was held."""
_SMALL_FILE: Final = 2**16
"""Bytes; in a larger file the head is the smaller part of the work."""
_SMALL_PICTURE: Final = 2**18
"""Pixels for which memory may be taken before a file has shown that it has them."""
_SAYS_HOW_HELD: Final = (b"Exif\x00", b"http://ns.adobe.com/xap/")
_DRAFT_FROM: Final = 4
"""A picture so many times as large as it will be is decoded at a part of its size."""
_GREY_FILL = 128
_LARGEST_VALUE = 1e15
"""Sums of squares of such numbers still fit float32."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture says of itself before it is decoded; width and height as seen upright."""

    width: int
    height: int
    grey: bool
    whole_numbers: bool = True


class ImageEncoder(Value, tag="image", tag_field="kind", frozen=True):
    """Picture → `(H, W, C)` array; batch of such arrays → network input.

    Attributes:
        height, width, channels: of the encoded picture; channels is 1 (grey) or 3 (RGB), any number for arrays.
        fit: what happens to a picture of another shape.
        storage: uint8 for pictures; float32 for arrays of real numbers, which are taken as they are.
        mean, std: per channel, in stored units, over the training part.
    """

    height: int
    width: int
    channels: int
    fit: Fit = "letterbox"
    storage: Literal["uint8", "float32"] = "uint8"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(H, W, C)` of one encoded picture."""
        return self.height, self.width, self.channels

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """`(C, H, W)`, as a network takes it."""
        return self.channels, self.height, self.width

    @property
    def row_bytes(self) -> int:
        """Bytes of one encoded picture."""
        return math.prod(self.shape) * np.dtype(self.storage).itemsize

    def encode(self, raw: Raw) -> NDArray[Any]:
        """One picture, `(H, W, C)` of the storage type.

        Raises:
            RowError: not a picture, damaged, too large, or an array of another shape.
        """
        if isinstance(raw, np.ndarray):
            return self._encode_array(raw)
        largest = max(self.width, self.height)
        pixels = _small_jpeg(raw, self.channels, below=_DRAFT_FROM * largest)
        if pixels is None:
            return self._encode_picture(_decode(raw, largest, fit=self.fit))
        return self._encode_pixels(pixels)

    def lengths(self, encoded: NDArray[Any]) -> NDArray[np.int64] | None:
        """Pictures have no steps."""
        return None

    def inputs(self, stored: torch.Tensor) -> torch.Tensor:
        """`(N, H, W, C)` as stored → `(N, C, H, W)` float32, mean 0 and deviation 1 per channel, channels last."""
        import torch  # here alone: decoding, which runs without it, is the larger part of this module

        stored = stored.permute(0, 3, 1, 2)
        mean = stored.new_tensor(self.mean, dtype=torch.float32).view(1, -1, 1, 1)
        scale = stored.new_tensor(self.std, dtype=torch.float32).reciprocal().view(1, -1, 1, 1)
        return ((stored.to(mean.dtype) - mean) * scale).contiguous(memory_format=torch.channels_last)

    def _encode_picture(self, image: Image.Image) -> NDArray[Any]:
        image = _to_channels(image, self.channels)
        if image.size != (self.width, self.height):
            image = _fit_to(image, (self.width, self.height), self.fit)
        return np.frombuffer(image.tobytes(), np.uint8).reshape(self.shape)

    def _encode_array(self, raw: NDArray[Any]) -> NDArray[Any]:
        array = raw[:, :, None] if raw.ndim == 2 else raw
        if self.storage == "float32":
            if array.shape != self.shape:
                raise RowError(f"has shape {array.shape}, not {self.shape}")
            if not np.isfinite(array).all():
                raise RowError("holds values that are not finite numbers")
            if np.abs(array).max() > _LARGEST_VALUE:
                raise RowError(f"holds values beyond ±{_LARGEST_VALUE:g}")
            return array.astype(np.float32)
        eight_bits = _to_eight_bits(array)
        if eight_bits.shape != self.shape and (eight_bits.ndim != 3 or eight_bits.shape[2] not in (1, 3, 4)):
            raise RowError(f"has shape {raw.shape}, which is not a picture of {self.shape}")
        return self._encode_pixels(eight_bits)

    def _encode_pixels(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        """`(h, w, c)` in eight bits, brought to the encoder's shape unless it has it."""
        if pixels.shape == self.shape:
            return pixels
        return self._encode_picture(Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels))


def read_header(raw: Raw) -> Header:
    """Width, height and colour without decoding.

    Raises:
        RowError: not a picture, or one that claims too many pixels.
    """
    if isinstance(raw, np.ndarray):
        if raw.ndim not in (2, 3):
            raise RowError(f"has shape {raw.shape}, which is not a picture")
        grey = raw.ndim == 2 or raw.shape[2] == 1
        return Header(raw.shape[1], raw.shape[0], grey, whole_numbers=raw.dtype.kind != "f")
    with _open(raw) as image:
        width, height = image.size
        if _turned_sideways(image):
            width, height = height, width
        return Header(width, height, image.mode in _GREY_MODES)


def choose_geometry(
    headers: Sequence[Header], *, channels: int | None, fit: Fit, side: int | None, max_pixels: int
) -> tuple[ImageEncoder, Decision]:
    """The common size for pictures of these sizes, and why.

    Args:
        headers: of a sample of the training part; not empty.
        channels: forced number of channels (arrays), or None to choose grey or RGB.
        fit: what to do with pictures of other shapes.
        side: the longer side asked for by the user, or None.
        max_pixels: what the time allows; larger pictures are scaled down to it.
    """
    widths, heights = zip(*((header.width, header.height) for header in headers), strict=True)
    same = len(set(widths)) == len(set(heights)) == 1
    ratio = statistics.median(width / height for width, height in zip(widths, heights, strict=True))
    alike = all(abs(width / height / ratio - 1) < 0.05 for width, height in zip(widths, heights, strict=True))
    longest = statistics.median(max(pair) for pair in zip(widths, heights, strict=True))
    width, height = (widths[0], heights[0]) if same else _box(longest, ratio if alike else 1.0)
    seen = f"all pictures are {width}×{height}" if same else f"the median picture's longer side is {longest:.0f}"
    whole = all(header.whole_numbers for header in headers)
    if side is not None:
        width, height = _box(side, width / height)
        reason = f"asked for; {seen}"
    elif whole and width * height > max_pixels:
        width, height = _box(max(width, height) * math.sqrt(max_pixels / (width * height)), width / height)
        reason = f"{seen}; scaled down so that the time allows enough epochs"
    else:
        reason = seen
    grey = all(header.grey for header in headers)
    encoder = ImageEncoder(
        height=height,
        width=width,
        channels=channels or (1 if grey else 3),
        fit=fit,
        storage="uint8" if whole else "float32",
    )
    what = f"{width}×{height}, {'grey' if encoder.channels == 1 else f'{encoder.channels} channels'}"
    return encoder, Decision(name="input", value=what + ("" if same else f", {fit}"), reason=reason)


@contextmanager
def quiet_decoding() -> Iterator[None]:
    """Silence the decoder's own warnings around a whole pass: what is wrong with a row is said by `RowError`."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\..*")
        warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
        yield


def _open(raw: bytes | str) -> Image.Image:
    if isinstance(raw, str):
        raise RowError("is a text, not a picture")
    if not raw:
        raise RowError("is empty (0 bytes)")
    try:
        image = Image.open(io.BytesIO(raw), formats=_FORMATS)
    except Image.DecompressionBombError:
        raise RowError(f"claims more than {MAX_PIXELS // 10**6} million pixels") from None
    except Exception:  # the decoders raise almost anything on damaged headers
        raise RowError("is not a readable JPEG, PNG, WebP, BMP, GIF or TIFF picture") from None
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise RowError(f"claims {width:,}×{height:,} pixels, more than {MAX_PIXELS // 10**6} million")
    if not width or not height:
        raise RowError("has no pixels")
    if width * height > max(_FEW_PIXELS, _MOST_PIXELS_A_BYTE * len(raw)):
        raise RowError(f"claims {width:,}×{height:,} pixels in {len(raw):,} bytes: it is empty, or made to do harm")
    return image


def _turned_sideways(image: Image.Image) -> bool:
    try:
        return bool(image.getexif().get(_EXIF_ORIENTATION, 1) >= 5)
    except MemoryError:
        raise
    except Exception as error:  # of some formats this reads the whole file, which may end too early
        raise _damaged(error) from None


def _damaged(error: Exception) -> RowError:
    return RowError(f"is damaged: {' '.join(str(error).split())[:100] or type(error).__name__}")


def _small_jpeg(raw: bytes | str, channels: int, *, below: int) -> NDArray[np.uint8] | None:
    """`(H, W, channels)` of a small JPEG file with nothing unusual about it, the same bits as `_decode` has; else None.

    It takes a fifth of the time: of a small picture Pillow needs most for its head. What is damaged, turned, in
    another colour space or claims more than it can hold is None, and Pillow's to judge.

    Args:
        raw: the file.
        channels: 1 or 3. Grey is made of a file in grey alone, for there are several ways to make it of colours.
        below: the shorter side of a picture that is decoded whole.
    """
    if isinstance(raw, str) or len(raw) > _SMALL_FILE or raw[:3] != b"\xff\xd8\xff":
        return None
    if any(sign in raw for sign in _SAYS_HOW_HELD):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(raw)
        if min(height, width) >= below or height * width > _SMALL_PICTURE:
            return None
        if colours != "Gray" and (channels == 1 or colours != "YCbCr"):
            return None
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(raw, "GRAY" if channels == 1 else "RGB")
    except ValueError:
        return None
    return pixels


def _decode(raw: bytes | str, largest: int, *, fit: Fit) -> Image.Image:
    """Decoded and upright. JPEG files much larger than wanted are decoded at 1/2, 1/4 or 1/8 of their size."""
    image = _open(raw)
    try:
        if image.format == "JPEG" and fit != "crop" and min(image.size) >= _DRAFT_FROM * largest:
            image.draft(None, (2 * largest, 2 * largest))
        image.load()
        if image.format == "JPEG" and image.info.keys().isdisjoint(_MAY_TURN):
            return image
        return ImageOps.exif_transpose(image)
    except MemoryError:
        raise
    except Exception as error:  # the decoders raise almost anything on damaged data
        raise _damaged(error) from None


def _to_channels(image: Image.Image, channels: int) -> Image.Image:
    mode = "L" if channels == 1 else "RGB"
    if image.mode == mode:
        return image
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = Image.fromarray(_to_eight_bits(np.asarray(image)))
    elif image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image.convert(mode)


def _to_eight_bits(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Full range of the type, or of the values for wider types, → 0..255."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    low, high = float(array.min()), float(array.max())
    if not (math.isfinite(low) and math.isfinite(high)) or low < 0 or high > 65535:
        raise RowError(f"has values from {low:g} to {high:g}; pictures hold 0 to 1, 0 to 255 or 0 to 65535")
    if array.dtype.kind == "f" and high <= 1:
        return (array * 255).round().astype(np.uint8)
    if array.dtype == np.uint16 or high > 255:
        return (array.astype(np.float32) / 257).round().astype(np.uint8)
    return array.round().astype(np.uint8) if array.dtype.kind == "f" else array.astype(np.uint8)


def _fit_to(image: Image.Image, size: tuple[int, int], fit: Fit) -> Image.Image:
    if fit == "stretch":
        return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2)
    if fit == "crop":
        return ImageOps.fit(image, size, Image.Resampling.BICUBIC)
    scale = min(size[0] / image.width, size[1] / image.height)
    inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    if inner != image.size:
        image = image.resize(inner, Image.Resampling.BICUBIC, reducing_gap=2)
    if inner == size:
        return image
    whole = Image.new(image.mode, size, _GREY_FILL if image.mode == "L" else (_GREY_FILL,) * 3)
    whole.paste(image, ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2))
    return whole


def _box(longest: float, ratio: float) -> tuple[int, int]:
    """Width and height with this longer side and width/height ratio, in multiples of 8 (of 1 below 16)."""
    sides = (longest, longest / ratio) if ratio >= 1 else (longest * ratio, longest)
    width, height = (max(1, round(side)) if side < 16 else max(16, round(side / 8) * 8) for side in sides)
    return width, height
