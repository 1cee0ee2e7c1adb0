"""Values of `words` as HTML and as Markdown. All text passes through here, and is made inert here.

In HTML a message stands in both languages, of which the style sheet shows the page's one; where both are alike, once.
"""

from __future__ import annotations

from collections.abc import Callable

from markupsafe import Markup, escape

from .visible import markdown as inert_markdown
from .visible import shortened, visible
from .words import LANGUAGES, TAGS, Both, Code, Foreign, Language, Listed, Name, Said

_COMMA: dict[Language, str] = {"en": ", ", "zh": "、"}


def html(value: object) -> Markup:
    """A value as it stands between tags, in both languages."""
    if not isinstance(value, Said | Both | Listed):
        return _html(value, "en")
    texts = {language: _html(value, language) for language in LANGUAGES}
    if texts["en"] == texts["zh"]:
        return texts["en"]
    return Markup("").join(
        Markup('<span class="{}" lang="{}">{}</span>').format(language, TAGS[language], text)
        for language, text in texts.items()
    )


def attribute(name: str, value: object, language: Language) -> Markup:
    """An attribute in the page's language, and beside it that of each language, for the script to change to."""
    texts = {each: plain(value, each) for each in LANGUAGES}
    own = Markup(' {}="{}"').format(name, texts[language])
    if texts["en"] == texts["zh"]:
        return own
    return own + Markup("").join(Markup(' data-{}-{}="{}"').format(each, name, text) for each, text in texts.items())


def drawn(value: object) -> Markup:
    """A value inside of an SVG's text."""
    texts = {language: escape(plain(value, language)) for language in LANGUAGES}
    if texts["en"] == texts["zh"]:
        return texts["en"]
    return Markup("").join(
        Markup('<tspan class="{}" lang="{}">{}</tspan>').format(language, TAGS[language], text)
        for language, text in texts.items()
    )


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
            title = Markup(' title="{}"').format(visible(value.text)) if len(value.text) > value.most else ""
            look = "name wrong-word" if value.wrong else "name"
            return Markup('<bdi class="{}"{}>{}</bdi>').format(look, title, visible(shortened(value.text, value.most)))
        case Code():
            return Markup("<code>{}</code>").format(visible(value.text))
        case Foreign():
            return Markup('<span lang="en">{}</span>').format(visible(value.text))
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
