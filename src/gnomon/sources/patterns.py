"""What the user says of rows by a pattern on their keys: which belong to one group, and which are the test part."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from ..errors import RecipeError
from ..types import Row, plural
from .labels import Listing

_LEAST_S: Final = 0.5
_ROW_S: Final = 2e-5

GIVER_OF_TEST_FILES = "--test-files gives"
"""Who names the parts then, as a sentence begins."""


def compile_group(group: str) -> re.Pattern[str]:
    """The expression that finds a row's group in its key.

    Raises:
        RecipeError: not valid, or without a group in brackets.
    """
    remedy = "Example: --group '/(person[0-9]+)_' puts all files of one person into the same part."
    pattern = _compiled(group, "group", remedy)
    if pattern.groups == 0:
        raise RecipeError(f"the group {group!r} has no part in brackets that would name a group", remedy=remedy)
    return pattern


def group_by_key(listing: Listing, pattern: re.Pattern[str]) -> Listing:
    """The rows with their groups; a row that the pattern does not match is a group by itself.

    Raises:
        RecipeError: it matches no row at all.
    """
    with _in_time(pattern.pattern, len(listing.rows)):
        found = [pattern.search(row.key) for row in listing.rows]
    names = [match[1] if match else None for match in found]
    alone = names.count(None)
    if alone == len(names):
        raise RecipeError(
            f"the group {pattern.pattern!r} matches none of {plural(alone, 'row')}, such as {listing.rows[0].key!r}",
            remedy="Write an expression that matches somewhere in such a name.",
        )
    # A key can't be the name that a pattern found in another key, unless it is prefixed.
    groups = [f"alone: {row.key}" if name is None else name for row, name in zip(listing.rows, names, strict=True)]
    rows = [replace(row, group=name) for row, name in zip(listing.rows, groups, strict=True)]
    return replace(listing, rows=rows, notes=[*listing.notes, *_group_notes(rows, alone)])


def with_test_files(rows: Sequence[Row], expression: str | None) -> tuple[Sequence[Row], list[str]]:
    """The rows whose key the expression matches are the test part, others train unless they validate; and a note.

    Args:
        rows: at least one.
        expression: a regular expression; None leaves the rows as they are.

    Raises:
        RecipeError: not valid, matches no row or all, or the data has a test part already.
    """
    if expression is None:
        return rows, []
    remedy = "Example: --test-files '_[0-4][.]wav$' makes these files the test part."
    pattern = _compiled(expression, "pattern of --test-files", remedy)
    given = sum(row.split == "test" for row in rows)
    if given:
        raise RecipeError(
            f"--test-files {expression!r} names a test part, and the data has one already ({plural(given, 'row')})",
            remedy="Leave it out.",
        )
    with _in_time(expression, len(rows)):
        chosen = [pattern.search(row.key) is not None for row in rows]
    count = sum(chosen)
    if count in (0, len(rows)):
        which = f"matches none of {plural(len(rows), 'row')}" if not count else f"matches all {plural(count, 'row')}"
        raise RecipeError(
            f"--test-files {expression!r} {which}, such as {rows[0].key!r}",
            remedy="Write an expression that matches somewhere in the names of test files, and in no others.",
        )
    parted = [
        replace(row, split="test" if tests else row.split or "train") for row, tests in zip(rows, chosen, strict=True)
    ]
    verb = "is" if count == 1 else "are"
    return parted, [f"{plural(count, 'row')} of {len(rows):,} {verb} the test part: --test-files {expression!r}"]


def _compiled(expression: str, what: str, remedy: str) -> re.Pattern[str]:
    try:
        return re.compile(expression)
    except (re.error, RecursionError, OverflowError) as error:
        raise RecipeError(f"the {what} {expression!r} is no regular expression: {error}", remedy=remedy) from error


@contextmanager
def _in_time(expression: str, rows: int) -> Iterator[None]:
    """Ends a search that would go on for ever, as expressions such as `(a+)+$` can make it.

    Python's own search listens to signals now and then. Where there is no timer to be had, as in another thread than
    the first, Ctrl-C alone ends it.

    Raises:
        RecipeError: it took too long.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    most_s = _LEAST_S + _ROW_S * rows

    def give_up(number: int, frame: object) -> None:
        raise RecipeError(
            f"the expression {expression!r:.200} takes more than {most_s:.1f} s on {plural(rows, 'name')}",
            remedy="It may try one way after another without end, as (a+)+$ does: write it with fewer * and +.",
        )

    before = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, most_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _group_notes(rows: Sequence[Row], alone: int) -> list[str]:
    tested = {row.group for row in rows if row.split == "test"}
    count = len({row.group for row in rows})
    across = len(tested & {row.group for row in rows if row.split != "test"})
    note = f"{plural(count - alone, 'group')}: rows of one group never stand in different parts"
    if alone:
        note += f"; {plural(alone, 'row')} matched no group and {'stands' if alone == 1 else 'stand'} alone"
    if not across:
        return [note]
    drawn = note.replace("different parts", "different parts that are drawn")
    verb = "has" if across == 1 else "have"
    return [drawn, f"{plural(across, 'group')} of {count:,} {verb} rows in the given test part and in others"]
