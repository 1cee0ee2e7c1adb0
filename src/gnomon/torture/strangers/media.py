"""Pictures and recordings: bombs, headers that lie, and what damage makes of good ones."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
from PIL import Image

from . import Case, Ends, predict_words, train_words
from .material import photos, picture, recording

_FORMS: Final = ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP")
_SOUNDS: Final = ("WAV", "FLAC", "OGG", "MP3")


def media_cases(seed: int) -> Iterator[Case]:
    """All of them, in an order that the seed decides."""
    draw = random.Random(f"{seed}/media")
    cases = [*_pictures(), *_recordings(), *_damaged(draw)]
    draw.shuffle(cases)
    yield from cases


def _case(kind: str, what: str, content: bytes | Callable[[], bytes], *, sure: bool = True) -> Iterator[Case]:
    """Predicted alone; pictures are also trained on, among good ones."""
    ends: Ends = "refused" if sure else "any"
    name, model = ("x.png", "image") if kind == "picture" else ("x.wav", "sound")

    def make(folder: Path) -> None:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content())

    def among(folder: Path) -> None:
        photos(folder, {"cat/x.png": content if isinstance(content, bytes) else content()})

    yield Case(kind, what, predict_words(name, model), make, ends)
    if kind == "picture" and not what.startswith("spoilt"):
        yield Case(kind, f"{what} (train)", train_words("photos"), among, "aside")


# --- Pictures --------------------------------------------------------------------------------------------------------


def _pictures() -> Iterator[Case]:
    for side in (4_000, 6_000, 8_900, 13_000, 30_000, 60_000):
        yield from _case("picture", f"PNG of {side}² black pixels", partial(_png_bomb, side), sure=side > 4_000)
        yield from _case("picture", f"PNG that claims {side}²", _png(side, side, [(b"IDAT", zlib.compress(b""))]))
    for width, height in ((2**31 - 1, 1), (1, 2**31 - 1), (0, 5), (2**32 - 1, 2**32 - 1), (10**6, 80)):
        yield from _case("picture", f"PNG that claims {width}×{height}", _png(width, height, []))
    for kind in (b"zTXt", b"iTXt", b"iCCP", b"tEXt", b"eXIf"):
        yield from _case("picture", f"PNG with 80 MB in {kind.decode()}", partial(_chunk_bomb, kind), sure=False)
    yield from _case("picture", "PNG with 100,000 chunks", partial(_many_chunks, 100_000), sure=False)
    yield from _case(
        "picture", "PNG without an end", _png(18, 18, [(b"IDAT", zlib.compress(bytes(19 * 18)))])[:-12], sure=False
    )
    yield from _case("picture", "animated GIF of 2,000 frames", partial(_frames, "GIF", 2_000), sure=False)
    yield from _case("picture", "animated WebP of 200 frames", partial(_frames, "WEBP", 200), sure=False)
    yield from _case("picture", "TIFF of 500 pages", partial(_frames, "TIFF", 500), sure=False)
    yield from _case(
        "picture",
        "GIF that claims 65535²",
        b"GIF89a" + b"\xff" * 4 + bytes(3) + b"," + bytes(4) + b"\xff" * 4 + b"\x00\x02",
    )
    yield from _case("picture", "BMP that claims 2³¹ rows", _bmp(2**20, 2**31 - 1))
    yield from _case("picture", "BMP that claims −2³¹ rows", _bmp(18, -(2**31)))
    yield from _case("picture", "WebP of 8000² black pixels", partial(_of_one_colour, "WEBP", 8_000))
    yield from _case("picture", "JPEG of 8000² black pixels", partial(_of_one_colour, "JPEG", 8_000), sure=False)
    yield from _case("picture", "JPEG that claims 65500²", partial(_jpeg, 65_500))
    for tag, value in (
        (256, 2**31 - 1),
        (257, 2**31 - 1),
        (258, 65_535),
        (277, 65_535),
        (273, 2**31),
        (279, 2**31 - 1),
        (278, 0),
    ):
        yield from _case("picture", f"TIFF with tag {tag} = {value}", _tiff({tag: value}), sure=False)
    yield from _case("picture", "TIFF whose directory follows itself", _tiff({}, following=8), sure=False)
    yield from _case(
        "picture", "EPS with a program", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%id) (r) file\n"
    )
    yield from _case(
        "picture", "SVG with a script", b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>"
    )
    for name in ("FITS", "PSD", "XPM", "PDF", "FLI"):
        yield from _case("picture", f"another format, {name}", _magic(name))


def _png(width: int, height: int, chunks: list[tuple[bytes, bytes]]) -> bytes:
    header = struct.pack(">IIBBBBB", width & (2**32 - 1), height & (2**32 - 1), 8, 0, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, data in ((b"IHDR", header), *chunks, (b"IEND", b"")):
        parts.append(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
    return b"".join(parts)


def _png_bomb(side: int) -> bytes:
    packer = zlib.compressobj(9)
    row, parts = bytes(side + 1) * 100, list[bytes]()
    for _ in range(min(side, 13_000) // 100):
        parts.append(packer.compress(row))
    return _png(side, side, [(b"IDAT", b"".join([*parts, packer.flush()]))])


def _chunk_bomb(kind: bytes) -> bytes:
    packed = zlib.compress(bytes(80_000_000), 1)
    content = {b"iTXt": b"a\0\1\0\0\0" + packed, b"tEXt": b"a\0" + bytes(10**6), b"eXIf": b"II*\0" + bytes(10**6)}
    return _png(18, 18, [(kind, content.get(kind, b"a\0\0" + packed)), (b"IDAT", zlib.compress(bytes(19 * 18)))])


def _many_chunks(count: int) -> bytes:
    return _png(18, 18, [(b"tEXt", b"a\0b")] * count + [(b"IDAT", zlib.compress(bytes(19 * 18)))])


def _frames(form: str, count: int) -> bytes:
    sink = io.BytesIO()
    frames = [Image.new("RGB", (18, 18), (number % 256, number // 256, 0)) for number in range(count)]
    frames[0].save(sink, form, save_all=True, append_images=frames[1:])
    return sink.getvalue()


def _of_one_colour(form: str, side: int) -> bytes:
    sink = io.BytesIO()
    Image.new("L" if form == "JPEG" else "RGB", (side, side)).save(sink, form, quality=1, method=0)
    return sink.getvalue()


def _bmp(width: int, height: int) -> bytes:
    return (
        b"BM"
        + struct.pack("<IHHI", 54, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    )


def _jpeg(side: int) -> bytes:
    data = bytearray(picture("x", form="JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", side, side)
    return bytes(data)


def _tiff(changed: dict[int, int], *, following: int = 0) -> bytes:
    tags = {256: 18, 257: 18, 258: 8, 259: 1, 262: 1, 273: 200, 277: 1, 278: 18, 279: 324} | changed
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value & (2**32 - 1)) for tag, value in sorted(tags.items()))
    head = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + entries + struct.pack("<I", following)
    return head.ljust(200, b"\0") + bytes(324)


def _magic(name: str) -> bytes:
    begins = {
        "FITS": b"SIMPLE  =                    T",
        "PSD": b"8BPS\0\1",
        "XPM": b"/* XPM */",
        "PDF": b"%PDF-1.4",
        "FLI": b"\0\0\0\0\x11\xaf",
    }
    return begins[name].ljust(5000, b" ")


# --- Recordings ------------------------------------------------------------------------------------------------------


_WAV_FIELDS: Final = (
    *((4, 4, "length"), (16, 4, "format's length"), (20, 2, "format"), (22, 2, "channels"), (24, 4, "rate")),
    *((28, 4, "bytes a second"), (32, 2, "block"), (34, 2, "bits"), (40, 4, "data's length")),
)


def _recordings() -> Iterator[Case]:
    good = recording("x")
    for offset, size, what in _WAV_FIELDS:
        for value in (0, 1, 3, 255, 2 ** (8 * size - 1), 2 ** (8 * size) - 1):
            changed = bytearray(good)
            changed[offset : offset + size] = value.to_bytes(size, "little")
            yield from _case("recording", f"WAV whose {what} is {value}", bytes(changed), sure=False)
    for samples in (5_000_000, 60_000_000, 100_000_000):
        yield from _case(
            "recording", f"FLAC of {samples:,} samples of silence", partial(_silence, "FLAC", samples), sure=False
        )
        yield from _case(
            "recording",
            f"OGG of {samples // 10:,} samples of silence",
            partial(_silence, "OGG", samples // 10),
            sure=False,
        )
    yield from _case(
        "recording",
        "RF64 of terabytes",
        b"RF64\xff\xff\xff\xffWAVEds64" + struct.pack("<IQQQI", 28, 2**42, 2**42, 2**41, 0) + good[12:],
        sure=False,
    )
    yield from _case(
        "recording", "WAV of 200,000 pieces", good[:12] + (b"junk\0\0\0\0" * 200_000) + good[12:], sure=False
    )
    yield from _case("recording", "ID3 that claims 256 MB", b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(1000))
    yield from _case("recording", "ID3 alone", b"ID3\x04\0\0\0\0\0\0" * 10_000)
    yield from _case("recording", "a playlist", b"#EXTM3U\nhttp://localhost/x.mp3\n")
    yield from _case("recording", "zeros", bytes(10**6))
    yield from _case(
        "recording", "MP3 frames of nothing", b"\xff\xfb\x90\x00" + bytes(413) + b"\xff" * 10**5, sure=False
    )
    yield from _case(
        "recording", "an OGG page again and again", b"OggS\0\2" + bytes(20) + b"\1\x1e\1vorbis" + bytes(10**5)
    )


def _silence(form: str, samples: int) -> bytes:
    sink = io.BytesIO()
    with soundfile.SoundFile(sink, "w", 48_000, 1, format=form) as file:
        block = np.zeros(1_000_000, np.float32)
        for _ in range(samples // len(block)):
            file.write(block)
    return sink.getvalue()


# --- What chance does ------------------------------------------------------------------------------------------------


def _damaged(draw: random.Random) -> Iterator[Case]:
    pictures = {form: picture("x", form=form) for form in _FORMS}
    sounds = {"WAV": recording("x", 800)} | {form: _noise(form) for form in _SOUNDS[1:]}
    for kind, files in (("picture", pictures), ("recording", sounds)):
        for form, content in files.items():
            for number in range(25):
                changed = bytearray(content)
                for _ in range(draw.choice((1, 3, 30))):
                    changed[draw.randrange(min(len(changed), draw.choice((100, 10**6))))] = draw.randrange(256)
                yield from _case(kind, f"spoilt {form}, {number}", bytes(changed), sure=False)
            for share in (0.1, 0.5, 0.95):
                yield from _case(
                    kind, f"spoilt {form}, cut at {share:.0%}", content[: int(share * len(content))], sure=False
                )


def _noise(form: str) -> bytes:
    sink = io.BytesIO()
    soundfile.write(sink, np.random.default_rng(0).uniform(-0.5, 0.5, 4000), 8_000, format=form)
    return sink.getvalue()
