"""A search on the terminal: a live table of trials, lines where there is no terminal, JSON lines, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..deadline import Deadline, spoken
from ..display import Mode, PanelState, open_display
from ..space import Setting
from ..types import Planned, Stepped, Validated
from ..visible import unfiltered
from .records import Began, Divided, Ended, Found, Record, SearchEvent, Stage
from .telling import described

ShowSearch: TypeAlias = Callable[[SearchEvent], None]

_SHOWN: Final = 12
_STAGES: Final[dict[Stage, str]] = {"explore": "trial", "pace": "usual settings", "confirm": "fresh seed"}


@contextmanager
def open_table(mode: Mode, title: str, deadline: Deadline) -> Iterator[ShowSearch]:
    """A display for one search.

    Args:
        mode: as `choose_mode` gives it.
        title: what is searched on, for the panel's head.
        deadline: for the time left.
    """
    if mode == "json":
        yield _show_json
    elif mode == "panel":
        console = Console(file=unfiltered(sys.stdout), highlight=False)
        state = _TableState(PanelState(title, deadline))
        with Live(get_renderable=state.render, console=console, refresh_per_second=4, transient=True) as live:
            yield lambda event: state.show(event, live.console)
    else:
        with open_display(mode, title, deadline) as show:
            lines = _Lines(deadline, quiet=mode == "quiet")
            yield lambda event: None if lines.show(event) else show(event)  # type: ignore[arg-type]


def _show_json(event: SearchEvent) -> None:
    sys.stdout.write(msgspec.json.encode(event).decode() + "\n")
    sys.stdout.flush()


@dataclass(slots=True)
class _Lines:
    """One line a training; what happens inside of it is left out."""

    deadline: Deadline
    quiet: bool
    usual: dict[str, Setting] = field(default_factory=dict)
    inside: bool = False

    def show(self, event: SearchEvent) -> bool:
        """Whether the event has been dealt with."""
        match event:
            case Began():
                self.inside = True
                self.usual = self.usual or dict(event.settings)
            case Ended():
                self.inside = False
                self._say(f"  {_line(event.record, self.usual)}{' (best)' if event.best else ''}")
            case Divided():
                parts = event.division
                self._say(
                    f"  exploring {spoken(parts.explore_s)}, confirming {spoken(parts.confirm_s)}, "
                    f"final training {spoken(parts.final_s)}: {parts.reason}"
                )
            case Found():
                for sentence in event.result.said:
                    self._say(f"  {sentence}")
            case Stepped() | Validated() | Planned():
                return self.inside
            case _:
                return self.inside
        return True

    def _say(self, line: str) -> None:
        if not self.quiet:
            sys.stdout.write(f"{self.deadline.elapsed_s():7.1f} s{line}\n")
            sys.stdout.flush()


def _line(done: Record, usual: dict[str, Setting]) -> str:
    name = f"{_STAGES[done.stage]} {done.number}"
    if done.state == "failed":
        return f"{name}: failed, {done.reason}"
    ended = ", stopped early" if done.state == "pruned" else ""
    return f"{name}: {100 * done.score:.1f}{ended}, {spoken(done.seconds)}; {described(done.settings, usual)}"


@dataclass(slots=True)
class _TableState:
    """What the live table shows; it is drawn afresh several times a second from this alone."""

    panel: PanelState
    done: list[Record] = field(default_factory=list)
    running: Began | None = None
    step: Stepped | None = None
    usual: dict[str, Setting] = field(default_factory=dict)
    over: bool = False

    def show(self, event: SearchEvent, console: Console) -> None:
        match event:
            case Began():
                self.running, self.step = event, None
                self.usual = self.usual or dict(event.settings)
            case Ended():
                self.done.append(event.record)
                self.running = None
            case Divided():
                parts = event.division
                console.print(
                    Text(
                        f"• exploring {spoken(parts.explore_s)}, confirming {spoken(parts.confirm_s)}, "
                        f"final training {spoken(parts.final_s)}: {parts.reason}"
                    )
                )
            case Found():
                self.over = True
                console.print(self._table(most=None))
                for sentence in event.result.said:
                    console.print(Text(f"• {sentence}"))
            case Stepped() if self.running is not None:
                self.step = event
                self.panel.share = event.step / event.steps
            case Validated() | Planned() if self.running is not None:
                pass
            case _:
                self.panel.show(event, console)

    def render(self) -> RenderableType:
        return self.panel.render() if self.over else Group(self._table(most=_SHOWN), self.panel.render())

    def _table(self, *, most: int | None) -> Table:
        """Trials, the best first, and the one that runs."""
        table = Table(box=None, padding=(0, 2), header_style="dim", expand=False)
        for name, side in (("trial", "right"), ("score", "right"), ("time", "right"), ("settings", "left")):
            table.add_column(name, justify="right" if side == "right" else "left", overflow="fold")
        explored = [done for done in self.done if done.stage == "explore" and done.state != "failed"]
        ranked = sorted(explored, key=lambda done: (done.state == "finished", done.score), reverse=True)
        for place, done in enumerate(ranked[:most]):
            look = "bold" if place == 0 else "dim" if done.state == "pruned" else ""
            ended = " stopped early" if done.state == "pruned" else ""
            table.add_row(
                str(done.number),
                f"{100 * done.score:.1f}",
                spoken(done.seconds),
                described(done.settings, self.usual) + ended,
                style=look,
            )
        if self.running is not None:
            of = f" of {self.running.expected}" if self.running.expected else ""
            share = f"{self.step.step / self.step.steps:.0%}" if self.step else ""
            name = f"{_STAGES[self.running.stage]} {self.running.number}{of}"
            table.add_row(name, "…", share, described(self.running.settings, self.usual), style="cyan")
        return table
