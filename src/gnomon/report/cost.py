"""What the run cost: time, energy, size and speed."""

from __future__ import annotations

from dataclasses import dataclass

from ..planning.energy import watts_of
from ..types import Finished, Phased, Stepped
from .figures import known, number_of, size, spoken
from .files import RunFiles
from .words import Foreign, Said, Shown, say, translated


@dataclass(frozen=True, slots=True)
class CostLine:
    """One figure, and how it comes about."""

    name: Said
    value: Shown
    remark: Shown = ""


def planned_and_used(run: RunFiles) -> tuple[float, float]:
    """Seconds planned (0 where there was no deadline), and seconds used as far as the files tell."""
    elapsed = (getattr(event, "elapsed_s", 0.0) for event in run.events)
    finished = (event.used_s for event in run.events if isinstance(event, Finished))
    planned_s = (run.plan.planned_s if run.plan else None) or 0.0
    return planned_s if known(planned_s) else 0.0, max((*elapsed, *finished), default=0.0)


def costs(run: RunFiles) -> tuple[CostLine, ...]:
    """A line for each figure that is known."""
    planned_s, used_s = planned_and_used(run)
    found = []
    if used_s:
        of = say("of {0} planned", spoken(planned_s)) if planned_s else ""
        found.append(CostLine(say("Time"), spoken(used_s), of))
        found += [
            CostLine(say("of which {0}", translated(name)), spoken(seconds)) for name, seconds in _phases(run, used_s)
        ]
        found += _energy(run, used_s)
    if run.network:
        memory = say("{0} in memory while training", size(run.network.bytes))
        found.append(CostLine(say("Parameters"), f"{run.network.parameters:,}", memory))
    if run.model_bytes is not None:
        found.append(CostLine(say("Model file"), size(run.model_bytes)))
    return (*found, *_speed(run))


def _phases(run: RunFiles, used_s: float) -> list[tuple[str, float]]:
    """Seconds of each phase; those of one name together, where a run was resumed."""
    begun = [(event.name, event.elapsed_s) for event in run.events if isinstance(event, Phased)]
    ends = [elapsed_s for _, elapsed_s in begun[1:]] + [used_s]
    found: dict[str, float] = {}
    for (name, start_s), end_s in zip(begun, ends, strict=True):
        if end_s > start_s:
            found[name] = found.get(name, 0.0) + end_s - start_s
    return [(name, seconds) for name, seconds in found.items() if seconds >= 0.05]


def _energy(run: RunFiles, used_s: float) -> list[CostLine]:
    environment = run.environment or {}
    threads = environment.get("threads")
    if not isinstance(threads, int) or threads < 1:
        return []
    watts = watts_of(str(environment.get("device") or "cpu"), threads)
    text = say("estimated at {0} W for this machine’s share, not measured", f"{watts:.0f}")
    return [CostLine(say("Energy"), Foreign(f"{number_of(watts * used_s / 3600)} Wh"), text)]


def _speed(run: RunFiles) -> list[CostLine]:
    speeds = [event.rows_per_s for event in run.events if isinstance(event, Stepped) and known(event.rows_per_s)]
    found = []
    if speeds:
        middle = sorted(speeds)[len(speeds) // 2]
        found.append(CostLine(say("Speed of training"), say("{0} rows a second", f"{middle:,.0f}"), say("median")))
    if run.speed is not None:
        text = say("{0} rows a second", number_of(run.speed.rows_per_s))
        one = say("one alone in {0} ms", number_of(1000 * run.speed.one_row_s))
        found.append(CostLine(say("Speed of answers"), text, one))
    return found
