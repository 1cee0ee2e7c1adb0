"""What a run says of itself once it is judged: the values in `evaluation/*.json`. Imports no torch.

    validation.json, test.json   `Evaluation`: scores, baselines, calibration, curves, doubt, residuals
    slices.json                  `Slices`: how parts of the test rows fare, the worst first
    mistakes.json                `Mistake`s: wrong answers, the most confident first
    suspects.json                `Suspects`: rows whose label is likely wrong
    duplicates.json              `NearDuplicates`: rows that are nearly the same

Shares stand between 0 and 1; losses are in nats; rows are named by their keys. A number that is not defined (the area
under a curve of a class without rows) is null.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from .types import Metric, Split, Value

Points: TypeAlias = tuple[tuple[float, float], ...]
"""Pairs (x, y), x ascending."""


class Baseline(Value, frozen=True):
    """A simple answer that the network must beat, by the headline's metric; `what` says what it is."""

    what: str
    score: Metric


class ClassScores(Value, frozen=True):
    """How one class or label fared, against all others.

    Attributes:
        support: the number of its rows.
        roc_area: the probability that a row of the class is given a greater probability of it than another row; None
            where the class has no rows, or all.
        average_precision: the area under the precision–recall curve, Σ (Rₙ − Rₙ₋₁) Pₙ; None as above.
    """

    name: str
    support: int
    precision: Metric
    recall: Metric
    f1: Metric
    roc_area: Metric | None = None
    average_precision: Metric | None = None


class ClassCurves(Value, frozen=True):
    """The curves of one class or label against all others, thinned to at most 100 points.

    Attributes:
        roc: (share of the other rows that are called so, share of its own rows that are).
        precision_recall: (recall, precision).
    """

    name: str
    roc: Points
    precision_recall: Points


class ReliabilityBin(Value, frozen=True):
    """Rows of like confidence; all bins have about as many.

    Attributes:
        rows: how many.
        confidence: their mean confidence; of labels, the mean probability.
        accuracy: the share that is right (of labels: that has the label), with Wilson's interval.
    """

    rows: int
    confidence: float
    accuracy: Metric


class Calibration(Value, frozen=True):
    """Whether confidences mean what they say.

    Attributes:
        temperature: by which outputs are divided before they become probabilities, found on the validation part; 1
            where that part did not tell. No answer changes by it. Where rows have different ones, that in the middle.
        error: the expected calibration error: the mean distance of a bin's accuracy from its confidence, each bin
            counted by its rows.
        error_before: the same at temperature 1.
        error_by_chance: what the error would be on the mean if all confidences meant what they say, so many rows being
            right or wrong independently of one another; None in files before 0.15.
        log_loss_before: at temperature 1, beside `metrics["log_loss"]`.
        bins, bins_before: the reliability curve, in ascending order of confidence, and the one at temperature 1.
    """

    temperature: float
    error: Metric
    error_before: Metric
    log_loss_before: Metric
    bins: tuple[ReliabilityBin, ...]
    bins_before: tuple[ReliabilityBin, ...]
    error_by_chance: float | None = None


class Kept(Value, frozen=True):
    """What comes of it if answers below a confidence are withheld.

    Attributes:
        confidence: the least that is answered.
        share: of the rows that are answered.
        accuracy: on these.
    """

    confidence: float
    share: float
    accuracy: Metric


class Unlike(Value, frozen=True):
    """Rows unlike the training data, by their distance from it in the network's own features.

    Attributes:
        threshold: the distance above which `predict` warns, in multiples of what 99 % of the validation rows lie below.
        share: of these rows that lie above it; much more than 1 % says that the part differs from the training data.
    """

    threshold: float
    share: Metric


class Residuals(Value, frozen=True):
    """Estimated minus true values, of the first value where there are several.

    Attributes:
        edges: `(B + 1,)`, of the histogram's bins, in the value's unit.
        counts: `(B,)`, rows in each.
        against: (estimated, estimated − true) of up to 1,000 rows.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    against: Points


class Evaluation(Value, frozen=True):
    """`evaluation/{validation,test}.json`.

    Attributes:
        rows: how many were judged.
        metrics: of the task, each with its 95 % interval.
        headline: the name of the metric that the network and its baselines are compared by.
        baselines: `majority` (of values: `mean`) and `linear`, on the same rows.
        classes: scores of each class or label; none of values.
        confusion: `confusion[true][predicted]`, of classes alone.
        points: of values: true and estimated, of up to 1,000 rows; the first value where there are several.
        without_views: the accuracy of a single view, where a prediction averages several.
        groups: groups that the rows come in, and that intervals take as the units of chance; 0 where each row stands
            for itself.
        calibration: of classes and labels.
        curves: one entry a class or label, where there are at most 100.
        kept: of classes: accuracy over the share that is answered, from all rows down to the most confident.
        unlike: where the model file can tell rows that are unlike the training data.
        residuals: of values.
    """

    rows: int
    metrics: dict[str, Metric]
    headline: str
    baselines: dict[str, Baseline]
    classes: tuple[ClassScores, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    points: Points = ()
    without_views: Metric | None = None
    groups: int = 0
    calibration: Calibration | None = None
    curves: tuple[ClassCurves, ...] = ()
    kept: tuple[Kept, ...] = ()
    unlike: Unlike | None = None
    residuals: Residuals | None = None


class Mistake(Value, frozen=True):
    """A test row that the network gets wrong, with a preview of it.

    Attributes:
        label, predicted: the truth as written, and the answer.
        confidence: of the answer; of a value, how far it is off.
        thumbnail: a PNG in base64; empty for texts.
        text: of a text, its beginning as the network reads it.
        sound: of a recording, a playable file in base64, where it could be read again; else empty.
    """

    key: str
    label: str
    predicted: str
    confidence: float
    thumbnail: str
    text: str = ""
    sound: str = ""


SliceBy: TypeAlias = Literal[
    "class", "group", "length", "size", "shape", "brightness", "contrast", "loudness", "column"
]
"""What rows are divided by: their class; their group; steps, words or seconds; pixels; width over height; mean
brightness and its spread; loudness; or another column of the table."""


class Slice(Value, frozen=True):
    """Some of the test rows, and how they fare.

    Attributes:
        by: what the rows were divided by.
        column: the name of the table's column, where they were divided by one.
        name: for people: a class, a group, a value, or a range such as `12 to 31 words`.
        low, high: the range, where it is one of numbers; the unit is that of `unit`.
        unit: `words`, `pixels`, `s`, …; empty where there is none.
        rows: how many.
        score: the headline's metric on them.
        difference: their score minus that of all other rows.
        p: the probability of a difference at least so bad by chance alone, after Holm's correction for the number of
            slices.
        keys: a few of its rows that are answered wrongly, the worst first.
    """

    by: SliceBy
    name: str
    rows: int
    score: Metric
    difference: Metric
    p: float
    low: float | None = None
    high: float | None = None
    unit: str = ""
    column: str = ""
    keys: tuple[str, ...] = ()


class Slices(Value, frozen=True):
    """`evaluation/slices.json`: how parts of the test rows fare.

    Attributes:
        measure: the name of the metric; the mean over rows of being right, or minus the absolute error in units.
        overall: of all rows.
        slices: all that have at least 10 rows, in the order of what they are divided by.
        worst: positions in `slices` of those that are worse than the rest beyond chance (p < 0.05), the worst first.
    """

    measure: str
    overall: Metric
    slices: tuple[Slice, ...]
    worst: tuple[int, ...]


class Suspect(Value, frozen=True):
    """A row whose label is likely wrong.

    Attributes:
        part: of the data that it is in.
        label: as written.
        suggested: the class that it looks like.
        given_probability, suggested_probability: of the two, by models that did not learn from this row.
        doubt: from 0 to 1, by which suspects are ordered.
        thumbnail, text, sound: as of a `Mistake`.
    """

    key: str
    part: Split
    label: str
    suggested: str
    given_probability: float
    suggested_probability: float
    doubt: float
    thumbnail: str = ""
    text: str = ""
    sound: str = ""


class Suspects(Value, frozen=True):
    """`evaluation/suspects.json`.

    Attributes:
        judged: rows of each part that were looked at.
        found: how many of them are suspects.
        expected_wrong: the share of all labels that is estimated to be wrong.
        rows: the suspects, the most doubtful first; at most 5,000, of which the first 24 have a preview.
        skipped: why a part was not looked at, or not wholly; empty where all was.
    """

    judged: dict[str, int]
    found: int
    expected_wrong: float
    rows: tuple[Suspect, ...]
    skipped: str = ""


class NearPair(Value, frozen=True):
    """Two rows that are nearly the same.

    Attributes:
        keys, parts, labels: of the one and of the other.
        likeness: 1 for the same content.
        thumbnails: PNG in base64 of both, for the first pairs; texts in `texts` in place of them.
    """

    keys: tuple[str, str]
    parts: tuple[Split, Split]
    labels: tuple[str, str]
    likeness: float
    thumbnails: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


class NearDuplicates(Value, frozen=True):
    """`evaluation/duplicates.json`: rows that are nearly the same, such as one picture in two sizes.

    Attributes:
        compared: rows that were compared, all with all.
        pairs_found: how many pairs of near-duplicates there are.
        across_parts: how many of them stand in different parts: what is tested was seen in training.
        across_labels: how many have different labels: one of them is wrong.
        pairs: first those across parts, then across labels, at most 5,000; the first 24 have a preview.
        skipped: why the search was not made, or not wholly; empty where it was.
    """

    compared: int
    pairs_found: int
    across_parts: int
    across_labels: int
    pairs: tuple[NearPair, ...]
    skipped: str = ""


class Comparison(Value, frozen=True):
    """What `gnomon compare` says of two runs on the same test rows.

    Attributes:
        runs: the names of the first and the second.
        measure: what is compared.
        rows: that both were judged on.
        scores: of the first and of the second.
        difference: the second minus the first.
        p: the probability of so great a difference between equal models.
        test: how that was found.
        verdict: in a sentence.
    """

    runs: tuple[str, str]
    measure: str
    rows: int
    scores: tuple[Metric, Metric]
    difference: Metric
    p: float
    test: str
    verdict: str
