"""What files of each kind are called, what words are used of them, and how they begin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from ..types import Kind

IMAGE_EXTENSIONS: Final = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"))
EXTENSIONS: Final[Mapping[Kind, frozenset[str]]] = {
    "image": IMAGE_EXTENSIONS,
    "text": frozenset((".txt",)),
    "sound": frozenset((".wav", ".flac", ".ogg", ".mp3")),
    "series": frozenset((".csv", ".tsv")),
}
"""What a file of each kind is called."""

HEAD_BYTES: Final = 16
"""How many of a file's first bytes are enough to tell what it is."""


@dataclass(frozen=True, slots=True)
class Form:
    """Files of one kind.

    Attributes:
        noun, nouns: one and several of them.
        formats: that are read, as they stand before the nouns: `no WAV or MP3 recordings`.
        example: how to put them into folders, as a remedy.
        begins: judges by the first bytes of a file whose name tells nothing.
    """

    noun: str
    nouns: str
    formats: str
    example: str
    begins: Callable[[bytes], bool]


def extension_of(name: str) -> str:
    """`.jpg` for `cats/1.JPG`; "" where there is none."""
    stem, dot, extension = name.rpartition("/")[2].rpartition(".")
    return f".{extension.lower()}" if dot and stem else ""


def looks_like_image(head: bytes) -> bool:
    """Whether a file's first bytes are those of a picture in a format that is read."""
    if head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\x00", b"MM\x00*")):
        return True
    return (head[:4] == b"RIFF" and head[8:12] == b"WEBP") or (head[:2] == b"BM" and head[6:10] == b"\x00" * 4)


def looks_like_sound(head: bytes) -> bool:
    """Whether a file's first bytes are those of WAV, FLAC, OGG or MP3 (layer III, or with an ID3 tag before it)."""
    if head.startswith((b"fLaC", b"OggS", b"ID3")):
        return True
    is_wave = head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE"
    return is_wave or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2)


def _never(head: bytes) -> bool:
    return False


def _example(noun: str, first: str, second: str) -> str:
    return f"Make one folder per class: {noun}/{first}, {noun}/{second} (or {noun}/train/{first} and so on)."


FORMS: Final[Mapping[Kind, Form]] = {
    "image": Form(
        *("image", "images", "JPEG, PNG, WebP, BMP, GIF or TIFF"),
        _example("photos", "cat/1.jpg", "dog/2.jpg"),
        looks_like_image,
    ),
    "text": Form("text", "texts", ".txt", _example("reviews", "good/1.txt", "bad/2.txt"), _never),
    "sound": Form(
        *("recording", "recordings", "WAV, FLAC, OGG or MP3"),
        _example("sounds", "bird/1.wav", "car/2.wav"),
        looks_like_sound,
    ),
    "series": Form("series", "series", ".csv or .tsv", _example("motion", "walk/1.csv", "run/2.csv"), _never),
}
