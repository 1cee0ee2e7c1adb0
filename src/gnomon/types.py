"""The small frozen values that the stages hand to one another. Imports no torch when run.

What crosses a stage's border is defined here and nowhere else: rows of data, the shape of a task, a batch, a metric
with its interval, an event of the training.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

if TYPE_CHECKING:
    import torch

Raw: TypeAlias = bytes | str | NDArray[np.generic]
"""One row as its source gives it: the bytes of a file, a text, or an array."""

Kind: TypeAlias = Literal["image", "text", "sound", "series"]
"""What a row is. All but images are sequences: steps, of which rows have different numbers."""
NOUNS: Final[dict[Kind, tuple[str, str]]] = {
    "image": ("picture", "pictures"),
    "text": ("text", "texts"),
    "sound": ("recording", "recordings"),
    "series": ("series", "series"),
}
"""What people call one row of a kind, and several."""

Question: TypeAlias = Literal["classify", "tag", "regress"]
"""What is asked of each row: one class, any number of labels, or numbers."""

Split: TypeAlias = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A frozen value that is written to JSON or TOML and read back strictly: unknown or mistyped fields are errors."""


Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=2**31)]
"""A whole number of things, at least one. Bounds are checked whenever a value is read."""
Share: TypeAlias = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Positive: TypeAlias = Annotated[float, msgspec.Meta(gt=0, le=1e6)]


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled example, before it is read.

    Attributes:
        key: its name inside the source (`cats/007.jpg`); a name, never used as a path outside of the source.
        label: its class, labels or number, as written in the data.
        split: the part that the data itself puts it in, if any.
        group: rows of one group never stand in different parts.
        others: names and values of a table's further columns, by which rows are told apart when they are judged.
    """

    key: str
    label: str
    split: Split | None = None
    group: str | None = None
    others: tuple[tuple[str, object], ...] = ()


class SetAside(Value, frozen=True):
    """A row that can't be used, and why. Set aside, named and counted; it never stops a run."""

    key: str
    reason: str


class DataSpec(Value, frozen=True):
    """What a model must know of the data: shapes and classes, no rows.

    Attributes:
        kind: what a row is.
        input_shape: shape of one row as a network takes it: `(C, H, W)` for images; `(T, C + 1)` for sound and series,
            the last channel telling steps from padding; `(T, V)` for texts, T of V tokens.
        classes: the names of the classes, in the order of the model's outputs.
        train_counts: training rows per class or label, in the same order.
        train_rows: training rows, where they are not the sum of these.
        question: what is asked of each row.
        mean, scale: of each value to be estimated; empty for classes and labels.
        given_split: whether the data came with its own train and test parts.
    """

    kind: Kind
    input_shape: tuple[int, ...]
    classes: tuple[str, ...]
    train_counts: tuple[int, ...]
    given_split: bool = False
    train_rows: int = 0
    question: Question = "classify"
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()

    @property
    def num_train(self) -> int:
        return self.train_rows or sum(self.train_counts)


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's rows on the device.

    Attributes:
        inputs: `(N, C, H, W)` or `(N, T, C + 1)` float, normalised and augmented; or `(N, T)` tokens.
        targets: `(N, K)` float, the probability of each class (rows mixed by mixup have two).
        rows: `(N,)` int64, indices into the data set, so that errors and explanations can point back.
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    rows: NDArray[np.int64]


class Metric(Value, frozen=True):
    """A number with its 95 % confidence interval."""

    value: float
    low: float
    high: float


class Decision(Value, frozen=True):
    """One thing that was decided for the user, and why. `value` is written as a person would read it."""

    name: str
    value: str
    reason: str


# --- Events: what `train` yields, what metrics.jsonl and `train --json` hold -----------------------------------------


class Phased(Value, tag="phase", tag_field="event", frozen=True):
    """A phase of the whole command begins: reading, planning, training, evaluating, reporting."""

    name: str
    elapsed_s: float


class Noted(Value, tag="note", tag_field="event", frozen=True):
    """Something that the user should know: what was understood, set aside, chosen, or went wrong."""

    text: str


class Decoded(Value, tag="decoded", tag_field="event", frozen=True):
    """Rows are being decoded; `done` of `rows` lie in the cache."""

    done: int
    rows: int
    elapsed_s: float


class Planned(Value, tag="plan", tag_field="event", frozen=True):
    """The plan stands: what was decided, each with its reason."""

    decisions: tuple[Decision, ...]
    steps: int
    planned_s: float


class Stepped(Value, tag="step", tag_field="event", frozen=True):
    """Training went on; figures are means since the last such event. It stands at steps that the plan alone decides."""

    step: int
    steps: int
    epoch: float
    loss: float
    learning_rate: float
    rows_per_s: float
    elapsed_s: float


class Validated(Value, tag="validation", tag_field="event", frozen=True):
    """The network was judged on the validation part; `measure` names the score that the training goes by."""

    step: int
    epoch: float
    loss: float
    score: float
    elapsed_s: float
    best: bool
    measure: str = "accuracy"


class Replanned(Value, tag="replan", tag_field="event", frozen=True):
    """The machine turned out slower or faster than planned, and the number of steps was changed."""

    step: int
    steps_before: int
    steps: int
    reason: str


class Reverted(Value, tag="revert", tag_field="event", frozen=True):
    """The loss was no longer a number: the training went back to its best network, with a smaller learning rate.

    Attributes:
        step: that it went back to.
        from_step: in which the loss was no longer a number.
        rate_share: what is left of the learning rate.
    """

    step: int
    from_step: int
    rate_share: float


class Going(Value, tag="going", tag_field="event", frozen=True):
    """Nothing to tell, but the training goes on: so that whoever watches may stop it. Not kept in metrics.jsonl."""

    step: int
    elapsed_s: float


class Saved(Value, tag="checkpoint", tag_field="event", frozen=True):
    """A checkpoint is complete on disk."""

    step: int


class Stopped(Value, tag="stop", tag_field="event", frozen=True):
    """Training ended; `reason` is one of: planned, early stopping, interrupted, deadline."""

    step: int
    reason: str


class Finished(Value, tag="finished", tag_field="event", frozen=True):
    """The whole command is done. The last line of `train --json`.

    Attributes:
        run: the run directory, as given or made.
        metrics: those of the test part.
        planned_s, used_s: seconds from the process's start; `planned_s` is 0 where no deadline was given.
    """

    run: str
    metrics: dict[str, Metric]
    planned_s: float
    used_s: float


Event: TypeAlias = (
    Phased | Noted | Decoded | Planned | Stepped | Validated | Replanned | Reverted | Going | Saved | Stopped | Finished
)


def returned(events: Generator[Any, None, T]) -> T:
    """What a generator returns, its events unheard."""
    while True:
        try:
            next(events)
        except StopIteration as stop:
            value: T = stop.value
            return value


def plural(count: int, noun: str, many: str = "") -> str:
    """`1 image`, `60,000 images`; `many` where the plural is not noun + s."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def counted(count: int, kind: Kind) -> str:
    """`1 picture`, `3,000 recordings`."""
    return plural(count, *NOUNS[kind])


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first few names and how many more there are: `a, b, c and 5 more`."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown
