"""What the reader should look at before using the model: each with a heading, why it matters, and the rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from ..types import Noted, Stopped, plural
from .curves import Course
from .files import CONTENTS, Data, Duplicates, Evaluation, RunFiles
from .verdict import Verdict, judged, noun, nouns

MOST_ROWS: Final = 100
FEW_ROWS: Final = 20
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
    heading: str
    text: str = ""
    rows: tuple[tuple[str, str], ...] = ()
    more: int = 0


def attention(run: RunFiles, verdict: Verdict, course: Course) -> tuple[Item, ...]:
    """All that there is, problems first."""
    evaluation = judged(run)
    found = [*_unfinished(run), *_training(run, course), *_standing(verdict)]
    if run.data is not None:
        found += [*_set_aside(run.data, run), *_duplicates(run.data.duplicates, run), *_uneven(run.data)]
    if evaluation is not None:
        found += [*_weak_classes(evaluation, nouns(run))]
    found += _notes(run)
    return tuple(sorted(found, key=lambda item: item.level == "notice"))


def _listed(level: Literal["problem", "notice"], heading: str, text: str, rows: list[tuple[str, str]]) -> Item:
    return Item(level, heading, text, tuple(rows[:MOST_ROWS]), max(0, len(rows) - MOST_ROWS))


def _unfinished(run: RunFiles) -> Iterator[Item]:
    if run.damaged:
        yield _listed(
            "problem", "Files of this run can't be read", "What they would tell is left out below.", list(run.damaged)
        )
    if run.missing:
        rows = [(name, CONTENTS[name]) for name in run.missing]
        yield _listed("problem", "This run is not complete", "It stopped early or is still going. Not there yet:", rows)


def _training(run: RunFiles, course: Course) -> Iterator[Item]:
    if course.broken:
        text = "The training diverged there; a smaller learning rate helps in most cases."
        yield Item("problem", f"The loss was not a number in {plural(course.broken, 'report')} of the training", text)
    stop = next((event for event in reversed(run.events) if isinstance(event, Stopped)), None)
    if stop is not None and stop.reason != "planned":
        planned = run.plan.steps if run.plan else 0
        of = f" of {planned:,}" if planned else ""
        yield Item("notice", f"Training ended after {stop.step:,}{of} steps: {stop.reason}")


def _standing(verdict: Verdict) -> Iterator[Item]:
    if verdict.level == "behind":
        yield Item(
            "problem",
            "It loses to a baseline",
            "More time or more data may help; until then the baseline is the better.",
        )
    elif verdict.level == "unclear":
        yield Item("notice", "It is not shown to be better than the baselines", verdict.standing)


def _set_aside(data: Data, run: RunFiles) -> Iterator[Item]:
    if data.set_aside:
        heading = f"{plural(len(data.set_aside), noun(run), nouns(run))} set aside"
        rows = [(aside.key, aside.reason) for aside in data.set_aside]
        yield _listed("notice", heading, "They were neither trained on nor judged by.", rows)


def _duplicates(duplicates: Duplicates | None, run: RunFiles) -> Iterator[Item]:
    if duplicates is None or not duplicates.groups:
        return
    groups = plural(duplicates.groups, "group")
    rows = [(group[0], "is the same as " + ", ".join(group[1:])) for group in duplicates.examples if group]
    text = []
    if duplicates.across_splits:
        of = plural(duplicates.across_splits, "group")
        text.append(
            f"The copies of {of} stand in different parts, so that part of the judgement is on what was learnt."
        )
    if duplicates.across_labels:
        text.append(
            f"In {plural(duplicates.across_labels, 'group')} the labels differ, so that one of them must be wrong."
        )
    level: Literal["problem", "notice"] = "problem" if text else "notice"
    heading = f"{plural(duplicates.rows, noun(run), nouns(run))} in {groups} of copies"
    yield _listed(
        level, heading, " ".join(text) or "All copies of one stand in the same part and bear one label.", rows
    )


def _uneven(data: Data) -> Iterator[Item]:
    counts = sorted(zip(data.counts.get("train", ()), data.classes, strict=False))
    if len(counts) < 2 or counts[-1][0] < UNEVEN * counts[0][0]:
        return
    heading = "The classes are of very different sizes"
    text = "Accuracy is ruled by the large ones: look at balanced accuracy and at each class."
    small = [(name, f"{count:,} in training") for count, name in counts if count * UNEVEN <= counts[-1][0]]
    yield _listed("notice", heading, text, [(counts[-1][1], f"{counts[-1][0]:,} in training, the largest"), *small])


def _weak_classes(evaluation: Evaluation, rows: str) -> Iterator[Item]:
    few = [(score.name, f"{score.support:,}") for score in evaluation.classes if score.support < FEW_ROWS]
    if few:
        heading = f"{plural(len(few), 'class', 'classes')} with fewer than {FEW_ROWS} {rows} to be judged by"
        yield _listed("notice", heading, "What is said of them below is uncertain.", few)
    never = [
        (score.name, f"0 of {score.support:,}")
        for score in evaluation.classes
        if score.support and score.recall.value == 0
    ]
    if never:
        yield _listed("problem", f"{plural(len(never), 'class', 'classes')} never told rightly", "", never)


def _notes(run: RunFiles) -> Iterator[Item]:
    said = [*(run.data.notes if run.data else ()), *(event.text for event in run.events if isinstance(event, Noted))]
    if said:
        rows = [("", text) for text in dict.fromkeys(said)]
        yield _listed("notice", "What Gnomon noted on the way", "", rows)
