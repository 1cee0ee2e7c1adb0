"""Names from the data, made harmless to read: what can't be seen, or turns the text around, becomes visible."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS: Final = frozenset("\u200c\u200d")  # Persian, Indic scripts and emoji are spelled with them
_MARKDOWN: Final = re.compile(r"[\\`*_\[\]|~$@#]|:(?=//)")


def visible(text: str) -> str:
    """`text` with control, direction and other invisible characters written as `⟨U+202E⟩`."""
    return text if text.isascii() and text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    hidden = unicodedata.category(character) in _HIDDEN and character not in _JOINERS
    return f"⟨U+{ord(character):04X}⟩" if hidden else character


def shortened(name: str, most: int = 40) -> str:
    """A name in at most `most` characters: its beginning and its end, which often tell more than the middle."""
    if not name.strip():
        return f"⟨{len(name)} spaces⟩" if name else "⟨empty⟩"
    if len(name) <= most:
        return name
    tail = most // 4
    return f"{name[: most - tail - 1]}…{name[-tail:]}"


def markdown(text: str) -> str:
    """`text` visible and so escaped that Markdown shows it as it is; `<`, `>`, `&` are left to autoescape."""
    escaped = _MARKDOWN.sub(lambda match: "\\" + match[0], visible(text))
    return re.sub(r"(?i)(www)\.", r"\1\\.", escaped)
