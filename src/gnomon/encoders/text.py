"""Texts: decode, normalise, cut into tokens, number them.

What is done on purpose, so that nothing of a text is lost unsaid:

    encoding       UTF-8, with or without its mark, and UTF-16 with its mark; anything else is refused with the place
    characters     compatibility forms are folded (NFKC), case is dropped, curly quotes are made straight
    control signs  count as white space, and white space only separates
    words          runs of letters with their marks and inner apostrophes; runs of digits; emoji as a whole; other signs
                   each alone, `!!!` as one
    no spaces      in scripts that don't separate words (Chinese, Japanese, Thai, …) each character is a token, also in
                   mixed texts; a space beside one is a token too, since there it says more than where a word ends
    rare tokens    a word counts as the known word with the same beginning (5 letters and 60 % of it at least), a number
                   as its count of digits; all else is "unknown"
    length         of longer texts the beginning is kept; `choose_text` says how many are cut and how much
"""

from __future__ import annotations

import bisect
import codecs
import math
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache, cached_property
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, RowError
from ..types import Decision, Raw, Value, plural

if TYPE_CHECKING:
    import torch

Unit: TypeAlias = Literal["words", "characters"]
PADDING: Final = 0
UNKNOWN: Final = 1
FIRST_TOKEN: Final = 2
"""The id of the first token of the vocabulary."""

LONGEST: Final = 512
MOST_TOKENS: Final = 60_000
_CHARACTERS_PER_TOKEN: Final = 64
_KEPT_WHOLE: Final = 0.999
_UNSEEN_WORDS: Final = 0.35
_FEW_TOKENS: Final = 5_000
_SHARED_LETTERS: Final = 5
_SHARED_PART: Final = 0.6
NO_SPACES: Final = (
    *("\u0e00-\u0eff", "\u0f00-\u109f", "\u1780-\u17ff", "\u2e80-\u2fdf", "\u3005-\u3007", "\u3031-\u30ff"),
    *("\u31f0-\u31ff", "\u3400-\u4dbf", "\u4e00-\u9fff", "\ua9e0-\ua9ff", "\uaa60-\uaa7f", "\uf900-\ufaff"),
    *("\U0001b000-\U0001b16f", "\U00020000-\U0003ffff"),
)
"""Thai and Lao; Tibetan and Burmese; Khmer; Chinese and Japanese."""
_MARKED: Final = (range(0x300, 0x2000), range(0x20D0, 0x2100), range(0xA600, 0xAC00), range(0x10A00, 0x11D00))
_STRAIGHT: Final = dict.fromkeys(map(ord, "\u2018\u2019\u201b\u02bc"), "'") | dict.fromkeys(
    map(ord, "\u201c\u201d\u201e"), '"'
)


class TextEncoder(Value, tag="text", tag_field="kind", frozen=True, dict=True):
    """Text → `(T,)` token ids: 0 padding, 1 unknown, then the vocabulary in its order.

    Attributes:
        vocabulary: tokens known, the most frequent of the training part first.
        length: T; longer texts are cut.
        unit: what a token is; scripts without spaces are cut into characters either way.
    """

    vocabulary: tuple[str, ...]
    length: int
    unit: Unit = "words"

    @property
    def shape(self) -> tuple[int]:
        """`(T,)` of one encoded text."""
        return (self.length,)

    @property
    def storage(self) -> Literal["int32"]:
        """Type of the ids."""
        return "int32"

    @property
    def row_bytes(self) -> int:
        """Bytes of one encoded text."""
        return self.length * np.dtype(self.storage).itemsize

    @property
    def input_shape(self) -> tuple[int, int]:
        """`(T, V)`: steps, and how many ids there are."""
        return self.length, FIRST_TOKEN + len(self.vocabulary)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(self.vocabulary, start=FIRST_TOKEN)}

    @cached_property
    def _sorted(self) -> list[str]:
        return sorted(self.vocabulary)

    def encode(self, raw: Raw) -> NDArray[Any]:
        """One text, `(T,)` int32; a text without any token gets the one token "unknown".

        Raises:
            RowError: no text, or bytes in an encoding that is not read.
        """
        ids = self._ids
        row = np.zeros(self.length, dtype=np.int32)
        found = [ids.get(token) or self._id_of_rare(token) for token in islice(self.tokens(raw), self.length)]
        row[: len(found)] = found
        row[0] = row[0] or UNKNOWN
        return row

    def _id_of_rare(self, token: str) -> int:
        like = _digits(token) if token.isdecimal() else _same_beginning(token, self._sorted)
        return self._ids.get(like, UNKNOWN)

    def tokens(self, raw: Raw) -> list[str]:
        """The tokens of a text, at least the first T of them: for looking at what a model sees.

        Raises:
            RowError: as `encode`.
        """
        return tokenize(read_text(raw, most=self.length * _CHARACTERS_PER_TOKEN), self.unit)

    def lengths(self, encoded: NDArray[Any]) -> NDArray[np.int64]:
        """Tokens of each row of `(N, T)`."""
        counts: NDArray[np.int64] = np.count_nonzero(encoded, axis=1).astype(np.int64)
        return counts

    def inputs(self, stored: torch.Tensor) -> torch.Tensor:
        """`(N, T)` int32 → int64."""
        return stored.long()


def read_text(raw: Raw, *, most: int = sys.maxsize) -> str:
    """The characters of a row, at most the first `most`.

    Raises:
        RowError: not a text, or in an encoding that is not read, with the place.
    """
    if isinstance(raw, str):
        return raw[:most]
    if not isinstance(raw, bytes):
        raise RowError("is an array, not a text")
    cut = raw if len(raw) <= 4 * most else raw[: 4 * most]
    if cut.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _decoded(cut, "utf-16", whole=cut is raw)[:most]
    if cut[:1024].count(0) > len(cut[:1024]) // 8:
        raise RowError("is no text: many of its bytes are 0 (if it is UTF-16, save it with a byte-order mark)")
    return _decoded(cut.removeprefix(codecs.BOM_UTF8), "utf-8", whole=cut is raw)[:most]


def _decoded(data: bytes, encoding: str, *, whole: bool) -> str:
    """A character that a cut went through is left out."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        return decoder.decode(data, final=whole)
    except UnicodeDecodeError as error:
        byte = f"byte 0x{error.object[error.start]:02x} at position {error.start:,}"
        name = encoding.upper()
        raise RowError(f"is no {name} text: {byte} (save it as UTF-8)") from None


def normalised(text: str) -> str:
    """Compatibility forms folded, case dropped, quotes straight, control signs and white space as single spaces.

    Of a text that unfolds to more than twice its length, as no language does, the rest is cut off.
    """
    most = 2 * len(text) + _CHARACTERS_PER_TOKEN
    folded = unicodedata.normalize("NFKC", text)[:most].lower().translate(_STRAIGHT)
    return _separators().sub(" ", folded)


def tokenize(text: str, unit: Unit = "words") -> list[str]:
    """The tokens of a text, normalised first."""
    clean = normalised(text).strip()
    if unit == "characters":
        return list(clean)
    return [_shortened(token) for token in _pattern().findall(clean)]


def _shortened(token: str) -> str:
    """`!!!!!!` → `!!!`; of words and numbers nothing."""
    return token[:3] if len(token) > 3 and not token[0].isalnum() and len(set(token)) == 1 else token


def _digits(number: str) -> str:
    """What a rare number stands for: its count of digits."""
    return "0" * min(len(number), 9)


def _same_beginning(word: str, known: Sequence[str]) -> str:
    """The known word that shares the longest beginning with this one, if that is most of it; else "".

    Args:
        word: not among the known.
        known: sorted, so that the nearest ones on both sides share most.
    """
    place = bisect.bisect_left(known, word)
    near = known[max(0, place - 1) : place + 1]
    shared = [_shared_letters(word, other) for other in near]
    longest = max(shared, default=0)
    if longest < max(_SHARED_LETTERS, _SHARED_PART * len(word)):
        return ""
    return near[shared.index(longest)]


def _shared_letters(one: str, other: str) -> int:
    return next(
        (place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]),
        min(len(one), len(other)),
    )


@cache
def _separators() -> re.Pattern[str]:
    # The joiner U+200D stays: it holds emoji together.
    signs = "\x00-\x1f\x7f-\x9f\u00ad\u200b\u200c\u200e\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufffe\uffff"
    return re.compile(rf"[\s{signs}]+")


@cache
def _pattern() -> re.Pattern[str]:
    """In this order: flag, emoji, character of a script without spaces, space beside one, word, number, sign."""
    spaceless = "".join(NO_SPACES)
    marks = "".join(chr(code) for codes in _MARKED for code in codes if unicodedata.category(chr(code))[0] == "M")
    letter = rf"[^\W\d_{spaceless}]"
    part = rf"{letter}+(?:[{marks}]+{letter}*)*"
    face = "[\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff]"
    runs = "|".join(f"{re.escape(sign)}+" for sign in "!?.-_*=#~")
    turned = "[\ufe0e\ufe0f\u20e3\U0001f3fb-\U0001f3ff]*"
    return re.compile(
        "[\U0001f1e6-\U0001f1ff]{2}"
        rf"|{face}{turned}(?:\u200d{face}{turned})*"
        rf"|[{spaceless}][{marks}]*"
        rf"|(?<=[{spaceless}]) | (?=[{spaceless}])"
        rf"|{part}(?:'{part})*"
        rf"|\d+|{runs}|\S"
    )


# --- Chosen from the training part -----------------------------------------------------------------------------------


def choose_text(
    raws: Iterable[Raw], *, longest: int | None = None, most_tokens: int = MOST_TOKENS
) -> tuple[TextEncoder, list[Decision], list[str]]:
    """The encoder for these training texts; what was decided, each with its reason; sentences on what is lost.

    Args:
        raws: of the training part, or of a sample of it; rows that can't be read are skipped here.
        longest: the most tokens of a text, asked for; None: twice what 99.9 % of the texts need, up to 512.
        most_tokens: of the vocabulary.

    Raises:
        DataError: no text holds a token.
    """
    texts = list(_readable(raws))
    rows = [tokenize(text) for text in texts]
    unit, unit_decision = _choose_unit(rows)
    if unit == "characters":
        rows = [tokenize(text, unit) for text in texts]
    vocabulary, tokens_decision = _choose_vocabulary(rows, unit, most_tokens)
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    length, length_decision = _choose_length(lengths, longest)
    encoder = TextEncoder(vocabulary=vocabulary, length=length, unit=unit)
    decisions = [unit_decision, tokens_decision, length_decision]
    return encoder, decisions, [note for note in (truncation_note(lengths, length),) if note]


def truncation_note(lengths: NDArray[np.int64], length: int) -> str:
    """A sentence that says how many texts are cut and how much is lost; "" if none is.

    Args:
        lengths: tokens of each text, before it is cut.
        length: tokens that are kept.
    """
    cut = lengths > length
    if not cut.any():
        return ""
    lost = int((lengths[cut] - length).sum())
    share = lost / max(1, int(lengths.sum()))
    what = f"{plural(int(cut.sum()), 'text')} of {len(lengths):,} {'is' if cut.sum() == 1 else 'are'} cut"
    return f"{what} after {length} tokens: {plural(lost, 'token')} ({share:.2%} of all) are not seen"


def _readable(raws: Iterable[Raw]) -> Iterable[str]:
    for raw in raws:
        try:
            yield read_text(raw, most=16 * LONGEST * _CHARACTERS_PER_TOKEN)
        except RowError:
            continue  # named and counted when it is encoded


def _choose_unit(rows: Sequence[Sequence[str]]) -> tuple[Unit, Decision]:
    """Characters where most words would be unknown: the share of tokens that occur once estimates it (Good, 1953)."""
    counts = Counter(token for row in rows for token in row)
    total = counts.total()
    if not total:
        raise DataError("no training text holds a letter, a digit or a sign", remedy="Is --input the column of texts?")
    unseen = sum(count for count in counts.values() if count == 1) / total
    spaceless = sum(count for token, count in counts.items() if _is_spaceless(token)) / total
    if unseen > _UNSEEN_WORDS and total >= _FEW_TOKENS:
        reason = f"about {unseen:.0%} of the words of a new text would be unknown"
        return "characters", Decision(name="tokens", value="characters", reason=reason)
    what = "words" if spaceless < 0.02 else "characters" if spaceless > 0.98 else "words and characters"
    scripts = f"; {spaceless:.0%} of the tokens are characters of scripts without spaces" if spaceless >= 0.02 else ""
    reason = f"about {unseen:.1%} of the tokens of a new text will be unknown{scripts}"
    return "words", Decision(name="tokens", value=what, reason=reason)


def gap(left: str, right: str) -> str:
    """What stands between two tokens where people read them: a space, unless one is of a script without spaces.

    A space that does stand beside such a character is a token of its own.
    """
    return "" if any(map(_is_spaceless, (left, right))) else " "


def spelled(tokens: Sequence[str], unit: Unit = "words") -> str:
    """Tokens as a text for people."""
    if unit == "characters":
        return "".join(tokens)
    return "".join(part for left, right in pairwise((*tokens, "")) for part in (left, gap(left, right))).rstrip(" ")


def _is_spaceless(token: str) -> bool:
    return token != "" and any(ord(part[0]) <= ord(token[0]) <= ord(part[2]) for part in NO_SPACES)


def _choose_vocabulary(rows: Sequence[Sequence[str]], unit: Unit, most: int) -> tuple[tuple[str, ...], Decision]:
    """Tokens that occur twice or more, the most frequent first, equally frequent ones by their text."""
    counts = Counter(token for row in rows for token in row)
    least = 2 if counts.total() >= _FEW_TOKENS else 1
    for token, count in list(counts.items()):
        if count < least and token.isdecimal():
            del counts[token]
            counts[_digits(token)] += count
    ranked = sorted((-count, token) for token, count in counts.items() if count >= least)
    vocabulary = tuple(token for _, token in ranked[:most])
    known = -sum(count for count, _ in ranked[:most])
    once = " that occur at least twice" if least == 2 else ""
    reason = f"of {plural(len(counts), 'different one')}, those{once}: {known / counts.total():.1%} of the text"
    reason += f"; the most frequent {most:,} are kept" if len(ranked) > most else ""
    return vocabulary, Decision(name="vocabulary", value=plural(len(vocabulary), unit[:-1]), reason=reason)


def _choose_length(lengths: NDArray[np.int64], asked: int | None) -> tuple[int, Decision]:
    """All that the longest text needs, unless few texts are much longer than the others."""
    longest = int(lengths.max())
    usual = math.ceil(float(np.quantile(lengths, _KEPT_WHOLE, method="higher")))
    wanted = asked or min(LONGEST, longest, 2 * usual)
    length = max(8, -(-wanted // 8) * 8)
    median = f"the median text has {np.median(lengths):.0f} tokens, the longest {longest:,}"
    reason = f"{'asked for; ' if asked else ''}{median}"
    return length, Decision(name="longest text", value=f"{length} tokens", reason=reason)
