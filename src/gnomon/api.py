"""Gnomon from Python: `run = gnomon.train("photos/", by="5m")`, `run.metrics`, `run.predict(...)`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
from numpy.typing import ArrayLike
from torch import nn

from .deadline import parse_deadline
from .display import choose_mode, open_display
from .errors import RecipeError
from .judgement import Evaluation
from .modelfile import Model, load
from .models import Imported, ModelSpec, model_named
from .opening import InMemory
from .optim import OptimizerName, OptimizerSpec
from .plan import Plan, TrainingSpec
from .recipe import Recipe, finish, fit
from .run import MODEL, PLAN, REPORT, TEST, create_run, open_run
from .sources import Source, SourceSpec
from .sources.arrays import array_source
from .sources.series import series_source
from .types import NOUNS, Kind, Metric, Raw

Data: TypeAlias = str | os.PathLike[str] | tuple[ArrayLike, ArrayLike]
"""A path, the name of a built-in set, or `(inputs, labels)` in memory."""


class TrainedRun:
    """A finished run: its scores, its model, its files.

    Args:
        path: the run directory.
        module: the network, where it is one of the caller's own that only Python can hand over.
    """

    def __init__(self, path: str | os.PathLike[str], *, module: nn.Module | None = None) -> None:
        self._run = open_run(os.fspath(path))
        self._module = module

    @property
    def path(self) -> Path:
        """The run directory."""
        return self._run.path

    @property
    def report(self) -> Path:
        """The report, one HTML page."""
        return self.path / REPORT

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """Scores of the test part, each with its 95 % interval: `run.metrics["accuracy"].value`."""
        return self._run.read_json(TEST, Evaluation).metrics

    @cached_property
    def plan(self) -> Plan:
        """What was decided, and why."""
        return self._run.read_json(PLAN, Plan)

    @cached_property
    def model(self) -> Model:
        """The trained network with its preprocessing."""
        return load(self.path / MODEL, module=self._module)

    def predict(self, inputs: Sequence[Raw | Path] | Raw | Path, *, top: int = 1) -> list[Any]:
        """One answer a row; see `Model.predict`."""
        return self.model.predict(inputs, top=top)

    def __repr__(self) -> str:
        if not self._run.has(TEST):
            return f"TrainedRun({str(self.path)!r}, not judged yet)"
        headline = self._run.read_json(TEST, Evaluation).headline
        return f"TrainedRun({str(self.path)!r}, {headline} {self.metrics[headline].value:.1%})"


def train(
    data: Data,
    *,
    kind: Kind | None = None,
    by: str | float | None = None,
    epochs: float | None = None,
    model: str | ModelSpec | nn.Module | None = None,
    optimizer: OptimizerName | OptimizerSpec | None = None,
    batch: int | None = None,
    augment: str = "auto",
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    recipe: Recipe | None = None,
    progress: bool = True,
) -> TrainedRun:
    """Train the best network that is to be had by the deadline, judge it, and write its report and model file.

    Args:
        data: a path, the name of a built-in set, or `(inputs, labels)`: pictures `(N, H, W)` or `(N, H, W, C)`; series
            `(N, T)` or `(N, T, C)`, or a list of arrays `(T, C)` of different lengths.
        kind: what a row is, `"series"` for arrays of series; None tells it by the data.
        by: the deadline, counted from this call: `"90s"`, `"5m"`, `"18:30"`.
        epochs: how long, instead of a deadline; the result then does not depend on the clock.
        model: `"plain"`, `"cnn"`, `"package.module:Name"`, a spec, or a `torch.nn.Module` of your own.
        optimizer: `"gradient-descent"`, `"sgd"`, `"adam"`, `"adamw"`, `"muon"`, or a spec; None: by the data.
        batch: rows of a step.
        augment: `"auto"`, `"none"`, or names: `"flip,shift=3,cutout,mixup"`.
        seed: of everything random.
        out: the run directory; by default one below `runs/`.
        recipe: everything else; the arguments above stand over what it says.
        progress: show a panel, or lines where there is no terminal.

    Raises:
        InputError: the data, an argument or the deadline can't be used.
    """
    if by is not None and epochs is not None:
        raise RecipeError(f"both by={by!r} and epochs={epochs!r} are given", remedy="Give one of them.")
    deadline = parse_deadline(by, start_s=time.monotonic())
    made, given = asked_of(data, kind=kind, epochs=epochs, model=model, seed=seed, recipe=recipe)
    made = msgspec.structs.replace(
        made,
        optimizer=_optimizer(made.optimizer, optimizer),
        training=_training(made.training, None, batch, augment),
    )
    run = create_run(
        None if out is None else Path(out),
        data=made.source.location,
        model=type(made.model).__name__ if made.model else "cnn",
    )
    mode = choose_mode(json=False, quiet=not progress, stream=sys.stdout)
    with open_display(mode, made.source.location, deadline) as show:
        events = fit(made, run, deadline, given=given)
        while True:
            try:
                show(next(events))
            except StopIteration as stop:
                prepared = stop.value
                break
        for event in finish(run, deadline, dataset=prepared.dataset, given=given):
            show(event)
    return TrainedRun(run.path, module=given.module)


def asked_of(
    data: Data,
    *,
    kind: Kind | None = None,
    epochs: float | None = None,
    model: str | ModelSpec | nn.Module | None = None,
    seed: int = 0,
    recipe: Recipe | None = None,
) -> tuple[Recipe, InMemory]:
    """What a caller says as a recipe, and what no recipe can name; see `train`."""
    base = Recipe(source=SourceSpec(location="")) if recipe is None else recipe
    made = msgspec.structs.replace(
        base,
        source=_location(base.source, data, kind or base.source.kind),
        model=_model_spec(model) or base.model,
        training=_training(base.training, epochs, None, "auto"),
        seed=seed or base.seed,
    )
    source = _in_memory(data, made.source) if isinstance(data, tuple) else None
    return made, InMemory(source=source, module=model if isinstance(model, nn.Module) else None)


def _in_memory(data: tuple[ArrayLike, ArrayLike], spec: SourceSpec) -> Source:
    """The arrays as pictures, or as series where that is said."""
    if spec.kind == "series":
        return series_source(*data, asked=spec.asked)
    if spec.kind not in (None, "image"):
        raise RecipeError(f"arrays can't be read as {NOUNS[spec.kind][1]}", remedy="Arrays are pictures or series.")
    return array_source(*data)


def _location(source: SourceSpec, data: Data, kind: Kind | None) -> SourceSpec:
    if isinstance(data, tuple):
        return SourceSpec(location="(in memory)", kind=kind)
    return msgspec.structs.replace(source, location=os.fspath(data), kind=kind)


def _optimizer(base: OptimizerSpec, asked: OptimizerName | OptimizerSpec | None) -> OptimizerSpec:
    if isinstance(asked, str):
        return msgspec.structs.replace(base, name=asked)
    return base if asked is None else asked


def _training(base: TrainingSpec, epochs: float | None, batch: int | None, augment: str) -> TrainingSpec:
    return msgspec.structs.replace(
        base,
        epochs=base.epochs if epochs is None else epochs,
        batch=base.batch if batch is None else batch,
        augment=base.augment if augment == "auto" else augment,
    )


def _model_spec(model: str | ModelSpec | nn.Module | None) -> ModelSpec | None:
    if isinstance(model, str):
        return model_named(model)
    if isinstance(model, nn.Module):
        return Imported(name=f"{type(model).__module__}:{type(model).__qualname__}")
    if model is None or isinstance(model, msgspec.Struct):
        return model
    raise RecipeError(f"the model is a {type(model).__name__}", remedy="Give a name, a spec or a torch.nn.Module.")
