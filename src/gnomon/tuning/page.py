"""`tune.html`: a search as one self-contained page: its result, what mattered, every trial. Imports no torch itself.

The page asks nothing of any network and holds no script: lines of the chart and rows of the table light up together by
style alone, under the pointer and under the keyboard's focus.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from statistics import fmean
from typing import Final

import jinja2

from ..deadline import spoken
from ..rundir.run import BEST, DATA, REPORT, RESULT, TEST, TUNE, Run
from ..space import Dimension, Setting
from ..types import Metric, Value
from ..visible import visible
from .records import Gain, Record, Result, SearchSpec, pairs_of, read_records, read_search
from .settings import usual_settings
from .telling import described, named, points, shown

WIDTH: Final = 960.0
HEIGHT: Final = 340.0
LEFT, RIGHT, TOP, BOTTOM = 60.0, 900.0, 46.0, 306.0
_MOST_LINES: Final = 400
_POOREST: Final = 0.1


class _Named(Value, frozen=True, forbid_unknown_fields=False):
    """What the page needs of `data.json`."""

    name: str


class _Judged(Value, frozen=True, forbid_unknown_fields=False):
    """What the page needs of `evaluation/test.json`."""

    headline: str
    metrics: dict[str, Metric]


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis and its label."""

    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Axis:
    """One upright axis of the parallel coordinates."""

    x: float
    name: str
    ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One trial: its row in the table, its line, its dot in the history. `strength`: 0 the poorest, 1 the best."""

    number: int
    settings: tuple[str, ...]
    score: str
    state: str
    seconds: str
    network: str
    path: str
    x: float
    y: float
    strength: float
    look: str
    summary: str


@dataclass(frozen=True, slots=True)
class Page:
    """All that the template shows."""

    title: str
    result: Result | None
    gain: str
    lasts: bool
    names: tuple[str, ...]
    axes: tuple[Axis, ...]
    lines: tuple[Line, ...]
    history_ticks: tuple[Tick, ...]
    best_path: str
    usual_y: float | None
    measure: str
    spec: SearchSpec
    confirmed: tuple[tuple[int, str, str, str, str], ...]
    test: str
    report: str
    used: str
    division: tuple[tuple[str, str], ...]
    influences: tuple[tuple[str, float], ...]


def write_page(run: Run) -> None:
    """Write `tune.html` from the search's directory, however far it came.

    Raises:
        RunError: the directory is damaged, or can't be written.
    """
    run.write(TUNE, _environment().get_template("tune.html.jinja").render(page=build_page(run)))


def build_page(run: Run) -> Page:
    """Compute the content."""
    spec, records = read_search(run), read_records(run)
    result = run.read_json(RESULT, Result) if run.has(RESULT) else None
    explored = [done for done in records if done.stage == "explore"][:_MOST_LINES]
    scale = _scale([done.score for done in explored if done.state != "failed"])
    lines = _lines(spec.dimensions, explored, result, scale)
    usual = next((done.score for done in explored if done.number == 0 and done.state == "finished"), None)
    best = Run(run.path / BEST)
    return Page(
        title=run.read_json(DATA, _Named).name if run.has(DATA) else run.path.name,
        result=result,
        gain=points(result.gain) if result and result.gain.pairs else "",
        lasts=bool(result and result.gain.measured),
        names=tuple(named(item.name) for item in spec.dimensions),
        axes=_axes(spec.dimensions, result.measure if result else "score", scale),
        lines=lines,
        history_ticks=_score_ticks(scale),
        best_path=_best_path(explored, scale),
        usual_y=None if usual is None else _height(usual, scale),
        measure=result.measure if result else "score",
        spec=spec,
        confirmed=_confirmed(records, result.gain.measured if result else ()),
        test=_test(best),
        report=f"{BEST}/{REPORT}" if best.has(REPORT) else "",
        used=spoken(max((done.elapsed_s for done in records), default=0.0)),
        division=_division(spec),
        influences=tuple((named(item.name).removesuffix(" ×"), item.share) for item in result.influences)
        if result
        else (),
    )


def _scale(scores: Sequence[float]) -> tuple[float, float]:
    """Lowest and highest score that are drawn; the poorest tenth, far below, would press all others together."""
    if not scores:
        return 0.0, 1.0
    ordered = sorted(scores)
    low, high = ordered[int(_POOREST * (len(ordered) - 1))], ordered[-1]
    margin = max(0.05 * (high - low), 1e-3)
    return low - margin, high + margin


def _height(score: float, scale: tuple[float, float]) -> float:
    low, high = scale
    return BOTTOM - (BOTTOM - TOP) * min(1.0, max(0.0, (score - low) / (high - low)))


def _lines(
    dimensions: Sequence[Dimension], explored: Sequence[Record], result: Result | None, scale: tuple[float, float]
) -> tuple[Line, ...]:
    ranked = sorted(explored, key=lambda done: (done.state == "finished", done.score), reverse=True)
    usual = usual_settings(dimensions)
    made = []
    for place, done in enumerate(ranked):
        failed = done.state == "failed"
        found = result is not None and done.number == result.trial
        look = "found" if found and done.number else "usual" if done.number == 0 else done.state
        score = "–" if failed else f"{100 * done.score:.1f}"
        made.append(
            Line(
                number=done.number,
                settings=tuple(shown(done.settings[item.name]) for item in dimensions),
                score=score,
                state={"pruned": "stopped early", "failed": done.reason}.get(done.state, "finished"),
                seconds=f"{done.seconds:.1f}",
                network=done.network,
                path=_path(dimensions, done.settings, done, scale),
                x=_across(done.number, len(explored)),
                y=BOTTOM if failed else _height(done.score, scale),
                strength=1 - place / max(1, len(ranked) - 1),
                look=look,
                summary=f"Trial {done.number}: {score} – {described(done.settings, usual)}",
            )
        )
    return tuple(made)


def _across(number: int, count: int) -> float:
    return LEFT + (RIGHT - LEFT) * (number / max(1, count - 1))


def _path(
    dimensions: Sequence[Dimension], settings: Mapping[str, Setting], done: Record, scale: tuple[float, float]
) -> str:
    heights = [BOTTOM - (BOTTOM - TOP) * item.place(settings[item.name]) for item in dimensions]
    heights.append(BOTTOM if done.state == "failed" else _height(done.score, scale))
    return "M" + "L".join(f"{_axis_x(place, len(heights)):.1f} {y:.1f}" for place, y in enumerate(heights))


def _axis_x(place: int, count: int) -> float:
    return LEFT + (RIGHT - LEFT) * place / max(1, count - 1)


def _axes(dimensions: Sequence[Dimension], measure: str, scale: tuple[float, float]) -> tuple[Axis, ...]:
    count = len(dimensions) + 1
    axes = [
        Axis(x=_axis_x(place, count), name=named(item.name), ticks=tuple(_ticks(item)))
        for place, item in enumerate(dimensions)
    ]
    return (*axes, Axis(x=_axis_x(count - 1, count), name=measure, ticks=_score_ticks(scale)))


def _ticks(item: Dimension) -> list[Tick]:
    values: Sequence[Setting] = item.choices
    if not values:
        middle = math.sqrt(item.low * item.high) if item.log else (item.low + item.high) / 2
        values = [round(value) if item.whole else value for value in (item.low, middle, item.high)]
    return [
        Tick(y=BOTTOM - (BOTTOM - TOP) * item.place(value), label=_short(shown(value)))
        for value in dict.fromkeys(values)
    ]


def _short(label: str) -> str:
    return label if len(label) <= 12 else f"{label[:11]}…"


def _score_ticks(scale: tuple[float, float]) -> tuple[Tick, ...]:
    low, high = scale
    return tuple(
        Tick(y=_height(score, scale), label=f"{100 * score:.1f}")
        for score in (low + share * (high - low) for share in (0.05, 0.35, 0.65, 0.95))
    )


def _best_path(explored: Sequence[Record], scale: tuple[float, float]) -> str:
    """The best score so far, as steps."""
    best, parts = -math.inf, list[str]()
    for done in explored:
        if done.state == "finished" and done.score > best:
            x = _across(done.number, len(explored))
            before = f"L{x:.1f} {_height(best, scale):.1f}" if parts else ""
            best = done.score
            parts.append(f"{before}{'L' if parts else 'M'}{x:.1f} {_height(best, scale):.1f}")
    return "".join(parts) + (f"L{RIGHT:.1f} {_height(best, scale):.1f}" if parts else "")


def _confirmed(
    records: Sequence[Record], measured: Sequence[tuple[float, float]]
) -> tuple[tuple[int, str, str, str, str], ...]:
    """Of each seed: seconds as the gain tells them, usual, best, difference; of pairs that are whole."""
    lines = []
    for pair, (usual, best) in enumerate(pairs_of(records)):
        if usual.rows and best.rows:
            seconds = measured[pair][0] if pair < len(measured) else usual.seconds
            scores = [100 * fmean(done.rows) for done in (usual, best)]
            shown = (f"{scores[0]:.1f}", f"{scores[1]:.1f}", f"{scores[1] - scores[0]:+z.1f}")
            lines.append((pair + 1, f"{seconds:.2g}", *shown))
    return tuple(lines)


def _test(best: Run) -> str:
    if not best.has(TEST):
        return ""
    judged = best.read_json(TEST, _Judged)
    score = judged.metrics[judged.headline]
    name = judged.headline.replace("_", " ")
    return f"{name} {100 * score.value:.1f} % ({100 * score.low:.1f}–{100 * score.high:.1f})"


def _division(spec: SearchSpec) -> tuple[tuple[str, str], ...]:
    parts = spec.division
    if parts is None:
        return ()
    return (
        ("Exploring", spoken(parts.explore_s)),
        ("Confirming", spoken(parts.confirm_s)),
        ("Final training", spoken(parts.final_s)),
        ("One trial", spoken(parts.trial_s)),
        ("Why", parts.reason),
    )


def is_above_chance(gain: Gain) -> bool:
    """Whether the page may speak of a gain."""
    return gain.verdict in ("better", "likely")


def _environment() -> jinja2.Environment:
    def finalize(value: object) -> object:
        return visible(value) if type(value) is str else value

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM, "above": is_above_chance}
    return environment


def _template(name: str) -> str:
    package = "gnomon.report" if name == "report.css" else "gnomon.tuning"
    return resources.files(package).joinpath(name).read_text("utf-8")
