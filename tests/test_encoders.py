"""Decoding and fitting: pixel values against what the pictures were made of, and where they come to lie."""

import io
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gnomon.encoders import MAX_PIXELS, Fit, Header, ImageEncoder, choose_geometry, read_header
from gnomon.errors import RowError

Pixels = NDArray[np.uint8]

HEIGHT, WIDTH = 6, 10
RANDOM: Final = np.random.default_rng(7)
RGB: Final[Pixels] = RANDOM.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
GREY: Final[Pixels] = RGB[:, :, 0]
ALPHA: Final[Pixels] = RGB[:, :, 1]


def saved(image: Image.Image, kind: str, exif: bytes = b"", **options: Any) -> bytes:
    sink = io.BytesIO()
    if exif:
        options["exif"] = exif
    image.save(sink, kind, **options)
    return sink.getvalue()


def encoded(raw: bytes | NDArray[Any], channels: int = 3, size: tuple[int, int] = (HEIGHT, WIDTH)) -> NDArray[Any]:
    """As the network would get it, height and width as in `size`, in signed numbers."""
    return ImageEncoder(height=size[0], width=size[1], channels=channels).encode(raw).astype(np.int64)


def in_three(grey: NDArray[Any]) -> NDArray[Any]:
    return np.repeat(grey[:, :, None], 3, axis=2)


def over_white(colours: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    share = alpha[:, :, None] / 255
    return colours * share + 255 * (1 - share)


def png(depth: int, colour_type: int, rows: NDArray[Any]) -> bytes:
    """A PNG written by hand: of 16 bits a colour, which Pillow can't write."""
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in rows)
    parts = [b"\x89PNG\r\n\x1a\n"]
    header = struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], depth, colour_type, 0, 0, 0)
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")):
        parts.append(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
    return b"".join(parts)


# --- Colour ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_pictures_keep_their_pixels(kind: str) -> None:
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    assert (encoded(saved(Image.fromarray(RGB), kind, **options)) == RGB).all()
    assert (encoded(RGB) == RGB).all()


def test_a_jpeg_keeps_its_colours() -> None:
    flat = np.full((HEIGHT, WIDTH, 3), (200, 100, 50), dtype=np.uint8)
    assert np.abs(encoded(saved(Image.fromarray(flat), "JPEG", quality=95)) - flat).max() <= 3


def test_grey_pictures_in_one_channel_and_in_three() -> None:
    raw = saved(Image.fromarray(GREY), "PNG")
    assert (encoded(raw, channels=1) == GREY[:, :, None]).all()
    assert (encoded(raw) == in_three(GREY)).all()


def test_colours_become_grey_by_their_luminance() -> None:
    luminance = RGB @ np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
    assert np.abs(encoded(saved(Image.fromarray(RGB), "PNG"), channels=1)[:, :, 0] - luminance).max() <= 1


def test_one_bit_is_black_and_white() -> None:
    marks = GREY > 127
    raw = saved(Image.fromarray(marks), "PNG")
    assert Image.open(io.BytesIO(raw)).mode == "1"
    assert (encoded(raw, channels=1)[:, :, 0] == marks * 255).all()
    assert (encoded(raw) == in_three(marks * 255)).all()
    assert (encoded(marks, channels=1)[:, :, 0] == marks * 255).all()


def test_cmyk_is_ink_on_white() -> None:
    inks = RANDOM.integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    light = (255 - inks[:, :, :3].astype(float)) * (255 - inks[:, :, 3:].astype(float)) / 255
    assert np.abs(encoded(saved(Image.fromarray(inks, "CMYK"), "TIFF")) - light).max() <= 1


def test_a_cmyk_jpeg_is_not_inverted() -> None:
    inks = np.full((16, 16, 4), (0, 200, 100, 20), dtype=np.uint8)
    light = (255 - inks[0, 0, :3].astype(float)) * (255 - 20) / 255
    pixels = encoded(saved(Image.fromarray(inks, "CMYK"), "JPEG", quality=100), size=(16, 16))
    assert np.abs(pixels - light).max() <= 4


def test_a_palette_is_looked_up() -> None:
    palette = RANDOM.integers(0, 256, (4, 3), dtype=np.uint8)
    image = Image.fromarray(GREY % 4, "P")
    image.putpalette(palette.tobytes())
    assert (encoded(saved(image, "PNG")) == palette[GREY % 4]).all()


@pytest.mark.parametrize("alphas", [(0, 255, 128, 30), (255, 0, 255, 255)])
def test_a_transparent_palette_lies_over_white(alphas: tuple[int, ...]) -> None:
    palette = RANDOM.integers(0, 256, (4, 3), dtype=np.uint8)
    image = Image.fromarray(GREY % 4, "P")
    image.putpalette(palette.tobytes())
    raw = saved(image, "PNG", transparency=bytes(alphas))
    expected = over_white(palette[GREY % 4], np.array(alphas)[GREY % 4])
    assert np.abs(encoded(raw) - expected).max() <= 1


@pytest.mark.parametrize(("mode", "channels"), [("RGBA", 3), ("LA", 3), ("LA", 1)])
def test_what_is_transparent_lies_over_white(mode: Literal["RGBA", "LA"], channels: int) -> None:
    colours = RGB if mode == "RGBA" else GREY[:, :, None]
    raw = saved(Image.fromarray(np.concatenate([colours, ALPHA[:, :, None]], axis=2), mode), "PNG")
    assert np.abs(encoded(raw, channels) - over_white(colours, ALPHA)).max() <= 1


# --- Depth -----------------------------------------------------------------------------------------------------------

DEEP: Final = RANDOM.integers(0, 65536, (HEIGHT, WIDTH), dtype=np.uint16)


def test_sixteen_bits_are_scaled_to_eight() -> None:
    expected = np.rint(DEEP / 257)
    raw = saved(Image.fromarray(DEEP), "PNG")
    assert (encoded(raw, channels=1)[:, :, 0] == expected).all()
    assert (encoded(raw) == in_three(expected)).all()
    assert (encoded(DEEP, channels=1)[:, :, 0] == expected).all()
    assert (encoded(saved(Image.fromarray(DEEP.astype(np.int32)), "TIFF"), channels=1)[:, :, 0] == expected).all()


def test_sixteen_bits_a_colour_are_scaled_to_eight() -> None:
    colours = RANDOM.integers(0, 65536, (HEIGHT, WIDTH, 3), dtype=np.uint16)
    assert np.abs(encoded(png(16, 2, colours)) - colours / 257).max() <= 1


@pytest.mark.parametrize(("scale", "factor"), [(1.0, 255.0), (255.0, 1.0), (65535.0, 1 / 257)])
def test_float_pictures_by_the_range_of_their_values(scale: float, factor: float) -> None:
    values = (RANDOM.random((HEIGHT, WIDTH)) * scale).astype(np.float32)
    values[0, 0] = scale
    for raw in (saved(Image.fromarray(values), "TIFF"), values):
        assert np.abs(encoded(raw, channels=1)[:, :, 0] - values * factor).max() <= 0.51


@pytest.mark.parametrize("value", [-1.0, 1e6, float("nan"), float("inf")])
def test_float_pictures_out_of_any_range_are_refused(value: float) -> None:
    values = np.full((HEIGHT, WIDTH), 0.5, dtype=np.float32)
    values[2, 3] = value
    with pytest.raises(RowError, match="pictures hold 0 to 1, 0 to 255 or 0 to 65535"):
        encoded(saved(Image.fromarray(values), "TIFF"))


# --- Several pictures in one file, and turned ones -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["GIF", "TIFF"])
def test_the_first_of_several_pictures_counts(kind: str) -> None:
    frames = [Image.new("L", (WIDTH, HEIGHT), shade) for shade in (40, 200, 90)]
    raw = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    assert getattr(Image.open(io.BytesIO(raw)), "n_frames", 1) == 3
    assert (encoded(raw) == 40).all()


UPRIGHT: Final[dict[int, Callable[[Pixels], Pixels]]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: stored[::-1].swapaxes(0, 1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: stored[:, ::-1].swapaxes(0, 1),
}


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_picture_is_turned_upright(orientation: int) -> None:
    expected = UPRIGHT[orientation](RGB)
    raw = saved(Image.fromarray(RGB), "PNG", exif=_exif(orientation))
    header = read_header(raw)
    assert (header.height, header.width) == expected.shape[:2]
    assert (encoded(raw, size=(header.height, header.width)) == expected).all()


def test_a_photograph_is_turned_upright() -> None:
    stored = np.zeros((16, 32, 3), dtype=np.uint8)
    stored[:, :16] = 255  # the left half is white: upright, it is the upper one
    raw = saved(Image.fromarray(stored), "JPEG", exif=_exif(6), quality=95)
    header = read_header(raw)
    assert (header.width, header.height) == (16, 32)
    pixels = encoded(raw, size=(32, 16))
    assert pixels[:15].min() > 245
    assert pixels[17:].max() < 10


# --- Size ------------------------------------------------------------------------------------------------------------


def _fitted(pixels: Pixels, size: tuple[int, int], fit: Fit) -> NDArray[Any]:
    """To a size in rows and columns."""
    encoder = ImageEncoder(height=size[0], width=size[1], channels=3, fit=fit)
    return encoder.encode(saved(Image.fromarray(pixels), "PNG")).astype(np.int64)


@pytest.mark.parametrize(
    ("stored", "size", "inside"),
    [
        ((10, 20), (8, 8), (slice(2, 6), slice(0, 8))),
        ((20, 10), (8, 8), (slice(0, 8), slice(2, 6))),
        ((2, 4), (8, 8), (slice(2, 6), slice(0, 8))),
        ((8, 4), (8, 8), (slice(0, 8), slice(2, 6))),
        ((1, 100), (8, 8), (slice(3, 4), slice(0, 8))),
        ((30, 30), (8, 16), (slice(0, 8), slice(4, 12))),
    ],
)
def test_letterboxing_keeps_the_whole_and_fills_the_rest(
    stored: tuple[int, int], size: tuple[int, int], inside: tuple[slice, slice]
) -> None:
    pixels = _fitted(np.full((*stored, 3), (250, 10, 60), dtype=np.uint8), size, "letterbox")
    within = np.zeros(size, dtype=bool)
    within[inside] = True
    assert (pixels[within] == (250, 10, 60)).all()
    assert (pixels[~within] == 128).all()


def _thirds() -> Pixels:
    """24×8, its thirds 0, 100 and 200."""
    return in_three(np.repeat([[0, 100, 200]], 8, axis=1).repeat(8, axis=0)).astype(np.uint8)


def test_cropping_keeps_the_middle() -> None:
    assert (_fitted(_thirds(), (8, 8), "crop") == 100).all()
    assert (_fitted(_thirds().swapaxes(0, 1), (8, 8), "crop") == 100).all()


def test_stretching_keeps_the_whole_and_fills_nothing() -> None:
    pixels = _fitted(_thirds(), (8, 6), "stretch")
    assert np.abs(pixels[:, 0]).max() <= 10
    assert np.abs(pixels[:, 5] - 200).max() <= 10
    assert (pixels == pixels[0]).all()


def test_letterboxing_of_thirds_has_all_three() -> None:
    pixels = _fitted(_thirds(), (12, 12), "letterbox")
    assert (pixels[:4] == 128).all()
    assert (pixels[8:] == 128).all()
    assert np.abs(pixels[4:8, [1, 6, 10], 0] - [0, 100, 200]).max() <= 10


@pytest.mark.parametrize("fit", ["letterbox", "crop", "stretch"])
def test_scaling_down_averages(fit: Fit) -> None:
    ramp = in_three(np.tile(np.arange(64) * 4, (64, 1))).astype(np.uint8)
    means = np.arange(16) * 16 + 6  # of four neighbours each
    assert np.abs(_fitted(ramp, (16, 16), fit)[:, 2:-2, 0] - means[2:-2]).max() <= 1


@pytest.mark.parametrize("fit", ["letterbox", "crop", "stretch"])
def test_a_large_jpeg_is_scaled_as_a_png_is(fit: Fit) -> None:
    ramp = in_three(np.add.outer(np.arange(256) // 2, np.arange(512) // 4)).astype(np.uint8)
    encoder = ImageEncoder(height=24, width=24, channels=3, fit=fit)
    exact = encoder.encode(saved(Image.fromarray(ramp), "PNG")).astype(int)
    quick = encoder.encode(saved(Image.fromarray(ramp), "JPEG", quality=95)).astype(int)
    inner = np.abs(exact - quick)[8:16, 2:-2]
    assert inner.max() <= 6


# --- What size is chosen ---------------------------------------------------------------------------------------------


def _chosen(headers: Sequence[Header], side: int | None = None, max_pixels: int = 10**6) -> tuple[int, int]:
    """Width and height."""
    encoder, _ = choose_geometry(headers, channels=None, fit="letterbox", side=side, max_pixels=max_pixels)
    return encoder.width, encoder.height


def _headers(*sizes: tuple[int, int]) -> list[Header]:
    return [Header(width, height, grey=False) for width, height in sizes]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(33, 27), (33, 27)], (33, 27)),
        ([(640, 480), (320, 240), (480, 360)], (480, 360)),
        ([(480, 640), (240, 320), (360, 480)], (360, 480)),
        ([(640, 480), (480, 640), (500, 500)], (640, 640)),
        ([(9, 9), (11, 11), (10, 10)], (10, 10)),
        ([(5, 520), (520, 5)], (520, 520)),
    ],
)
def test_the_size_that_is_chosen(sizes: list[tuple[int, int]], expected: tuple[int, int]) -> None:
    assert _chosen(_headers(*sizes)) == expected


@pytest.mark.parametrize(
    ("side", "sizes", "expected"),
    [(32, [(640, 480)], (32, 24)), (10, [(20, 10)], (10, 5)), (64, [(8, 8)], (64, 64)), (1, [(8, 4)], (1, 1))],
)
def test_the_size_that_is_asked_for(side: int, sizes: list[tuple[int, int]], expected: tuple[int, int]) -> None:
    assert _chosen(_headers(*sizes), side=side) == expected


def test_large_pictures_are_scaled_to_what_the_time_allows() -> None:
    width, height = _chosen(_headers((4000, 3000)), max_pixels=96 * 72)
    assert (width, height) == (96, 72)
    assert _chosen(_headers((4000, 3000)), side=400, max_pixels=96 * 72) == (400, 304), "unless a size is asked for"


def test_the_choice_gives_its_reason() -> None:
    many = _headers((640, 480), (300, 300))
    for headers, side, max_pixels, reason in (
        (many[:1], None, 10**6, "all pictures are 640×480"),
        (many, None, 10**6, "longer side is 470"),
        (many, 32, 10**6, "asked for"),
        (many, None, 1000, "so that the time allows"),
    ):
        _, decision = choose_geometry(headers, channels=None, fit="crop", side=side, max_pixels=max_pixels)
        assert reason in decision.reason
        assert ("crop" in decision.value) == (len(headers) > 1)


def test_grey_or_colours() -> None:
    def channels(*pictures: bytes) -> int:
        headers = [read_header(raw) for raw in pictures]
        return choose_geometry(headers, channels=None, fit="crop", side=None, max_pixels=10**6)[0].channels

    grey, colour = saved(Image.fromarray(GREY), "PNG"), saved(Image.fromarray(RGB), "PNG")
    deep, marks = saved(Image.fromarray(DEEP), "PNG"), saved(Image.fromarray(GREY > 9), "PNG")
    assert channels(grey, grey, deep, marks) == 1
    assert channels(grey, colour, grey) == 3
    assert channels(saved(Image.fromarray(in_three(GREY).astype(np.uint8)), "PNG")) == 3


def test_arrays_of_real_numbers_are_taken_as_they_are() -> None:
    values = RANDOM.normal(size=(4, 5)).astype(np.float32) * 1000
    header = read_header(values)
    assert header == Header(width=5, height=4, grey=True, whole_numbers=False)
    encoder, _ = choose_geometry([header], channels=1, fit="crop", side=None, max_pixels=1)
    assert (encoder.storage, encoder.shape) == ("float32", (4, 5, 1))
    assert (encoder.encode(values)[:, :, 0] == values).all()


# --- What is refused, and what the network gets ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "is empty"),
        (b"text", "is not a readable JPEG"),
        ("text", "is a text, not a picture"),
        (saved(Image.fromarray(RGB), "PNG")[:150], "is damaged"),
        (np.zeros(3, np.uint8), "which is not a picture"),
        (np.zeros((2, 2, 2, 2), np.uint8), "which is not a picture"),
        (np.zeros((2, 2, 7), np.uint8), "which is not a picture"),
    ],
)
def test_what_is_no_picture_is_refused(raw: Any, reason: str) -> None:
    with pytest.raises(RowError, match=reason):
        encoded(raw)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e16])
def test_numbers_that_can_not_be_trained_on_are_refused(value: float) -> None:
    values = np.zeros((4, 4))
    values[1, 1] = value
    with pytest.raises(RowError, match=r"not finite|beyond"):
        ImageEncoder(height=4, width=4, channels=1, storage="float32").encode(values)
    with pytest.raises(RowError, match="has shape"):
        ImageEncoder(height=4, width=5, channels=1, storage="float32").encode(np.zeros((4, 4)))


def test_a_picture_is_refused_by_its_header() -> None:
    side = int(MAX_PIXELS**0.5) + 1
    raw = bytearray(saved(Image.fromarray(GREY), "PNG"))
    raw[16:24] = struct.pack(">II", side, side)
    raw[29:33] = struct.pack(">I", zlib.crc32(raw[12:29]))
    for read in (read_header, encoded):
        with pytest.raises(RowError, match=f"claims {side:,}×{side:,} pixels, more than 80 million"):
            read(bytes(raw))


def test_the_network_gets_mean_0_and_deviation_1() -> None:
    import torch

    mean, std = RGB.reshape(-1, 3).mean(axis=0), RGB.reshape(-1, 3).std(axis=0)
    encoder = ImageEncoder(height=HEIGHT, width=WIDTH, channels=3, mean=tuple(mean), std=tuple(std))
    inputs = encoder.inputs(torch.from_numpy(RGB.copy())[None])
    expected = ((RGB - mean) / std).transpose(2, 0, 1)[None]
    assert inputs.shape == (1, 3, HEIGHT, WIDTH)
    assert np.abs(inputs.numpy() - expected).max() < 1e-5
