"""From names and values to recipes: what can be searched, over what range, and what a choice makes of the recipe.

Most quantities of the default space are relative to what the plan decides by itself. That is what lets a short trial
speak for a long training: the best learning rate falls, and the best network grows, with the length; but by how much
they differ from what the plan would choose for that length hardly does.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias, get_type_hints

import msgspec

from ..errors import RecipeError, nearest
from ..models import SIZED_BY_PLAN, Cnn, Imported, model_named, sized, space_of
from ..optim import OptimizerSpec
from ..planning.asked import Relative, TrainingSpec
from ..planning.plan import Plan
from ..space import AUTO, Dimension, Setting
from ..spine.recipe import Recipe, check_recipe
from ..types import DataSpec, Kind

Space: TypeAlias = Mapping[str, tuple[float, float] | Sequence[Setting] | Dimension]
"""What a caller says: name → `(lowest, highest)`, or a list of values, or a `Dimension`."""

_RELATIVE: Final = {"rate_factor": "learning_rate", "batch_factor": "batch", "rungs": "rungs"}
_OPTIMIZER: Final = {
    "optimizer": "name",
    **{
        name: name
        for name in ("learning_rate", "weight_decay", "momentum", "schedule", "warmup", "average", "sharpness")
    },
}
_TRAINING: Final = (
    *("batch", "format", "augment", "dropout", "label_smoothing", "balance", "skip_easy", "small_until"),
)
_LOG_FROM: Final = 10.0
_BATCHES: Final = (0.5, 1.0, 2.0)
_DROPOUT: Final[dict[Kind, tuple[float, float, float]]] = {
    "image": (0.0, 0.0, 0.4),
    "text": (0.5, 0.1, 0.75),
    "sound": (0.3, 0.05, 0.65),
    "series": (0.4, 0.05, 0.65),
}
_AUGMENTS: Final[dict[Kind, tuple[str, ...]]] = {
    "image": ("auto", "none", "auto,mixup=0.2", "auto,cutout"),
    "text": ("auto", "none", "token-dropout=0.1", "token-dropout=0.35"),
    "sound": ("auto", "none", "auto,time-masks=0.3,band-masks=0.3", "auto,noise=0.2"),
    "series": ("auto", "none", "auto,noise=0.2", "auto,scaling=0.2"),
}


def space_for(recipe: Recipe, plan: Plan, spec: DataSpec, *, timed: bool) -> tuple[Dimension, ...]:
    """The search space of a recipe on its data: that of the training and that of the model family, but for what the
    recipe says already.

    Args:
        recipe: what was asked.
        plan: what is usual for it.
        spec: the data.
        timed: whether trainings are of equal time. Where they are of equal steps, larger networks would always win, and
            are left out.
    """
    imported = isinstance(recipe.model, Imported)
    far = 30.0 if imported else 4.0
    chosen = [
        Dimension(name="rate_factor", usual=1.0, low=1 / far, high=far, log=True),
        Dimension(name="batch_factor", usual=1.0, choices=_BATCHES),
    ]
    if timed and recipe.model in (None, SIZED_BY_PLAN):
        chosen.append(Dimension(name="rungs", usual=0, low=-1, high=1, whole=True))
    if spec.question == "classify":
        chosen.append(Dimension(name="label_smoothing", usual=plan.label_smoothing, low=0.0, high=0.25))
    if imported:
        chosen.append(Dimension(name="optimizer", usual=plan.optimizer.name or "adam", choices=("adam", "sgd", "muon")))
        chosen.append(Dimension(name="weight_decay", usual=0.0, low=1e-6, high=0.1, log=True))
    else:
        usual, low, high = _DROPOUT[spec.kind]
        chosen.append(Dimension(name="dropout", usual=usual, low=low, high=high))
        chosen.append(Dimension(name="augment", usual="auto", choices=_AUGMENTS[spec.kind]))
    if isinstance(plan.model, Cnn):
        chosen.append(Dimension(name="skip_easy", usual=plan.skip_easy, low=0.0, high=0.8))
    own = {item.name: item for item in space_of(recipe.model)} if recipe.model is not None else {}
    mine = [item for item in chosen if item.name not in own and not _is_said(recipe, item.name)]
    return (*mine, *own.values())


def given_space(space: Space, recipe: Recipe) -> tuple[Dimension, ...]:
    """A caller's space as dimensions.

    Raises:
        RecipeError: an unknown name, or values that can't be used.
    """
    return tuple(_dimension(name, said, recipe) for name, said in space.items())


def with_arguments(recipe: Recipe, dimensions: Sequence[Dimension]) -> Recipe:
    """The recipe with what the user's own function must be given and has no default for: the usual values."""
    model = recipe.model
    if not isinstance(model, Imported):
        return recipe
    taken = model.parameters()
    missing = {item.name: item.usual for item in dimensions if taken.get(item.name, None) is inspect.Parameter.empty}
    return msgspec.structs.replace(recipe, model=msgspec.structs.replace(model, arguments=missing | model.arguments))


def grid_space(words: Iterable[str], recipe: Recipe) -> tuple[Dimension, ...]:
    """`learning_rate=0.01,0.1`: every value of every name.

    Raises:
        RecipeError: an unknown name, or a value that the name can't have.
    """
    found: dict[str, list[Setting]] = {}
    for word in words:
        name, equals, values = word.partition("=")
        name = name.replace("-", "_").lower()
        if not equals or not values:
            raise RecipeError(f"{word!r} says no values", remedy="Write, for example, --grid learning_rate=0.01,0.1.")
        _check_name(name, recipe)
        found[name] = [_read(name, value.strip(), recipe) for value in values.split(",")]
    return given_space(found, recipe)


def points_of(dimensions: Sequence[Dimension]) -> int:
    """Points of the whole grid."""
    return math.prod(len(item.choices) for item in dimensions)


def usual_settings(dimensions: Sequence[Dimension]) -> dict[str, Setting]:
    """What stands without a search."""
    return {item.name: item.usual for item in dimensions}


def laid_over(recipe: Recipe, settings: Mapping[str, Setting], usual: Mapping[str, Setting]) -> Recipe:
    """The recipe with these settings; what is as usual stays as the recipe has it, or leaves it.

    Raises:
        RecipeError: an unknown name, or a value out of its bounds.
    """
    for name, setting in settings.items():
        if name in usual and usual[name] == setting:
            continue
        recipe = _with(recipe, name, setting)
    check_recipe(recipe)
    return recipe


def names_of(recipe: Recipe) -> tuple[str, ...]:
    """All that can be searched in a recipe."""
    names = (*_RELATIVE, *_OPTIMIZER, *_TRAINING, "model", "widths")
    if isinstance(recipe.model, Imported):
        return (*names, *_arguments(recipe.model))
    fields = msgspec.structs.fields(type(recipe.model)) if recipe.model is not None else ()
    return (*names, *(item.name for item in fields if item.name not in names))


def _with(recipe: Recipe, name: str, setting: Setting) -> Recipe:
    replace = msgspec.structs.replace
    model = recipe.model
    if isinstance(model, Imported) and name in _arguments(model):
        return replace(recipe, model=replace(model, arguments=model.arguments | {name: setting}))
    if model is not None and name in {item.name for item in msgspec.structs.fields(type(model))} and name != "widths":
        return replace(recipe, model=replace(model, **{name: setting}))
    if name in _RELATIVE:
        relative = replace(recipe.training.relative, **{_RELATIVE[name]: setting})
        return replace(recipe, training=replace(recipe.training, relative=relative))
    if name in _OPTIMIZER:
        return replace(recipe, optimizer=replace(recipe.optimizer, **{_OPTIMIZER[name]: setting}))
    if name in _TRAINING:
        return replace(recipe, training=replace(recipe.training, **{name: setting}))
    if name == "model":
        return replace(recipe, model=model_named(str(setting)))
    if name == "widths":
        return replace(recipe, model=sized(_widths(str(setting))))
    raise _unknown(name, recipe)


def _is_said(recipe: Recipe, name: str) -> bool:
    """Whether the recipe leaves nothing to search under this name."""
    said = {"rate_factor": recipe.optimizer.learning_rate, "batch_factor": recipe.training.batch}
    if name in said:
        return said[name] is not None
    if name in _OPTIMIZER:
        return bool(getattr(recipe.optimizer, _OPTIMIZER[name]) != getattr(OptimizerSpec(), _OPTIMIZER[name]))
    if name in _TRAINING:
        return bool(getattr(recipe.training, name) != getattr(TrainingSpec(), name))
    return False


def _dimension(name: str, said: tuple[float, float] | Sequence[Setting] | Dimension, recipe: Recipe) -> Dimension:
    _check_name(name, recipe)
    if isinstance(said, Dimension):
        return msgspec.structs.replace(said, name=name)
    values = list(said)
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if isinstance(said, tuple) and len(values) == len(numbers) == 2:
        low, high = map(float, numbers)
        whole = all(isinstance(value, int) for value in numbers)
        if not low < high:
            raise RecipeError(f"{name!r} has no range from {low:g} to {high:g}", remedy="Give (lowest, highest).")
        log = low > 0 and high / low >= _LOG_FROM
        middle = math.sqrt(low * high) if log else (low + high) / 2
        usual = _usual(name, recipe, instead=round(middle) if whole else middle)
        return Dimension(name=name, usual=usual, low=low, high=high, log=log, whole=whole)
    if not values:
        raise RecipeError(f"{name!r} has no values", remedy="Give some: a list, or (lowest, highest).")
    for value in values:
        check_recipe(_with(recipe, name, value))
    usual = _usual(name, recipe, instead=values[0])
    return Dimension(name=name, usual=usual, choices=tuple(dict.fromkeys(values)))


def _usual(name: str, recipe: Recipe, *, instead: Setting) -> Setting:
    """What the recipe has under a name; `instead` of what the user's own function must be given."""
    places: tuple[tuple[Mapping[str, str], Any], ...] = (
        (_RELATIVE, recipe.training.relative),
        (_OPTIMIZER, recipe.optimizer),
        ({item: item for item in _TRAINING}, recipe.training),
    )
    model = recipe.model
    if isinstance(model, Imported) and name in _arguments(model):
        default = model.arguments.get(name, model.parameters()[name])
        return default if isinstance(default, bool | int | float | str) else instead
    if model is not None and not isinstance(model, Imported) and hasattr(model, name) and name != "widths":
        value: Any = getattr(model, name)
        return value if isinstance(value, bool | int | float | str) else AUTO
    for names, spec in places:
        if name in names:
            value = getattr(spec, names[name])
            return value if isinstance(value, bool | int | float | str) else AUTO
    return AUTO


def _read(name: str, text: str, recipe: Recipe) -> Setting:
    """A value as its field wants it."""
    if name in ("model", "widths"):
        _with(recipe, name, text)
        return text
    hint = _hint(name, recipe)
    try:
        value = msgspec.convert(text, type=hint, strict=False)
    except msgspec.ValidationError as error:
        raise RecipeError(f"{name}={text}: {error}", remedy="gnomon train --help says what it can be.") from None
    if not isinstance(value, bool | int | float | str):
        raise RecipeError(f"{name}={text}: such values can't be searched", remedy="Use a recipe for it.")
    return value


def _hint(name: str, recipe: Recipe) -> Any:
    structs: tuple[tuple[Mapping[str, str], type], ...] = (
        (_RELATIVE, Relative),
        (_OPTIMIZER, OptimizerSpec),
        ({item: item for item in _TRAINING}, TrainingSpec),
    )
    if recipe.model is not None and not isinstance(recipe.model, Imported):
        hints = get_type_hints(type(recipe.model), include_extras=True)
        if name in hints:
            return hints[name]
    for names, struct in structs:
        if name in names:
            return get_type_hints(struct, include_extras=True)[names[name]]
    return bool | int | float | str


def _check_name(name: str, recipe: Recipe) -> None:
    if name not in names_of(recipe):
        raise _unknown(name, recipe)


def _unknown(name: str, recipe: Recipe) -> RecipeError:
    return RecipeError(f"{name!r} is nothing that can be searched", remedy=nearest(name, names_of(recipe)))


def _widths(text: str) -> tuple[int, ...]:
    parts = text.split("-")
    if not all(part.isdecimal() and 1 <= int(part) <= 4096 for part in parts):
        raise RecipeError(f"{text!r} are not numbers of filters", remedy="Write, for example, widths=16-32-64.")
    return tuple(map(int, parts))


def _arguments(model: Imported) -> tuple[str, ...]:
    """What the user's own function takes beside the shapes."""
    return tuple(name for name in model.parameters() if name not in ("self", "input_shape", "num_outputs"))
