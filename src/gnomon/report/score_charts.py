"""Charts of the judgement: reliability, doubt, ROC, precision over recall, and errors of estimated values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from .charts import Axis, Chart, Curve, Point, draw, even_ticks, histogram
from .figures import known, percent
from .shapes import ClassCurves, Evaluation, Measured, ReliabilityBin
from .words import Name, Said, say

MOST_DOTS: Final = 500
_MOST_LINES: Final = 12


def judgement_charts(evaluation: Evaluation) -> tuple[Chart, ...]:
    """Those of calibration and doubt for which there are figures."""
    charts = (_reliability(evaluation), _abstaining(evaluation))
    return tuple(chart for chart in charts if chart is not None)


def separation_charts(evaluation: Evaluation) -> tuple[Chart, ...]:
    """ROC and precision over recall: the best and the worst class told apart, the others faint."""
    scores = {score.name: score for score in evaluation.classes}
    areas = {name: _area(score.roc_area) for name, score in scores.items()}
    averages = {name: _area(score.average_precision) for name, score in scores.items()}
    charts = (_roc(evaluation.curves, areas), _precision_recall(evaluation.curves, averages))
    return tuple(chart for chart in charts if chart is not None)


def value_charts(evaluation: Evaluation) -> tuple[Chart, ...]:
    """Of estimated values: against the truth, and how far off they are."""
    charts = (_estimates(evaluation.points), _errors(evaluation), _against(evaluation))
    return tuple(chart for chart in charts if chart is not None)


def _shares(label: Said) -> Axis:
    return Axis(label, lambda share: percent(share, 0), span=(0.0, 1.0))


def _bounds(measured: Measured, value: float) -> Point:
    low = measured.low if measured.low is not None else value
    high = measured.high if measured.high is not None else value
    return (low, high)


def _reliability(evaluation: Evaluation) -> Chart | None:
    calibration = evaluation.calibration
    if calibration is None or not calibration.bins:
        return None
    curves = [_binned(say("as it is"), "validation", calibration.bins, marked=True)]
    if calibration.bins_before and calibration.bins_before != calibration.bins:
        curves.insert(0, _binned(say("before the correction"), "train", calibration.bins_before, marked=False))
    summary = say(
        "How often answers of a confidence are right. On the diagonal confidence and truth agree; the mean distance is "
        "{0}, before the correction {1}.",
        percent(calibration.error.value),
        percent(calibration.error_before.value),
    )
    x = _shares(say("how sure it is"))
    y = _shares(say("how often it is right"))
    return draw(say("Reliability"), curves, summary=summary, x=x, y=y, reference="diagonal")


def _binned(name: Said, look: str, bins: Sequence[ReliabilityBin], *, marked: bool) -> Curve:
    there = [each for each in bins if each.accuracy.value is not None and known(each.accuracy.value)]
    points = [(each.confidence, each.accuracy.value or 0.0) for each in there]
    bounds = [_bounds(each.accuracy, each.accuracy.value or 0.0) for each in there] if marked else []
    return Curve(name, look, points, marked=marked, bounds=bounds)


def _abstaining(evaluation: Evaluation) -> Chart | None:
    kept = sorted((each for each in evaluation.kept if known(each.accuracy.value)), key=lambda each: each.share)
    if len(kept) < 2:
        return None
    points = [(each.share, each.accuracy.value or 0.0) for each in kept]
    bounds = [_bounds(each.accuracy, each.accuracy.value or 0.0) for each in kept]
    lowest = min(1.0, max(0.0, min(low for low, _ in bounds)))
    ticks = even_ticks(lowest, 1.0, most=5)
    curve = Curve(say("right, of what it answers"), "validation", points, bounds=bounds)
    half = min(kept, key=lambda each: abs(each.share - 0.5))
    summary = say(
        "How often it is right if it answers only what it is surest of: of all {0}, of the surest half {1}.",
        percent(kept[-1].accuracy.value),
        percent(half.accuracy.value),
    )
    return draw(
        say("Leaving out what it doubts"),
        (curve,),
        summary=summary,
        x=_shares(say("share that is answered, the surest first")),
        y=Axis(say("how often it is right"), lambda y: percent(y, 0 if ticks[0] < 0.9 else 1), span=(ticks[0], 1.0)),
    )


def _area(measured: Measured | None) -> float | None:
    return measured.value if measured and known(measured.value) else None


def _roc(curves: Sequence[ClassCurves], areas: dict[str, float | None]) -> Chart | None:
    x = _shares(say("of the others, called so by mistake"))
    y = _shares(say("of its own, found"))
    summary = say("Found over falsely called, for each class at every threshold. {0}", _extremes(areas))
    lines = _told_apart(curves, lambda each: each.roc, areas)
    return draw("ROC", lines, summary=summary, x=x, y=y, reference="diagonal")


def _precision_recall(curves: Sequence[ClassCurves], areas: dict[str, float | None]) -> Chart | None:
    x = _shares(say("recall: of its own, found"))
    y = _shares(say("precision: right where it says so"))
    summary = say("Precision over recall, for each class at every threshold. {0}", _extremes(areas))
    lines = _told_apart(curves, lambda each: each.precision_recall, areas)
    return draw(say("Precision over recall"), lines, summary=summary, x=x, y=y)


def _extremes(areas: dict[str, float | None]) -> Said:
    order = sorted((area, name) for name, area in areas.items() if area is not None)
    if not order:
        return say("The areas are not known.")
    (low, worst), (high, best) = order[0], order[-1]
    return say("Areas from {0} ({1}) to {2} ({3}).", f"{low:.3f}", Name(worst), f"{high:.3f}", Name(best))


def _told_apart(
    curves: Sequence[ClassCurves], points: Callable[[ClassCurves], Sequence[Point]], areas: dict[str, float | None]
) -> list[Curve]:
    """The worst class and the best one; the others faint, as many as can be told apart at all."""
    known_areas = {each.name: areas.get(each.name) or 0.0 for each in curves if points(each)}
    order = sorted((each for each in curves if points(each)), key=lambda each: known_areas[each.name])
    if not order:
        return []
    faint = order[1:-1][:_MOST_LINES]
    found = [Curve("", "faint", points(each), told=False) for each in faint]
    if len(order) > 1:
        best = order[-1]
        found.append(Curve(say("best: {0}", Name(best.name, 16)), "validation", points(best)))
    return [*found, Curve(say("worst: {0}", Name(order[0].name, 16)), "warm", points(order[0]))]


def _estimates(points: Sequence[Point]) -> Chart | None:
    shown = [pair for pair in points if known(pair[0]) and known(pair[1])][:MOST_DOTS]
    if not shown:
        return None
    ticks = even_ticks(min(min(pair) for pair in shown), max(max(pair) for pair in shown), most=6)
    x = Axis(say("true value"), _plainly, span=(ticks[0], ticks[-1]))
    y = Axis(say("estimated value"), _plainly, span=(ticks[0], ticks[-1]))
    curve = Curve(say("estimated"), "validation", shown, marked=True, joined=False)
    summary = say("Estimated against true values of {0} rows; on the line they agree.", f"{len(shown):,}")
    return draw(say("Estimated and true"), (curve,), summary=summary, x=x, y=y, reference="diagonal")


def _errors(evaluation: Evaluation) -> Chart | None:
    residuals = evaluation.residuals
    if residuals is None or not residuals.counts or len(residuals.edges) != len(residuals.counts) + 1:
        return None
    summary = say("How many estimates are off by how much; left of the line too low, right of it too high.")
    x, y = Axis(say("estimated minus true"), _plainly), Axis(say("rows"), "{:,.0f}".format, whole=True)
    return histogram(say("Errors"), residuals.edges, residuals.counts, summary=summary, x=x, y=y)


def _against(evaluation: Evaluation) -> Chart | None:
    residuals = evaluation.residuals
    shown = [pair for pair in residuals.against if known(pair[0]) and known(pair[1])][:MOST_DOTS] if residuals else []
    if not shown:
        return None
    across = even_ticks(min(x for x, _ in shown), max(x for x, _ in shown), most=5)
    up = even_ticks(min(0.0, *(y for _, y in shown)), max(0.0, *(y for _, y in shown)), most=5)
    curve = Curve(say("error"), "validation", shown, marked=True, joined=False)
    return draw(
        say("Errors over estimates"),
        (curve,),
        summary=say("Errors against estimated values; a slope or a funnel says that it errs more for some values."),
        x=Axis(say("estimated value"), _plainly, span=(across[0], across[-1])),
        y=Axis(say("estimated minus true"), _plainly, span=(up[0], up[-1])),
        reference="zero",
    )


def _plainly(value: float) -> str:
    return f"{value:.4g}" if abs(value) > 1e-12 else "0"
