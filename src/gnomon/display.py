"""Events → terminal: one live panel, plain lines where there is no terminal, JSON lines, or nothing.

A display is a function from an event to nothing; `open_display` picks it, and cleans up after it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Literal, TextIO, TypeAlias

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .deadline import Deadline, spoken
from .planning.estimate import Cluster, told
from .training.forecast import Forecast, Outlook
from .types import (
    Decoded,
    Event,
    Finished,
    Going,
    Metric,
    Noted,
    Phased,
    Planned,
    Replanned,
    Reverted,
    Stepped,
    Stopped,
    Validated,
)
from .visible import unfiltered, visible

Mode: TypeAlias = Literal["panel", "lines", "json", "quiet"]
Show: TypeAlias = Callable[[Event], None]

_HEADLINES: Final = {"accuracy": "accuracy", "micro_f1": "micro F1", "r2": "R²"}
_SECONDS_BETWEEN_LINES = 5.0
_WORTH_TELLING = 0.1
_BARS = "▁▂▃▄▅▆▇█"


def choose_mode(*, json: bool, quiet: bool, stream: TextIO) -> Mode:
    """What the flags and the stream call for."""
    if json:
        return "json"
    if quiet:
        return "quiet"
    return "panel" if stream.isatty() else "lines"


@contextmanager
def open_display(mode: Mode, title: str, deadline: Deadline) -> Iterator[Show]:
    """A display for one command.

    Args:
        mode: as `choose_mode` gives it.
        title: what is trained on, for the panel's head.
        deadline: for the time left.
    """
    if mode == "json":
        yield _show_json
    elif mode == "quiet":
        yield lambda _: None
    elif mode == "lines":
        yield _Lines(deadline).show
    else:
        console = Console(file=unfiltered(sys.stdout), highlight=False)
        panel = PanelState(title, deadline)
        with Live(get_renderable=panel.render, console=console, refresh_per_second=4, transient=True) as live:
            yield lambda event: panel.show(event, live.console)


def summary(finished: Finished, headline: str, baselines: dict[str, Metric]) -> str:
    """The end of a training, for people: how good, against what, where everything is."""
    score = finished.metrics[headline]
    lines = [f"{f'Test {_HEADLINES.get(headline, headline)}':<15} {percent(score)}   (95 % interval)"]
    lines += [f"  {name:<13} {percent(metric)}" for name, metric in baselines.items()]
    if "mae" in finished.metrics:
        error = finished.metrics["mae"]
        lines.append(f"{'Mean error':<15} {error.value:.4g}  {error.low:.4g}–{error.high:.4g}")
    if any(score.value <= metric.value for metric in baselines.values()):
        lines.append("The network does not beat the baselines: more data or more time may help.")
    used = f"Used {spoken(finished.used_s)}"
    lines.append(f"{used} of {spoken(finished.planned_s)}." if finished.planned_s else f"{used}.")
    lines += [
        f"Report   {finished.run}/report.html",
        f"Model    {finished.run}/model.safetensors",
        f"Predict  gnomon predict {finished.run} FILES…",
    ]
    return "\n".join(lines)


def foretell(said: Forecast, cluster: Cluster | None = None) -> str:
    """A forecast, for people; with what the same training takes on other machines, where it holds that."""
    rows = [(item.name, item.value, item.reason) for item in said.decisions]
    rows.append(("expected", _range(said.outlook), "of the test part; from a trial on this data"))
    memory = f"{said.memory_bytes / 1e9:.1f} GB" if said.memory_bytes else "unknown"
    rows.append(("memory", memory, "measured: steps of the network have been made"))
    disk = f"{(said.cache_bytes + said.run_bytes) / 1e6:,.0f} MB"
    rows.append(
        ("disk", disk, f"{said.cache_bytes / 1e6:,.0f} MB of it the cache, which serves every run on this data")
    )
    rows.append(("energy", f"{said.energy_wh:.2g} Wh", f"if the machine draws {said.watts:.0f} W, which is assumed"))
    for outlook in said.more_time:
        times = f"{outlook.train_s / said.outlook.train_s:.0f}× the time"
        rows.append((times, _range(outlook), f"{outlook.network}, {outlook.epochs:.1f} epochs"))
    if said.elsewhere is not None and cluster is not None:
        rows += told(said.elsewhere, cluster)
    wide = max(len(name) for name, _, _ in rows)
    return "\n".join(f"{name:<{wide}}  {value}  ({reason})" for name, value, reason in rows)


def _range(outlook: Outlook) -> str:
    return f"{100 * outlook.accuracy_low:.0f} to {100 * outlook.accuracy_high:.0f} %"


def percent(metric: Metric) -> str:
    """`87.3 %  86.6–87.9`."""
    return f"{100 * metric.value:5.1f} %  {100 * metric.low:.1f}–{100 * metric.high:.1f}"


def _show_json(event: Event) -> None:
    if isinstance(event, Going):
        return
    sys.stdout.write(msgspec.json.encode(event).decode() + "\n")
    sys.stdout.flush()


@dataclass(slots=True)
class _Lines:
    """Plain lines, at most one every few seconds while training."""

    deadline: Deadline
    told_at: float = 0.0

    def show(self, event: Event) -> None:
        line = _line(event)
        if isinstance(event, (Stepped, Decoded)):
            if time.monotonic() - self.told_at < _SECONDS_BETWEEN_LINES:
                return
            self.told_at = time.monotonic()
        if line:
            sys.stdout.write("".join(f"{self.deadline.elapsed_s():7.1f} s  {part}\n" for part in line.splitlines()))
            sys.stdout.flush()


def _line(event: Event) -> str:
    match event:
        case Phased():
            return event.name
        case Noted():
            return f"  {visible(event.text)}"
        case Decoded():
            return f"  decoded {event.done:,} of {event.rows:,}"
        case Planned():
            return "\n".join(f"  {item.name}: {item.value} ({item.reason})" for item in event.decisions)
        case Stepped():
            return (
                f"  step {event.step:,} of {event.steps:,}, epoch {event.epoch:.1f}, loss {event.loss:.4f}, "
                f"{event.rows_per_s:,.0f} rows/s"
            )
        case Validated():
            best = " (best)" if event.best else ""
            return f"  validation: {event.measure} {event.score:.1%}, loss {event.loss:.4f}{best}"
        case Replanned() if event.steps == event.steps_before:
            return f"  {event.reason}"
        case Replanned() if abs(event.steps / event.steps_before - 1) > _WORTH_TELLING:
            return f"  {event.steps:,} steps instead of {event.steps_before:,}: {event.reason}"
        case Reverted():
            return f"  {_gone_back(event)}"
        case Stopped():
            return f"  stopped after step {event.step:,}: {event.reason}" if event.reason != "planned" else ""
        case _:
            return ""


def _gone_back(event: Reverted) -> str:
    return (
        f"the loss was no longer a number in step {event.from_step:,}: back to step {event.step:,}, "
        f"with {event.rate_share:.2g} of the learning rate"
    )


@dataclass(slots=True)
class PanelState:
    """What the live panel shows; it is drawn afresh several times a second from this alone."""

    title: str
    deadline: Deadline
    phase: str = "starting"
    share: float = 0.0
    step: Stepped | None = None
    scores: list[float] = field(default_factory=list)
    validated: Validated | None = None
    decoded: Decoded | None = None

    def show(self, event: Event, console: Console) -> None:
        match event:
            case Phased():
                self.phase, self.share = event.name, 0.0
            case Decoded():
                self.decoded, self.share = event, event.done / event.rows
            case Stepped():
                self.step, self.share = event, event.step / event.steps
            case Validated():
                self.validated = event
                self.scores.append(event.score)
            case Planned():
                console.print(_decisions(event))
            case Noted():
                console.print(Text(f"• {visible(event.text)}"))
            case Reverted():
                console.print(Text(f"• {_gone_back(event)}"))
            case Stopped() if event.reason != "planned":
                console.print(Text(f"• stopped after step {event.step:,}: {event.reason}"))
            case _:
                pass

    def render(self) -> RenderableType:
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(justify="left", no_wrap=True, style="dim")
        table.add_column(justify="left", ratio=1, overflow="fold")
        table.add_row(self.phase, _bar(self.share, measured=self.phase in _MEASURED))
        for name, value in self._facts():
            table.add_row(name, value)
        return Panel(
            Group(table), title=f"[bold]gnomon[/] {escape(visible(self.title))}", title_align="left", border_style="dim"
        )

    def _facts(self) -> Iterator[tuple[str, str]]:
        yield "time", self._time()
        if self.step is None:
            if self.decoded is not None and self.phase == "reading":
                yield "decoded", f"{self.decoded.done:,} of {self.decoded.rows:,}"
            return
        yield "step", f"{self.step.step:,} of {self.step.steps:,}, epoch {self.step.epoch:.1f}"
        yield "loss", f"{self.step.loss:.4f}, learning rate {self.step.learning_rate:.3g}"
        yield "speed", f"{self.step.rows_per_s:,.0f} rows/s"
        if self.validated is not None:
            yield self.validated.measure, f"{self.validated.score:.1%} on validation  {_sparkline(self.scores)}"

    def _time(self) -> str:
        used = f"{spoken(self.deadline.elapsed_s())} used"
        return f"{used}, {spoken(max(0.0, self.deadline.remaining_s()))} left" if self.deadline.is_set else used


_MEASURED = frozenset({"reading", "training"})


def _decisions(event: Planned) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for item in event.decisions:
        table.add_row(item.name, Text.assemble(item.value, (f"  {item.reason}", "dim")))
    return table


def _sparkline(values: list[float]) -> str:
    low, high = min(values), max(values)
    return "".join(_BARS[round((value - low) / max(high - low, 1e-9) * (len(_BARS) - 1))] for value in values)


def _bar(share: float, *, measured: bool) -> ProgressBar:
    """Done in the terminal's own colour, the rest faint: readable on light and dark grounds."""
    return ProgressBar(total=1.0, completed=share, pulse=not measured, style="dim", complete_style="bold cyan")
