"""What `evaluation/*.json` and `explain/examples.json` hold, as far as the report shows it.

Read leniently: a field that an older run lacks has a default, one that a newer run adds is passed over.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A number with its 95 % interval; None where it is not defined."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassScore:
    """How well one class is told."""

    name: str
    support: int = 0
    precision: Measured = Measured()
    recall: Measured = Measured()
    f1: Measured = Measured()
    roc_area: Measured | None = None
    average_precision: Measured | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What a simple rule gets on the same rows; `what`, `description` or its one `answer` tell what it does.

    `score` is of the headline's metric; older runs have `accuracy` in its place.
    """

    score: Measured | None = None
    accuracy: Measured = Measured()
    what: str | None = ""
    answer: str | None = ""
    description: str | None = ""

    @property
    def measured(self) -> Measured:
        return self.score or self.accuracy


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleView:
    """The accuracy where each picture is looked at once only: the metric itself, or under `accuracy`."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    accuracy: Measured | None = None

    @property
    def measured(self) -> Measured:
        return self.accuracy or Measured(value=self.value, low=self.low, high=self.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Rows of like confidence, and the share of them that is right."""

    rows: int = 0
    confidence: float
    accuracy: Measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Whether confidences mean what they say: the error and the curve, as they are and without the temperature."""

    temperature: float | None = 1.0
    error: Measured = Measured()
    error_before: Measured = Measured()
    bins: tuple[ReliabilityBin, ...] = ()
    bins_before: tuple[ReliabilityBin, ...] = ()
    error_by_chance: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The accuracy on the share of rows that is answered, if answers below a confidence are withheld."""

    confidence: float | None = None
    share: float
    accuracy: Measured


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassCurves:
    """ROC and precision over recall of one class against all others."""

    name: str
    roc: Points = ()
    precision_recall: Points = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlike:
    """The share of rows that are unlike the training data."""

    share: Measured = Measured()


@dataclass(frozen=True, slots=True, kw_only=True)
class Residuals:
    """Estimated minus true values: a histogram, and against the estimate."""

    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    against: Points = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """evaluation/test.json or validation.json. `confusion[true][predicted]` counts rows."""

    rows: int
    metrics: dict[str, Measured]
    headline: str = "accuracy"
    points: Points = ()
    classes: tuple[ClassScore, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    baselines: dict[str, Baseline] = field(default_factory=dict)
    without_views: SingleView | None = None
    groups: int = 0
    calibration: Calibration | None = None
    curves: tuple[ClassCurves, ...] = ()
    kept: tuple[Kept, ...] = ()
    unlike: Unlike | None = None
    residuals: Residuals | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One wrong answer. `thumbnail` is a picture, `sound` a recording, in base64; of a text the text itself."""

    key: str
    label: str
    predicted: str
    confidence: float | None = None
    thumbnail: str | None = ""
    text: str | None = ""
    sound: str | None = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Specimen:
    """A row of one cell of the confusion matrix; media as in `Mistake`."""

    key: str
    confidence: float | None = None
    picture: str = ""
    text: str = ""
    sound: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecimensOfCell:
    """Some rows of class `true` that were called `predicted`; both are positions in the list of classes."""

    true: int
    predicted: int
    rows: tuple[Specimen, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Some of the judged rows, and how they fare; `name` is a class, a group, a value or a range."""

    by: str
    name: str
    rows: int
    score: Measured
    difference: Measured = Measured()
    p: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    column: str = ""
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Slices:
    """evaluation/slices.json; `worst` are positions in `slices`."""

    measure: str
    overall: Measured = Measured()
    slices: tuple[Slice, ...] = ()
    worst: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A row whose label is likely wrong; media as in `Mistake`."""

    key: str
    part: str = ""
    label: str
    suggested: str
    given_probability: float | None = None
    suggested_probability: float | None = None
    thumbnail: str = ""
    text: str = ""
    sound: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspects:
    """evaluation/suspects.json."""

    judged: dict[str, int] = field(default_factory=dict)
    found: int = 0
    expected_wrong: float | None = None
    rows: tuple[Suspect, ...]
    skipped: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NearPair:
    """Two rows that are nearly the same."""

    keys: tuple[str, str]
    parts: tuple[str, str] = ("", "")
    labels: tuple[str, str] = ("", "")
    likeness: float | None = None
    thumbnails: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDuplicates:
    """evaluation/duplicates.json."""

    compared: int = 0
    pairs_found: int = 0
    across_parts: int = 0
    across_labels: int = 0
    pairs: tuple[NearPair, ...]
    skipped: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A sentence in English and in Chinese."""

    en: str = ""
    zh: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A token or a channel, and from −1 to 1 how much it counts."""

    text: str
    weight: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What one method says of one row."""

    method: str
    output: str = ""
    error: float | None = None
    picture: str = ""
    pieces: tuple[Piece, ...] = ()
    spaced: bool = True
    channels: tuple[Piece, ...] = ()
    findings: tuple[Sentence, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A row and its explanations."""

    key: str
    label: str = ""
    predicted: str = ""
    confidence: float | None = None
    right: bool | None = None
    explanations: tuple[Explanation, ...] = ()
    picture: str = ""
    text: str = ""
    sound: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanations:
    """explain/examples.json."""

    examples: tuple[Explained, ...]
    note: Sentence | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """evaluation/speed.json: how quickly the model answers on the machine that trained it."""

    one_row_s: float
    rows_per_s: float
