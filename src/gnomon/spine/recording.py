"""Events stand in the run directory before anyone sees them."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from ..rundir.run import Run
from ..types import Event, Going

T = TypeVar("T")


def recorded(run: Run, events: Generator[Event, None, T]) -> Generator[Event, None, T]:
    """Each event stands in the run directory before anyone sees it; no other process works there meanwhile."""
    with run.locked():
        while True:
            try:
                event = next(events)
            except StopIteration as stop:
                returned: T = stop.value
                return returned
            if not isinstance(event, Going):
                try:
                    run.append(event)
                except BaseException as error:
                    events.throw(error)  # not closed: no checkpoint may know of what was not written
                    raise
            try:
                yield event
            except GeneratorExit:
                events.close()
                raise
