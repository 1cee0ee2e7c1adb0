"""The judgement in one sentence, what it stands on, and whether to rely on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from .confusion import pairs
from .figures import known, percent
from .files import RunFiles
from .shapes import Evaluation, Kept, Measured
from .words import Name, Rows, Said, Shown, rows_of, say

Level = Literal["ahead", "unclear", "behind", "unjudged"]
Sign = Literal["good", "fair", "bad"]

LABELS: Final[dict[str, Said]] = {
    "majority": say("always answering the commonest class"),
    "linear": say("a linear model"),
    "mean": say("always answering the mean"),
}
_OF_LABELS: Final = say("always giving the commonest labels")
_FEW: Final = 100
_OFTEN: Final = 0.1
_SURE_ENOUGH: Final = 0.5


@dataclass(frozen=True, slots=True)
class Rival:
    """A line of the comparison: the network itself, or a baseline."""

    name: str
    label: Shown
    score: Measured


@dataclass(frozen=True, slots=True)
class Answer:
    """One question that a reader has, and the answer."""

    question: Said
    sign: Sign
    text: Said


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the whole run came to.

    Attributes:
        level: against the best baseline: ahead, unclear (equal, or the intervals overlap), behind, or not judged.
        sentence: the verdict itself.
        answers: how sure that is, how it stands against the simplest answer, what it confuses most, and whether to rely
            on it.
        rivals: the network, then the baselines from the best down.
    """

    level: Level
    sentence: Said
    answers: tuple[Answer, ...]
    rivals: tuple[Rival, ...]


def rows_in(run: RunFiles) -> Rows:
    """What the run's rows are called."""
    return rows_of(run.data.kind if run.data else "")


def judged(run: RunFiles) -> Evaluation | None:
    """The evaluation that the report rests on: that of the test part, else that of validation."""
    return run.test or run.validation


def verdict(run: RunFiles) -> Verdict:
    """The verdict on the test part; on validation, said so, where the test part was not reached."""
    evaluation = judged(run)
    score = evaluation.metrics.get(evaluation.headline) if evaluation else None
    if evaluation is None or score is None or score.value is None or not known(score.value):
        unjudged = say("The run ended before its evaluation was written; what there is of it stands below.")
        missing = Answer(say("What happened?"), "fair", unjudged)
        return Verdict("unjudged", say("This network has not been judged yet."), (missing,), ())
    rivals = _rivals(evaluation)
    level = _level(score, rivals[0] if rivals else None)
    answers = (
        Answer(say("How sure is that?"), _surely(run, evaluation), _basis(run, evaluation, score)),
        Answer(say("Better than the simplest answers?"), _SIGNS[level], _standing(level, score, rivals)),
        *_confusing(run, evaluation),
        _reliance(run, evaluation, level, score.value),
    )
    return Verdict(
        level=level,
        sentence=_sentence(run, evaluation, score.value),
        answers=answers,
        rivals=(Rival("network", say("this network"), score), *rivals),
    )


_SIGNS: Final[dict[Level, Sign]] = {"ahead": "good", "unclear": "fair", "behind": "bad", "unjudged": "fair"}


def _rivals(evaluation: Evaluation) -> list[Rival]:
    of_labels = evaluation.headline == "micro_f1"
    found = [
        Rival(name, _OF_LABELS if of_labels and name == "majority" else LABELS.get(name, name), baseline.measured)
        for name, baseline in evaluation.baselines.items()
        if known(baseline.measured.value)
    ]
    return sorted(found, key=lambda rival: rival.score.value or 0.0, reverse=True)


def _level(score: Measured, best: Rival | None) -> Level:
    if best is None:
        return "unclear"
    mine, theirs = score.value or 0.0, best.score.value or 0.0
    if mine < theirs:
        return "behind"
    low = mine if score.low is None else score.low
    high = theirs if best.score.high is None else best.score.high
    return "ahead" if low > high else "unclear"


def _sentence(run: RunFiles, evaluation: Evaluation, value: float) -> Said:
    rows = rows_in(run)
    if evaluation.headline == "r2":
        off = evaluation.metrics.get("mae")
        share = percent(max(0.0, value), 0)
        if off and off.value is not None and known(off.value):
            return say(
                "For new {0} like these, its estimate explains {1} of what differs and is off by {2} on the mean.",
                rows.many,
                share,
                f"{off.value:.3g}",
            )
        return say("For new {0} like these, its estimate explains {1} of what differs.", rows.many, share)
    if evaluation.headline != "accuracy":
        return say(
            "Of the labels that it gives new {0} like these and of those it should give, {1} agree.",
            rows.many,
            percent(value, 0),
        )
    of = _scale(value)
    all_of = rows.amount(f"{of:,}")
    if value == 1:
        return say("Of {0} new {1} like these, it names all right.", all_of, rows.many)
    if value == 0:
        return say("Of {0} new {1} like these, it names none right.", all_of, rows.many)
    right = rows.amount(_count(value, of))
    return say("Of {0} new {1} like these, it names about {2} right.", all_of, rows.many, right)


def _scale(value: float) -> int:
    """Out of how many is told: out of 100, near the ends out of 1,000."""
    return 100 if 0.03 <= value <= 0.97 else 1000


def _count(share: float, of: int) -> str:
    """How many out of `of`; more exact where rounding would say none or all."""
    rounded = round(share * of)
    return f"{rounded:,}" if 0 < rounded < of or share in (0, 1) else f"{share * of:.2f}"


def _surely(run: RunFiles, evaluation: Evaluation) -> Sign:
    if run.test is None or (run.data and run.data.duplicates and run.data.duplicates.across_splits):
        return "bad" if run.test is not None else "fair"
    return "good" if evaluation.rows >= _FEW and evaluation.groups != 1 else "fair"


def _basis(run: RunFiles, evaluation: Evaluation, score: Measured) -> Said:
    found = _interval(run, evaluation, score)
    if evaluation.groups != 1:
        return found
    alone = say("All rows are of one group; how rows of others would fare, no interval tells.")
    return say("{0} {1}", found, alone)


def _interval(run: RunFiles, evaluation: Evaluation, score: Measured) -> Said:
    many = rows_in(run).counted(evaluation.rows)
    if run.test is not None and run.data and run.data.duplicates and run.data.duplicates.across_splits:
        basis = say("Measured on {0} of the test part, some of which have copies in the other parts: see below.", many)
    elif run.test is not None:
        basis = say("Measured on {0} of the test part, none of which it was trained on or chosen by.", many)
    else:
        basis = say(
            "Measured on {0} of the validation part, by which this network was chosen: expect somewhat less. "
            "The test part has not been judged yet.",
            many,
        )
    if score.value is None or score.low is None or score.high is None or not known(score.low + score.high):
        return basis
    if evaluation.headline != "accuracy":
        return say("Most likely {0} to {1} (95 % interval). {2}", percent(score.low), percent(score.high), basis)
    of = _scale(score.value)
    digits = 1 if of == 100 else 0
    low, high = f"{of * score.low:.{digits}f}", f"{of * score.high:.{digits}f}"
    return say("Most likely {0} to {1} of {2} (95 % interval). {3}", low, high, f"{of:,}", basis)


def _standing(level: Level, score: Measured, rivals: Sequence[Rival]) -> Said:
    if not rivals:
        return say("No baseline was measured, so this number stands alone.")
    best, theirs = rivals[0].label, percent(rivals[0].score.value)
    if level == "behind":
        return say("This network loses to a baseline: {0} does better, with {1}. Do not use it as it is.", best, theirs)
    if level == "unclear" and rivals[0].score.value == score.value:
        return say("No better than {0}: both get {1}.", best, theirs)
    if level == "unclear":
        return say(
            "Not clearly better than {0}, which gets {1}: the intervals overlap, so the difference may be chance.",
            best,
            theirs,
        )
    if len(rivals) == 1:
        return say("Clearly better than {0}, which gets {1}: the intervals do not overlap.", best, theirs)
    return say(
        "Clearly better than every baseline: {0} gets {1}, {2} {3}; the intervals do not overlap.",
        best,
        theirs,
        rivals[1].label,
        percent(rivals[1].score.value),
    )


def _confusing(run: RunFiles, evaluation: Evaluation) -> tuple[Answer, ...]:
    """What it takes for what most; nothing where there are no classes."""
    if not evaluation.confusion:
        return ()
    question, commonest = say("What does it confuse most?"), pairs(evaluation, most=1)
    if not commonest:
        return (Answer(question, "good", say("Nothing: it made no mistake.")),)
    pair = commonest[0]
    of = rows_in(run).counted(sum(evaluation.confusion[pair.true_index]))
    name, said = Name(pair.true, 32), Name(pair.predicted, 32, wrong=True)
    text = say("{0} with {1}: of {2} of {0}, it called {3} {1}.", name, said, of, f"{pair.times:,}")
    return (Answer(question, "fair" if pair.share >= _OFTEN else "good", text),)


def _reliance(run: RunFiles, evaluation: Evaluation, level: Level, value: float) -> Answer:
    question, rows = say("Can I rely on it?"), rows_in(run)
    if level == "behind":
        return Answer(question, "bad", say("No: the simpler rule is right more often."))
    if level == "unclear":
        return Answer(question, "fair", say("Not yet: it is not shown to be better than a simpler rule."))
    if any(score.support and score.recall.value == 0 for score in evaluation.classes):
        return Answer(question, "bad", say("Not for every class: some are never told rightly, see below."))
    if evaluation.headline != "accuracy":
        return Answer(
            question,
            "good",
            say(
                "For {0} that come from where these came from, within the figures below; "
                "look at each before a dear decision.",
                rows.many,
            ),
        )
    surest = _surest(evaluation.kept, value)
    if surest is None or surest.confidence is None:
        return Answer(
            question,
            "good",
            say(
                "On {0} that come from where these came from, where {1} wrong of {2} can be borne.",
                rows.many,
                _count(1 - value, _scale(value)),
                f"{_scale(value):,}",
            ),
        )
    return Answer(
        question,
        "good",
        say(
            "On {0} that come from where these came from. Where it is at least {1} sure, which is so for {2} of them, "
            "it is right in {3}; have a person look at the others.",
            rows.many,
            percent(surest.confidence, 0),
            percent(surest.share, 0),
            percent(surest.accuracy.value),
        ),
    )


def _surest(kept: Sequence[Kept], value: float) -> Kept | None:
    """The largest share of rows on which it errs at most half as often as on all; None where that is hardly any."""
    wanted = 1 - _SURE_ENOUGH * (1 - value)
    good = [each for each in kept if known(each.accuracy.value) and (each.accuracy.value or 0.0) >= wanted]
    best = max(good, key=lambda each: each.share, default=None)
    return best if best and 0.05 <= best.share < 0.995 and known(best.confidence) else None
