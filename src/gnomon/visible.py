"""Names from data and models, made harmless to read: what can't be seen, or moves a cursor, becomes visible."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TextIO, cast

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS: Final = frozenset("\u200c\u200d")  # Persian, Indic scripts and emoji are spelled with them
_MOVES: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def visible(text: str) -> str:
    """`text` with control, direction and other invisible characters written as `⟨U+202E⟩`."""
    return text if text.isascii() and text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    hidden = unicodedata.category(character) in _HIDDEN and character not in _JOINERS
    return _named(character) if hidden else character


def _named(character: str) -> str:
    return f"⟨U+{ord(character):04X}⟩"


class Inert:
    """A stream that writes no control sign but the end of a line and the tab, whoever's names are in a text.

    Attributes:
        unfiltered: the stream below, for what draws with such signs on purpose.
    """

    def __init__(self, unfiltered: TextIO) -> None:
        self.unfiltered = unfiltered

    def write(self, text: str) -> int:
        """Like that of any stream of text."""
        return self.unfiltered.write(_MOVES.sub(lambda match: _named(match[0]), text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unfiltered, name)


def unfiltered(stream: TextIO) -> TextIO:
    """What is below an inert stream, or the stream itself."""
    return stream.unfiltered if isinstance(stream, Inert) else stream


@contextmanager
def inert_streams() -> Iterator[None]:
    """Inside, standard output and standard error are inert."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, Inert(unfiltered(stream))) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
