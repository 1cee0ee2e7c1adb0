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
import numpy as np
from numpy.typing import ArrayLike
from torch import nn

from .deadline import parse_deadline
from .display import choose_mode, open_display
from .errors import RecipeError
from .explain.values import Explanation, Method
from .judgement import Evaluation
from .models import Imported, ModelSpec, model_named
from .optim import OptimizerName, OptimizerSpec
from .planning.asked import TrainingSpec
from .planning.plan import Plan
from .predicting.modelfile import Model, encode_row, load
from .rundir.run import PLAN, REPORT, TEST, create_run, open_run
from .sources import Source, SourceSpec
from .sources.arrays import array_source
from .sources.series import series_source
from .sources.texts import text_source
from .spine.finish import finish
from .spine.fit import fit
from .spine.opening import InMemory
from .spine.recipe import Recipe
from .spine.reopening import dataset_of
from .types import NOUNS, Kind, Metric, Raw

Inputs: TypeAlias = ArrayLike | Sequence[str]
Data: TypeAlias = str | os.PathLike[str] | tuple[Inputs, ArrayLike]
"""A path, the name of a built-in set, or `(inputs, labels)` in memory."""


class TrainedRun:
    """A finished run: its scores, its model, its files.

    Args:
        path: the run directory.
        module: the network, where it is one of the caller's own that only Python can hand over.
        source: the rows, where they are in memory; `xray` looks things up in them.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, module: nn.Module | None = None, source: Source | None = None
    ) -> None:
        self._run = open_run(os.fspath(path))
        self._module = module
        self._source = source

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
        return load(self._run.model_file(), module=self._module)

    def predict(self, inputs: Sequence[Raw | Path] | Raw | Path, *, top: int = 1) -> list[Any]:
        """One answer a row; see `Model.predict`."""
        return self.model.predict(inputs, top=top)

    def explain(
        self,
        inputs: Sequence[Raw | Path] | Raw | Path,
        *,
        outputs: Sequence[str] = (),
        methods: Sequence[Method] = (),
    ) -> list[tuple[Explanation, ...]]:
        """What the answer to each row rests on, by each method.

        Args:
            inputs: as for `predict`.
            outputs: names of the classes, labels or values to explain; by default those of the answer.
            methods: `"integrated-gradients"`, `"occlusion"`, `"grad-cam"`, `"gradients"`; by default the two most
                telling ones that the network allows.

        Raises:
            RowError: a row can't be read.
            RecipeError: an output is not known, or the network has not what a method goes by.
        """
        from .explain.rows import explain_encoded

        rows = [inputs] if isinstance(inputs, (bytes, str, Path, np.ndarray)) else inputs
        encoded = [encode_row(self.model.header.encoder, row) for row in rows]
        return [explain_encoded(self.model, row, outputs=outputs, methods=methods) for row in encoded]

    def xray(self, inputs: Sequence[Raw | Path] | Raw | Path = (), *, rows: int = 6) -> Path:
        """Write `xray.html` into the run: a page that follows inputs through the network. Returns its path.

        Args:
            inputs: as for `predict`; none: rows of the test part, told rightly, wrongly and with doubt.
            rows: how many of the test part.

        Raises:
            RowError: a row can't be read.
            RunError: the data have changed since the training, or the page can't be written.
        """
        from .explain.follow import follow_inputs, follow_test_rows
        from .explain.xray import write_xray

        given = [inputs] if isinstance(inputs, (bytes, str, Path, np.ndarray)) else list(inputs)
        dataset = dataset_of(self._run, given=InMemory(source=self._source))
        followed = follow_inputs(self.model, given) or follow_test_rows(self._run, dataset, self.model, rows)
        return write_xray(self._run, dataset, self.model, followed)

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
            `(N, T)` or `(N, T, C)`, or a list of arrays `(T, C)` of different lengths; or N texts.
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
    return TrainedRun(run.path, module=given.module, source=given.source)


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


def _in_memory(data: tuple[Inputs, ArrayLike], spec: SourceSpec) -> Source:
    """Texts; arrays as pictures, or as series where that is said."""
    inputs, labels = data
    if spec.kind in (None, "text") and isinstance(next(iter(inputs), None), str):  # type: ignore[arg-type]
        return text_source(inputs, labels, asked=spec.asked)  # type: ignore[arg-type]
    if spec.kind == "series":
        return series_source(*data, asked=spec.asked)
    if spec.kind not in (None, "image"):
        remedy = "Arrays are pictures or series; texts are given as `str`."
        raise RecipeError(f"arrays can't be read as {NOUNS[spec.kind][1]}", remedy=remedy)
    return array_source(*data, asked=spec.asked)


def _location(source: SourceSpec, data: Data, kind: Kind | None) -> SourceSpec:
    if isinstance(data, tuple):
        return msgspec.structs.replace(source, location="(in memory)", kind=kind)
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
