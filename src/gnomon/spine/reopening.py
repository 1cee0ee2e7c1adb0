"""A run's data and surroundings when it goes on: the same as they were, or what is not."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Generator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import torch

from ..deadline import Deadline, process_start_s, spoken
from ..errors import RunError
from ..planning.hardware import TIMESTAMP, surroundings
from ..planning.plan import RESERVE_FIXED_S, Plan
from ..rows.dataset import Dataset, DataSummary
from ..rows.sample import sampled
from ..rundir.checkpoints import Position
from ..rundir.run import DATA, ENVIRONMENT, RECIPE, SPLIT, Run
from ..sources import BUILT_IN, open_source
from ..sources.cells import unprotected
from ..training.launch import digest_of
from ..types import Event, Row, listed, plural, returned
from ..version import VERSION
from .opening import NOTHING, InMemory
from .reading import read_dataset
from .recipe import Recipe, parse_recipe

_RESERVE_SHARE: Final = 0.1
_REMEDY: Final = "Bring the data back as they were, or train anew."


def recipe_of(run: Run) -> Recipe:
    """What was asked of a run. Data that were named from the folder of then are looked for from the run upwards, where
    they are not to be found from the folder of now.
    """
    recipe = parse_recipe(run.read_text(RECIPE))
    named = Path(recipe.source.location).expanduser()
    if named.is_absolute() or named.exists() or recipe.source.location in BUILT_IN:
        return recipe
    found = next((str(folder / named) for folder in run.path.resolve().parents if (folder / named).exists()), None)
    if found is None:
        return recipe
    return msgspec.structs.replace(recipe, source=msgspec.structs.replace(recipe.source, location=found))


def reopen_dataset(
    run: Run, recipe: Recipe, deadline: Deadline, *, given: InMemory = NOTHING
) -> Generator[Event, None, Dataset]:
    """The data set of a run, at the size that was chosen then.

    Args:
        run: that was planned.
        recipe: of it.
        deadline: the clock.
        given: rows in memory.

    Raises:
        RunError: the data have changed since; it says what has.
    """
    if given.opened is not None:
        return given.opened.dataset
    before = run.read_json(DATA, DataSummary)
    source = open_source(recipe.source) if given.source is None else given.source
    then = sampled(source, before.drawn)
    if before.fingerprint != then.fingerprint:
        what = _changes(_rows_of(run), then.rows) or _touched(run, recipe.source.location, then.rows)
        raise RunError(f"the data {before.name!r} have changed since this run began: {what}", remedy=_REMEDY)
    clock = Deadline(deadline.start_s)  # the pace of decoding is of no matter: without all rows nothing goes on
    return (yield from read_dataset(source, recipe, clock, before=before))


def read_again(recipe: Recipe, before: DataSummary, split: str, *, whose: str) -> Dataset:
    """The data set that another process has, read from the same place and encoded in the same way.

    Args:
        recipe: of both.
        before, split: as the other process has it, and the digest of that.
        whose: the other process, for the message.

    Raises:
        RunError: the rows, their parts or their encoding are others here.
    """
    source, clock = open_source(recipe.source), Deadline(time.monotonic())
    dataset = returned(read_dataset(source, recipe, clock, before=before))
    if digest_of(dataset) != split or dataset.encoder != before.encoder:
        raise RunError(f"its data are not those of {whose}", remedy="Give all machines the same files.")
    return dataset


def on_this_machine(plan: Plan) -> Plan:
    """The plan for the device that is here: where the GPU it was made for is not, the processor."""
    absent = plan.device.startswith("cuda") and not torch.cuda.is_available()
    return msgspec.structs.replace(plan, device="cpu") if absent else plan


def by_deadline(plan: Plan, deadline: Deadline) -> Plan:
    """The plan with its training's end moved to a new deadline, or to none: then all planned steps are made."""
    if not deadline.is_set:
        return msgspec.structs.replace(plan, end_s=0.0)
    known = plan.planned_s - plan.end_s if plan.end_s else 0.0
    reserve_s = known or RESERVE_FIXED_S + _RESERVE_SHARE * deadline.total_s
    return msgspec.structs.replace(plan, end_s=deadline.total_s - reserve_s)


def deadline_of_then(run: Run, deadline: Deadline) -> Deadline:
    """For a run that was never planned: the time that it was given, counted from now; unless another one is given."""
    by_s = _environment(run).get("by_s")
    if deadline.is_set or not isinstance(by_s, int | float):
        return deadline
    return Deadline(deadline.start_s, deadline.start_s + by_s)


def deadline_of_start(run: Run, deadline: Deadline) -> Deadline:
    """For a run that is started again by itself: the end that was meant when it began."""
    environment = _environment(run)
    by_s, started = environment.get("by_s"), environment.get("started")
    if not isinstance(by_s, int | float) or not isinstance(started, str):
        return deadline
    over_s = time.time() - datetime.strptime(started, TIMESTAMP).timestamp()
    return Deadline(deadline.start_s, time.monotonic() + by_s - over_s)


def what_differs(run: Run, plan: Plan, position: Position) -> tuple[str, ...]:
    """What keeps the bits from being those of the run that was never stopped; kept in `environment.json`."""
    found = position.made.differences(surroundings(plan.device, version=VERSION))
    if found:
        environment = _environment(run)
        entry = {"step": position.step, "when": time.strftime(TIMESTAMP), "changed": found}
        environment["went_on"] = [*environment.get("went_on", ()), entry]
        run.rewrite_json(ENVIRONMENT, environment)
    return found


def where_it_goes_on(position: Position, plan: Plan, deadline: Deadline) -> str:
    """For people: from which step, and what that means for the time."""
    steps = position.history[-1].steps if position.history else plan.steps
    text = f"going on from step {position.step:,} of {steps:,}"
    if position.remaining_s is None or deadline.is_set or position.step >= steps:
        return text
    total_s = position.elapsed_s + position.remaining_s
    return (
        f"{text}, saved after {spoken(position.elapsed_s)} of {spoken(total_s)}; "
        "all planned steps are made, however long they take (--by sets a new deadline)"
    )


def _environment(run: Run) -> dict[str, Any]:
    return run.read_json(ENVIRONMENT, dict[str, Any]) if run.has(ENVIRONMENT) else {}


def _rows_of(run: Run) -> dict[str, str]:
    """Key → label of the rows that the run saw."""
    table = csv.DictReader(io.StringIO(run.read_text(SPLIT)))
    return {unprotected(row.get("key") or ""): unprotected(row.get("label") or "") for row in table}


def _changes(before: Mapping[str, str], rows: Sequence[Row]) -> str:
    """Rows that are gone, new, or have another label; empty where there are none."""
    now = {row.key: row.label for row in rows}
    gone = [key for key in before if key not in now]
    new = [key for key in now if key not in before]
    other = [f"{key} is {now[key]!r}, not {label!r}" for key, label in before.items() if now.get(key, label) != label]
    said = [
        f"{plural(len(names), 'row')} {are} {word} ({listed(names)})"
        for names, word in ((gone, "gone"), (new, "new"), (other, "labelled otherwise"))
        if names
        for are in ("is" if len(names) == 1 else "are",)
    ]
    return "; ".join(said)


def _touched(run: Run, location: str, rows: Sequence[Row]) -> str:
    """The rows are the same; which of their files were written after the run had seen them, as far as can be told."""
    seen_ns = (run.path / SPLIT).stat().st_mtime_ns
    place = Path(location)
    files = {row.key: place / row.key for row in rows} if place.is_dir() else {place.name: place}
    later = [name for name, path in files.items() if _modified_ns(path) > seen_ns]
    if later:
        return f"{listed(later)} {'was' if len(later) == 1 else 'were'} written since"
    return "a file has another size or time than then"


def _modified_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def dataset_of(run: Run, *, given: InMemory = NOTHING) -> Dataset:
    """The data set of a run, read again and encoded as then.

    Raises:
        RunError: the data have changed since; it says what has.
    """
    return returned(reopen_dataset(run, recipe_of(run), Deadline(process_start_s()), given=given))
