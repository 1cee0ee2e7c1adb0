"""A module of the user's own, named `package.module:Name` or handed over from Python."""

from __future__ import annotations

import importlib
from typing import Any

import msgspec
from torch import nn

from ..errors import RecipeError, nearest
from ..types import Value


class Imported(Value, tag="imported", tag_field="model", frozen=True):
    """Spec of a module that stands in the user's own code.

    Building imports that code, so a model file that names one is never built on loading: `load` asks for the module.

    Attributes:
        name: `package.module:Name`; Name is a class or function that returns a `torch.nn.Module`.
        arguments: keyword arguments for it. `num_outputs` and `input_shape` are given too where it takes them.
    """

    name: str
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)

    def build(self, input_shape: tuple[int, ...], num_outputs: int) -> nn.Module:
        """The user's module.

        Raises:
            RecipeError: the name can't be imported, or what it names does not give a module.
        """
        made = _find(self.name)
        known = _parameters(made)
        given = {"input_shape": input_shape, "num_outputs": num_outputs}
        try:
            module = made(**{name: value for name, value in given.items() if name in known}, **self.arguments)
        except Exception as error:
            raise RecipeError(
                f"the model {self.name!r} can't be made: {type(error).__name__}: {error}",
                remedy="It is called with input_shape and num_outputs where it takes them, and with [model.arguments].",
            ) from error
        if not isinstance(module, nn.Module):
            raise RecipeError(
                f"{self.name!r} gave a {type(module).__name__}, not a torch.nn.Module",
                remedy="Name a class of torch.nn.Module, or a function that returns one.",
            )
        return module

    def parameters(self) -> dict[str, Any]:
        """Names of what the user's class or function takes, each with its default, or `inspect.Parameter.empty`.

        Raises:
            RecipeError: the name can't be imported.
        """
        import inspect

        try:
            known = inspect.signature(_find(self.name)).parameters
        except (TypeError, ValueError):
            return {}
        return {name: parameter.default for name, parameter in known.items()}


def _find(name: str) -> Any:
    module_name, _, attribute = name.partition(":")
    if not (module_name and attribute):
        raise RecipeError(
            f"the model {name!r} is not known",
            remedy=f"{nearest(name, ('plain', 'cnn'))} Or write package.module:Name.",
        )
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise RecipeError(
            f"the model {name!r} can't be imported: {error}",
            remedy="The folder that holds it must be on the import path: run from there, or set PYTHONPATH.",
        ) from error
    if not hasattr(module, attribute):
        raise RecipeError(f"{module_name!r} has no {attribute!r}", remedy=nearest(attribute, vars(module)))
    return getattr(module, attribute)


def _parameters(made: Any) -> frozenset[str]:
    import inspect

    try:
        return frozenset(inspect.signature(made).parameters)
    except (TypeError, ValueError):
        return frozenset()
