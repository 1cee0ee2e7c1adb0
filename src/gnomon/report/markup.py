"""Values of `words` as HTML and as Markdown. All text passes through here, and is made inert here.

In HTML a message stands in both languages, of which the style sheet shows the page's one; where both are alike, once.
"""

from __future__ import annotations

from collections.abc import Callable

from markupsafe import Markup, escape

from ..visible import visible
from .visible import markdown as inert_markdown
from .visible import shortened
from .words import LANGUAGES, TAGS, Both, Code, Foreign, Language, Listed, Name, Said

_COMMA: dict[Language, str] = {"en": ", ", "zh": "、"}


def html(value: object) -> Markup:
    """A value as it stands between tags, in both languages."""
    if not isinstance(value, Said | Both | Listed):
        return _html(value, "en")
    texts = {language: _html(value, language) for language in LANGUAGES}
    if texts["en"] == texts["zh"]:
        return texts["en"]
    return Markup("".join(f'<span class="{each}" lang="{TAGS[each]}">{text}</span>' for each, text in texts.items()))


def attribute(name: str, value: object, language: Language) -> Markup:
    """An attribute in the page's language, and beside it that of each language, for the script to change to."""
    texts = {each: plain(value, each) for each in LANGUAGES}
    own = f' {name}="{escape(texts[language])}"'
    if texts["en"] != texts["zh"]:
        own += "".join(f' data-{each}-{name}="{escape(text)}"' for each, text in texts.items())
    return Markup(own)


def drawn(value: object) -> Markup:
    """A value inside of an SVG's text."""
    texts = {language: escape(plain(value, language)) for language in LANGUAGES}
    if texts["en"] == texts["zh"]:
        return texts["en"]
    return Markup("".join(f'<tspan class="{each}" lang="{TAGS[each]}">{text}</tspan>' for each, text in texts.items()))


def plain(value: object, language: Language) -> str:
    """A value as text without markup, inert but not escaped."""
    return _spelled(value, language, lambda part: _plain(part, language), str)


def markdown(value: object, language: Language) -> Markup:
    """A value in a Markdown document of one language."""
    return Markup(_spelled(value, language, lambda part: _markdown(part, language), lambda text: str(escape(text))))


def _html(value: object, language: Language) -> Markup:
    match value:
        case Markup():
            return value
        case Said() | Both() | Listed():
            text = _spelled(value, language, lambda part: _html(part, language), lambda text: str(escape(text)))
            return Markup(text)
        case Name():
            title = f' title="{escape(visible(value.text))}"' if len(value.text) > value.most else ""
            look = "name wrong-word" if value.wrong else "name"
            return Markup(f'<bdi class="{look}"{title}>{escape(visible(shortened(value.text, value.most)))}</bdi>')
        case Code():
            return Markup(f"<code>{escape(visible(value.text))}</code>")
        case Foreign():
            return Markup(f'<span lang="en">{escape(visible(value.text))}</span>')
        case _:
            return escape(visible(str(value)))


def _plain(value: object, language: Language) -> str:
    match value:
        case Said() | Both() | Listed():
            return plain(value, language)
        case Name():
            return visible(shortened(value.text, value.most))
        case Code() | Foreign():
            return visible(value.text)
        case _:
            return visible(str(value))


def _markdown(value: object, language: Language) -> str:
    match value:
        case Markup():
            return value
        case Said() | Both() | Listed():
            return markdown(value, language)
        case Name():
            return f"“{escape(inert_markdown(shortened(value.text, value.most)))}”"
        case Code():
            return f"`{value.text}`"
        case Foreign():
            return str(escape(inert_markdown(value.text)))
        case _:
            return str(escape(inert_markdown(str(value))))


def _spelled(value: object, language: Language, shown: Callable[[object], str], fixed: Callable[[str], str]) -> str:
    """`fixed` writes the program's own text, `shown` the values in it."""
    match value:
        case Said():
            pieces = value.pieces(language)
            return "".join(shown(piece) if index % 2 else fixed(str(piece)) for index, piece in enumerate(pieces))
        case Both():
            return fixed(value.en if language == "en" else value.zh)
        case Listed():
            return fixed(_COMMA[language]).join(map(shown, value.values))
        case _:
            return shown(value)
