"""What explanations look like in the run directory: `explain/examples.json`. Imports no torch."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

from ..types import Kind, Value

Method: TypeAlias = Literal["integrated-gradients", "occlusion", "grad-cam", "gradients"]
METHODS: Final[tuple[Method, ...]] = get_args(Method)


class Said(Value, frozen=True):
    """A sentence in English and in Chinese."""

    en: str
    zh: str


class Piece(Value, frozen=True):
    """A token of a text, or a channel of a series, and how much it counts.

    Attributes:
        text: as the network knows it; the spaces between words are not part of it.
        weight: from −1 to 1: of the greatest of the row; above 0 it speaks for the output, below against it.
    """

    text: str
    weight: float


class Explanation(Value, frozen=True):
    """What one method says of one row and one output of the network.

    Attributes:
        method: by which the attributions were found.
        output: the class, label or value that is explained.
        score: of the output. Of a class: its logit above the mean of the others'; of a label: its logit; of a value:
            the value in its own unit.
        without: the same score where everything is as in the mean of the training data, or no word is known; None where
            the method does not ask for it.
        error: of integrated gradients: by how much the sum of the attributions misses `score − without`, as a share of
            it; or of a twentieth of all attributions, where they cancel to less. 0 is exact.
        picture: PNG in base64: the row with the attributions over it, orange for the output and blue against it; "" for
            texts.
        heat: the same attributions alone, transparent where there is nothing, to be laid over the row's own picture.
        pieces: tokens of a text in their order; else empty.
        spaced: whether spaces stand between the pieces.
        steps: of recordings and series: how much each step counts, −1 to 1; else empty.
        channels: of series: how much each channel counts, the greatest first; else empty.
        findings: what there is to see, in words, the most important first.
    """

    method: Method
    output: str
    score: float
    without: float | None = None
    error: float | None = None
    picture: str = ""
    heat: str = ""
    pieces: tuple[Piece, ...] = ()
    spaced: bool = True
    steps: tuple[float, ...] = ()
    channels: tuple[Piece, ...] = ()
    findings: tuple[Said, ...] = ()


class Example(Value, frozen=True):
    """A row and its explanations.

    Attributes:
        key: the row's name in the data.
        label: the truth as written; "" where it is not known.
        predicted: the answer; of several labels, separated by `;`.
        confidence: of the answer, 0 to 1; of values, None.
        right: whether the answer is the truth; None where that is not known, or for values.
        picture: PNG in base64, the row as the network sees it; "" for texts.
        text: of texts: the first tokens.
        sound: of recordings: a WAV file in base64, to be played; "" where it is not at hand.
        seconds: that a recording lasts, as far as the network hears it; else 0.
        explanations: of the same output by several methods; or of several outputs.
    """

    key: str
    label: str
    predicted: str
    confidence: float | None
    right: bool | None
    explanations: tuple[Explanation, ...]
    picture: str = ""
    text: str = ""
    sound: str = ""
    seconds: float = 0.0


class Examples(Value, frozen=True):
    """`explain/examples.json`.

    Attributes:
        kind: of the rows.
        examples: confident mistakes first, then right answers.
        note: what was left out, and why; None where nothing was.
    """

    kind: Kind
    examples: tuple[Example, ...]
    note: Said | None = None
