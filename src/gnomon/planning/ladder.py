"""Networks of growing cost, and what was measured of them: which one is best for so many passes over so many rows.

The shape and the numbers come from `benchmarks/scaling.py`; RESULTS.md has the table. A narrow first stage and a deep
last one learn most for their cost: at full resolution a filter costs most and sees least.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import msgspec

from ..models import Cnn, Crnn, Ensemble, LinearDeep, ModelSpec, Rnn, TextCnn, WideDeep
from ..optim import OptimizerSpec
from ..types import DataSpec
from .hardware import Format

_WIDTHS: Final = (
    *((8, 16, 32), (16, 32, 64), (16, 64, 128), (32, 96, 192)),
    *((32, 128, 256), (64, 192, 384), (64, 256, 512), (128, 512, 768)),
)
_DEPTHS: Final = (1, 2, 3)
_STEM: Final = 24
"""Filters of a stem that does not stride: as good as 32, and what comes after it up to 4 % quicker (RESULTS.md)."""
_MEASURED_ROWS: Final = 47_500
_EPOCHS: Final = (0.0, 0.5, 1.25, 4.0, 6.0, 10.0, 18.0, 40.0)
"""Passes over 47,500 rows from which a network of the ladder is better than the one before it."""
_STEPS: Final = (0, 90, 230)
"""Steps without which it is not, however few the rows; from the third network on as many as for that."""
_MOST_EPOCHS: Final = 40.0
_SMALLEST_SHRUNK: Final = 24
_MEAN_COST: Final = 0.76
_HARDLY_MORE: Final = 1.2
_MOST_ROWS: Final = 256
_ALONE_FROM: Final = 12.0
"""Passes from which on networks tell recordings by themselves."""
_MEMBERS: Final = ((1, 2.0), (2, 6.0), (4, 12.0), (8, 24.0), (16, 60.0))
"""Networks for texts that answer together, and passes from which so many are better than fewer: each row of a batch
trains one of them, and one that sees its rows more than about four times learns them by heart."""


@dataclass(frozen=True, slots=True)
class Speed:
    """What a probe measured of one model.

    Attributes:
        step_s: seconds of one training step.
        rows_per_s: of a forward pass in float32, without views.
        optimizer_s: the optimizer's part of the step, which does not grow with the rows.
    """

    step_s: float
    rows_per_s: float
    optimizer_s: float = 0.0


Probe: TypeAlias = Callable[[ModelSpec, int, Format], Speed]
"""(model, batch, format) → its speed on this machine."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One network of the ladder.

    Attributes:
        model: the network.
        passes: over the training rows, from which on it is better than the rung below.
        steps: without which it is not.
    """

    model: ModelSpec
    passes: float
    steps: int = 0

    def wanted(self, batch: int, rows: int) -> float:
        """Passes over `rows` that it must have, where a step of one network has `batch` of them."""
        return max(self.passes, self.steps * batch_for(self.model, batch) / max(1, rows))


def ladder(spec: DataSpec) -> list[Rung]:
    """Networks of growing cost for this data, smallest first."""
    if spec.kind == "text":
        return networks_for_texts(spec)
    if spec.kind != "image":
        rungs = networks_for_recordings() if spec.kind == "sound" else networks_for_series()
        return [_beside_linear(rung, spec) for rung in rungs]
    networks = networks_for_pictures(spec.input_shape)
    return [
        Rung(model, wanted_epochs(position, spec.num_train), _STEPS[min(position, len(_STEPS) - 1)])
        for position, model in enumerate(networks)
    ]


def networks_for_pictures(input_shape: tuple[int, ...]) -> list[Cnn]:
    """Large pictures enter through a stem that strides; stages halve what is left until about 4×4. A single stage has
    three convolutions, so that the last of them sees the whole of a tiny picture.
    """
    side = min(input_shape[1:])
    stride = 1 if side < 96 else 2 if side < 192 else 4
    stages = min(4, max(1, round(math.log2(max(side, 8) / stride / 4))))
    return [
        Cnn(
            widths=(*widths, widths[-1]) if stages == 4 else widths[3 - stages :],
            convolutions=(1, 2, 2, 3) if stages == 4 else _DEPTHS[3 - stages :],
            stem_width=_STEM if stride == 1 else Cnn().stem_width,
            stem_stride=stride,
            stem_activation="relu",
        )
        for widths in _WIDTHS
    ]


def networks_for_texts(spec: DataSpec) -> list[Rung]:
    """Convolutions over words, more networks of them the more time; for classes, beside the linear model on words and
    groups of them that small sets need.
    """
    if spec.question != "classify":
        deep = [TextCnn(embedding=size, filters=size) for size in (32, 64, 128)]
        return [Rung(network, passes) for network, passes in zip(deep, (0.0, 4.0, 8.0), strict=True)]
    small, usual = (TextCnn(embedding=size, filters=size) for size in (32, 64))
    return [
        Rung(WideDeep(deep=small, lengths=True), 0.0),
        *(Rung(WideDeep(deep=Ensemble((usual,), times=times), lengths=True), passes) for times, passes in _MEMBERS),
    ]


def networks_for_recordings() -> list[Rung]:
    """Convolutions over time and bands and a recurrent layer; with time, beside others that have none."""
    small, usual, wide = (Crnn(widths=(size, 2 * size, 4 * size), units=4 * size, dimensions=2) for size in (8, 16, 32))
    return [
        Rung(small, 0.0),
        Rung(usual, 4.0),
        Rung(Ensemble((usual, _without_recurrence(usual))), 12.0),
        Rung(Ensemble((wide, _without_recurrence(wide))), 100.0),
    ]


def networks_for_series() -> list[Rung]:
    """A recurrent network; with time, beside one of convolutions over time, and more of both."""
    small, usual, wide = (Rnn(cell="lstm", width=size, tokens=False) for size in (32, 64, 128))
    few, many = (Crnn(widths=(size, 2 * size), cell="none", dimensions=1) for size in (32, 64))
    return [
        Rung(small, 0.0),
        Rung(usual, 5.0),
        Rung(Ensemble((usual, few)), 20.0),
        Rung(Ensemble((usual, few), times=2), 60.0),
        Rung(Ensemble((wide, many), times=2), 500.0),
    ]


def _beside_linear(rung: Rung, spec: DataSpec) -> Rung:
    """Numbers and classes of series always; classes of recordings where time is for few passes, after which a network
    alone knows less (RESULTS.md).
    """
    assert isinstance(rung.model, Rnn | Crnn | Ensemble), "rungs of sequences"
    alone = spec.question == "classify" and spec.kind == "sound" and rung.passes >= _ALONE_FROM
    if spec.question == "tag" or alone:
        return rung
    return Rung(LinearDeep(rung.model, residual=spec.question == "regress"), rung.passes)


def _without_recurrence(network: Crnn) -> Crnn:
    return msgspec.structs.replace(network, cell="none", pooling="max")


def batch_for(model: ModelSpec, batch: int) -> int:
    """Rows of a step: of networks that answer together each gets as many as one would alone, up to 256 in all."""
    inner = model.deep if isinstance(model, LinearDeep) else model
    members = inner.times * len(inner.members) if isinstance(inner, Ensemble) else 1
    return max(batch, min(_MOST_ROWS, batch * members))


def wanted_epochs(rung: int, rows: int) -> float:
    """Passes that a rung needs to be worth its cost; fewer rows must be seen more often."""
    return min(_MOST_EPOCHS, _EPOCHS[rung] * math.pow(_MEASURED_ROWS / max(1, rows), 0.6))


def is_shrunk(spec: DataSpec) -> bool:
    """Whether pictures of this size are small in the first part of a training, unless asked otherwise."""
    return min(spec.input_shape[1:]) >= _SMALLEST_SHRUNK


def climb(
    spec: DataSpec, left_s: float, *, probe: Callable[[ModelSpec], Speed], batch: int, most_s: float
) -> tuple[ModelSpec, Speed, str]:
    """The network for this data and time, its speed, and why: up the ladder while the next one is worth it, or hardly
    costs more.

    Args:
        spec: the data.
        left_s: seconds for probing and training.
        probe: measures a network.
        batch: rows of a step of one network.
        most_s: seconds after which no further network is measured.
    """
    began_s, rungs = time.monotonic(), ladder(spec)
    mean_cost = 1.0 if spec.kind == "image" and not is_shrunk(spec) else _MEAN_COST

    def passes(speed: Speed, model: ModelSpec) -> float:
        """Over all rows in the time that is left, of the cost that they have on the mean."""
        seconds = left_s - (time.monotonic() - began_s)
        return seconds / (speed.step_s * mean_cost) * batch_for(model, batch) / spec.num_train

    place, speed = _first_rung(spec, rungs, probe, passes, batch)
    for position, rung in enumerate(rungs[place + 1 :], place + 1):
        best, wanted = rungs[position - 1].model, rung.wanted(batch, spec.num_train)
        name = describe_model(rung.model)
        if passes(speed, best) < wanted:  # a dearer one is not even tried
            return best, speed, f"the next larger one, {name}, needs {wanted:.1f} passes and more time"
        if time.monotonic() - began_s > most_s:
            return best, speed, f"the largest that could be measured in {most_s:.1f} s"
        next_speed = probe(rung.model)
        possible = passes(next_speed, rung.model)
        if possible < wanted and possible * _HARDLY_MORE < passes(speed, best):
            reason = f"{name} is better from {wanted:.1f} passes on, and there is time for {possible:.1f}"
            return best, speed, f"the next larger one, {reason}"
        speed = next_speed
    return rungs[-1].model, speed, "the largest of the ladder"


def rung_beside(spec: DataSpec, model: ModelSpec, rungs: int) -> ModelSpec:
    """The network so many rungs above this one; the last one where the ladder ends."""
    models = [rung.model for rung in ladder(spec)]
    return models[max(0, min(len(models) - 1, models.index(model) + rungs))]


def with_passes(probe: Probe, optimizer: OptimizerSpec) -> Probe:
    """The probe for a method that takes the gradient twice a step: all but the optimizer's part counts twice."""

    def twice(model: ModelSpec, batch: int, number_format: Format) -> Speed:
        speed = probe(model, batch, number_format)
        return replace(speed, step_s=2 * speed.step_s - speed.optimizer_s)

    return twice if optimizer.sharpness else probe


def shared(probe: Probe, processes: int) -> Probe:
    """The probe for processes that share each batch: each makes the optimizer's part, and they exchange gradients."""

    def together(model: ModelSpec, batch: int, number_format: Format) -> Speed:
        speed = probe(model, batch, number_format)
        compute_s = (speed.step_s - speed.optimizer_s) / processes
        return replace(speed, step_s=compute_s + speed.optimizer_s)

    return together if processes > 1 else probe


def describe_model(model: ModelSpec) -> str:
    """`cnn 16-64-128`."""
    match model:
        case Cnn():
            return f"cnn {'-'.join(map(str, model.widths))}"
        case TextCnn():
            return f"textcnn {model.filters}×{len(model.widths)}"
        case Rnn():
            size = f"{model.layers} × {model.width}" if model.layers > 1 else f"{model.width}"
            return f"{'bidirectional ' if model.bidirectional else ''}{model.cell} {size}"
        case Crnn():
            widths = "-".join(map(str, model.widths))
            return f"seqcnn {widths}" if model.cell == "none" else f"crnn {widths}, {model.cell} {model.units}"
        case Ensemble():
            names = " + ".join(map(describe_model, model.members))
            names = f"({names})" if len(model.members) > 1 and model.times > 1 else names
            return f"{model.times} × {names}" if model.times > 1 else names
        case LinearDeep():
            return f"linear + {describe_model(model.deep)}"
        case WideDeep(deep=None):
            return "wide"
        case WideDeep():
            return f"wide + {describe_model(model.deep)}" if model.deep else "wide"
        case _:
            return type(model).__name__.lower()


def products_of(model: ModelSpec, spec: DataSpec) -> int:
    """Multiplications in one forward pass of a row; 0 where the model does not say."""
    counts = getattr(model, "products", None)
    return counts(spec.input_shape) if counts else 0


def _first_rung(
    spec: DataSpec,
    rungs: Sequence[Rung],
    probe: Callable[[ModelSpec], Speed],
    passes: Callable[[Speed, ModelSpec], float],
    batch: int,
) -> tuple[int, Speed]:
    """Where to begin: the highest rung that is worth it even if its products cost as much as those of the lowest.

    They cost less in larger networks, so that what is skipped would have been climbed over.
    """
    speed = probe(rungs[0].model)
    products = [products_of(rung.model, spec) for rung in rungs]
    wanted = [rung.wanted(batch, spec.num_train) for rung in rungs]
    worth = [
        position
        for position in range(1, len(rungs))
        if passes(speed, rungs[0].model) * products[0] / products[position] >= wanted[position]
    ]
    if worth:
        highest = rungs[worth[-1]].model
        higher = probe(highest)
        if passes(higher, highest) >= wanted[worth[-1]]:
            return worth[-1], higher
    return 0, speed
