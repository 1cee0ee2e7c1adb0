"""The next trial: a pure function of the search space, the seed, its number, and the trials that are over.

So a trial that was killed is drawn again alike, and nothing but the journal is needed to go on. The engine is Optuna:
its tree-structured Parzen estimator (Bergstra et al., "Algorithms for hyper-parameter optimization", NIPS 2011;
multivariate: Falkner et al., "BOHB", ICML 2018) and its asynchronous successive halving (Li et al., "A system for
massively parallel hyperparameter tuning", MLSys 2020), in a study that is put together anew for every trial.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from .. import chance
from ..space import AUTO, Dimension, Setting
from .records import WORST, Method, Record
from .settings import points_of, usual_settings

QUARTERS: Final = 4
"""Validations of a trial; where the poor half is stopped: after the first, and after the second."""

_REDUCTION: Final = 2
_RANDOM_FIRST: Final = 6


class Course:
    """One trial on its way: tells when others at the same point stood better.

    Args:
        trial: of a study that knows the trials that are over.
        tolerance: as much worse as the better half counts as equal: what chance makes of a score.
    """

    def __init__(self, trial: optuna.Trial, *, best: Mapping[int, float], tolerance: float) -> None:
        self._trial, self._best, self._tolerance = trial, best, tolerance

    def is_poor(self, quarter: int, score: float) -> bool:
        """Whether it should stop here, after so many quarters."""
        self._trial.report(score, quarter)
        halved = self._trial.should_prune()
        return halved and score < self._best.get(quarter, math.inf) - self._tolerance


def draw(
    dimensions: Sequence[Dimension], method: Method, *, seed: int, number: int, over: Sequence[Record]
) -> dict[str, Setting]:
    """The settings of trial `number`, from the trials that are over. Trial 0 has the usual ones."""
    if number == 0:
        return usual_settings(dimensions)
    if method == "grid":
        return _point(dimensions, seed=seed, number=number)
    key = chance.key(seed, "trial", number) % 2**32
    sampler: BaseSampler = RandomSampler(seed=key)
    if method == "bayes":
        sampler = TPESampler(seed=key, n_startup_trials=_RANDOM_FIRST, multivariate=True, constant_liar=False)
    asked = {item.name: _distribution(item) for item in dimensions}
    trial = study_of(dimensions, over, sampler=sampler).ask(asked)
    return {item.name: _plain(item, trial.params[item.name]) for item in dimensions}


def course_of(dimensions: Sequence[Dimension], over: Sequence[Record], *, tolerance: float) -> Course:
    """What the next trial is compared with on its way."""
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=_REDUCTION)
    study = study_of(dimensions, over, pruner=pruner)
    best: dict[int, float] = {}
    for done in over:
        for share, score in done.scores:
            quarter = round(share * QUARTERS)
            best[quarter] = max(score, best.get(quarter, -math.inf))
    return Course(study.ask(), best=best, tolerance=tolerance)


def study_of(
    dimensions: Sequence[Dimension],
    over: Sequence[Record],
    *,
    sampler: BaseSampler | None = None,
    pruner: optuna.pruners.BasePruner | None = None,
) -> optuna.Study:
    """The trials that are over as a study in memory."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=sampler or RandomSampler(seed=0), pruner=pruner)
    study.add_trials([frozen(dimensions, done) for done in over])
    return study


def frozen(dimensions: Sequence[Dimension], done: Record) -> FrozenTrial:
    """A record as Optuna has it. One that failed stands as stopped before its first validation: the worst."""
    distributions = {item.name: _distribution(item) for item in dimensions}
    at = {round(share * QUARTERS): score for share, score in done.scores if score > WORST}
    rungs = {f"completed_rung_{rung}": at[2**rung] for rung in range(3) if 2**rung in at}
    finished = done.state == "finished"
    return optuna.trial.create_trial(
        params={item.name: _inside(item, done.settings[item.name]) for item in dimensions},
        distributions=distributions,
        value=done.score if finished else None,
        state=TrialState.COMPLETE if finished else TrialState.PRUNED,
        intermediate_values=at,
        system_attrs=rungs,
        user_attrs={"gnomon": done.settings, "seconds": done.seconds},
    )


def grid_points(dimensions: Sequence[Dimension]) -> int:
    """Trials of the whole grid, that of the usual settings included."""
    usual = usual_settings(dimensions)
    inside = all(item.usual in item.choices for item in dimensions)
    return points_of(dimensions) + (0 if inside and usual else 1)


def _point(dimensions: Sequence[Dimension], *, seed: int, number: int) -> dict[str, Setting]:
    """In an order drawn at random: where the time ends before the grid, what was tried is spread over it."""
    names = [item.name for item in dimensions]
    usual = usual_settings(dimensions)
    points = [dict(zip(names, point, strict=True)) for point in itertools.product(*(d.choices for d in dimensions))]
    others = [point for point in points if point != usual]
    return others[int(chance.permutation(seed, "grid", 0, len(others))[number - 1])]


def _distribution(item: Dimension) -> BaseDistribution:
    if item.choices:
        return CategoricalDistribution(item.choices if item.usual in item.choices else (*item.choices, item.usual))
    if item.whole:
        return IntDistribution(int(item.low), int(item.high), log=item.log)
    return FloatDistribution(item.low, item.high, log=item.log)


def _inside(item: Dimension, setting: Any) -> Any:
    """The usual value may lie out of the range that is searched."""
    if item.choices:
        return setting
    if setting == AUTO:
        setting = math.sqrt(item.low * item.high) if item.log else (item.low + item.high) / 2
    bounded = min(item.high, max(item.low, setting))
    return int(bounded) if item.whole else float(bounded)


def _plain(item: Dimension, value: Any) -> Setting:
    """Three digits are enough of a number with a fraction, and can be read."""
    if item.choices or item.whole:
        return value  # type: ignore[no-any-return]
    return min(item.high, max(item.low, float(f"{value:.3g}")))
