"""Series in one long table, as a source of rows: a line for each step, and a column that says which series it is of.

    sensor,time,x,y,label
    a,0,0.1,7,good
    a,1,0.2,8,good
    b,0,0.3,9,bad

What is done on purpose:

    order          by the column of time, where there is one; else as the table has it
    equal times    values of one series at one time are averaged, and that is said
    uneven times   are said; steps are taken as they come
    labels         must be the same throughout a series
    channels       every other column of numbers
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, RecipeError
from ..types import Row, SetAside, Split, listed, plural
from .cells import TIME_NAMES, no_number, numbers_of, shortened, times_of
from .columns import LABEL_NAMES, Columns, find_split, read_columns, repeats, require_column, split_of
from .labels import label_text, whole_numbers
from .pairs import paired
from .questions import AUTO, Asked
from .series import Found, SeriesSource, source_of_series

_GUESSED_FROM: Final = (500, 40)
"""Series, and rows of each, that are looked at to find the column of labels."""
_EVEN: Final = 0.01
"""Gaps between steps that differ by so much of the usual one count as even."""
_REMEDY: Final = (
    "--series-id names the column that says which rows are one series, --time the one that orders them, --target the "
    "labels; every other column of numbers is a channel. Where each row is a text or names a file, leave them out."
)


@dataclass(frozen=True, slots=True)
class _Roles:
    """Which columns say what."""

    series_id: str
    target: str | None
    time: str | None
    split: str | None
    group: str | None
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Table:
    """A table's columns as they are needed: one value a row."""

    columns: Columns
    labels: Sequence[str | None]
    splits: Sequence[object] | None
    groups: Sequence[object] | None
    times: NDArray[np.float64] | None
    no_times: NDArray[np.bool_]
    values: NDArray[np.float64]
    no_numbers: dict[int, tuple[str, str]]
    """Rows that hold a text among the numbers: the first one, and its channel."""


@dataclass(slots=True)
class _Clock:
    """What is uneven about the times of the series, by their keys."""

    doubled: dict[str, int]
    uneven: dict[str, tuple[int, int]]
    gaps: list[float]


def open_series_table(
    location: str,
    *,
    series_id: str,
    time: str | None = None,
    target: str | None = None,
    group: str | None = None,
    asked: Asked = AUTO,
    notes: Sequence[str] = (),
) -> SeriesSource:
    """The series of a table; or of the pair of tables, for training and for testing, of which it is the first.

    Args:
        location: a table.
        series_id: the column whose equal values make rows one series.
        time: the column that orders them: numbers, or dates of ISO 8601; guessed by its name.
        target: the column of labels; guessed when obvious.
        group: the column of groups, or a regular expression on the series' names, whose first group counts.
        asked: what the user says of the labels.
        notes: sentences to begin with.

    Raises:
        DataError: not readable, columns that are not obvious, no column of numbers, fewer than two classes.
        RecipeError: a column that is not there.
    """
    parts = paired(location)
    found, clock, roles = Found([], {}, [], list(notes)), _Clock({}, {}, []), None
    for path, split in parts:
        columns = read_columns(path, found.set_aside)
        if roles is None:
            roles = _choose_roles(
                columns, path, _asked_columns(series_id, time, target, group, columns, path), found.notes
            )
        elif missing := [name for name in _needed(roles) if name not in columns.names]:
            raise DataError(
                f"{path!r}, which belongs to {location!r}, has no column {missing[0]!r}",
                remedy="Give both tables the same columns, or move one of them elsewhere.",
            )
        _gather(_read_table(columns, roles, path, found.notes), roles, path if split else "", split, found, clock)
    assert roles is not None, "there is at least one table"
    if len(parts) == 2:
        found.notes.insert(0, f"{os.path.basename(parts[1][0])!r} beside it is the test part")
    found.notes.extend([*_clock_notes(clock, len(found.rows)), *_short_notes(found, series_id)])
    giver = "the table gives" if len(parts) == 1 else "the two tables give"
    pattern = group if roles.group is None else None
    return source_of_series(found, location, giver=giver, remedy=_REMEDY, group=pattern, asked=asked)


def read_series(location: str, *, series_id: str, time: str | None = None, channels: Sequence[str] = ()) -> Found:
    """The series of a table that need have no labels.

    Args:
        location: the table.
        series_id, time: as for `open_series_table`.
        channels: the columns to be read.

    Raises:
        DataError: not readable, or without a channel.
        RecipeError: a column that is not there.
    """
    found = Found([], {}, [], [])
    columns = read_columns(location, found.set_aside)
    _asked_columns(series_id, time, None, None, columns, location)
    if missing := [name for name in channels if name not in columns.names]:
        raise DataError(
            f"{location!r} has no channel {missing[0]!r}; its columns are {listed(columns.names, 12)}",
            remedy="Give the columns the names that they had in training.",
        )
    roles = _Roles(series_id, None, time or _guess_time(columns, {series_id}), None, None, tuple(channels))
    _gather(_read_table(columns, roles, location, found.notes), roles, "", None, found, _Clock({}, {}, []))
    return found


# --- Which column says what ------------------------------------------------------------------------------------------


def _asked_columns(
    series_id: str, time: str | None, target: str | None, group: str | None, columns: Columns, location: str
) -> dict[str, str | None]:
    """What the user named, all of it there; a group that is none of the columns is an expression."""
    asked = {"series-id": series_id, "time": time, "target": target}
    if group is not None and (group in columns.names or "(" not in group):
        asked["group"] = group
    for option, name in asked.items():
        require_column(f"--{option}", name, columns, location)
    given = [name for option, name in asked.items() if name is not None and option != "group"]
    twice = [name for name in given if given.count(name) > 1]
    if twice:
        raise RecipeError(f"the column {twice[0]!r} is given two parts to play", remedy=_REMEDY)
    return asked


def _choose_roles(columns: Columns, location: str, asked: dict[str, str | None], notes: list[str]) -> _Roles:
    """The columns asked for, else the obvious ones; `notes` takes a sentence about each that was not asked for."""
    series_id, time, target, group = (asked.get(name) for name in ("series-id", "time", "target", "group"))
    assert series_id is not None, "it is asked for"
    split, told = find_split(columns, {series_id, time, target, group})
    notes.extend(told)
    if time is None:
        time = _guess_time(columns, {series_id, target, group, split})
        order = (
            f"by the column {time!r}; --time names another" if time else "as the table has them: no column gives times"
        )
        notes.append(f"the steps of a series are ordered {order}")
    if target is None:
        target = _guess_target(columns, series_id, {series_id, time, group, split}, location)
        notes.append(f"the labels are given by the column {target!r}; --target names another")
    taken = {series_id, time, target, group, split}
    left_out: dict[str, str] = {}
    channels = [name for name in columns.names if name not in taken and _is_channel(columns, name, left_out)]
    told_out = listed([f"{shortened(name)!r} ({why})" for name, why in left_out.items()], 6)
    if not channels:
        rest = f": {told_out}" if left_out else ""
        raise DataError(f"no column of {location!r} is left that holds numbers{rest}", remedy=_REMEDY)
    if left_out:
        notes.append(f"columns that are no channels: {told_out}")
    return _Roles(series_id, target, time, split, group, tuple(channels))


def _needed(roles: _Roles) -> list[str]:
    return [name for name in (roles.series_id, roles.target, roles.time, roles.group, *roles.channels) if name]


def _guess_time(columns: Columns, taken: set[str | None]) -> str | None:
    """A column by its name, if most of its first values are times."""
    for known in TIME_NAMES:
        for name in columns.names:
            if name not in taken and name.strip().lower() == known:
                times, _ = times_of(columns.heads[name])
                if 2 * np.isnan(times).sum() < len(times):
                    return name
    return None


def _guess_target(columns: Columns, series_id: str, taken: set[str | None], location: str) -> str:
    """The column by its name, or the only one that is the same throughout most series and differs between them."""
    series, most = list(_rows_of_series(columns, series_id)[0].values()), _GUESSED_FROM
    if not series:
        raise DataError(f"the column {series_id!r} of {location!r} holds nothing: it names no series", remedy=_REMEDY)
    looked_at = [series[place][: most[1]] for place in np.unique(np.linspace(0, len(series) - 1, most[0]).astype(int))]
    constant: dict[str, bool] = {}
    for name in columns.names:
        if name not in taken and name.strip():
            values = columns.values(name)
            said = [{label_text(values[row]) for row in rows} for rows in looked_at]
            if 2 * sum(len(labels) == 1 for labels in said) > len(said):
                constant[name] = repeats([value for labels in said for value in labels])
    named = [name for known in LABEL_NAMES for name in constant if name.strip().lower() == known]
    few = [name for name, comes_again in constant.items() if comes_again]
    if named or len(few) == 1:
        return (named or few)[0]
    what = f"several could be: {listed(few, 12)}" if few else f"the columns are {listed(columns.names, 12)}"
    raise DataError(f"which column of {location!r} holds the labels is not obvious; {what}", remedy=_REMEDY)


def _is_channel(columns: Columns, name: str, left_out: dict[str, str]) -> bool:
    """Whether most of what stands in a column is numbers; else `left_out` takes the reason why not."""
    numbers, others = numbers_of(columns.heads[name])
    if np.isnan(numbers).all() and not others.any():
        numbers, others = numbers_of(columns.values(name))
    there = int((~np.isnan(numbers)).sum())
    if not name.strip():
        left_out[name] = "without a name"
    elif others.sum() > there:
        left_out[name] = "holds no numbers"
    elif not there:
        left_out[name] = "holds no values"
    return name not in left_out


# --- The rows, one series each ---------------------------------------------------------------------------------------


def _read_table(columns: Columns, roles: _Roles, location: str, notes: list[str]) -> _Table:
    labels: Sequence[str | None] = [""] * len(columns.places)
    if roles.target is not None:
        labels, were_floats = whole_numbers([label_text(value) for value in columns.values(roles.target)])
        if were_floats:
            notes.append("labels such as '3.0' are read as '3'")
    times, no_times = None, np.zeros(len(columns.places), dtype=bool)
    if roles.time is not None:
        times, no_times = times_of(columns.values(roles.time))
        if no_times.all():
            raise DataError(
                f"the column {roles.time!r} of {location!r} holds no times: {columns.heads[roles.time][0]!r:.60}",
                remedy="Times are numbers, or dates such as 2016-07-01 00:00:00.",
            )
    values, no_numbers = np.empty((len(columns.places), len(roles.channels))), dict[int, tuple[str, str]]()
    for channel, name in enumerate(roles.channels):
        cells = columns.values(name)
        values[:, channel], others = numbers_of(cells)
        no_numbers |= {row: (str(cells[row]), name) for row in np.flatnonzero(others).tolist() if row not in no_numbers}
    return _Table(
        columns=columns,
        labels=labels,
        splits=columns.values(roles.split) if roles.split else None,
        groups=columns.values(roles.group) if roles.group else None,
        times=times,
        no_times=no_times,
        values=values,
        no_numbers=no_numbers,
    )


def _rows_of_series(columns: Columns, series_id: str) -> tuple[dict[str, list[int]], list[int]]:
    """The rows of each series, and those that belong to none."""
    rows_of: dict[str, list[int]] = {}
    nowhere: list[int] = []
    for row, value in enumerate(columns.values(series_id)):
        name = label_text(value)
        if name is None:
            nowhere.append(row)
        else:
            rows_of.setdefault(name, []).append(row)
    return rows_of, nowhere


def _gather(table: _Table, roles: _Roles, path: str, split: Split | None, found: Found, clock: _Clock) -> None:
    """Puts the table's series into `found`, or sets them aside."""
    prefix = f"{os.path.basename(path)}, " if path else ""
    rows_of, nowhere = _rows_of_series(table.columns, roles.series_id)
    reason = f"its series is missing (column {roles.series_id!r})"
    found.set_aside.extend(SetAside(key=prefix + table.columns.places[row], reason=reason) for row in nowhere)
    for name, places in rows_of.items():
        key, rows = prefix + name, np.array(places, dtype=np.int64)
        problem = _problem(table, roles, rows, by_column=split is None)
        if problem:
            found.set_aside.append(SetAside(key=key, reason=problem))
            continue
        label = next(text for row in places if (text := table.labels[row]) is not None)
        part = split if split or table.splits is None else split_of(table.splits[places[0]])
        group = None if table.groups is None else label_text(table.groups[places[0]]) or f"alone: {key}"
        found.rows.append(Row(key, label, part, group))
        found.series[key] = _named(_in_order(table, rows, key, clock), roles.channels)


def _problem(table: _Table, roles: _Roles, rows: NDArray[np.int64], *, by_column: bool) -> str:
    """Why the rows are no series that can be used; "" where they are."""
    places = table.columns.places
    labels = {text for row in rows.tolist() if (text := table.labels[row]) is not None}
    if not labels:
        return "its label is missing"
    if len(labels) > 1:
        return f"its label changes: {listed(sorted(map(repr, labels)))}"
    if table.splits is not None and by_column:
        parts = {split_of(table.splits[row]) for row in rows.tolist()}
        if len(parts) > 1:
            return "its rows stand in several parts"
        if None in parts:
            return "its part is none of train, validation, test"
    if table.groups is not None and len({label_text(table.groups[row]) for row in rows.tolist()}) > 1:
        return "its rows stand in several groups"
    if table.times is not None and np.isnan(table.times[rows]).any():
        row = int(rows[np.flatnonzero(np.isnan(table.times[rows]))[0]])
        return f"its time in {places[row]} is {'no number and no date' if table.no_times[row] else 'missing'}"
    wrong = next((row for row in rows.tolist() if row in table.no_numbers), None)
    if wrong is not None:
        cell, channel = table.no_numbers[wrong]
        return no_number(cell, places[wrong], channel)
    return ""


def _in_order(table: _Table, rows: NDArray[np.int64], key: str, clock: _Clock) -> NDArray[np.float64]:
    """The values of a series, `(T, C)`, by time; those of equal times averaged. `clock` takes what is uneven."""
    if table.times is None:
        return table.values[rows]
    order = rows[np.argsort(table.times[rows], kind="stable")]
    times, starts = np.unique(table.times[order], return_index=True)
    values = table.values[order]
    if len(times) < len(rows):
        clock.doubled[key] = len(rows) - len(times)
        there = ~np.isnan(values)
        counts = np.add.reduceat(there.astype(np.float64), starts)
        with np.errstate(invalid="ignore", over="ignore"):
            sums = np.add.reduceat(np.where(there, values, 0), starts)
        sums[np.isnan(sums)] = np.inf  # of infinite values, which encoding refuses
        values = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    gaps = np.diff(times)
    if len(gaps):
        usual = float(np.median(gaps))
        clock.gaps.append(usual)
        uneven = int((np.abs(gaps - usual) > _EVEN * usual).sum())
        if uneven:
            clock.uneven[key] = uneven, len(gaps)
    return values


def _named(values: NDArray[np.float64], channels: Sequence[str]) -> NDArray[Any]:
    """`(T, C)` → `(T,)` with named fields."""
    series = np.empty(len(values), dtype=[(name, np.float64) for name in channels])
    for place, name in enumerate(channels):
        series[name] = values[:, place]
    return series


# --- What is said ----------------------------------------------------------------------------------------------------


def _clock_notes(clock: _Clock, total: int) -> list[str]:
    notes = []
    if clock.doubled:
        first = next(iter(clock.doubled))
        what = f"in {len(clock.doubled):,} of {total:,} series times come twice or more"
        notes.append(
            f"{what} ({plural(sum(clock.doubled.values()), 'row')} too many; the first: {first!r}, "
            f"{clock.doubled[first]:,}): the values of one time are averaged"
        )
    if clock.uneven:
        first, (uneven, gaps) = next(iter(clock.uneven.items()))
        what = f"the steps of {len(clock.uneven):,} of {total:,} series are not evenly spaced in time"
        notes.append(f"{what} (the first: {first!r}, {uneven:,} of {gaps:,} gaps): they are taken as they come")
    if clock.gaps and max(clock.gaps) > min(clock.gaps) * (1 + _EVEN):
        notes.append(f"the usual gap between steps differs between series: {min(clock.gaps):g} to {max(clock.gaps):g}")
    return notes


def _short_notes(found: Found, series_id: str) -> list[str]:
    if found.series and max(map(len, found.series.values())) == 1:
        return [f"every series has one row alone: is {series_id!r} the column that says which rows belong together?"]
    return []
