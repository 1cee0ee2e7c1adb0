"""All that was asked, in one frozen value; TOML in and out."""

from __future__ import annotations

from typing import Any

import msgspec
import tomli_w

from ..errors import RecipeError
from ..models import ModelSpec
from ..optim import OptimizerSpec
from ..planning.asked import TrainingSpec
from ..rows.dataset import DatasetSpec
from ..sources import SourceSpec
from ..types import Value


class Recipe(Value, frozen=True):
    """Everything asked for. What is None or `auto` is decided by the plan, and said.

    Attributes:
        source: where the data is.
        dataset: split, size, fit.
        model: a network, or None for the ladder.
        optimizer, training: how.
        seed: of everything random.
    """

    source: SourceSpec
    dataset: DatasetSpec = DatasetSpec()
    model: ModelSpec | None = None
    optimizer: OptimizerSpec = OptimizerSpec()
    training: TrainingSpec = TrainingSpec()
    seed: int = 0

    def to_toml(self) -> str:
        """As a file for people; fields that are None are left out."""
        return tomli_w.dumps(_without_none(msgspec.to_builtins(self)))


def parse_recipe(text: str) -> Recipe:
    """Read a recipe; an unknown key or a value of the wrong kind is an error that names it.

    Raises:
        RecipeError: with the place in the file.
    """
    try:
        return msgspec.toml.decode(text, type=Recipe)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RecipeError(
            f"the recipe can't be used: {error}", remedy="Compare it with recipe.toml of any run."
        ) from None


def check_recipe(recipe: Recipe) -> None:
    """Hold a recipe that was put together in Python to the bounds that a file is held to.

    Raises:
        RecipeError: names the first field that is out of them.
    """
    try:
        msgspec.convert(msgspec.to_builtins(recipe), Recipe)
    except msgspec.ValidationError as error:
        said = str(error).replace("`$.", "`").replace("Expected", "expected")
        raise RecipeError(
            f"a value can't be used: {said}", remedy="gnomon train --help lists what can be given."
        ) from None


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_none(part) for name, part in value.items() if part is not None}
    return [_without_none(part) for part in value] if isinstance(value, (list, tuple)) else value
