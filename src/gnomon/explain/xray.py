"""A run and some rows → everything that the X-ray page shows, and the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from ..encoders import kind_of
from ..errors import RecipeError
from ..predicting.modelfile import Model
from ..previews import preview
from ..rows.dataset import Dataset
from ..rundir.run import XRAY, Run
from ..tasks import Regress
from .addends import addends_of, linear_part
from .attribution import attribute, methods_for
from .bank import Bank, bank_of, bank_rows, steps_there
from .cells import VALUES, unrolled
from .columns import Column, columns_of
from .course import course_of
from .examples import judged, seconds_of
from .findings import findings
from .follow import Followed
from .inputs import Subject, inputs_of, subject_of
from .packing import Packed, Packer
from .pictures import heat, strips
from .rows import answered_outputs, is_spaced, token_pieces
from .sheet import Layer, PageRow, Sheet, States
from .xray_page import xray_page

MOST_BYTES: Final = 3_300_000
"""Of the packed numbers, before they are compressed and written as text."""

_MOST_UNITS: Final = {"maps": 16, "strips": 24, "vector": 64}
_MOST_STATES: Final = 32
_SIDE: Final = 64
_MOST_INPUTS: Final = 140_000
_MOST_WEIGHTS: Final = 160_000
_MOST_ANSWERS: Final = 5
_MOST_CURVE_STEPS: Final = 128
_THUMBNAIL: Final = 64


def write_xray(run: Run, dataset: Dataset, model: Model, rows: Sequence[Followed]) -> Path:
    """Write `xray.html` into the run directory. Returns its path.

    Raises:
        RunError: it can't be written.
    """
    sheet, numbers = sheet_of(run, dataset, model, rows)
    run.write(XRAY, xray_page(sheet, numbers))
    return run.path / XRAY


def sheet_of(run: Run, dataset: Dataset, model: Model, rows: Sequence[Followed]) -> tuple[Sheet, str]:
    """What the page shows, and its numbers as text.

    Args:
        run: for its title and the course of the training.
        dataset: whose training rows are looked up.
        model: the network.
        rows: to be followed, the most wanted first; those that would make the page too large are left out.

    Raises:
        RecipeError: no layer was seen that can be shown.
    """
    packer = Packer()
    subjects = [subject_of(model, row.encoded) for row in rows]
    traces = [columns_of(model.network, subject.whole) for subject in subjects]
    if not traces[0] and linear_part(model.network) is None:
        raise RecipeError(
            "nothing that this network does can be shown: no convolution, no dense, recurrent or other layer was seen",
            remedy="gnomon explain tells what its answers rest on.",
        )
    bank = bank_of(dataset, model)
    units = _units(traces)
    layers = [_layer(packer, bank, traces[0], number, units) for number in range(len(traces[0]))]
    made: list[PageRow] = []
    for row, subject, columns in zip(rows, subjects, traces, strict=True):
        before = packer.size
        made.append(_page_row(packer, bank, row, subject, columns, units))
        if packer.size + (packer.size - before) > MOST_BYTES:
            break
    task = model.header.task
    sheet = Sheet(
        title=run.path.resolve().name,
        kind=kind_of(model.header.encoder),
        question=dataset.spec.question,
        model=type(model.header.model).__name__,
        members=_members(traces[0]),
        outputs=task.classes,
        parameters=sum(weights.numel() for weights in model.network.parameters()),
        products=sum(step.products for column in traces[0] for step in column.steps),
        layers=tuple(layers),
        rows=tuple(made),
        bank=bank_rows(bank, dataset, side=_THUMBNAIL),
        course=course_of(run, model, [row.encoded for row in rows[: len(made)]], packer),
        spaced=is_spaced(model),
    )
    return sheet, packer.text()


def _members(columns: Sequence[Column]) -> tuple[str, ...]:
    """Names of the networks that are shown, by their numbers; "" where there is one."""
    last = max((column.member for column in columns), default=0)
    return tuple(f"{number + 1}" for number in range(last + 1)) if last else ("",)


def _units(traces: Sequence[Sequence[Column]]) -> list[NDArray[np.int64]]:
    """Of each column the units that are shown: those that differ most between rows and places.

    Where a column works unit by unit, they are those of the column before, so that one can be followed through.
    """
    chosen: list[NDArray[np.int64]] = []
    for number, column in enumerate(traces[0]):
        numbers = [columns[number].numbers(0) for columns in traces]
        before = _before(traces[0], number)
        if before >= 0 and traces[0][before].numbers(0).shape[0] == len(numbers[0]):
            chosen.append(chosen[before])
            continue
        most = _MOST_UNITS[column.look]
        spread = np.mean([part.reshape(len(part), -1).std(axis=1) for part in numbers], axis=0)
        if column.look == "vector":
            spread = np.abs(np.stack([part.ravel() for part in numbers])).mean(axis=0)
        best = np.argsort(-spread, kind="stable")[:most]
        chosen.append(np.sort(best) if len(spread) <= most else best)
    return chosen


def _before(columns: Sequence[Column], number: int) -> int:
    """The column of the same network whose units this one works on one by one; −1 where there is none."""
    if not columns[number].by_unit:
        return -1
    same = [place for place in range(number) if columns[place].member == columns[number].member]
    wanted = columns[number].steps[0].inputs.shape[1:2]
    fitting = [place for place in same if columns[place].numbers(0).shape[0] in wanted]
    return fitting[-1] if fitting else (same[-1] if same and columns[number].work == "reduction" else -1)


def _layer(
    packer: Packer, bank: Bank, columns: Sequence[Column], number: int, units: Sequence[NDArray[np.int64]]
) -> Layer:
    column, shown = columns[number], units[number]
    first = column.steps[0]
    numbers = column.numbers(0)
    weight, bias, offsets = _weights(packer, column, shown)
    has_top = column.work not in ("pooling", "embedding") and number < len(bank.most)
    window = first.weight.shape[2:] if first.operation == "convolution" and first.weight is not None else ()
    return Layer(
        path=first.path if column.work != "activation" else column.steps[-1].path,
        work=column.work,
        detail=column.detail,
        member=column.member,
        look=column.look,
        shape=(numbers.shape[0], numbers.shape[1], numbers.shape[2]),
        units=tuple(shown.tolist()),
        parameters=sum(step.parameters for step in column.steps),
        products=sum(step.products for step in column.steps),
        before=_before(columns, number),
        stride=_pair(first.options.get("stride", ()), 1),
        padding=_pair(first.options.get("padding", ()), 0),
        dilation=_pair(first.options.get("dilation", ()), 1),
        window=_pair(tuple(window) or first.options.get("kernel", ()), 1),
        weight=weight,
        bias=bias,
        first=offsets,
        top=tuple(bank.top(number, int(unit)) for unit in shown) if has_top else (),
    )


def _pair(numbers: tuple[int, ...], default: int) -> tuple[int, int]:
    """Height and width; along time there is width alone."""
    if not numbers:
        return default, default
    return (numbers[0], numbers[1]) if len(numbers) > 1 else (default, numbers[0])


def _weights(
    packer: Packer, column: Column, shown: NDArray[np.int64]
) -> tuple[Packed | None, tuple[float, ...], tuple[int, ...]]:
    """Those of the shown units, their biases, and the first input channel of each; nothing where they are too many."""
    step = column.steps[0]
    if (
        step.weight is None
        or step.operation not in ("convolution", "dense")
        or step.options.get("padding", (0,))[0] < 0
    ):
        return None, (), ()
    if not _is_kept(column, step.inputs[0].numel()) or len(shown) * math.prod(step.weight.shape[1:]) > _MOST_WEIGHTS:
        return None, (), ()
    weight = step.weight.detach().float().cpu().numpy()[shown]
    if weight.ndim == 3:
        weight = weight[:, :, None, :]
    bias = () if step.bias is None else tuple(round(float(step.bias[int(unit)]), 5) for unit in shown)
    groups = step.options.get("groups", (1,))[0]
    size = len(step.weight) // groups
    return (
        packer.halves(weight),
        bias,
        tuple(int(unit) // size * weight.shape[1] for unit in shown) if groups > 1 else (),
    )


def _is_kept(column: Column, inputs: int) -> bool:
    """Whether what goes into it is kept, for arithmetic."""
    by_vector = column.work == "dense" and column.look == "vector"
    return (column.work == "convolution" or by_vector) and inputs <= _MOST_INPUTS


def _page_row(
    packer: Packer,
    bank: Bank,
    row: Followed,
    subject: Subject,
    columns: Sequence[Column],
    units: Sequence[NDArray[np.int64]],
) -> PageRow:
    model = subject.model
    answers = model.probabilities_of_encoded(row.encoded[None])
    said, confidence, right = judged(model, answers, row.truth)
    order = np.argsort(-answers[0], kind="stable")[:_MOST_ANSWERS]
    if isinstance(model.header.task, Regress):
        order = np.arange(len(answers[0]))[:_MOST_ANSWERS]
    output = answered_outputs(subject)[0]
    found = attribute(subject, output, methods_for(subject)[0])
    pieces = token_pieces(subject, found.values, row.tokens)
    shown = list(dict.fromkeys((output, *order.tolist())))
    why = findings(model, found, pieces, f"‘{model.classes[output]}’")
    return PageRow(
        key=row.key,
        label=row.label,
        predicted=said,
        confidence=confidence,
        right=right,
        answers=tuple((model.classes[index], round(float(answers[0, index]), 7)) for index in order),
        why=why[0] if why else None,
        maps=tuple(_map(packer, column, shown) for column, shown in zip(columns, units, strict=True)),
        inputs=tuple(_inputs(packer, column) for column in columns),
        states=tuple(_states(packer, bank, subject, columns)),
        on_the_way=_on_the_way(packer, subject),
        addends=addends_of(subject, shown, [piece.text for piece in pieces]),
        truth=int(row.truth) if row.truth is not None and np.ndim(row.truth) == 0 else -1,
        picture=strips(row.encoded, subject.length)
        if subject.kind == "series"
        else preview(model.header.encoder, row.encoded).png,
        heat="" if pieces else heat(subject.kind, found.values),
        tokens=pieces,
        sound=row.sound,
        seconds=seconds_of(model.header.encoder, row.encoded),
        steps=subject.length,
    )


def _map(packer: Packer, column: Column, shown: NDArray[np.int64]) -> Packed:
    """A column's shown units in 8 bits; maps of more than 64×64 are averaged down to that, for the eye alone."""
    numbers = column.numbers(0)[shown]
    if max(numbers.shape[1:]) > _SIDE and column.look == "maps":
        sides = (min(_SIDE, numbers.shape[1]), min(_SIDE, numbers.shape[2]))
        numbers = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(numbers), sides).numpy()
    return packer.eighths(numbers)


def _inputs(packer: Packer, column: Column) -> Packed | None:
    """What goes into a convolution or dense layer, in 16 bits."""
    numbers = column.steps[0].inputs[0].detach().float().cpu().numpy()
    if not _is_kept(column, numbers.size):
        return None
    if numbers.ndim == 2:
        numbers = numbers[:, None, :]
    return packer.halves(numbers.reshape(-1, 1, 1) if numbers.ndim == 1 else numbers)


def _states(packer: Packer, bank: Bank, subject: Subject, columns: Sequence[Column]) -> Iterable[States]:
    """Of each recurrent layer what its last layer holds, its gates, and moments that are alike."""
    for number, column in enumerate(columns):
        if column.work != "recurrent":
            continue
        step = column.steps[0]
        kept = steps_there(column, subject.length, subject.whole.shape[1])
        parts = unrolled(step.module, step.inputs[0, :kept].float())
        last = [part for part in parts if part.layer == parts[-1].layer] if parts else []
        if not last:
            continue
        values = torch.cat([part.values for part in last], dim=2).cpu().numpy()
        spread = values[0].std(axis=0)
        units = np.sort(np.argsort(-spread, kind="stable")[:_MOST_STATES])
        states = column.numbers(0)[:, 0, :kept].T
        yield States(
            layer=number,
            names=VALUES[last[0].cell],
            units=tuple(units.tolist()),
            values=packer.eighths(values[:, :, units].transpose(0, 2, 1)),
            similar=bank.similar(number, states),
        )


@torch.no_grad()
def _on_the_way(packer: Packer, subject: Subject) -> Packed | None:
    """What the answer would be if the row ended at each of its steps; of pictures nothing."""
    if not subject.length:
        return None
    encoder = subject.model.header.encoder
    ends = np.unique(np.linspace(1, subject.length, min(subject.length, _MOST_CURVE_STEPS)).astype(int))
    cut = np.repeat(subject.encoded[None], len(ends), axis=0)
    for place, end in enumerate(ends):
        cut[place, end:] = 0 if encoder.storage == "int32" else np.nan
    task = subject.model.header.task
    answers = [
        task.activated(subject.alone(part)) for part in torch.split(inputs_of(subject.model, cut), subject.rows_at_once)
    ]
    return packer.eighths(torch.cat(answers).float().cpu().numpy(), each=False)
