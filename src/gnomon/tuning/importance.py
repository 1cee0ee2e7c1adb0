"""What mattered: how much of the differences between trials each quantity explains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from optuna.importance import FanovaImportanceEvaluator, get_param_importances

from ..space import Dimension
from .draw import study_of
from .records import Influence, Record

LEAST: Final = 6
"""Finished trials without which nothing is said."""


def influences(dimensions: Sequence[Dimension], over: Sequence[Record]) -> tuple[Influence, ...]:
    """Shares of the variance, most first, as a random forest over the finished trials sees it: functional ANOVA
    (Hutter, Hoos and Leyton-Brown, ICML 2014). Empty where too few are finished, or all are alike.
    """
    finished = [done for done in over if done.state == "finished"]
    if len(finished) < LEAST or len({done.score for done in finished}) < 2 or len(dimensions) < 2:
        return ()
    found = get_param_importances(study_of(dimensions, finished), evaluator=FanovaImportanceEvaluator(seed=0))
    return tuple(Influence(name=name, share=round(float(share), 4)) for name, share in found.items())
