"""The course of the training, as charts and as the table of figures behind them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..types import Event, Stepped, Validated
from .charts import Chart, Curve, draw
from .figures import percent

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
    charts = (_loss(steps, judged), _accuracy(judged, best), _learning_rate(steps))
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


def _loss(steps: Sequence[Stepped], judged: Sequence[Validated]) -> Chart | None:
    train = Curve("training", "train", [(event.step, event.loss) for event in steps])
    validation = Curve("validation", "validation", [(event.step, event.loss) for event in judged], marked=True)
    parts = [_fall(curve) for curve in (train, validation) if curve.points]
    summary = f"Loss over the steps of training: {'; '.join(parts)}."
    return draw("Loss", (train, validation), summary=summary, x_label="step", written=_number)


def _fall(curve: Curve) -> str:
    return f"{curve.name} from {_number(curve.points[0][1])} to {_number(curve.points[-1][1])}"


def _accuracy(judged: Sequence[Validated], best: Validated | None) -> Chart | None:
    curve = Curve("validation", "validation", [(event.step, event.score) for event in judged], marked=True)
    summary = "Accuracy on the validation part over the steps of training."
    if judged:
        summary = f"{summary[:-1]}: first {percent(judged[0].score)}, last {percent(judged[-1].score)}."
    if best is not None:
        summary += f" The best, {percent(best.score)}, was at step {best.step:,}."
    return draw(
        "Accuracy",
        (curve,),
        summary=summary,
        x_label="step",
        written=lambda y: percent(y, _digits(judged)),
        ceiling=1.0,
    )


def _digits(judged: Sequence[Validated]) -> int:
    """One digit after the point where the figures lie close together."""
    accuracies = [event.score for event in judged if math.isfinite(event.score)]
    return 1 if accuracies and max(accuracies) - min(accuracies) < 0.05 else 0


def _learning_rate(steps: Sequence[Stepped]) -> Chart | None:
    curve = Curve("learning rate", "train", [(event.step, event.learning_rate) for event in steps])
    highest = max((event.learning_rate for event in steps), default=0.0)
    summary = f"Learning rate over the steps of training; the highest is {_number(highest)}."
    return draw("Learning rate", (curve,), summary=summary, x_label="step", written=_number)


def _number(number: float) -> str:
    """Three figures that count: `2.31`, `0.0005`, `1.2e-06`; ticks lose nothing by it."""
    return f"{number:.3g}" if math.isfinite(number) else "not a number"
