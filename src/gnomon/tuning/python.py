"""`gnomon.tune`: a search from Python."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
from torch import nn

from ..api import Data, TrainedRun, asked_of
from ..deadline import parse_deadline
from ..display import choose_mode
from ..errors import RecipeError
from ..models import Imported, ModelSpec
from ..rundir.run import BEST, RESULT, SEARCH, TUNE, Run, create_search
from ..space import Setting
from ..spine.recipe import Recipe
from ..types import Kind
from .records import Gain, Method, Record, Result, SearchSpec, read_records, read_search
from .search import search
from .settings import Space, given_space, with_arguments
from .table import open_table

Model = str | ModelSpec | nn.Module | Callable[..., nn.Module] | None
"""As for `train`; or a function at the top of a module that makes a network, whose arguments can be searched."""


class TunedRun:
    """A finished search.

    Args:
        path: its directory.
        module: the network, where it is one of the caller's own that only Python can hand over.
    """

    def __init__(self, path: str | os.PathLike[str], *, module: nn.Module | None = None) -> None:
        self._run = Run(Path(path))
        self._module = module

    @property
    def path(self) -> Path:
        """The search's directory."""
        return self._run.path

    @property
    def page(self) -> Path:
        """The search as one HTML page."""
        return self.path / TUNE

    @property
    def result(self) -> Result:
        """What it came to."""
        return self._run.read_json(RESULT, Result)

    @property
    def settings(self) -> Mapping[str, Setting]:
        """Those of the final training."""
        return self.result.used

    @property
    def gain(self) -> Gain:
        """Of the best settings over the usual ones, with its 95 % interval."""
        return self.result.gain

    @property
    def trials(self) -> list[Record]:
        """All trials, in order; the first has the usual settings."""
        return [done for done in read_records(self._run) if done.stage == "explore"]

    @property
    def best(self) -> TrainedRun:
        """The final training."""
        return TrainedRun(self.path / BEST, module=self._module)

    def __repr__(self) -> str:
        return f"TunedRun({str(self.path)!r})"


def tune(
    data: Data,
    *,
    kind: Kind | None = None,
    by: str | float | None = None,
    epochs: float | None = None,
    model: Model = None,
    space: Space | None = None,
    method: Method = "bayes",
    trials: int | None = None,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    recipe: Recipe | None = None,
    progress: bool = True,
) -> TunedRun:
    """Search for better settings, and train with them, all by one deadline.

    Args:
        data, kind, model, seed, recipe, progress: as for `train`. A model may also be a function at the top of a module
            that makes a network; its arguments can then be searched.
        by: the deadline for everything.
        epochs: of every training, with `trials`, instead of a deadline; the result then does not depend on the clock.
        space: what is searched: name → `(lowest, highest)` or a list of values; None: the space of the data's kind and
            of the model family.
        method: `"bayes"`, `"random"`, or `"grid"` for every combination of lists.
        trials: the most of them.
        out: the search's directory. One that is there goes on.

    Raises:
        InputError: the data, an argument or the deadline can't be used.
    """
    if by is not None and epochs is not None:
        raise RecipeError(f"both by={by!r} and epochs={epochs!r} are given", remedy="Give one of them.")
    deadline = parse_deadline(by, start_s=time.monotonic())
    named = _named(model)
    made, given = asked_of(data, kind=kind, epochs=epochs, model=named, seed=seed, recipe=recipe)
    dimensions = given_space(space, made) if space else ()
    made = with_arguments(made, dimensions)
    run = create_search(None if out is None else Path(out), data=made.source.location)
    spec = SearchSpec(
        recipe=made,
        method=method,
        dimensions=dimensions,
        trials=trials,
        total_s=deadline.total_s if deadline.is_set else 0.0,
    )
    if run.has(SEARCH):
        spec = read_search(run)
    mode = choose_mode(json=False, quiet=not progress, stream=sys.stdout)
    with open_table(mode, made.source.location, deadline) as show:
        for event in search(run, checked(spec), deadline, given=given):
            show(event)
    return TunedRun(run.path, module=given.module)


def checked(spec: SearchSpec) -> SearchSpec:
    """A search that can be made.

    Raises:
        RecipeError: there is no end to it, nothing to make a grid of, or no Ray.
    """
    endless = not spec.total_s and spec.trials is None and spec.method != "grid"
    if endless:
        raise RecipeError(
            "nothing says how long to search", remedy="Give a deadline, --by 1h, or a number of --trials."
        )
    ranges = [item.name for item in spec.dimensions if not item.choices]
    if spec.method == "grid" and (ranges or not spec.dimensions):
        what = f"of {ranges[0]!r}, which has a range" if ranges else "without values"
        raise RecipeError(f"there is no grid {what}", remedy="Give values: --grid learning_rate=0.01,0.1.")
    if spec.ray and find_spec("ray") is None:
        raise RecipeError("Ray is not installed", remedy="pip install 'gnomon[cluster]'")
    return spec


def _named(model: Model) -> Any:
    """A function that makes networks, by its name, so that a recipe can say it."""
    if not callable(model) or isinstance(model, nn.Module | msgspec.Struct):
        return model
    name = f"{model.__module__}:{model.__qualname__}"
    if "<" in name:
        raise RecipeError(
            f"the function {name!r} can't be found by its name", remedy="Define it at the top of a module."
        )
    return Imported(name=name)
