"""Line charts as geometry: the template draws them, so that all text passes through its escaping.

A chart is 400 × 250 units with text of 12 units, so that it stays readable on a page 340 pixels wide.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

WIDTH: Final = 400
HEIGHT: Final = 250
LEFT, RIGHT, TOP, BOTTOM = 50.0, 388.0, 12.0, 208.0
"""The box that the lines are drawn in."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Curve:
    """One line before it is drawn.

    Attributes:
        name: as in the legend.
        look: the class in the style sheet.
        points: (x, y); where y is not finite the line is broken.
        marked: whether each point is a dot that tells its figures.
    """

    name: str
    look: str
    points: Sequence[Point]
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A dot, or a place to point at, with its text."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line as drawn: `paths` are the values of SVG's `d`."""

    name: str
    look: str
    paths: tuple[str, ...]
    marks: tuple[Mark, ...]
    dotted: bool


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
    """

    title: str
    summary: str
    x_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]


def draw(
    title: str,
    curves: Sequence[Curve],
    *,
    summary: str,
    x_label: str,
    written: Callable[[float], str],
    ceiling: float = math.inf,
    most_points: int = 300,
) -> Chart | None:
    """Draw the curves over a common x axis from 0 and a y axis with even ticks; None where there is nothing to draw.

    Args:
        written: a figure of the y axis as text, for the tooltips and ticks.
        ceiling: no figure can be larger, and no tick is.
        most_points: a longer curve is drawn as means of neighbouring points.
    """
    thinned = [(curve, thin(curve.points, most_points)) for curve in curves if curve.points]
    finite = [point for _, points in thinned for point in points if math.isfinite(point[1])]
    if not finite:
        return None
    x_values = even_ticks(0.0, max(x for x, _ in finite) or 1.0, most=5, whole=True)
    low, high = min(y for _, y in finite), max(y for _, y in finite)
    y_values = [y for y in even_ticks(0.0 if 0 <= low < 0.5 * high else low, high, most=6) if y <= ceiling + 1e-9]
    x_end = max(x for x, _ in finite) or 1.0
    y_start, y_end = y_values[0], y_values[-1]

    def place(point: Point) -> Point:
        x = LEFT + (RIGHT - LEFT) * point[0] / x_end
        return round(x, 1), round(BOTTOM - (BOTTOM - TOP) * (point[1] - y_start) / (y_end - y_start), 1)

    return Chart(
        title=title,
        summary=summary,
        x_label=x_label,
        x_ticks=tuple(Tick(place((x, y_start))[0], f"{x:,.0f}") for x in x_values if x <= x_end),
        y_ticks=tuple(
            Tick(place((0.0, y))[1], label) for y, label in zip(y_values, _alike(y_values, written), strict=True)
        ),
        lines=tuple(_line(curve, points, place, x_label, written) for curve, points in thinned),
    )


def _alike(values: Sequence[float], written: Callable[[float], str]) -> list[str]:
    """The values as text, plain numbers with equally many decimals: `0.0`, `0.5`, `1.0`."""
    labels = [written(value) for value in values]
    if not all(re.fullmatch(r"-?\d+(\.\d+)?", label) for label in labels):
        return labels
    decimals = max(len(label.partition(".")[2]) for label in labels)
    return [f"{value:.{decimals}f}" for value in values]


def _line(
    curve: Curve,
    points: Sequence[Point],
    place: Callable[[Point], Point],
    x_label: str,
    written: Callable[[float], str],
) -> Line:
    def mark(point: Point) -> Mark:
        return Mark(*place(point), f"{x_label} {point[0]:,.0f} · {curve.name} {written(point[1])}")

    told = [point for point in (points if curve.marked else thin(points, 60)) if math.isfinite(point[1])]
    runs = [run for run in _runs(points) if len(run) > 1]
    return Line(
        name=curve.name,
        look=curve.look,
        paths=tuple("M" + "L".join("{:g} {:g}".format(*place(point)) for point in run) for run in runs),
        marks=tuple(map(mark, told)),
        dotted=curve.marked and len(told) <= 40,
    )


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
        whole: ticks are whole numbers.
    """
    if not high > low:
        margin = abs(high) * 0.1 or 1.0
        low, high = low - margin, high + margin
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough * 0.999)
    step = max(1.0, step) if whole else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]
