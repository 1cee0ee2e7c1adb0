"""Pictures and sounds from a run's files, as data of the page: only what is known to be one, within a budget.

A page stays small enough to be sent by mail: what finds no room is told in words alone.
"""

from __future__ import annotations

import base64
import binascii
import struct
from dataclasses import dataclass
from typing import Final

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_LARGEST: Final = 4096
_TINY: Final = 100
_STRIP: Final = 2.0
_SOUNDS: Final = (
    *((b"OggS", "audio/ogg"), (b"fLaC", "audio/flac"), (b"RIFF", "audio/wav"), (b"ID3", "audio/mpeg")),
    *((b"\xff" + bytes([second]), "audio/mpeg") for second in (0xE3, 0xE2, 0xF3, 0xF2, 0xFB, 0xFA)),
)
"""How files of sound begin; MP3 either with its titles or with a frame."""


@dataclass(frozen=True, slots=True)
class Media:
    """What there is to see and hear of a row.

    Attributes:
        source, sound: data URIs; empty where there is none.
        width, height: of the picture, in pixels.
        tiny: whether it is to be shown with its pixels.
        text: of a text.
    """

    source: str = ""
    width: int = 0
    height: int = 0
    tiny: bool = False
    sound: str = ""
    text: str = ""

    @property
    def wide(self) -> bool:
        """Whether the picture is a strip, such as a spectrogram."""
        return self.height > 0 and self.width / self.height > _STRIP


class Budget:
    """Bytes that media may still take."""

    def __init__(self, room: int) -> None:
        self.room = room

    def spent(self, uri: str) -> bool:
        """Take the room of a data URI, where there is enough."""
        if len(uri) > self.room:
            return False
        self.room -= len(uri)
        return True


def media(picture: str | None, sound: str | None, text: str | None, budget: Budget) -> Media:
    """What is a picture or a sound, and has room in the budget.

    Args:
        picture: PNG or WebP in base64.
        sound: Ogg, MP3, FLAC or WAV in base64.
        text: as it is.
        budget: of which the room is taken.
    """
    source, width, height = _picture(picture or "")
    heard = _sound(sound or "")
    if not source or not budget.spent(source):
        source, width, height = "", 0, 0
    tiny = 0 < max(width, height) < _TINY
    return Media(source, width, height, tiny, heard if heard and budget.spent(heard) else "", text or "")


def _picture(encoded: str) -> tuple[str, int, int]:
    head = _head(encoded)
    if len(head) >= 24 and head.startswith(_PNG) and head[12:16] == b"IHDR":
        width, height = struct.unpack(">II", head[16:24])
        kind = "png"
    elif len(head) >= 30 and head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack("<HH", head[26:30]))
        kind = "webp"
    else:
        return "", 0, 0
    if not (0 < width <= _LARGEST and 0 < height <= _LARGEST):
        return "", 0, 0
    return f"data:image/{kind};base64,{encoded}", width, height


def _sound(encoded: str) -> str:
    head = _head(encoded)
    kind = next((kind for begin, kind in _SOUNDS if head.startswith(begin)), "")
    if not kind or (kind == "audio/wav" and head[8:12] != b"WAVE"):
        return ""
    return f"data:{kind};base64,{encoded}"


def _head(encoded: str) -> bytes:
    """The first bytes; nothing where the whole is no base64."""
    try:
        base64.b64decode(encoded, validate=True)
        return base64.b64decode(encoded[:48])
    except (binascii.Error, ValueError):
        return b""
