"""Gnomon from Python: `run = gnomon.train("photos/", by="5m")`, `run.metrics`, `run.predict(...)`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import msgspec
from numpy.typing import ArrayLike
from torch import nn

from .deadline import parse_deadline
from .display import choose_mode, open_display
from .errors import RecipeError
from .evaluate import Evaluation
from .modelfile import Model, load
from .models import Imported, ModelSpec, model_named
from .optim import OptimizerName, OptimizerSpec
from .plan import Plan, TrainingSpec
from .recipe import InMemory, Recipe, finish, fit
from .run import MODEL, PLAN, REPORT, TEST, create_run, open_run
from .sources import SourceSpec
from .sources.arrays import array_source
from .tasks import Answer
from .types import Metric, Raw

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

    def predict(self, inputs: Sequence[Raw | Path] | Raw | Path, *, top: int = 1) -> list[Answer]:
        """One answer a picture; see `Model.predict`."""
        return self.model.predict(inputs, top=top)

    def __repr__(self) -> str:
        score = f"accuracy {self.metrics['accuracy'].value:.1%}" if self._run.has(TEST) else "not judged yet"
        return f"TrainedRun({str(self.path)!r}, {score})"


def train(
    data: Data,
    *,
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
        data: a path, the name of a built-in set, or `(inputs, labels)`, arrays `(N, H, W)` or `(N, H, W, C)`.
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
    base = Recipe(source=SourceSpec(location="")) if recipe is None else recipe
    module = model if isinstance(model, nn.Module) else None
    in_memory = isinstance(data, tuple)
    made = msgspec.structs.replace(
        base,
        source=SourceSpec(location="(in memory)") if in_memory else _location(base.source, data),
        model=_model_spec(model) or base.model,
        optimizer=_optimizer(base.optimizer, optimizer),
        training=_training(base.training, epochs, batch, augment),
        seed=seed or base.seed,
    )
    given = InMemory(source=array_source(*data) if isinstance(data, tuple) else None, module=module)
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
    return TrainedRun(run.path, module=module)


def _location(source: SourceSpec, data: str | os.PathLike[str] | tuple[ArrayLike, ArrayLike]) -> SourceSpec:
    assert not isinstance(data, tuple), "arrays have no location"
    return msgspec.structs.replace(source, location=os.fspath(data))


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
