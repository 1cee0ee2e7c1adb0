"""The course of the training, as charts and as the table of figures behind them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..types import Event, Stepped, Validated
from .charts import Axis, Chart, Curve, draw
from .figures import percent
from .metrics import named
from .words import say

T = TypeVar("T", Stepped, Validated)


@dataclass(frozen=True, slots=True)
class Course:
    """What the training did.

    Attributes:
        charts: those for which there are figures.
        validations: a row each, at most 40 of them: the best and the last are always among them.
        best: the validation that was kept, if any.
        broken: how many figures of the loss were no numbers.
    """

    charts: tuple[Chart, ...]
    validations: tuple[Validated, ...]
    best: Validated | None
    last_step: Stepped | None
    broken: int


def course(events: Sequence[Event]) -> Course:
    """Put the events in the order of steps. Where a resumed run repeated steps, the later figures count."""
    steps = _in_order(event for event in events if isinstance(event, Stepped))
    judged = _in_order(event for event in events if isinstance(event, Validated))
    best = next((event for event in reversed(judged) if event.best), None)
    charts = (_loss(steps, judged), _score(judged, best), _learning_rate(steps))
    return Course(
        charts=tuple(chart for chart in charts if chart is not None),
        validations=_some(judged, best, most=40),
        best=best,
        last_step=steps[-1] if steps else None,
        broken=sum(not math.isfinite(event.loss) for event in steps),
    )


def _in_order(events: Iterable[T]) -> list[T]:
    latest = {event.step: event for event in events}
    return [latest[step] for step in sorted(latest)]


def _some(judged: Sequence[Validated], best: Validated | None, *, most: int) -> tuple[Validated, ...]:
    stride = math.ceil(len(judged) / most) or 1
    kept = judged[::-1][::stride][::-1]
    return tuple(event for event in judged if event in kept or event is best)


def _steps() -> Axis:
    return Axis(say("step"), "{:,.0f}".format, whole=True)


def _loss(steps: Sequence[Stepped], judged: Sequence[Validated]) -> Chart | None:
    train = Curve(say("training"), "train", [(event.step, event.loss) for event in steps])
    validation = Curve(say("validation"), "validation", [(event.step, event.loss) for event in judged], marked=True)
    unit = say("Loss") if judged and judged[-1].measure in ("r2", "R²") else say("loss, nats")
    falls = [
        say("{0} from {1} to {2}", curve.name, number(curve.points[0][1]), number(curve.points[-1][1]))
        for curve in (train, validation)
        if curve.points
    ]
    summary = say("Loss over the steps of training: {0}.", falls[0]) if falls else say("no figures")
    if len(falls) > 1:
        summary = say("Loss over the steps of training: {0}; {1}.", *falls)
    return draw(say("Loss"), (train, validation), summary=summary, x=_steps(), y=Axis(unit, number))


def _score(judged: Sequence[Validated], best: Validated | None) -> Chart | None:
    if not judged:
        return None
    measure = named(judged[-1].measure)
    curve = Curve(say("validation"), "validation", [(event.step, event.score) for event in judged], marked=True)
    summary = say(
        "{0} on the validation part over the steps of training: first {1}, last {2}.",
        measure,
        percent(judged[0].score),
        percent(judged[-1].score),
    )
    if best is not None:
        summary = say("{0} The best, {1}, was at step {2}.", summary, percent(best.score), f"{best.step:,}")
    digits = _digits(judged)
    score = Axis(say("on the validation part"), lambda y: percent(y, digits), ceiling=1.0)
    return draw(measure, (curve,), summary=summary, x=_steps(), y=score)


def _digits(judged: Sequence[Validated]) -> int:
    """One digit after the point where the figures lie close together."""
    accuracies = [event.score for event in judged if math.isfinite(event.score)]
    return 1 if accuracies and max(accuracies) - min(accuracies) < 0.05 else 0


def _learning_rate(steps: Sequence[Stepped]) -> Chart | None:
    curve = Curve(say("learning rate"), "train", [(event.step, event.learning_rate) for event in steps])
    highest = max((event.learning_rate for event in steps), default=0.0)
    summary = say("Learning rate over the steps of training; the highest is {0}.", number(highest))
    return draw(say("Learning rate"), (curve,), summary=summary, x=_steps(), y=Axis(say("Learning rate"), number))


def number(value: float) -> str:
    """Three figures that count: `2.31`, `0.0005`, `1.2e-06`; ticks lose nothing by it."""
    return f"{value:.3g}" if math.isfinite(value) else "–"
