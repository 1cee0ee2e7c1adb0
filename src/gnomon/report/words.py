"""What the report says, in English and Chinese.

A message is written in English where it is said: `say("{0} of {1} rows", 3, 10)`. Its Chinese stands in the closed
dictionary `chinese.CHINESE`; texts that other stages wrote into the run in English are found by the patterns of
`reasons.REASONS`. Which language is seen is decided where a text is written down, by `markup`: a page holds both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal, get_args

from ..types import NOUNS
from .chinese import CHINESE
from .reasons import REASONS

Language = Literal["en", "zh"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
TAGS: Final[dict[Language, str]] = {"en": "en", "zh": "zh-Hans"}
"""Languages as HTML's `lang` names them."""

PLACE: Final = re.compile(r"\{(\d)\}")


@dataclass(frozen=True, slots=True)
class Said:
    """A message: its English text, and the values for its places `{0}`, `{1}`, …: texts, names, other messages.

    `quoted` messages were written by other stages, and have their Chinese in `REASONS`.
    """

    english: str
    values: tuple[object, ...] = ()
    quoted: bool = False

    def pieces(self, language: Language) -> list[object]:
        """The text in a language, cut at its places; every second piece is a value."""
        chinese = REASONS if self.quoted else CHINESE
        text = self.english if language == "en" else chinese[self.english]
        parts: list[object] = list(PLACE.split(text))
        parts[1::2] = [self.values[int(str(place))] for place in parts[1::2]]
        return parts


@dataclass(frozen=True, slots=True)
class Both:
    """A short text that is given in both languages at once, such as an amount."""

    en: str
    zh: str


@dataclass(frozen=True, slots=True)
class Name:
    """A name from the data: shown in quotes or in bold, shortened, and never as markup."""

    text: str
    most: int = 40
    wrong: bool = False


@dataclass(frozen=True, slots=True)
class Code:
    """What is typed, or a file's name."""

    text: str


@dataclass(frozen=True, slots=True)
class Listed:
    """Several values, with the commas of the language between them."""

    values: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Foreign:
    """English that has no translation: shown as it is in both languages, and marked as English."""

    text: str


Shown = str | Said | Both | Name | Code | Listed | Foreign


def say(english: str, *values: object) -> Said:
    """A message. Its Chinese must be in the dictionary; a test holds every call to that."""
    return Said(english, values)


def translated(text: str) -> Said | Foreign | str:
    """A text that another stage wrote in English, with its translation where there is one."""
    if not re.search("[A-Za-z]{2}", text):
        return text
    for english, pattern in _patterns():
        found = pattern.fullmatch(text)
        if found:
            return Said(english, tuple(translated(part) for part in found.groups()), quoted=True)
    return Foreign(text)


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    def pattern(english: str) -> re.Pattern[str]:
        parts = PLACE.split(english)
        return re.compile("".join("(.+?)" if index % 2 else re.escape(part) for index, part in enumerate(parts)))

    return tuple((english, pattern(english)) for english in REASONS)


@dataclass(frozen=True, slots=True)
class Rows:
    """What rows are called: `one` and `many` of them, and how many."""

    one: Both
    many: Both
    measure: str

    def counted(self, count: int) -> Both:
        """`3 pictures`, `3 张图片`."""
        noun = self.one if count == 1 else self.many
        return Both(f"{count:,} {noun.en}", f"{count:,} {self.measure}{noun.zh}")

    def amount(self, count: str) -> Both:
        """The number alone, with Chinese's measure word: `3`, `3 张`."""
        return Both(count, f"{count} {self.measure}")


_CHINESE_NOUNS: Final = {
    "image": ("图片", "张"),
    "text": ("文本", "条"),
    "sound": ("录音", "段"),
    "series": ("序列", "条"),
}


def rows_of(kind: str) -> Rows:
    """What rows of a kind are called; `row` where the kind is not known."""
    english = {str(known): nouns for known, nouns in NOUNS.items()}
    one, many = english.get(kind, ("row", "rows"))
    chinese, measure = _CHINESE_NOUNS.get(kind, ("样本", "个"))
    return Rows(Both(one, chinese), Both(many, chinese), measure)


def classes_counted(count: int) -> Both:
    """`10 classes`, `10 个类别`."""
    return Both(f"{count:,} {'class' if count == 1 else 'classes'}", f"{count:,} 个类别")


def in_order(values: Sequence[object]) -> Listed:
    return Listed(tuple(values))
