"""What the X-ray page holds, as JSON inside of it. Imports no torch.

A layer's numbers are laid out as `(units, height, width)`: filters' maps; of sequences the height is 1 and the width
the steps; of vectors both are 1. Of recordings the height are the steps and the width the bands; the page turns them.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from ..encoders.text import NO_SPACES
from ..types import Kind, Question, Value
from .packing import Packed
from .values import Piece, Said

Look: TypeAlias = Literal["maps", "strips", "vector"]
Work: TypeAlias = Literal["convolution", "pooling", "activation", "dense", "embedding", "recurrent", "reduction"]


class Place(Value, frozen=True, array_like=True):
    """Where a unit answered most in a training row.

    Attributes:
        row: in `Sheet.bank`.
        value: what it answered.
        x, y: in the row's picture, shares of width and height; y below 0: all of the height. Of a text x is a token.
    """

    row: int
    value: float
    x: float
    y: float


class Layer(Value, frozen=True, omit_defaults=True):
    """One column of the page.

    Attributes:
        path: of the module, as in the code.
        work: what it does.
        detail: of it, in signs: `3×3`, `GELU`.
        member: which of several networks it belongs to.
        shape: units, height, width of all of it.
        units: those that are shown, by number.
        before: the layer whose shown units are the same ones, on which it works unit by unit; −1 where there is none.
        stride, padding, dilation: of a convolution, height and width; of a pooling its stride.
        window: of a convolution or pooling.
        weight: `(shown, inputs, window)` of a convolution, `(shown, inputs)` of a dense layer.
        bias: of the shown units.
        first: of each shown unit, the first input channel that it sees.
        top: of each shown unit, where in training rows it answered most.
    """

    path: str
    work: Work
    detail: str
    member: int
    look: Look
    shape: tuple[int, int, int]
    units: tuple[int, ...]
    parameters: int
    products: int
    before: int = -1
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    window: tuple[int, int] = (1, 1)
    weight: Packed | None = None
    bias: tuple[float, ...] = ()
    first: tuple[int, ...] = ()
    top: tuple[tuple[Place, ...], ...] = ()


class Moment(Value, frozen=True, array_like=True):
    """A step of a training row at which the state was alike; `likeness` is the cosine."""

    row: int
    step: int
    likeness: float


class States(Value, frozen=True):
    """A recurrent layer over one row's time.

    Attributes:
        layer: in `Sheet.layers`.
        names: of the values: state, memory, gates.
        units: that are shown; those that read backward stand behind the others.
        values: `(names, units, steps)`.
        similar: at each step, moments elsewhere in the training part.
    """

    layer: int
    names: tuple[str, ...]
    units: tuple[int, ...]
    values: Packed
    similar: tuple[tuple[Moment, ...], ...]


AddendKind: TypeAlias = Literal["group", "tokens", "channel", "duration", "others", "bias", "networks"]


class Addend(Value, frozen=True, array_like=True):
    """A term of a sum.

    Attributes:
        kind: a word group of a text, or how many tokens it has; a channel of a series (its means of parts of the time,
            last step and spread), or how long it is; all terms that are not shown, the bias, the deep networks.
        text: the group, the channel, or how much the networks count.
        number: how often the group stands there, how many tokens, how many others.
        values: of each output of the sum.
    """

    kind: AddendKind
    text: str
    number: int
    values: tuple[float, ...]


class Addends(Value, frozen=True):
    """What adds up to some outputs' scores, the greatest terms first.

    Attributes:
        outputs: which they are, by number; the answer first.
    """

    outputs: tuple[int, ...]
    terms: tuple[Addend, ...]


class PageRow(Value, frozen=True, omit_defaults=True):
    """An input that can be followed.

    Attributes:
        answers: the first of them, with probabilities; of values, the values.
        why: the first thing that there is to see in the attributions.
        truth: place of the label among the outputs; −1 where it is not known.
        picture, heat: PNG in base64; what speaks for the answer is orange in `heat`, against it blue.
        tokens: of a text, with how much each counts.
        maps: of each layer its shown units; None where it is not kept.
        inputs: of each convolution and dense layer what goes in, `(channels, height, width)`; None where not kept.
        states: of recurrent layers.
        on_the_way: `(steps, outputs)`, the answers if the row ended there; of sequences.
        addends: where a linear part stands in the network.
    """

    key: str
    label: str
    predicted: str
    confidence: float | None
    right: bool | None
    answers: tuple[tuple[str, float], ...]
    why: Said | None
    maps: tuple[Packed | None, ...]
    inputs: tuple[Packed | None, ...]
    states: tuple[States, ...] = ()
    on_the_way: Packed | None = None
    addends: Addends | None = None
    truth: int = -1
    picture: str = ""
    heat: str = ""
    tokens: tuple[Piece, ...] = ()
    sound: str = ""
    seconds: float = 0.0
    steps: int = 0


class BankRow(Value, frozen=True, omit_defaults=True):
    """A training row that is shown beside a unit: a small picture, WebP in base64, or its tokens."""

    key: str
    label: str
    picture: str = ""
    tokens: tuple[str, ...] = ()


class Kept(Value, frozen=True):
    """A checkpoint: what the network answered then, and the filters of its first convolution.

    Attributes:
        answers: `(rows, outputs)` of the page's rows.
        filters: `(shown, inputs, height, width)`; None where the network has none.
    """

    step: int
    answers: Packed
    filters: Packed | None = None


class Course(Value, frozen=True):
    """The training.

    Attributes:
        loss: step and training loss.
        validations: step, loss and score.
        measure: the score's name.
        kept: checkpoints that are still there.
    """

    loss: tuple[tuple[int, float], ...]
    validations: tuple[tuple[int, float, float], ...]
    measure: str
    kept: tuple[Kept, ...] = ()


class Sheet(Value, frozen=True):
    """The whole page but its numbers, which are in one packed text beside it.

    Attributes:
        title: the run.
        members: names of networks that answer together and are shown; one alone is "".
        outputs: names of classes, labels or values.
        output_layers: of each member, its last layer.
        spaced: whether spaces stand between tokens.
        spaceless: but beside these characters none do; ranges as in a regular expression.
    """

    title: str
    kind: Kind
    question: Question
    model: str
    members: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: int
    products: int
    layers: tuple[Layer, ...]
    rows: tuple[PageRow, ...]
    bank: tuple[BankRow, ...]
    course: Course
    spaced: bool = True
    spaceless: str = "".join(NO_SPACES)
