"""Everything that the templates show, computed once from a run's files."""

from __future__ import annotations

import base64
import binascii
import datetime
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from ..deadline import spoken
from ..types import SPLITS, Finished, Replanned
from . import figures
from .attention import Item, attention
from .confusion import Cell, Confused, Pair, matrix, pairs, worst
from .curves import Course, course
from .files import Change, ClassScore, Evaluation, Measured, Mistake, RunFiles
from .scatter import Scatter, scatter
from .verdict import Verdict, judged, noun, nouns, verdict

MOST_CLASSES: Final = 300
MOST_MISTAKES: Final = 48
MOST_PICTURE_BYTES: Final = 900_000
SHARES: Final = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "macro_precision": "Precision, mean of classes",
    "macro_recall": "Recall, mean of classes",
    "macro_f1": "F1, mean of classes",
    "micro_f1": "F1, all labels together",
    "micro_precision": "Precision, all labels together",
    "micro_recall": "Recall, all labels together",
    "mean_average_precision": "Average precision, mean of labels",
    "subset_accuracy": "All labels of a row right",
    "hamming_loss": "Wrong labels",
    "r2": "R², variance explained",
}
"""Metrics that are shares from 0 to 1; any other is shown as it stands."""
MEANINGS: Final = {
    "accuracy": "share of all rows told rightly",
    "balanced_accuracy": "the same, each class counting alike",
    "macro_precision": "when it names a class, how often that is right",
    "macro_recall": "of a class, how much it finds",
    "macro_f1": "precision and recall in one number",
    "log_loss": "lower is better; punishes being wrong and sure of it",
    "micro_f1": "precision and recall of every label of every row in one number",
    "micro_precision": "of the labels that it gives, how many are right",
    "micro_recall": "of the labels that are right, how many it gives",
    "mean_average_precision": "how well the rows with a label stand before those without, at any threshold",
    "hamming_loss": "share of all yes-or-no answers that are wrong; lower is better",
    "r2": "0 for always answering the mean, 100 % for no error",
    "rmse": "root of the mean squared error, in the value’s unit; lower is better",
    "mae": "mean absolute error, in the value’s unit; lower is better",
    "median_absolute_error": "half of all answers are off by less",
}
AXES: Final = {"text": "tokens × vocabulary", "sound": "steps × bands, and one", "series": "steps × channels, and one"}
"""What the numbers of an input's shape stand for; of pictures, channels × height × width."""
NOTHING: Final = Evaluation(rows=0, metrics={})
_PNG: Final = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class MetricLine:
    """A line of the metrics table; None where a part or baseline has no such number."""

    label: str
    meaning: str
    share: bool
    test: Measured | None
    validation: Measured | None
    baselines: tuple[Measured | None, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A mistake and its thumbnail; `source` is empty where there is none. `tiny`: to be shown with its pixels."""

    mistake: Mistake
    source: str
    width: int
    height: int
    tiny: bool


@dataclass(frozen=True, slots=True)
class PartLine:
    """A class and its rows in the training, validation and test part."""

    name: str
    counts: tuple[int, ...]


_NEW_ROWS: Final = {"text": "--text 'a new text'", "sound": "new.wav", "series": "new.csv"}
"""What stands for a new row in a command."""


@dataclass(frozen=True, slots=True)
class Page:
    """The whole content of report and model card."""

    run: RunFiles
    noun: str
    nouns: str
    new_row: str
    of_each: str
    axes: str
    verdict: Verdict
    date: str
    used: str
    planned: str
    model_size: str
    course: Course
    attention: tuple[Item, ...]
    metrics: tuple[MetricLine, ...]
    baselines: tuple[str, ...]
    judged: Evaluation | None
    judged_part: str
    scatter: Scatter | None
    confused: tuple[Confused, ...]
    matrix: tuple[tuple[ClassScore, tuple[Cell, ...]], ...]
    pairs: tuple[Pair, ...]
    classes: tuple[ClassScore, ...]
    pictures: tuple[Picture, ...]
    parts: tuple[PartLine, ...]
    totals: tuple[int, ...]
    history: tuple[Change, ...]


def build_page(run: RunFiles) -> Page:
    """Compute the content."""
    evaluation, finding, training = judged(run), verdict(run), course(run.events)
    planned_s, used_s = _times(run)
    return Page(
        run=run,
        noun=noun(run),
        nouns=nouns(run),
        new_row=_NEW_ROWS.get(run.data.kind if run.data else "", "new.jpg"),
        of_each="label" if run.data and run.data.question == "tag" else "class",
        axes=AXES.get(run.data.kind if run.data else "", "channels × height × width"),
        verdict=finding,
        date=_date(run),
        used=spoken(used_s) if used_s else "",
        planned=spoken(planned_s) if planned_s else "",
        model_size=figures.size(run.model_bytes) if run.model_bytes is not None else "",
        course=training,
        attention=attention(run, finding, training),
        metrics=_metrics(run),
        baselines=tuple((run.test or NOTHING).baselines),
        judged=evaluation,
        judged_part="test" if run.test else "validation",
        scatter=scatter(evaluation.points) if evaluation else None,
        confused=worst(evaluation) if evaluation else (),
        matrix=matrix(evaluation) if evaluation else (),
        pairs=pairs(evaluation) if evaluation else (),
        classes=_worst_first(evaluation.classes if evaluation else ()),
        pictures=_pictures(run.mistakes or ()),
        parts=_parts(run),
        totals=tuple(sum(run.data.counts.get(split, ())) for split in SPLITS) if run.data else (),
        history=_history(run),
    )


def _times(run: RunFiles) -> tuple[float, float]:
    """Seconds planned (0 where there was no deadline), and seconds used as far as the files tell."""
    elapsed = (getattr(event, "elapsed_s", 0.0) for event in run.events)
    finished = (event.used_s for event in run.events if isinstance(event, Finished))
    planned_s = (run.plan.planned_s if run.plan else None) or 0.0
    return planned_s if figures.known(planned_s) else 0.0, max((*elapsed, *finished), default=0.0)


def _date(run: RunFiles) -> str:
    started = str((run.environment or {}).get("started") or "")
    try:
        moment = datetime.datetime.fromisoformat(started)
    except ValueError:
        return started
    return f"{moment.day} {moment:%B %Y, %H:%M}"


def _metrics(run: RunFiles) -> tuple[MetricLine, ...]:
    test, validation = run.test or NOTHING, run.validation or NOTHING
    names = dict.fromkeys((test.headline, *SHARES, "log_loss", *test.metrics, *validation.metrics))
    present = [name for name in names if name in test.metrics or name in validation.metrics]
    lines = [
        MetricLine(
            label=SHARES.get(name) or name.replace("_", " ").capitalize(),
            meaning=MEANINGS.get(name, ""),
            share=name in SHARES,
            test=test.metrics.get(name),
            validation=validation.metrics.get(name),
            baselines=tuple(line.measured if name == test.headline else None for line in test.baselines.values()),
        )
        for name in present
    ]
    return (*lines[:1], *_without_views(test, validation), *lines[1:])


def _without_views(test: Evaluation, validation: Evaluation) -> tuple[MetricLine, ...]:
    on_test = test.without_views.measured if test.without_views else None
    on_validation = validation.without_views.measured if validation.without_views else None
    if on_test is None and on_validation is None:
        return ()
    nothing: tuple[Measured | None, ...] = (None,) * len(test.baselines)
    return (
        MetricLine("Accuracy, one view", "each picture looked at once only", True, on_test, on_validation, nothing),
    )


def _worst_first(classes: Sequence[ClassScore]) -> tuple[ClassScore, ...]:
    judgeable = sorted(classes, key=lambda score: (score.f1.value is None, score.f1.value or 0.0))
    return tuple(judgeable[:MOST_CLASSES])


def _pictures(mistakes: Sequence[Mistake]) -> tuple[Picture, ...]:
    """The first mistakes, with thumbnails as long as the page stays small enough to be sent by mail."""
    pictures: list[Picture] = []
    room = MOST_PICTURE_BYTES
    for mistake in islice(mistakes, MOST_MISTAKES):
        encoded = mistake.thumbnail or ""
        width, height = _png_size(encoded) if len(encoded) <= room else (0, 0)
        source = f"data:image/png;base64,{encoded}" if width else ""
        room -= len(source)
        pictures.append(Picture(mistake, source, width, height, tiny=0 < max(width, height) < 100))
    return tuple(pictures)


def _png_size(encoded: str) -> tuple[int, int]:
    """Width and height as the PNG's header says; (0, 0) where it is no PNG in base64."""
    try:
        content = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return 0, 0
    if len(content) < 24 or not content.startswith(_PNG) or content[12:16] != b"IHDR":
        return 0, 0
    width, height = struct.unpack(">II", content[16:24])
    return (width, height) if 0 < width <= 4096 and 0 < height <= 4096 else (0, 0)


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
