"""One thread or all of them, whichever is quicker at present, for work whose bits do not hang on how many there are.

Threads that share small pieces of work wait for each other longer than they work, and how long that is changes from
minute to minute with where a host places them: a layer that two threads make in three quarters of the time of one may
take them one and a half times as long a little later (RESULTS.md). So it is measured as the work goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch

_FIRST_TRIES: Final = 3
_TRIED_EVERY: Final = 64
_BELIEVED: Final = 0.3
"""Of a time that is longer than those before it: what else the machine does may have disturbed it."""


class OneOrAll:
    """How many threads a repeated piece of work is given."""

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}
        self._tries: Counter[int] = Counter()
        self._calls = 0

    def threads(self, most: int) -> int:
        """For the next time: 1 or so many."""
        if most == 1:
            return 1
        fewer = min((most, 1), key=self._tries.__getitem__)
        if self._tries[fewer] < _FIRST_TRIES:
            return fewer
        self._calls += 1
        quicker, slower = sorted((1, most), key=self._seconds.__getitem__)
        return slower if self._calls % _TRIED_EVERY == 0 else quicker

    def took(self, threads: int, seconds: float) -> None:
        """It was given so many, and took so long."""
        before = self._seconds.get(threads, seconds)
        self._seconds[threads] = min(seconds, before + _BELIEVED * (seconds - before))
        self._tries[threads] += 1


@contextmanager
def by_threads(number: int) -> Iterator[None]:
    """Inside, an operation has so many."""
    before = torch.get_num_threads()
    if number != before:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        if number != before:
            torch.set_num_threads(before)
