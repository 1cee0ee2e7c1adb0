"""Texts to token ids: what a token is, what is known, what is cut, what is refused."""

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from gnomon.encoders.text import TextEncoder, Unit, choose_text, read_text, spelled, tokenize, truncation_note
from gnomon.errors import DataError, RowError


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Don\u2019t   panic!!!!! it's 2024, ok?", ["don't", "panic", "!!!", "it's", "2024", ",", "ok", "?"]),
        ("a\x00b\tc\r\nd\u200be", ["a", "b", "c", "d", "e"]),
        ("\ufb01ne \uff21\uff22\uff23 \u2460", ["fine", "abc", "1"]),
        ("体验2D巅峰 倚天 iPhone4S", ["体", "验", "2", "d", "巅", "峰", " ", "倚", "天", " ", "iphone", "4", "s"]),
        ("カタカナとひら", ["カ", "タ", "カ", "ナ", "と", "ひ", "ら"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("안녕하세요 세계", ["안녕하세요", "세계"]),
        ("l'\u00c9t\u00e9 cafe\u0301", ["l'\u00e9t\u00e9", "caf\u00e9"]),
        (
            "\U0001f468\u200d\U0001f469\u200d\U0001f467 ok \U0001f44d\U0001f3fd "
            "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7",
            [
                "\U0001f468\u200d\U0001f469\u200d\U0001f467",
                "ok",
                "\U0001f44d\U0001f3fd",
                "\U0001f1e9\U0001f1ea",
                "\U0001f1eb\U0001f1f7",
            ],
        ),
        ("snake_case x=1", ["snake", "_", "case", "x", "=", "1"]),
        ("", []),
        (" \n\t", []),
    ],
)
def test_tokens_of_many_scripts(text: str, tokens: Sequence[str]) -> None:
    assert tokenize(text) == tokens
    assert list(tokenize(spelled(tokens))) == list(tokens)


def test_a_text_is_numbered_padded_and_cut() -> None:
    encoder = TextEncoder(vocabulary=("good", "film"), length=4)
    assert encoder.encode("Good film").tolist() == [2, 3, 0, 0]
    assert encoder.encode("good bad film good good good").tolist() == [2, 1, 3, 2]
    assert encoder.encode("").tolist() == encoder.encode(" \x00 ").tolist() == [1, 0, 0, 0]
    assert encoder.encode("x").tolist() == [1, 0, 0, 0]
    assert encoder.encode("x").dtype == np.dtype(encoder.storage)
    assert (encoder.shape, encoder.input_shape, encoder.row_bytes) == ((4,), (4, 4), 16)
    assert encoder.lengths(np.array([[2, 1, 0, 0], [1, 0, 0, 0], [2, 2, 2, 2]])).tolist() == [2, 1, 4]


def test_rare_words_stand_for_the_known_word_with_the_same_beginning_and_numbers_for_their_digits() -> None:
    encoder = TextEncoder(vocabulary=("boring", "film", "0000", "1999"), length=8)
    assert encoder.encode("boringly filmed 1987 1999 bor boringxxxxxx 123").tolist() == [2, 1, 4, 5, 1, 1, 1, 0]


def test_an_encoder_survives_json() -> None:
    encoder = TextEncoder(vocabulary=("a", "\u4e2d"), length=8, unit="characters")
    encoder.encode("a")
    again = msgspec.json.decode(msgspec.json.encode(encoder), type=TextEncoder)
    assert again == encoder
    assert again.encode("中a").tolist() == [3, 2, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"caf\xc3\xa9", "café"),
        (b"\xef\xbb\xbfcaf\xc3\xa9", "café"),
        ("\ufeffcafé".encode("utf-16-le"), "café"),
        ("\ufeffcafé".encode("utf-16-be"), "café"),
        (b"", ""),
    ],
)
def test_bytes_are_decoded(data: bytes, text: str) -> None:
    assert read_text(data) == text


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"good caf\xe9 film", r"UTF-8 text: byte 0xe9 at position 8"),
        ("good".encode("utf-16-le"), "many of its bytes are 0"),
        (b"\xff\xfea", "UTF-16 text: byte 0x61"),
        (np.zeros(3), "is an array"),
    ],
)
def test_other_encodings_are_refused_with_the_place(data: bytes, reason: str) -> None:
    with pytest.raises(RowError, match=reason):
        TextEncoder(vocabulary=("a",), length=8).encode(data)


def test_of_a_long_text_only_the_beginning_is_looked_at() -> None:
    encoder = TextEncoder(vocabulary=("word",), length=8)
    long = b"word " * 2_000_000 + b"\xff"  # the broken byte lies where nobody looks
    assert encoder.encode(long).tolist() == [2] * 8
    assert encoder.encode("é".encode() * 5_000_000).tolist() == [1] + [0] * 7
    assert len(encoder.tokens(long)) < 1000


def test_the_vocabulary_comes_from_what_occurs_twice_the_most_frequent_first() -> None:
    rows = ["the film the film the plot", "a plot once 7 8", *["the end of it"] * 1_500]
    encoder, decisions, notes = choose_text(rows)
    assert encoder.vocabulary == ("the", "end", "it", "of", "0", "film", "plot")
    assert encoder.encode("once 9").tolist()[:2] == [1, 6]
    assert encoder.length == 8
    assert notes == []
    assert [decision.name for decision in decisions] == ["tokens", "vocabulary", "longest text"]
    assert choose_text(rows, most_tokens=2)[0].vocabulary == ("the", "end")


def test_texts_that_are_cut_are_counted() -> None:
    rows = ["word " * 4] * 3_000 + ["word " * 100, "word " * 50]
    encoder, decisions, notes = choose_text(rows)
    assert encoder.length == 8
    assert notes == ["2 texts of 3,002 are cut after 8 tokens: 134 tokens (1.10% of all) are not seen"]
    assert "the longest 100" in decisions[-1].reason
    assert choose_text(rows, longest=30)[0].length == 32
    assert (
        truncation_note(np.array([3, 9]), 8) == "1 text of 2 is cut after 8 tokens: 1 token (8.33% of all) are not seen"
    )


def test_characters_where_words_do_not_come_again() -> None:
    draw = np.random.default_rng(0)
    rows = ["".join(draw.choice(list("acgt"), 30)) + " x" for _ in range(4_000)]
    encoder, decisions, _ = choose_text(rows)
    assert encoder.unit == "characters"
    assert set("acgt") <= set(encoder.vocabulary)
    assert decisions[0].value == "characters"


def test_small_sets_keep_every_word_and_no_text_at_all_is_an_error() -> None:
    assert set(choose_text(["one two", b"two three", np.zeros(2)])[0].vocabulary) == {"one", "two", "three"}
    with pytest.raises(DataError, match="no training text"):
        choose_text(["", "\x00"])


@pytest.mark.parametrize(
    ("tokens", "unit", "text"),
    [
        (["good", "films", "."], "words", "good films ."),
        (["2011", "年", "高", "考", ":", "gdp"], "words", "2011年高考: gdp"),
        (["▢", "加", "快"], "words", "▢加快"),
        (["a", " ", "b"], "characters", "a b"),
        ([], "words", ""),
    ],
)
def test_tokens_are_spelled_as_people_write(tokens: list[str], unit: Unit, text: str) -> None:
    assert spelled(tokens, unit) == text
