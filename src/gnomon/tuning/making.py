"""One training of a search, told and answered in plain values: so it can be made here or by another process."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np
from torch import nn

from .. import chance
from ..space import Setting
from ..spine.opening import Opened
from ..spine.recipe import Recipe
from ..tasks import bind
from ..types import Event, Value
from .draw import course_of
from .records import Record, SearchSpec, Stage
from .settings import laid_over, usual_settings
from .trial import Tried, try_settings


class Job(Value, frozen=True):
    """A training that is to be made.

    Attributes:
        stage, number, settings, seed: as in its record.
        seconds: of the training; None: the recipe says how long.
        over: trials that are over, which this one is compared with on its way.
    """

    stage: Stage
    number: int
    settings: dict[str, Setting]
    seed: int
    seconds: float | None = None
    over: tuple[Record, ...] = ()


@dataclass(frozen=True, slots=True)
class Bench:
    """Open data of a search: one half of the validation part chooses, the other one confirms."""

    opened: Opened
    choosing: Opened
    confirming: Opened
    module: nn.Module | None = None

    @staticmethod
    def of(opened: Opened, *, seed: int, module: nn.Module | None = None) -> Bench:
        """The halves are drawn by the seed."""
        order = chance.permutation(seed, "validation halves", 0, len(opened.validation))
        half = (len(order) + 1) // 2
        parts = (opened.validation.only(np.sort(chosen)) for chosen in (order[:half], order[half:]))
        choosing, confirming = (replace(opened, validation=part) for part in parts)
        return Bench(opened, choosing, confirming, module)

    def deviation(self, explored: Sequence[Record]) -> float:
        """What chance makes of a score of exploring."""
        finished = [done.score for done in explored if done.state == "finished"]
        task = bind(self.opened.dataset.spec)
        return task.standard_error(max(finished, default=0.5), len(self.choosing.validation))


def recipe_for(spec: SearchSpec, settings: dict[str, Setting], seed: int) -> Recipe:
    """Of a short training."""
    laid = laid_over(spec.recipe, settings, usual_settings(spec.dimensions))
    training = msgspec.structs.replace(laid.training, views="none", early_stopping=0)
    return msgspec.structs.replace(laid, training=training, seed=seed)


def make(job: Job, spec: SearchSpec, bench: Bench) -> Generator[Event, None, Tried]:
    """Make it.

    Raises:
        InputError: the usual settings can't be used.
    """
    course = None
    if job.stage == "explore" and job.number > 0:
        course = course_of(spec.dimensions, job.over, tolerance=bench.deviation(job.over))
    return (
        yield from try_settings(
            bench.confirming if job.stage == "confirm" else bench.choosing,
            recipe_for(spec, job.settings, job.seed),
            seconds=job.seconds,
            module=bench.module,
            is_poor=course.is_poor if course is not None else None,
            each_row=job.stage == "confirm",
            must_work=job.stage != "confirm" and job.settings == usual_settings(spec.dimensions),
        )
    )
