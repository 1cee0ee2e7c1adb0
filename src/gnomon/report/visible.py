"""Names from the data, short, and such that Markdown shows them as they are."""

from __future__ import annotations

import re
from typing import Final

from ..visible import visible

_MARKDOWN: Final = re.compile(r"[\\`*_\[\]|~$@#]|:(?=//)")


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
