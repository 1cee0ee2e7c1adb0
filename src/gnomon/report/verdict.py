"""The judgement in one sentence, and against what it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from ..types import NOUNS, plural
from .figures import known
from .files import Evaluation, Measured, RunFiles

Level = Literal["ahead", "unclear", "behind", "unjudged"]

LABELS: Final = {"majority": "always answering the commonest class", "linear": "a linear model"}

UNJUDGED: Final = "The run ended before its evaluation was written; what there is of it stands below."


@dataclass(frozen=True, slots=True)
class Rival:
    """A line of the comparison: the network itself, or a baseline.

    Attributes:
        detail: which class the baseline answers, or what the linear model looks at.
    """

    name: str
    label: str
    detail: str
    accuracy: Measured


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the whole run came to.

    Attributes:
        level: against the best baseline: ahead, unclear (equal, or the intervals overlap), behind, or not judged.
        sentence: the verdict itself.
        standing: where that leaves the network against the baselines.
        basis: on which rows it rests.
        rivals: the network, then the baselines from the best down.
    """

    level: Level
    sentence: str
    standing: str
    basis: str
    rivals: tuple[Rival, ...]


def noun(run: RunFiles) -> str:
    """What one row is called: a picture, a text."""
    return _nouns(run)[0]


def nouns(run: RunFiles) -> str:
    """What several rows are called."""
    return _nouns(run)[1]


def _nouns(run: RunFiles) -> tuple[str, str]:
    kinds: Mapping[str, tuple[str, str]] = {str(kind): names for kind, names in NOUNS.items()}
    return kinds.get(run.data.kind if run.data else "", ("row", "rows"))


def judged(run: RunFiles) -> Evaluation | None:
    """The evaluation that the report rests on: that of the test part, else that of validation."""
    return run.test or run.validation


def verdict(run: RunFiles) -> Verdict:
    """The verdict on the test part; on validation, said so, where the test part was not reached."""
    evaluation = judged(run)
    accuracy = evaluation.metrics.get("accuracy") if evaluation else None
    if evaluation is None or accuracy is None or accuracy.value is None or not known(accuracy.value):
        return Verdict("unjudged", "This network has not been judged yet.", "", UNJUDGED, ())
    rivals = _rivals(evaluation)
    level = _level(accuracy, rivals[0] if rivals else None)
    network = Rival("network", "this network", "", accuracy)
    return Verdict(
        level=level,
        sentence=_sentence(run, accuracy, accuracy.value, rivals, level),
        standing=_standing(level, accuracy, rivals),
        basis=_basis(run, evaluation),
        rivals=(network, *rivals),
    )


def _rivals(evaluation: Evaluation) -> list[Rival]:
    found = [
        Rival(
            name,
            LABELS.get(name, name),
            baseline.what or baseline.answer or baseline.description or "",
            baseline.accuracy,
        )
        for name, baseline in evaluation.baselines.items()
        if known(baseline.accuracy.value)
    ]
    return sorted(found, key=lambda rival: rival.accuracy.value or 0.0, reverse=True)


def _level(accuracy: Measured, best: Rival | None) -> Level:
    if best is None:
        return "unclear"
    mine, theirs = accuracy.value or 0.0, best.accuracy.value or 0.0
    if mine < theirs:
        return "behind"
    low = mine if accuracy.low is None else accuracy.low
    high = theirs if best.accuracy.high is None else best.accuracy.high
    return "ahead" if low > high else "unclear"


def _sentence(run: RunFiles, accuracy: Measured, value: float, rivals: list[Rival], level: Level) -> str:
    of = 100 if 0.03 <= value <= 0.97 else 1000
    right = f"all {of:,}" if value == 1 else "none" if value == 0 else f"about {_count(value, of)}"
    text = f"Of {of:,} new {nouns(run)} like these, it names {right} right"
    if accuracy.low is not None and accuracy.high is not None and known(accuracy.low + accuracy.high):
        digits = 1 if of == 100 else 0
        text += f" (95\u202f% interval {of * accuracy.low:.{digits}f}–{of * accuracy.high:.{digits}f})"
    against = [f"{rival.label} {'would get' if index == 0 else ''}".strip() for index, rival in enumerate(rivals)]
    scores = [_count(rival.accuracy.value or 0.0, of) for rival in rivals]
    listed = ", ".join(f"{label} {score}" for label, score in zip(against, scores, strict=True))
    joint = "; but " if level == "behind" else "; "
    return f"{text}{joint if listed else ''}{listed}."


def _count(share: float, of: int) -> str:
    """How many out of `of`; more exact where rounding would say none or all."""
    rounded = round(share * of)
    return f"{rounded:,}" if 0 < rounded < of or share in (0, 1) else f"{share * of:.2f}"


def _standing(level: Level, accuracy: Measured, rivals: list[Rival]) -> str:
    if not rivals:
        return "No baseline was measured, so this number stands alone."
    best = rivals[0].label
    if level == "behind":
        return f"This network loses to a baseline: {best} does better. Do not use it as it is."
    if level == "unclear" and rivals[0].accuracy.value == accuracy.value:
        return f"No better than {best}: both get the same share right."
    if level == "unclear":
        return f"Not clearly better than {best}: the intervals overlap, so the difference may be chance."
    return f"Clearly better than {'every baseline' if len(rivals) > 1 else best}: the intervals do not overlap."


def _basis(run: RunFiles, evaluation: Evaluation) -> str:
    many = plural(evaluation.rows, noun(run), nouns(run))
    if run.test is not None and run.data and run.data.duplicates and run.data.duplicates.across_splits:
        return f"Measured on {many} of the test part, some of which have copies in the other parts: see below."
    if run.test is not None:
        return f"Measured on {many} of the test part, none of which it was trained on or chosen by."
    return (
        f"Measured on {many} of the validation part, by which this network was chosen: "
        "expect somewhat less. The test part has not been judged yet."
    )
