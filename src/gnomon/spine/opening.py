"""Data to plan on: read, split and encoded once, for any number of trainings; and the machine, measured once."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec
import torch
from torch import nn

from .. import chance
from ..augment import PROBED, mirror_symmetry
from ..batches import Rows, open_rows
from ..deadline import Deadline
from ..models import ModelSpec, Starts, fitted_to, set_recompute
from ..planning.hardware import Format, Hardware, measure_hardware
from ..planning.ladder import Speed, ladder
from ..rows.baseline import features_of
from ..rows.dataset import Dataset, dataset_notes
from ..rows.targets import as_classes
from ..shrinking.distil import taught
from ..sources import Source, open_source
from ..tasks import bind
from ..training.launch import threads_for
from ..training.probing import measure_speed
from ..training.train import build_model
from ..types import Decision, Event, Noted, Phased, plural
from .reading import read_dataset
from .recipe import Recipe

_SYMMETRY_ROWS: Final = 2500
_DEAR_SHARE: Final = 0.1


@dataclass(frozen=True, slots=True)
class InMemory:
    """What a Python caller hands over that no recipe can name.

    Attributes:
        source: rows, instead of the recipe's location.
        module: an untrained network, instead of one that the recipe's model builds.
        opened: data that are open already.
    """

    source: Source | None = None
    module: nn.Module | None = None
    opened: Opened | None = None


NOTHING: Final = InMemory()


@dataclass(frozen=True, slots=True)
class Opened:
    """Data to plan on, and the machine: what many trainings on the same rows share.

    Attributes:
        rows, validation: what is trained and judged on.
        symmetry: accuracy of a linear model on pictures as they are and mirrored.
        speeds: of the networks that were measured already, by (spec, batch, format, whether computed anew).
        starts: starting weights that were found already, by seed.
        teacher_s: what a teacher's answers to the training rows took.
    """

    dataset: Dataset
    hardware: Hardware
    rows: Rows
    validation: Rows
    symmetry: tuple[float, float]
    speeds: dict[tuple[bytes, int, Format, bool], Speed]
    starts: dict[int, Starts]
    teacher_s: float = 0.0


def open_data(recipe: Recipe, deadline: Deadline, *, given: InMemory = NOTHING) -> Generator[Event, None, Opened]:
    """Read, split and encode the rows, and measure the machine.

    Args:
        recipe: says where the rows are, how they are split and fitted, the device and the threads.
        deadline: for how large pictures can be.
        given: rows in memory.

    Raises:
        InputError: the data or the deadline can't be used.
    """
    if given.opened is not None:
        return given.opened
    yield Phased(name="reading", elapsed_s=deadline.elapsed_s())
    source = open_source(recipe.source) if given.source is None else given.source
    yield from (Noted(text=note) for note in source.notes)
    dataset = yield from read_dataset(source, recipe, deadline)
    yield from (Noted(text=note) for note in dataset_notes(dataset))
    return opened_for(dataset, recipe)


def opened_for(dataset: Dataset, recipe: Recipe) -> Opened:
    """The machine measured, and the parts of a data set opened. Sets the threads."""
    training = recipe.training
    hardware = measure_hardware(device=training.device, threads=threads_for(training))
    rows, validation = open_parts(dataset, hardware)
    began = time.monotonic()
    rows = taught(rows, training.teacher)
    teacher_s = time.monotonic() - began
    return Opened(dataset, hardware, rows, validation, _symmetry(dataset, recipe.seed), {}, {}, teacher_s)


def teaching(opened: Opened, deadline: Deadline) -> Iterator[Decision]:
    """What a teacher took of the time, if there is one: by a short deadline that costs more than it teaches
    (RESULTS.md)."""
    if not opened.rows.teacher:
        return
    share = opened.teacher_s / deadline.total_s if deadline.is_set else 0.0
    reason = "asked for"
    if share >= _DEAR_SHARE:
        reason = f"asked for; that is {share:.0%} of the time, in which a network may learn more by itself"
    answered = plural(len(opened.rows), "row")
    yield Decision(name="teacher", value=f"{answered} answered in {opened.teacher_s:.1f} s", reason=reason)


def probe_of(
    opened: Opened, module: nn.Module | None, *, recompute: bool = False
) -> Callable[[ModelSpec, int, Format], Speed]:
    """Measures a network the first time that it is asked for."""
    rows, device = opened.rows, opened.hardware.device
    task = bind(rows.dataset.spec)

    def probe(model: ModelSpec, batch: int, number_format: Format) -> Speed:
        key = (msgspec.json.encode(model), batch, number_format, recompute)
        known = opened.speeds.get(key)
        if known is None:
            made = build_model(model, rows, seed=0, device=device, module=module, started=False)
            set_recompute(made, recompute)
            augment = PROBED[rows.dataset.spec.kind]
            known = measure_speed(made, rows, task, batch=batch, number_format=number_format, augment=augment)
            opened.speeds[key] = known
        return known

    return probe


def find_starts(opened: Opened, model: ModelSpec | None, *, seed: int) -> Starts:
    """The weights that networks of texts start from: some seconds, which are to be gone before the plan is made.

    Args:
        opened: remembers them.
        model: asked for, or None for the ladder, of which nearly all networks start from the same.
        seed: of the training.
    """
    known, spec = opened.starts.setdefault(seed, {}), opened.dataset.spec
    if spec.kind == "text" and not known:
        usual = fitted_to(model, spec.kind, spec.question) if model else ladder(spec)[1].model
        build_model(usual, opened.rows, seed=seed, device=opened.hardware.device, known=known)
    return known


def open_parts(dataset: Dataset, hardware: Hardware) -> tuple[Rows, Rows]:
    """The rows to train and to validate on."""
    device = torch.device(hardware.device)
    return (
        open_rows(dataset, "train", device=device, free_bytes=hardware.free_bytes),
        open_rows(dataset, "validation", device=device, free_bytes=hardware.free_bytes),
    )


def _symmetry(dataset: Dataset, seed: int) -> tuple[float, float]:
    """Accuracy of a linear model on pictures as they are and mirrored; too few rows are taken as asymmetric."""
    if dataset.spec.kind != "image":
        return 1.0, 0.0
    rows = dataset.parts["train"][chance.permutation(seed, "symmetry", 0, len(dataset.parts["train"]))[:_SYMMETRY_ROWS]]
    if len(rows) < 16 or dataset.spec.input_shape[2] < 2:
        return 1.0, 0.0
    return mirror_symmetry(features_of(dataset.encoded, rows), as_classes(dataset.labels[rows]))
