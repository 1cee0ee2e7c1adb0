"""Small JPEG files take a shorter way: every one of them, whole or damaged, must come out as Pillow would have it."""

import io
from typing import Any

import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from gnomon.encoders import FITS, Fit, ImageEncoder, image
from gnomon.errors import RowError

RANDOM = np.random.default_rng(11)
_TURNED = b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00" + bytes(4)
OPTIONS: dict[str, dict[str, Any]] = {
    "colours at full, half and quarter": {},
    "progressive": {"progressive": True},
    "best": {"quality": 100},
    "worst": {"quality": 3},
    "red, green and blue as they are": {"keep_rgb": True},
    "with restarts": {"restart_marker_rows": 1},
    "with a comment": {"comment": b"a\xff\xd8 comment"},
    "with a profile of colours": {"icc_profile": bytes(200)},
    "turned": {"exif": _TURNED},
}


def picture(height: int, width: int, mode: str = "RGB") -> Image.Image:
    coarse = RANDOM.integers(0, 256, (max(1, height // 4), max(1, width // 4), 4), dtype=np.uint8)
    whole = Image.fromarray(coarse, "CMYK").resize((width, height), Image.Resampling.BICUBIC)
    return whole if mode == "CMYK" else whole.convert(mode)


def saved(what: Image.Image, **options: Any) -> bytes:
    sink = io.BytesIO()
    what.save(sink, "JPEG", **options)
    return sink.getvalue()


def made_of(raw: bytes, encoder: ImageEncoder) -> NDArray[Any] | str:
    """The pixels, or why there are none."""
    try:
        return encoder.encode(raw)
    except RowError as error:
        return error.reason


def both_ways(raw: bytes, encoder: ImageEncoder) -> tuple[NDArray[Any] | str, NDArray[Any] | str]:
    shorter = made_of(raw, encoder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image, "_SMALL_FILE", -1)
        return shorter, made_of(raw, encoder)


def assert_same(raw: bytes, encoder: ImageEncoder) -> None:
    shorter, usual = both_ways(raw, encoder)
    if isinstance(shorter, str) or isinstance(usual, str):
        assert shorter == usual
    else:
        np.testing.assert_array_equal(shorter, usual)


@pytest.mark.parametrize("name", OPTIONS)
def test_the_same_pixels(name: str) -> None:
    options = OPTIONS[name]
    for mode in ("RGB",) if "keep_rgb" in options else ("RGB", "L", "CMYK"):
        _same_of_many_sizes(mode, options)


def _same_of_many_sizes(mode: str, options: dict[str, Any]) -> None:
    for height, width in ((1, 1), (8, 8), (17, 9), (32, 32), (40, 90)):
        for subsampling in (0, 1, 2) if mode == "RGB" and "keep_rgb" not in options else (None,):
            one = {} if subsampling is None else {"subsampling": subsampling}
            raw = saved(picture(height, width, mode), **options, **one)
            for channels in (1, 3):
                assert_same(raw, ImageEncoder(height=height, width=width, channels=channels))


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(31, 32), (32, 200), (127, 128), (128, 128), (200, 300)])
def test_the_same_pixels_of_another_size(size: tuple[int, int], fit: Fit) -> None:
    for mode in ("RGB", "L"):
        raw = saved(picture(*size, mode))
        for channels in (1, 3):
            assert_same(raw, ImageEncoder(height=32, width=32, channels=channels, fit=fit))


def test_the_same_pixels_or_the_same_fault_of_damaged_files() -> None:
    encoder = ImageEncoder(height=24, width=24, channels=3)
    whole = [saved(picture(24, 24), quality=quality, progressive=quality > 80) for quality in (30, 75, 95)]
    refused = 0
    for _ in range(600):
        raw = bytearray(whole[RANDOM.integers(len(whole))])
        for _ in range(RANDOM.integers(1, 4)):
            raw[RANDOM.integers(len(raw))] = RANDOM.integers(256)
        if RANDOM.random() < 0.3:
            del raw[RANDOM.integers(len(raw)) :]
        assert_same(bytes(raw), encoder)
        refused += isinstance(made_of(bytes(raw), encoder), str)
    assert 50 < refused < 550


def test_the_shorter_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "_open", lambda _raw: pytest.fail("opened by Pillow"))
    raw = saved(picture(32, 32))
    for side in (24, 32):
        ImageEncoder(height=side, width=side, channels=3).encode(raw)


def test_what_claims_too_much_is_not_decoded_on_the_shorter_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """No memory is taken for pixels that a small file can't hold."""
    monkeypatch.setattr(simplejpeg, "decode_jpeg", lambda *_: pytest.fail("decoded"))
    wide = saved(picture(32, 32)).replace(b"\x00\x20\x00\x20", b"\x00\x20\x7f\xf0", 1)
    made_of(wide, ImageEncoder(height=24, width=24, channels=3))
