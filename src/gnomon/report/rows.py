"""Rows of the data as the report shows them: what there is to see and hear, and what was said of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from typing import Final

from ..encoders.text import gap
from .figures import known, percent
from .files import RunFiles
from .media import Budget, Media, media
from .shapes import Evaluation, Explained, Explanation, NearPair, Piece
from .words import Both, Name, Said, Shown, say

MOST_MISTAKES: Final = 48
MOST_SUSPECTS: Final = 24
MOST_PAIRS: Final = 12
MOST_EXPLAINED: Final = 12
_MISTAKE_BYTES: Final = 900_000
_CELL_BYTES: Final = 1_500_000
_SUSPECT_BYTES: Final = 500_000
_PAIR_BYTES: Final = 400_000
_EXPLAINED_BYTES: Final = 1_200_000

METHODS: Final[dict[str, Said]] = {
    "integrated-gradients": say("integrated gradients"),
    "occlusion": say("occlusion"),
    "grad-cam": say("Grad-CAM"),
    "gradients": say("gradients"),
}
PARTS: Final[dict[str, Said]] = {
    "train": say("training part"),
    "validation": say("validation part"),
    "test": say("test part"),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What one method says of a row: over its picture, or over its tokens, each with its weight from −100 to 100 and
    with what stands behind it.
    """

    method: Shown
    output: Name
    media: Media
    pieces: tuple[tuple[str, int, str], ...]
    findings: tuple[Both, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A row with what was said of it.

    Attributes:
        described: for those who can't see it.
        lines: under it.
        readings: explanations.
    """

    key: str
    media: Media
    described: Said
    lines: tuple[Shown, ...]
    readings: tuple[Reading, ...] = ()


@dataclass(frozen=True, slots=True)
class CellRows:
    """Some rows of one cell of the confusion matrix."""

    true: int
    predicted: int
    heading: Said
    times: int
    rows: tuple[Row, ...]

    @property
    def place(self) -> tuple[int, int]:
        return (self.true, self.predicted)


def mistake_rows(run: RunFiles) -> tuple[Row, ...]:
    """The first mistakes, with what there is to see, as long as the page stays small enough to be sent by mail."""
    budget = Budget(_MISTAKE_BYTES)
    of_values = run.data is not None and run.data.question == "regress"
    found = []
    for mistake in islice(run.mistakes or (), MOST_MISTAKES):
        label, predicted = Name(mistake.label, 32), Name(mistake.predicted, 32, wrong=True)
        sure: tuple[Shown, ...] = ()
        if mistake.confidence is not None and known(mistake.confidence) and not of_values:
            sure = (say("{0} sure", percent(mistake.confidence)),)
        found.append(
            Row(
                mistake.key,
                media(mistake.thumbnail, mistake.sound, mistake.text, budget),
                say("Labelled {0}, told as {1}", label, predicted),
                (say("said {0}", predicted), say("labelled {0}", label), *sure),
            )
        )
    return tuple(found)


def cell_rows(run: RunFiles, evaluation: Evaluation) -> tuple[CellRows, ...]:
    """Rows for the cells of the matrix. The room is shared out by turns, so that every cell has its first ones."""
    size, budget = len(evaluation.confusion), Budget(_CELL_BYTES)
    cells = [cell for cell in run.specimens if 0 <= cell.true < size and 0 <= cell.predicted < size and cell.rows]
    cells.sort(key=lambda cell: (cell.true == cell.predicted, -evaluation.confusion[cell.true][cell.predicted]))
    rows: list[list[Row]] = [[] for _ in cells]
    names = [score.name for score in evaluation.classes]
    for turn in range(max((len(cell.rows) for cell in cells), default=0)):
        for cell, shown in zip(cells, rows, strict=True):
            if turn < len(cell.rows):
                it = cell.rows[turn]
                seen = media(it.picture, it.sound, it.text, budget)
                if seen.source or seen.sound or seen.text:
                    described = say("Labelled {0}, told as {1}", Name(names[cell.true]), Name(names[cell.predicted]))
                    sure = (say("{0} sure", percent(it.confidence)),) if known(it.confidence) else ()
                    shown.append(Row(it.key, seen, described, sure))
    return tuple(
        CellRows(
            cell.true,
            cell.predicted,
            _heading(names[cell.true], names[cell.predicted]),
            evaluation.confusion[cell.true][cell.predicted],
            tuple(shown),
        )
        for cell, shown in zip(cells, rows, strict=True)
        if shown
    )


def _heading(true: str, predicted: str) -> Said:
    if true == predicted:
        return say("{0}, told rightly", Name(true))
    return say("{0}, taken for {1}", Name(true), Name(predicted, wrong=True))


def suspect_rows(run: RunFiles) -> tuple[Row, ...]:
    """Rows whose label is likely wrong, the most doubtful first."""
    budget = Budget(_SUSPECT_BYTES)
    found = []
    for suspect in run.suspects.rows[:MOST_SUSPECTS] if run.suspects else ():
        label, better = Name(suspect.label, 32, wrong=True), Name(suspect.suggested, 32)
        lines = (
            say("labelled {0}, {1}", label, percent(suspect.given_probability)),
            say("looks like {0}, {1}", better, percent(suspect.suggested_probability)),
            say("in the {0}", PARTS.get(suspect.part, suspect.part)),
        )
        described = say("Labelled {0}, looks like {1}", label, better)
        seen = media(suspect.thumbnail, suspect.sound, suspect.text, budget)
        found.append(Row(suspect.key, seen, described, lines))
    return tuple(found)


def near_rows(run: RunFiles) -> tuple[tuple[Row, Row, float | None], ...]:
    """Pairs of rows that are nearly the same, and how like they are."""
    budget = Budget(_PAIR_BYTES)
    pairs = run.near.pairs[:MOST_PAIRS] if run.near else ()
    return tuple((*_pair(pair, budget), pair.likeness) for pair in pairs)


def _pair(pair: NearPair, budget: Budget) -> tuple[Row, Row]:
    def one(place: int) -> Row:
        picture = pair.thumbnails[place] if place < len(pair.thumbnails) else ""
        text = pair.texts[place] if place < len(pair.texts) else ""
        label = Name(pair.labels[place], 32, wrong=pair.labels[0] != pair.labels[1])
        line = say("{0}, {1}", label, PARTS.get(pair.parts[place], pair.parts[place]))
        return Row(pair.keys[place], media(picture, "", text, budget), say("Labelled {0}", label), (line,))

    return one(0), one(1)


def explained_rows(run: RunFiles) -> tuple[Row, ...]:
    """Rows with what the answers to them rest on."""
    budget = Budget(_EXPLAINED_BYTES)
    examples = run.explanations.examples[:MOST_EXPLAINED] if run.explanations else ()
    return tuple(_explained(example, budget) for example in examples)


def _explained(example: Explained, budget: Budget) -> Row:
    wrong = example.right is False
    said = Name(example.predicted, 32, wrong=wrong)
    lines: list[Shown] = [say("said {0}", said)]
    if example.label:
        lines.append(say("labelled {0}", Name(example.label, 32)))
    if known(example.confidence):
        lines.append(say("{0} sure", percent(example.confidence)))
    return Row(
        example.key,
        media(example.picture, example.sound, example.text, budget),
        say("Told as {0}", said),
        tuple(lines),
        tuple(_readings(example, budget)),
    )


def _readings(example: Explained, budget: Budget) -> Iterator[Reading]:
    for explanation in example.explanations:
        seen = media(explanation.picture, "", "", budget)
        if explanation.picture and not seen.source and not explanation.pieces:
            continue
        yield Reading(
            METHODS.get(explanation.method, explanation.method),
            Name(explanation.output, 32),
            replace(seen, text=""),
            tuple(_weighed(explanation)),
            tuple(Both(said.en, said.zh or said.en) for said in explanation.findings[:3]),
        )


def _weighed(explanation: Explanation) -> Iterator[tuple[str, int, str]]:
    """Tokens or channels, how much each counts, and what stands behind it."""
    pieces = (explanation.pieces or explanation.channels)[:200]
    for piece, following in pairwise((*pieces, Piece(text=""))):
        between = gap(piece.text, following.text) if explanation.spaced or not explanation.pieces else ""
        yield piece.text, round(100 * max(-1.0, min(1.0, piece.weight))), between
