"""What the reader should look at before using the model: each with a heading, why it matters, and the rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from ..types import Noted, Stopped
from .curves import Course
from .figures import known, percent
from .files import CONTENTS, Data, Duplicates, RunFiles
from .shapes import Evaluation
from .verdict import Verdict, judged, rows_in
from .words import Both, Foreign, Said, Shown, classes_counted, say, translated

MOST_ROWS: Final = 100
FEW_ROWS: Final = 20
MUCH_UNLIKE: Final = 0.05
"""From this share of rows unlike the training data on, it is told; 1 % are so in any case."""
UNEVEN: Final = 5.0
"""From this ratio of the largest to the smallest training class on, the data is called uneven."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to look at.

    Attributes:
        level: problem (the numbers or the model can't be trusted as they are) or notice.
        rows: (name, remark), the name empty for a remark alone; at most `MOST_ROWS`.
        more: rows that are not listed.
    """

    level: Literal["problem", "notice"]
    heading: Said
    text: Said | str = ""
    rows: tuple[tuple[str, Shown], ...] = ()
    more: int = 0


def attention(run: RunFiles, verdict: Verdict, course: Course) -> tuple[Item, ...]:
    """All that there is, problems first."""
    evaluation = judged(run)
    found = [*_unfinished(run), *_training(run, course), *_standing(verdict)]
    if run.data is not None:
        found += [
            *_drawn(run.data, run),
            *_set_aside(run.data, run),
            *_duplicates(run.data.duplicates, run),
            *_uneven(run.data),
        ]
    if evaluation is not None:
        found += [*_unlike(evaluation, run), *_weak_classes(evaluation, run)]
    found += _notes(run)
    return tuple(sorted(found, key=lambda item: item.level == "notice"))


def _listed(
    level: Literal["problem", "notice"], heading: Said, text: Said | str, rows: Sequence[tuple[str, Shown]]
) -> Item:
    return Item(level, heading, text, tuple(rows[:MOST_ROWS]), max(0, len(rows) - MOST_ROWS))


def _unfinished(run: RunFiles) -> Iterator[Item]:
    if run.damaged:
        text = say("What they would tell is left out below.")
        rows = [(name, Foreign(why)) for name, why in run.damaged]
        yield _listed("problem", say("Files of this run can’t be read"), text, rows)
    if run.missing:
        text = say("It stopped early or is still going. Not there yet:")
        yield _listed(
            "problem", say("This run is not complete"), text, [(name, CONTENTS[name]) for name in run.missing]
        )


def _training(run: RunFiles, course: Course) -> Iterator[Item]:
    if course.broken:
        text = say("The training diverged there; a smaller learning rate helps in most cases.")
        heading = say("The loss was not a number in {0} of the training", reports_counted(course.broken))
        yield Item("problem", heading, text)
    stop = next((event for event in reversed(run.events) if isinstance(event, Stopped)), None)
    if stop is not None and stop.reason != "planned":
        why, planned = translated(stop.reason), run.plan.steps if run.plan else 0
        if planned:
            yield Item(
                "notice", say("Training ended after {0} of {1} steps: {2}", f"{stop.step:,}", f"{planned:,}", why)
            )
        else:
            yield Item("notice", say("Training ended after {0} steps: {1}", f"{stop.step:,}", why))


def reports_counted(count: int) -> Both:
    return Both(f"{count:,} {'report' if count == 1 else 'reports'}", f"{count:,} 次报告")


def _standing(verdict: Verdict) -> Iterator[Item]:
    if verdict.level == "behind":
        text = say("More time or more data may help; until then the baseline is the better.")
        yield Item("problem", say("It loses to a baseline"), text)
    elif verdict.level == "unclear":
        yield Item("notice", say("It is not shown to be better than the baselines"), verdict.answers[1].text)


def _drawn(data: Data, run: RunFiles) -> Iterator[Item]:
    """Where time was too short for all rows; who asked for fewer knows."""
    drawn = data.drawn
    if drawn is not None and not drawn.asked_for:
        heading = say("Only {0} of {1} {2} were used", f"{drawn.rows:,}", f"{drawn.of:,}", rows_in(run).many)
        yield Item("notice", heading, say("There was no time to decode them all. More of them would most likely help."))


def _set_aside(data: Data, run: RunFiles) -> Iterator[Item]:
    if data.set_aside:
        heading = say("{0} set aside", rows_in(run).counted(len(data.set_aside)))
        rows = [(aside.key, translated(aside.reason)) for aside in data.set_aside]
        yield _listed("notice", heading, say("They were neither trained on nor judged by."), rows)


def _duplicates(duplicates: Duplicates | None, run: RunFiles) -> Iterator[Item]:
    if duplicates is None or not duplicates.groups:
        return
    rows: list[tuple[str, Shown]] = [
        (group[0], say("is the same as {0}", ", ".join(group[1:]))) for group in duplicates.examples if group
    ]
    text: Said | str = ""
    if duplicates.across_splits:
        text = say(
            "The copies of {0} stand in different parts, so that part of the judgement is on what was learnt.",
            groups_counted(duplicates.across_splits),
        )
    if duplicates.across_labels:
        wrong = say(
            "In {0} the labels differ, so that one of them must be wrong.", groups_counted(duplicates.across_labels)
        )
        text = say("{0} {1}", text, wrong) if text else wrong
    level: Literal["problem", "notice"] = "problem" if text else "notice"
    heading = say("{0} in {1} of copies", rows_in(run).counted(duplicates.rows), groups_counted(duplicates.groups))
    yield _listed(level, heading, text or say("All copies of one stand in the same part and bear one label."), rows)


def groups_counted(count: int) -> Both:
    return Both(f"{count:,} {'group' if count == 1 else 'groups'}", f"{count:,} 组")


def _uneven(data: Data) -> Iterator[Item]:
    counts = sorted(zip(data.counts.get("train", ()), data.classes, strict=False))
    if data.question != "classify" or len(counts) < 2 or counts[-1][0] < UNEVEN * counts[0][0]:
        return
    text = say("Accuracy is ruled by the large ones: look at balanced accuracy and at each class.")
    largest = say("{0} in training, the largest", f"{counts[-1][0]:,}")
    small = [(name, say("{0} in training", f"{count:,}")) for count, name in counts if count * UNEVEN <= counts[-1][0]]
    yield _listed("notice", say("The classes are of very different sizes"), text, [(counts[-1][1], largest), *small])


def _unlike(evaluation: Evaluation, run: RunFiles) -> Iterator[Item]:
    share = evaluation.unlike.share.value if evaluation.unlike else None
    if share is not None and known(share) and share > MUCH_UNLIKE:
        heading = say("{0} of the judged {1} are unlike the training data", percent(share), rows_in(run).many)
        yield Item("notice", heading, say("About 1 % would be usual: they may come from elsewhere."))


def _weak_classes(evaluation: Evaluation, run: RunFiles) -> Iterator[Item]:
    few: list[tuple[str, Shown]] = [
        (score.name, f"{score.support:,}") for score in evaluation.classes if score.support < FEW_ROWS
    ]
    if few:
        heading = say(
            "{0} with fewer than {1} {2} to be judged by", classes_counted(len(few)), str(FEW_ROWS), rows_in(run).many
        )
        yield _listed("notice", heading, say("What is said of them below is uncertain."), few)
    never = [
        (score.name, say("0 of {0}", f"{score.support:,}"))
        for score in evaluation.classes
        if score.support and score.recall.value == 0
    ]
    if never:
        yield _listed("problem", say("{0} never told rightly", classes_counted(len(never))), "", never)


def _notes(run: RunFiles) -> Iterator[Item]:
    said = [*(run.data.notes if run.data else ()), *(event.text for event in run.events if isinstance(event, Noted))]
    if said:
        rows = [("", translated(text)) for text in dict.fromkeys(said)]
        yield _listed("notice", say("What Gnomon noted on the way"), "", rows)
