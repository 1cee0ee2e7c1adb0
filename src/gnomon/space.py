"""What a search may vary: named quantities and their ranges. Each model family says its own."""

from __future__ import annotations

import math
from typing import Final, TypeAlias

from .types import Value

Setting: TypeAlias = bool | int | float | str
"""One value of one quantity."""

AUTO: Final = "auto"
"""The usual value of what is left to the plan."""


class Dimension(Value, frozen=True):
    """One quantity that a search may vary.

    Attributes:
        name: an option of the command without its dashes, a field of the model, or what `tuning.settings` says.
        usual: its value where nothing is searched.
        low, high: the range of a number; where there are no choices.
        log: whether the range is even in the logarithm.
        whole: whether only whole numbers count.
        choices: all values, where they are few; the order means nothing.
    """

    name: str
    usual: Setting
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    choices: tuple[Setting, ...] = ()

    def place(self, setting: Setting) -> float:
        """Where a value stands from the lowest to the highest, 0 to 1; of choices, in their order."""
        if self.choices:
            return self.choices.index(setting) / max(1, len(self.choices) - 1) if setting in self.choices else 0.0
        if setting == AUTO:
            return 0.5
        low, high, at = self.low, self.high, float(setting)
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(max(at, 1e-300))
        return min(1.0, max(0.0, (at - low) / (high - low))) if high > low else 0.0
