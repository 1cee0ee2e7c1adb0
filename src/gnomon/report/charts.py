"""Charts as geometry: the template draws them as SVG, so that all text passes through its escaping.

Own SVG, not a library on a canvas: it prints sharply, follows the page's colours in light and dark, can be read without
any script, and weighs a few kilobytes. The script adds only the pointer: `stops` are what it tells at each place.

A chart is 400 × 250 units with text of 12 units, so that it stays readable on a page 340 pixels wide.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from .words import Foreign, Said

WIDTH: Final = 400
HEIGHT: Final = 250
LEFT, RIGHT, TOP, BOTTOM = 50.0, 388.0, 12.0, 206.0
"""The box that the lines are drawn in."""

MOST_STOPS: Final = 100
_CLIPPED: Final = 1e6

Point = tuple[float, float]
Written = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Curve:
    """One line, or set of dots, before it is drawn.

    Attributes:
        name: as in the legend.
        look: the class in the style sheet.
        points: (x, y); where y is not finite the line is broken.
        marked: whether each point is a dot.
        joined: whether a line goes through the points.
        bounds: (low, high) of each point, drawn as a band under a line, or as whiskers on dots; or none.
        told: whether the pointer tells its figures.
    """

    name: Said | str
    look: str
    points: Sequence[Point]
    marked: bool = False
    joined: bool = True
    bounds: Sequence[Point] = ()
    told: bool = True


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis before it is drawn.

    Attributes:
        label: what it counts, with its unit.
        written: a figure as text.
        span: fixed ends; None takes them from the data.
        ceiling: no figure can be larger, and no tick is.
        whole: ticks are whole numbers.
    """

    label: Said | str
    written: Written
    span: Point | None = None
    ceiling: float = math.inf
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Dot:
    """A dot as drawn."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Line:
    """One curve as drawn: `paths`, `band` and `whiskers` are values of SVG's `d`."""

    name: Said | str
    look: str
    paths: tuple[str, ...]
    dots: tuple[Dot, ...]
    band: str
    whiskers: str
    told: bool


@dataclass(frozen=True, slots=True)
class Bar:
    """A column of a histogram."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis and its label."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawn chart.

    Attributes:
        summary: what it shows, in words, for those who can't see it.
        reference: a line to compare with, as SVG's `d`; empty where there is none.
        stops: JSON for the pointer: [x, text of x, [[number of the line, y, text of y], …]], ascending in x.
    """

    title: Said | Foreign | str
    summary: Said
    x_label: Said | str
    y_label: Said | str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    bars: tuple[Bar, ...] = ()
    reference: str = ""
    stops: str = "[]"


def draw(
    title: Said | Foreign | str,
    curves: Sequence[Curve],
    *,
    summary: Said,
    x: Axis,
    y: Axis,
    reference: Literal["none", "diagonal", "zero"] = "none",
    most_points: int = 300,
) -> Chart | None:
    """Draw curves over common axes with even ticks; None where there is nothing to draw.

    Args:
        title, summary: of the chart.
        curves: their names are the legend.
        x, y: the axes.
        reference: the diagonal from corner to corner of equal values, or the line y = 0.
        most_points: a longer curve is drawn as means of neighbouring points.
    """
    thinned = [_thinned(curve, most_points) for curve in curves if curve.points]
    finite = [point for curve in thinned for point in curve.points if math.isfinite(point[1])]
    if not finite:
        return None
    x_values, x_span = _x_scale(x, [point[0] for point in finite])
    y_values, y_span = _y_scale(y, [point[1] for point in finite])

    def place(point: Point) -> Point:
        across, up = _share(point[0], x_span), _share(point[1], y_span)
        return round(LEFT + (RIGHT - LEFT) * across, 1), round(BOTTOM - (BOTTOM - TOP) * up, 1)

    return Chart(
        title=title,
        summary=summary,
        x_label=x.label,
        y_label=y.label,
        x_ticks=_ticks(x_values, x.written, lambda value: place((value, y_span[0]))[0]),
        y_ticks=_ticks(y_values, y.written, lambda value: place((x_span[0], value))[1]),
        lines=tuple(_line(curve, place) for curve in thinned),
        reference=_reference(reference, place, x_span, y_span),
        stops=_stops(thinned, place, x.written, y.written),
    )


def histogram(title: Said, edges: Sequence[float], counts: Sequence[int], *, summary: Said, x: Axis, y: Axis) -> Chart:
    """Draw a histogram; `edges` has one more than `counts`, which are at least one."""
    x_values = [tick for tick in even_ticks(edges[0], edges[-1], most=5) if edges[0] <= tick <= edges[-1]]
    y_values = even_ticks(0.0, float(max(counts)) or 1.0, most=5, whole=True)

    def across(value: float) -> float:
        return round(LEFT + (RIGHT - LEFT) * _share(value, (edges[0], edges[-1])), 1)

    def up(value: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * _share(value, (0.0, y_values[-1])), 1)

    bars, stops = [], []
    for (low, high), count in zip(pairwise(edges), counts, strict=False):
        left, right, top = across(low), across(high), up(count)
        bars.append(Bar(left, top, round(max(0.5, right - left - 0.8), 1), round(BOTTOM - top, 1)))
        told = f"{x.written(low)} … {x.written(high)}"
        stops.append([round((left + right) / 2, 1), told, [[0, top, f"{count:,}"]]])
    return Chart(
        title=title,
        summary=summary,
        x_label=x.label,
        y_label=y.label,
        x_ticks=_ticks(x_values, x.written, across),
        y_ticks=_ticks(y_values, y.written, up),
        lines=(Line(y.label, "validation", (), (), "", "", told=True),),
        bars=tuple(bars),
        reference=f"M{across(0.0)} {TOP}V{BOTTOM}" if edges[0] <= 0 <= edges[-1] else "",
        stops=json.dumps(stops, separators=(",", ":")),
    )


def _thinned(curve: Curve, most: int) -> Curve:
    if len(curve.points) <= most or curve.bounds or not curve.joined:
        return curve
    return Curve(curve.name, curve.look, thin(curve.points, most), curve.marked, told=curve.told)


def _x_scale(axis: Axis, values: Sequence[float]) -> tuple[list[float], Point]:
    """Steps begin at 0 and end where the data ends."""
    if axis.span:
        return _within(axis.span), axis.span
    end = max(values) or 1.0
    ticks = even_ticks(0.0, end, most=5, whole=axis.whole)
    return [tick for tick in ticks if tick <= end], (0.0, end)


def _y_scale(axis: Axis, values: Sequence[float]) -> tuple[list[float], Point]:
    if axis.span:
        return _within(axis.span), axis.span
    low, high = max(-_CLIPPED, min(values)), min(_CLIPPED, max(values))
    ticks = even_ticks(0.0 if 0 <= low < 0.5 * high else low, high, most=6, whole=axis.whole)
    ticks = [tick for tick in ticks if tick <= axis.ceiling + 1e-9]
    return ticks, (ticks[0], ticks[-1])


def _within(span: Point) -> list[float]:
    """Even ticks between fixed ends."""
    margin = 1e-9 * (span[1] - span[0])
    return [tick for tick in even_ticks(*span, most=5) if span[0] - margin <= tick <= span[1] + margin]


def _share(value: float, span: Point) -> float:
    return min(1.05, max(-0.05, (value - span[0]) / ((span[1] - span[0]) or 1.0)))


def _ticks(values: Sequence[float], written: Written, at: Callable[[float], float]) -> tuple[Tick, ...]:
    return tuple(Tick(at(value), label) for value, label in zip(values, _alike(values, written), strict=True))


def _alike(values: Sequence[float], written: Written) -> list[str]:
    """The values as text, plain numbers with equally many decimals: `0.0`, `0.5`, `1.0`."""
    labels = [written(value) for value in values]
    if not all(re.fullmatch(r"-?\d+(\.\d+)?", label) for label in labels):
        return labels
    decimals = max(len(label.partition(".")[2]) for label in labels)
    return [f"{value:.{decimals}f}" for value in values]


def _reference(kind: str, place: Callable[[Point], Point], x_span: Point, y_span: Point) -> str:
    if kind == "none":
        return ""
    if kind == "zero":
        ends = ((x_span[0], 0.0), (x_span[1], 0.0))
    else:
        low, high = max(x_span[0], y_span[0]), min(x_span[1], y_span[1])
        ends = ((low, low), (high, high))
    return _path([place(end) for end in ends])


def _path(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points)


def _line(curve: Curve, place: Callable[[Point], Point]) -> Line:
    finite = [point for point in curve.points if math.isfinite(point[1])]
    runs = [run for run in _runs(curve.points) if len(run) > 1] if curve.joined else []
    bounded = [(point[0], *bound) for point, bound in zip(curve.points, curve.bounds, strict=False)]
    lows, highs = [place((x, low)) for x, low, _ in bounded], [place((x, high)) for x, _, high in bounded]
    few = curve.marked and (len(finite) <= 60 or not curve.joined)
    return Line(
        name=curve.name,
        look=curve.look,
        paths=tuple(_path([place(point) for point in run]) for run in runs),
        dots=tuple(Dot(*place(point)) for point in finite) if few else (),
        band=_path([*lows, *highs[::-1]]) + "Z" if bounded and not curve.marked else "",
        whiskers="".join(_path(pair) for pair in zip(lows, highs, strict=True)) if bounded and curve.marked else "",
        told=curve.told,
    )


def _stops(curves: Sequence[Curve], place: Callable[[Point], Point], x_text: Written, y_text: Written) -> str:
    """What the pointer tells at each place; bounds stand behind a figure."""
    found: dict[float, list[object]] = {}
    for number, curve in enumerate(curves):
        if not curve.told:
            continue
        stride = math.ceil(len(curve.points) / MOST_STOPS)
        for index in sorted({*range(0, len(curve.points), stride), len(curve.points) - 1}):
            point = curve.points[index]
            if not math.isfinite(point[1]):
                continue
            x, y = place(point)
            told = y_text(point[1])
            if curve.bounds:
                told += f" ({y_text(curve.bounds[index][0])}–{y_text(curve.bounds[index][1])})"
            stop = found.setdefault(x, [x, x_text(point[0]), []])
            stop[2].append([number, y, told])  # type: ignore[attr-defined]
    return json.dumps([found[x] for x in sorted(found)], separators=(",", ":"))


def _runs(points: Sequence[Point]) -> list[list[Point]]:
    """The stretches of finite points."""
    runs: list[list[Point]] = [[]]
    for point in points:
        if math.isfinite(point[1]):
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    return runs


def thin(points: Sequence[Point], most: int) -> list[Point]:
    """At most `most` points, each the mean of its neighbours; one that is not finite stays so, and is seen as a gap."""
    if len(points) <= most:
        return list(points)
    edges = [round(index * len(points) / most) for index in range(most + 1)]
    groups = [points[start:end] for start, end in pairwise(edges)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]


def even_ticks(low: float, high: float, *, most: int, whole: bool = False) -> list[float]:
    """Ticks 1, 2 or 5 × a power of ten apart, about `most` of them, from at or below `low` to at or above `high`.

    Args:
        low, high: what the ticks span.
        most: about how many.
        whole: ticks are whole numbers.
    """
    low, high = min(low, high), max(low, high)
    if low == high:
        margin = abs(high) * 0.1 or 1.0
        low, high = low - margin, high + margin
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough * 0.999)
    step = max(1.0, step) if whole else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]
