"""Everything that the templates show, computed once from a run's files."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..types import SPLITS, Replanned
from . import figures
from .attention import Item, attention
from .charts import Chart
from .confusion import Cell, Confused, Pair, matrix, pairs, worst
from .cost import CostLine, costs, planned_and_used
from .curves import Course, course
from .files import Change, RunFiles
from .metrics import MetricLine, metric_lines
from .rows import CellRows, Row, cell_rows, explained_rows, mistake_rows, near_rows, suspect_rows
from .score_charts import judgement_charts, separation_charts, value_charts
from .shapes import ClassScore, Evaluation, Slice
from .verdict import Verdict, judged, rows_in, verdict
from .words import Both, Foreign, Language, Rows, Said, say, translated

MOST_CLASSES: Final = 300
MOST_SLICES: Final = 12
FEWEST_SLICES: Final = 4
AXES: Final[dict[str, Said]] = {
    "text": say("tokens × vocabulary"),
    "sound": say("steps × bands, and one"),
    "series": say("steps × channels, and one"),
}
"""What the numbers of an input's shape stand for; of pictures, channels × height × width."""
_NEW_ROWS: Final = {"text": "--text 'a new text'", "sound": "new.wav", "series": "new.csv"}
"""What stands for a new row in a command."""


@dataclass(frozen=True, slots=True)
class PartLine:
    """A class and its rows in the training, validation and test part."""

    name: str
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DecisionLine:
    """A decision of the plan, in the words of both languages where they are known."""

    name: Said | Foreign | str
    value: Said | Foreign | str
    reason: Said | Foreign | str


@dataclass(frozen=True, slots=True)
class Page:
    """The whole content of report and model card; what a run does not have is empty or None."""

    run: RunFiles
    language: Language
    rows: Rows
    new_row: str
    of_each: Said
    axes: Said
    verdict: Verdict
    date: Both | str
    used: Said | Foreign | str
    planned: Said | Foreign | str
    model_size: str
    course: Course
    attention: tuple[Item, ...]
    metrics: tuple[MetricLine, ...]
    judged: Evaluation | None
    judged_part: Said
    of_values: bool
    value_charts: tuple[Chart, ...]
    trust_charts: tuple[Chart, ...]
    separation_charts: tuple[Chart, ...]
    confused: tuple[Confused, ...]
    matrix: tuple[tuple[ClassScore, tuple[Cell, ...]], ...]
    pairs: tuple[Pair, ...]
    cells: tuple[CellRows, ...]
    classes: tuple[ClassScore, ...]
    slices: tuple[Slice, ...]
    mistakes: tuple[Row, ...]
    suspects: tuple[Row, ...]
    near: tuple[tuple[Row, Row, float | None], ...]
    explained: tuple[Row, ...]
    costs: tuple[CostLine, ...]
    decisions: tuple[DecisionLine, ...]
    parts: tuple[PartLine, ...]
    totals: tuple[int, ...]
    history: tuple[Change, ...]


def build_page(run: RunFiles, language: Language) -> Page:
    """Compute the content."""
    evaluation, finding, training = judged(run), verdict(run), course(run.events)
    planned_s, used_s = planned_and_used(run)
    shown = evaluation or Evaluation(rows=0, metrics={})
    kind = run.data.kind if run.data else ""
    cells = cell_rows(run, shown)
    return Page(
        run=run,
        language=language,
        rows=rows_in(run),
        new_row=_NEW_ROWS.get(kind, "new.jpg"),
        of_each=say("label") if run.data and run.data.question == "tag" else say("class"),
        axes=AXES.get(kind, say("channels × height × width")),
        verdict=finding,
        date=_date(run),
        used=figures.spoken(used_s),
        planned=figures.spoken(planned_s),
        model_size=figures.size(run.model_bytes) if run.model_bytes is not None else "",
        course=training,
        attention=attention(run, finding, training),
        metrics=metric_lines(run.test, run.validation),
        judged=evaluation,
        judged_part=say("test part") if run.test else say("validation part"),
        of_values=shown.headline == "r2",
        value_charts=value_charts(shown),
        trust_charts=judgement_charts(shown),
        separation_charts=separation_charts(shown),
        confused=worst(shown),
        matrix=matrix(shown),
        pairs=pairs(shown),
        cells=cells,
        classes=_worst_first(shown.classes),
        slices=_slices(run),
        mistakes=mistake_rows(run),
        suspects=suspect_rows(run),
        near=near_rows(run),
        explained=explained_rows(run),
        costs=costs(run),
        decisions=tuple(
            DecisionLine(translated(line.name), translated(line.value), translated(line.reason))
            for line in (run.plan.decisions if run.plan else ())
        ),
        parts=_parts(run),
        totals=tuple(sum(run.data.counts.get(split, ())) for split in SPLITS) if run.data else (),
        history=_history(run),
    )


def _date(run: RunFiles) -> Both | str:
    started = str((run.environment or {}).get("started") or "")
    try:
        moment = datetime.datetime.fromisoformat(started)
    except ValueError:
        return started
    chinese = f"{moment.year} 年 {moment.month} 月 {moment.day} 日 {moment:%H:%M}"
    return Both(f"{moment.day} {moment:%B %Y, %H:%M}", chinese)


def _worst_first(classes: Sequence[ClassScore]) -> tuple[ClassScore, ...]:
    judgeable = sorted(classes, key=lambda score: (score.f1.value is None, score.f1.value or 0.0))
    return tuple(judgeable[:MOST_CLASSES])


def _slices(run: RunFiles) -> tuple[Slice, ...]:
    """Those that are worse beyond chance first, then others that are worse, from the lowest up; a few in any case."""
    if run.slices is None:
        return ()
    marked = [run.slices.slices[index] for index in run.slices.worst if 0 <= index < len(run.slices.slices)]
    others = [each for each in run.slices.slices if each not in marked]
    others.sort(key=lambda each: each.difference.value or 0.0)
    worse = sum((each.difference.value or 0.0) < 0 for each in others)
    return tuple([*marked, *others[: max(worse, FEWEST_SLICES - len(marked))]][:MOST_SLICES])


def _parts(run: RunFiles) -> tuple[PartLine, ...]:
    if run.data is None:
        return ()
    columns = [run.data.counts.get(split, ()) for split in SPLITS]
    return tuple(
        PartLine(name, tuple(column[index] if index < len(column) else 0 for column in columns))
        for index, name in enumerate(run.data.classes[:MOST_CLASSES])
    )


def _history(run: RunFiles) -> tuple[Change, ...]:
    """The changes of the plan: its own history, or, where the run ended before that was written, the events."""
    if run.plan and run.plan.history:
        return run.plan.history
    changes = [event for event in run.events if isinstance(event, Replanned)]
    return tuple(
        Change(step=event.step, steps_before=event.steps_before, steps=event.steps, reason=event.reason)
        for event in changes
    )
