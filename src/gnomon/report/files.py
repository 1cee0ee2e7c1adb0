"""Reads a run directory, however far the run came: what is absent or damaged is named, and stops nothing.

Unlike the rest of Gnomon this reads leniently: fields that it does not know are passed over, so that a report can be
written for a run of another version too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from ..errors import RunError
from ..rundir.run import (
    DATA,
    DECIDING,
    DUPLICATES,
    ENVIRONMENT,
    EXAMPLES,
    JUDGED,
    JUDGED_SEALS,
    METRICS,
    MISTAKES,
    MODEL,
    NETWORK,
    PLAN,
    RECIPE,
    SEALS,
    SLICES,
    SPECIMENS,
    SPEED,
    SUSPECTS,
    TEST,
    VALIDATION,
    most_bytes,
)
from ..rundir.seals import broken_seals, read_file, without_check
from ..types import Decision, Event, SetAside
from .shapes import Evaluation, Explanations, Mistake, NearDuplicates, Slices, SpecimensOfCell, Speed, Suspects
from .words import Said, say

T = TypeVar("T")
_LONGEST_LINE: Final = 2**22

CONTENTS: Final[dict[str, Said]] = {
    DATA: say("the data that was found"),
    PLAN: say("the plan"),
    ENVIRONMENT: say("the machine and the versions"),
    RECIPE: say("the recipe"),
    METRICS: say("the course of the training"),
    TEST: say("the judgement on the test part"),
    VALIDATION: say("the judgement on the validation part"),
    MISTAKES: say("the most confident mistakes"),
    NETWORK: say("the network’s layers"),
    MODEL: say("the model file"),
}
"""The files that every report is made of, and what each holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates:
    """Rows that stand in the data more than once: groups of them, rows in those groups, and examples of keys."""

    groups: int = 0
    rows: int = 0
    across_labels: int = 0
    across_splits: int = 0
    examples: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """So many rows were used, `of` so many, and why; `asked_for` by the user, or for want of time."""

    rows: int
    of: int
    reason: str = ""
    asked_for: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """data.json. `counts` holds rows per class for each part, in the order of `classes`."""

    name: str
    classes: tuple[str, ...]
    kind: str = "image"
    question: str = "classify"
    counts: dict[str, tuple[int, ...]] = field(default_factory=dict)
    split_origin: str = ""
    notes: tuple[str, ...] = ()
    set_aside: tuple[SetAside, ...] = ()
    input_shape: tuple[int, ...] = ()
    encoder: dict[str, object] = field(default_factory=dict)
    duplicates: Duplicates | None = None
    drawn: Drawn | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of the number of steps while training."""

    step: int
    steps_before: int
    steps: int
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFile:
    """plan.json. `planned_s` is 0 where no deadline was given."""

    decisions: tuple[Decision, ...]
    steps: int = 0
    batch: int = 0
    planned_s: float | None = 0.0
    history: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer of the network."""

    name: str
    kind: str = ""
    parameters: int = 0
    output_shape: tuple[int, ...] | None = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """network.json."""

    model: str
    parameters: int = 0
    bytes: int = 0
    layers: tuple[Layer, ...] = ()


@dataclass(frozen=True, slots=True)
class RunFiles:
    """All that a report is made of; None (or empty) where a file is not there.

    Attributes:
        name: the run directory's own name, without its path.
        events: of metrics.jsonl, in the order of writing.
        model_bytes: size of the model file.
        missing: names of the files that are not there.
        specimens, slices, suspects, near, explanations, speed: of runs that have them; their absence is no fault.
        damaged: names of the files that can't be read, and why.
    """

    name: str
    data: Data | None
    plan: PlanFile | None
    environment: dict[str, str | int | float | bool | None] | None
    recipe: str | None
    events: tuple[Event, ...]
    test: Evaluation | None
    validation: Evaluation | None
    mistakes: tuple[Mistake, ...] | None
    specimens: tuple[SpecimensOfCell, ...]
    slices: Slices | None
    suspects: Suspects | None
    near: NearDuplicates | None
    explanations: Explanations | None
    speed: Speed | None
    network: Network | None
    model_bytes: int | None
    missing: tuple[str, ...]
    damaged: tuple[tuple[str, str], ...]


def read_run(directory: Path) -> RunFiles:
    """Read what is there.

    Raises:
        RunError: `directory` is not a directory.
    """
    if not directory.is_dir():
        raise RunError(f"{str(directory)!r} is not a run directory", remedy="Name a folder that `gnomon train` made.")
    damaged: list[tuple[str, str]] = []

    def load(name: str, kind: type[T]) -> T | None:
        return _load(directory / name, kind, name, damaged)

    model = directory / MODEL
    return RunFiles(
        name=directory.resolve().name,
        data=load(DATA, Data),
        plan=load(PLAN, PlanFile),
        environment=load(ENVIRONMENT, dict[str, str | int | float | bool | None]),
        recipe=_text(directory / RECIPE, RECIPE, damaged),
        events=_events(directory / METRICS, damaged),
        test=_whole(load(TEST, Evaluation)),
        validation=_whole(load(VALIDATION, Evaluation)),
        mistakes=load(MISTAKES, tuple[Mistake, ...]),
        specimens=load(SPECIMENS, tuple[SpecimensOfCell, ...]) or (),
        slices=load(SLICES, Slices),
        suspects=load(SUSPECTS, Suspects),
        near=load(DUPLICATES, NearDuplicates),
        explanations=load(EXAMPLES, Explanations),
        speed=load(SPEED, Speed),
        network=load(NETWORK, Network),
        model_bytes=model.stat().st_size if model.is_file() else None,
        missing=tuple(name for name in CONTENTS if not (directory / name).is_file()),
        damaged=(*damaged, *_unsealed(directory)),
    )


def _unsealed(directory: Path) -> list[tuple[str, str]]:
    """What is not as it was sealed."""
    faults = [*broken_seals(directory, SEALS, DECIDING), *broken_seals(directory, JUDGED_SEALS, JUDGED, grows=METRICS)]
    return [(name, what) for name, _, what in (fault.partition(" ") for fault in faults)]


def _text(path: Path, name: str, damaged: list[tuple[str, str]]) -> str | None:
    try:
        return read_file(path, most=most_bytes(name)).decode("utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        damaged.append((name, f"can't be opened: {error.strerror}"))
        return None


def _load(path: Path, kind: type[T], name: str, damaged: list[tuple[str, str]]) -> T | None:
    text = _text(path, name, damaged)
    if text is None:
        return None
    try:
        # The standard decoder takes NaN, and names with bytes that are not UTF-8 (lone surrogates); msgspec's doesn't.
        return msgspec.convert(json.loads(text), kind)
    except (ValueError, msgspec.ValidationError, RecursionError) as error:
        damaged.append((name, str(error)))
        return None


def _whole(evaluation: Evaluation | None) -> Evaluation | None:
    """Without a confusion matrix that does not belong to its classes, which would be read wrongly."""
    if evaluation is None:
        return None
    size = len(evaluation.classes)
    if len(evaluation.confusion) == size and all(len(row) == size for row in evaluation.confusion):
        return evaluation
    return replace(evaluation, confusion=())


def _events(path: Path, damaged: list[tuple[str, str]]) -> tuple[Event, ...]:
    text = _text(path, METRICS, damaged) or ""
    lines, _, torn = text.rpartition("\n")
    unreadable: list[int] = []
    events = tuple(_parsed(lines.split("\n") if lines else [], unreadable))
    last = tuple(_parsed([torn], []))  # a line that a crash cut short is no damage
    if unreadable:
        damaged.append((METRICS, f"{len(unreadable):,} unreadable lines, the first is line {unreadable[0]:,}"))
    return events + last


def _parsed(lines: list[str], unreadable: list[int]) -> Iterator[Event]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            if len(line) > _LONGEST_LINE:
                raise ValueError("longer than any event")
            bare = without_check(line.encode())
            fields = json.loads("" if bare is None else bare)
            # JSON has no NaN: a loss that is not a number is written as null.
            known = {"score" if k == "accuracy" else k: math.nan if v is None else v for k, v in fields.items()}
            yield msgspec.convert(known, Event)
        except (ValueError, msgspec.ValidationError, AttributeError, RecursionError):
            unreadable.append(number)
