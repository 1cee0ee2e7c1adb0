"""True against estimated values as geometry: the closer to the diagonal, the better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .charts import BOTTOM, LEFT, RIGHT, TOP, Mark, Tick, even_ticks
from .figures import known

MOST_DOTS: Final = 500


@dataclass(frozen=True, slots=True)
class Scatter:
    """Dots in the box of a chart, and the two ends of the diagonal."""

    dots: tuple[Mark, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    diagonal: str


def scatter(points: Sequence[tuple[float, float]]) -> Scatter | None:
    """Draw (true, estimated) on one scale for both axes; None where there is nothing to draw."""
    shown = [pair for pair in points if known(pair[0]) and known(pair[1])][:MOST_DOTS]
    if not shown:
        return None
    values = [value for pair in shown for value in pair]
    ticks = even_ticks(min(values), max(values), most=6)
    low, high = min(ticks[0], *values), max(ticks[-1], *values)
    spread = (high - low) or 1.0

    def across(value: float) -> float:
        return round(LEFT + (value - low) / spread * (RIGHT - LEFT), 1)

    def up(value: float) -> float:
        return round(BOTTOM - (value - low) / spread * (BOTTOM - TOP), 1)

    return Scatter(
        dots=tuple(Mark(across(true), up(said), f"true {true:.4g}, estimated {said:.4g}") for true, said in shown),
        x_ticks=tuple(Tick(across(value), f"{value:.4g}") for value in ticks),
        y_ticks=tuple(Tick(up(value), f"{value:.4g}") for value in ticks),
        diagonal=f"M{across(low)} {up(low)}L{across(high)} {up(high)}",
    )
