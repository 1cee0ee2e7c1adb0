"""What Gnomon promises, tried on the user's own machine until it breaks: suites with a seed, each with a verdict.

A suite is a generator of attempts. It changes nothing but a folder of its own, and the same seed tries the same things.
"""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Final, TextIO

import msgspec

from ..deadline import spoken
from ..types import Value, plural

_SECONDS_BETWEEN_LINES: Final = 5.0
_MOST_TOLD: Final = 20


class Tried(Value, tag="tried", tag_field="event", frozen=True):
    """One attempt to break a promise.

    Attributes:
        what: was done, so that it can be done again.
        held: whether the promise did.
        found: what was wrong where it did not, or how it held.
        faults: how many were made in this attempt, such as kills.
        kind: of the attempt; where attempts have kinds, the verdict counts them by kind.
    """

    what: str
    held: bool
    found: str = ""
    faults: int = 1
    kind: str = ""


class Verdict(Value, tag="verdict", tag_field="event", frozen=True):
    """What a suite came to; the last line of `--json`."""

    suite: str
    seed: int
    attempts: int
    faults: int
    broken: int
    seconds: float

    @property
    def held(self) -> bool:
        return self.attempts > 0 and not self.broken


def judge(suite: str, seed: int, attempts: Iterator[Tried], *, as_json: bool, out: TextIO | None = None) -> Verdict:
    """Make all attempts, tell how they go, and sum up.

    Args:
        suite: its name.
        seed: of what was tried.
        attempts: made as they are asked for.
        as_json: one line of JSON for each, and one for the verdict.
        out: where it is told; standard output.
    """
    stream, began = sys.stdout if out is None else out, time.monotonic()
    told, count, faults, broken = began, 0, 0, 0
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for tried in attempts:
        kinds[tried.kind][tried.found if tried.held else "BROKEN"] += 1
        count, faults, broken = count + 1, faults + tried.faults, broken + (not tried.held)
        if as_json:
            _tell(stream, msgspec.json.encode(tried).decode())
        elif not tried.held and broken <= _MOST_TOLD:
            _tell(stream, f"BROKEN: {tried.what}: {tried.found}")
        elif time.monotonic() - told > _SECONDS_BETWEEN_LINES:
            told = time.monotonic()
            _tell(
                stream, f"{told - began:7.1f} s  {plural(faults, 'fault')} in {plural(count, 'attempt')}: {tried.what}"
            )
    if not as_json and len(kinds) > 1:
        _tell(stream, _by_kind(kinds))
    verdict = Verdict(suite, seed, count, faults, broken, time.monotonic() - began)
    _tell(stream, msgspec.json.encode(verdict).decode() if as_json else _summed_up(verdict))
    return verdict


def _by_kind(kinds: Mapping[str, Counter[str]]) -> str:
    """A table: a line for each kind, a column for each way in which attempts ended."""
    ends = list(dict.fromkeys(end for counts in kinds.values() for end in counts))
    rows = [("kind", *ends), *((kind, *(f"{kinds[kind][end]:,}" for end in ends)) for kind in sorted(kinds))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [f"{row[0]:<{widths[0]}}", *(f"{cell:>{wide}}" for cell, wide in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    )


def _summed_up(verdict: Verdict) -> str:
    outcome = "held every time" if verdict.held else f"BROKEN {plural(verdict.broken, 'time')}"
    return (
        f"torture {verdict.suite}: {outcome}. {plural(verdict.faults, 'fault')} in "
        f"{plural(verdict.attempts, 'attempt')}, {spoken(verdict.seconds)}, seed {verdict.seed}."
    )


def _tell(stream: TextIO, line: str) -> None:
    stream.write(line + "\n")
    stream.flush()
