"""What `--augment` says: names, each with a strength or its usual one."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..errors import RecipeError, nearest


def read_strengths(
    text: str, usual: Mapping[str, float], *, most: Mapping[str, float], what: str = "", example: str
) -> dict[str, float]:
    """The strength of each name that is said: `none`, or names separated by commas, `shift=3,cutout`.

    Args:
        text: as it is said.
        usual: the strengths of all names that are known, where none is given.
        most: the greatest strengths.
        what: the rows, behind a name that is not known: ` for texts`.
        example: of a name with a strength, for the remedy.

    Raises:
        RecipeError: an unknown name or an unreadable strength.
    """
    strengths: dict[str, float] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, number = part.partition("=")
        if name == "none":
            continue
        if name not in usual:
            problem = f"the augmentation {name!r} is not known{what}"
            raise RecipeError(problem, remedy=nearest(name, (*usual, "none", "auto")))
        strengths[name] = _strength(part, number, most[name], example) if number else usual[name]
    return strengths


def _strength(part: str, number: str, most: float, example: str) -> float:
    try:
        strength = float(number)
    except ValueError:
        strength = math.nan
    if not 0 <= strength <= most:
        problem = f"the strength of {part!r} is not a number from 0 to {most:g}"
        raise RecipeError(problem, remedy=f"Write, for example, {example}.")
    return strength
