"""The search: explore, confirm, train. A generator of events; whoever runs the loop shows them.

What has been done stands in the journal, and each stage begins by asking it. So there is one path for a search that
begins and one that goes on: `search` on the same directory.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, TypeAlias

import msgspec

from .. import chance
from ..deadline import Deadline, spoken
from ..errors import DeadlineError, InputError, RecipeError
from ..report import Language
from ..rows.dataset import split_table
from ..rundir.run import BEST, DATA, PLAN, RESULT, SEARCH, SPLIT, Run, create_run
from ..space import Dimension, Setting
from ..spine.finish import finish
from ..spine.fit import fit, resume
from ..spine.opening import NOTHING, InMemory, open_data, opened_for
from ..spine.preparing import plan_on
from ..spine.reopening import reopen_dataset
from ..tasks import bind
from ..types import Event, Going, Noted, Phased
from .division import CONFIRMED_LENGTHS, CONFIRMED_PAIRS, divide, exponent, first_trial_s, needed_s
from .draw import draw, grid_points
from .gain import candidate, gain_of, is_worth, no_gain
from .hands import Hands, hands_for
from .importance import influences
from .making import Bench, Job, make, recipe_for
from .page import write_page
from .records import (
    Began,
    Divided,
    Ended,
    Found,
    Record,
    Result,
    SearchEvent,
    SearchSpec,
    Stage,
    pairs_of,
    read_records,
    record,
)
from .settings import laid_over, space_for, usual_settings
from .shared import Shared
from .telling import told
from .trial import Tried, planned

_KEPT_S: Final = 0.4
"""Seconds for the page, behind the final training."""
_FINAL_SHARE: Final = 0.7
"""Of the time, for which the size of pictures is chosen."""
_MOMENT_S: Final = 20.0
_FEWEST_STEPS: Final = 24
_LOOK_S: Final = 0.2


@dataclass(slots=True)
class Wish:
    """Set `enough` at any time: the stage that runs ends, and the next one begins."""

    enough: bool = False

    def taken(self) -> bool:
        """Whether it was set; it no longer is."""
        was, self.enough = self.enough, False
        return was


@dataclass(slots=True)
class _Search:
    """What the stages share."""

    run: Run
    spec: SearchSpec
    deadline: Deadline
    given: InMemory
    wish: Wish
    bench: Bench
    records: list[Record]
    before_s: float
    shared: Shared | None = None
    hands: Hands | None = None
    others: list[Record] = field(default_factory=list)

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        return self.spec.dimensions

    @property
    def usual(self) -> dict[str, Setting]:
        return usual_settings(self.spec.dimensions)

    def of(self, stage: Stage) -> list[Record]:
        """What is over of a stage."""
        return [done for done in self.records if done.stage == stage]

    def next_number(self, stage: Stage, running: Collection[int]) -> int:
        """The first that is neither over nor running."""
        taken = {*running, *(done.number for done in self.of(stage))}
        return next(number for number in itertools.count() if number not in taken)

    @property
    def explored(self) -> list[Record]:
        """Trials that are over, those of others that share the study included."""
        return [*self.others, *self.of("explore")]


def search(
    run: Run,
    spec: SearchSpec,
    deadline: Deadline,
    *,
    given: InMemory = NOTHING,
    wish: Wish | None = None,
    language: Language = "en",
) -> Generator[SearchEvent, None, None]:
    """Search, and train with what was found; or go on with a search that was stopped.

    Args:
        run: the search's directory.
        spec: what was asked; what stands in the directory where it is there.
        deadline: for all of it; not set where the recipe says how long a training is.
        given: rows or a network in memory.
        wish: to end a stage early.
        language: of the final training's report.

    Raises:
        InputError: the data, a setting or the deadline can't be used.
    """
    try:
        with run.locked():
            yield from _searched(run, spec, deadline, given, wish or Wish(), language)
    except InputError:
        run.remove_unsearched()
        raise


def _searched(
    run: Run, spec: SearchSpec, deadline: Deadline, given: InMemory, wish: Wish, language: Language
) -> Generator[SearchEvent, None, None]:
    run.remove_leftovers()
    if not run.has(SEARCH):
        run.write_json(SEARCH, spec)
    state = yield from _begin(run, spec, deadline, given, wish)
    if not run.has(RESULT):
        if deadline.is_set and state.spec.division is None:
            yield from _divide(state)
        if state.spec.division is not None:
            yield Divided(division=state.spec.division)
        with _hands(state):
            if not state.of("confirm"):
                yield from _explore(state)
            result = yield from _confirm(state)
        run.write_json(RESULT, result)
    result = run.read_json(RESULT, Result)
    yield Found(result=result)
    write_page(run)
    yield from _train(state, result, language)
    write_page(run)


@contextmanager
def _hands(state: _Search) -> Iterator[None]:
    """The processes that make trainings side by side, where some were asked for."""
    if (state.spec.ray or state.spec.workers) and (state.given.module is not None or state.given.source is not None):
        raise RecipeError("what is in memory can't be handed to other processes", remedy="Give a path and a name.")
    state.hands = hands_for(state.spec, state.bench.opened.dataset)
    try:
        yield
    finally:
        if state.hands is not None:
            state.hands.close()
        state.hands = None


# --- Stages ----------------------------------------------------------------------------------------------------------


def _begin(
    run: Run, spec: SearchSpec, deadline: Deadline, given: InMemory, wish: Wish
) -> Generator[Event, None, _Search]:
    records = read_records(run)
    recipe = spec.recipe
    if run.has(DATA):
        yield Phased(name="reading", elapsed_s=deadline.elapsed_s())
        dataset = yield from reopen_dataset(run, recipe, deadline, given=given)
        opened = opened_for(dataset, recipe)
        yield Noted(text=f"going on after {len(records)} trainings")
    else:
        longest = Deadline(deadline.start_s, deadline.start_s + _FINAL_SHARE * deadline.total_s)
        opened = yield from open_data(recipe, longest, given=given)
        run.write(SPLIT, split_table(opened.dataset))
        run.write_json(DATA, opened.dataset.summary)
    bench = Bench.of(opened, seed=recipe.seed, module=given.module)
    if not spec.dimensions:
        moment = Deadline(deadline.start_s)
        if deadline.is_set:
            moment = Deadline(deadline.start_s, deadline.start_s + deadline.elapsed_s() + _MOMENT_S)
        plan = plan_on(bench.choosing, recipe, moment, module=given.module, finish_s=0.0).plan
        spec = msgspec.structs.replace(
            spec, dimensions=space_for(recipe, plan, opened.dataset.spec, timed=deadline.is_set)
        )
    run.write_json(SEARCH, spec)
    before_s = max((done.elapsed_s for done in records), default=0.0)
    shared = Shared.opened(spec.storage, spec.study, run.path) if spec.storage else None
    return _Search(run, spec, deadline, given, wish, bench, records, before_s, shared)


def _divide(state: _Search) -> Generator[SearchEvent, None, None]:
    """Train by the usual settings for one time and for twice that, and divide the rest by what it brought."""
    yield Phased(name="measuring what time brings", elapsed_s=state.deadline.elapsed_s())
    whole = plan_on(state.bench.opened, state.spec.recipe, state.deadline, module=state.given.module).plan
    free_s = whole.end_s - state.deadline.elapsed_s() - _KEPT_S
    first_s = _first_s(state, free_s)
    for number in range(len(state.of("pace")), 2):
        seed = state.spec.recipe.seed
        yield from _made(state, Job("pace", number, state.usual, seed, (number + 1) * first_s), 2)
    short, long = state.of("pace")
    power = exponent(1 - short.score, 1 - long.score, len(state.bench.choosing.validation))
    behind_s = state.deadline.total_s - whole.end_s + _KEPT_S
    around_s = max(0.0, min(short.seconds - first_s, long.seconds - 2 * first_s))
    division = divide(free_s, first_s, power, behind_s=behind_s, around_s=around_s)
    state.spec = msgspec.structs.replace(state.spec, division=division)
    state.run.write_json(SEARCH, state.spec)


def _first_s(state: _Search, free_s: float) -> float:
    """Seconds of the shortest training: a share of what is free, but enough for some steps on this machine.

    Raises:
        DeadlineError: that is too much for a search.
    """
    first_s, recipe = first_trial_s(free_s), recipe_for(state.spec, state.usual, state.spec.recipe.seed)
    while needed_s(first_s) <= free_s:
        try:
            if planned(state.bench.choosing, recipe, first_s, state.given.module)[0].plan.steps >= _FEWEST_STEPS:
                return first_s
        except DeadlineError:
            pass
        first_s *= 1.4
    needed = needed_s(first_s)
    raise DeadlineError(
        f"{spoken(max(0.0, free_s))} are left for searching and training, and a search needs {spoken(needed)}: its "
        f"shortest training takes {spoken(first_s)} here",
        remedy=f"Give at least --by {int(state.deadline.total_s - free_s + 1.3 * needed)}s, or use train.",
    )


def _explore(state: _Search) -> Generator[SearchEvent, None, None]:
    yield Phased(name="exploring", elapsed_s=state.deadline.elapsed_s())
    spec, division = state.spec, state.spec.division
    most = grid_points(spec.dimensions) if spec.method == "grid" else None
    most = min(filter(None, (most, spec.trials)), default=None)
    if state.hands is None:
        yield from _take_first(state)
    final_s = _final_s(state)

    def next_job(running: Collection[int]) -> tuple[Job, int] | None:
        """The next trial and how many are expected, while there is time for one."""
        number = state.next_number("explore", running)
        if most is not None and number >= most:
            return None
        if division is not None:
            next_s = division.trial_s + division.around_s
            if state.deadline.remaining_s() < final_s + division.confirm_s + next_s:
                return None
        if state.shared is not None:
            state.others = state.shared.exchange(state.of("explore"), spec.dimensions)
        seed = spec.recipe.seed if state.shared is None else state.shared.seed(spec.recipe.seed)
        settings = draw(spec.dimensions, spec.method, seed=seed, number=number, over=state.explored)
        seconds = None if division is None else division.trial_s
        job = Job("explore", number, settings, spec.recipe.seed, seconds, tuple(state.explored))
        return job, most or _expected(state, final_s)

    yield from _made_all(state, next_job)
    if state.shared is not None:
        state.others = state.shared.exchange(state.of("explore"), spec.dimensions)


def _confirm(state: _Search) -> Generator[SearchEvent, None, Result]:
    """Whether the best is better: with fresh seeds, on rows that chose nothing."""
    yield Phased(name="confirming", elapsed_s=state.deadline.elapsed_s())
    explored = state.explored
    deviation = state.bench.deviation(state.of("explore"))
    found = candidate(state.dimensions, explored, deviation=deviation) if _some(explored) else None
    gain = no_gain()
    if found is not None and found.settings != state.usual:
        yield from _pairs(state, found)
        gain = gain_of(state.records, state.spec.division)
    settings = state.usual if found is None else found.settings
    used = settings if gain.verdict in ("better", "likely") else state.usual
    mattered = influences(state.dimensions, explored)
    task = bind(state.bench.opened.dataset.spec)
    result = Result(
        used=used,
        found=settings,
        trial=0 if found is None else found.number,
        measure=task.score_name,
        gain=gain,
        influences=mattered,
        said=(),
    )
    return msgspec.structs.replace(result, said=told(result, state.spec, state.of("explore")))


def _train(state: _Search, result: Result, language: Language) -> Generator[SearchEvent, None, None]:
    """The final training: an ordinary run, with all the time that is left."""
    best, deadline = Run(state.run.path / BEST), state.deadline
    if deadline.is_set:
        deadline = Deadline(deadline.start_s, deadline.end_s - _KEPT_S)
    given = replace(state.given, opened=state.bench.opened)
    if best.has(PLAN):
        events = resume(best, deadline, given=given)
    else:
        shutil.rmtree(best.path, ignore_errors=True)
        create_run(best.path, data="", model="")
        events = fit(laid_over(state.spec.recipe, result.used, state.usual), best, deadline, given=given)
    dataset = state.bench.opened.dataset
    while True:
        try:
            event = next(events)
        except StopIteration:
            break
        yield event
        if state.wish.taken():
            events.close()
            yield Noted(text="stopped; judging what there is")
            break
    yield from finish(best, deadline, dataset=dataset, given=given, language=language)


# --- Trainings -------------------------------------------------------------------------------------------------------

NextJob: TypeAlias = Callable[[Collection[int]], tuple[Job, int] | None]
"""(numbers of those that run) → the next training and how many are expected in all; None: no more."""


def _made(state: _Search, job: Job, expected: int) -> Generator[SearchEvent, None, None]:
    """One training by this process, and its line in the journal."""
    yield Began(stage=job.stage, number=job.number, expected=expected, settings=job.settings)
    tried = yield from make(job, state.spec, state.bench)
    yield _over(state, job, tried)


def _made_all(state: _Search, next_job: NextJob) -> Generator[SearchEvent, None, None]:
    """Trainings, one behind the other or side by side, until there are no more or it is enough."""
    if state.hands is not None:
        yield from _made_by(state.hands, state, next_job)
        return
    while not state.wish.taken():
        found = next_job(())
        if found is None:
            return
        yield from _made(state, *found)


def _made_by(hands: Hands, state: _Search, next_job: NextJob) -> Generator[SearchEvent, None, None]:
    """Side by side. What is under way when it is enough is given up."""
    running, more = set[int](), True
    while (running or more) and not state.wish.taken():
        while hands.free() and more:
            found = next_job(running)
            more = found is not None
            if found is not None:
                job, expected = found
                running.add(job.number)
                yield Began(stage=job.stage, number=job.number, expected=expected, settings=job.settings)
                hands.begin(job)
        for job, tried in hands.over(_LOOK_S):
            running.discard(job.number)
            yield _over(state, job, tried)
        yield Going(step=0, elapsed_s=state.deadline.elapsed_s())


def _over(state: _Search, job: Job, tried: Tried) -> Ended:
    done = _record(state, job, tried)
    best = max((other.score for other in state.of(job.stage) if other.state == "finished"), default=-float("inf"))
    record(state.run, done)
    state.records.append(done)
    return Ended(record=done, best=done.state == "finished" and done.score > best)


def _record(state: _Search, job: Job, tried: Tried) -> Record:
    return Record(
        stage=job.stage,
        number=job.number,
        settings=job.settings,
        state="failed" if tried.reason else "pruned" if tried.stopped else "finished",
        score=tried.score,
        loss=tried.loss,
        scores=tried.scores,
        steps=tried.steps,
        seconds=tried.seconds,
        seed=job.seed,
        network=tried.network,
        elapsed_s=state.before_s + state.deadline.elapsed_s(),
        reason=tried.reason,
        rows=tried.rows,
    )


def _pairs(state: _Search, found: Record) -> Generator[SearchEvent, None, None]:
    """Trainings by usual and best settings with fresh seeds; longer and longer, while a gain is expected to last."""
    division = state.spec.division
    for pair in range(CONFIRMED_PAIRS):
        seconds = None if division is None else CONFIRMED_LENGTHS[pair] * division.trial_s
        begun = any(done.number // 2 == pair for done in state.of("confirm"))
        if division is not None and seconds and not begun and not is_worth(state.records, division, 2 * seconds):
            return
        yield from _made_all(state, partial(_of_pair, state, found, pair, seconds))
        if len(pairs_of(state.records)) <= pair:
            return  # it was enough


def _of_pair(
    state: _Search, found: Record, pair: int, seconds: float | None, running: Collection[int]
) -> tuple[Job, int] | None:
    """The training of this pair that is neither over nor running."""
    number = state.next_number("confirm", running)
    if number // 2 > pair:
        return None
    settings = found.settings if number % 2 else state.usual
    seed = chance.key(state.spec.recipe.seed, "confirm", pair) % 2**31
    return Job("confirm", number, settings, seed, seconds), 2 * CONFIRMED_PAIRS


def _take_first(state: _Search) -> Iterator[SearchEvent]:
    """Trial 0 is the training of the usual settings that is as long as a trial: it has been made already."""
    division = state.spec.division
    if division is None or state.of("explore"):
        return
    short, long = state.of("pace")
    nearest = long if division.trial_s > 1.5 * (short.seconds - division.around_s) else short
    done = msgspec.structs.replace(nearest, stage="explore", number=0)
    record(state.run, done)
    state.records.append(done)
    yield Ended(record=done, best=done.state == "finished")


def _final_s(state: _Search) -> float:
    """Seconds to keep for the final training and what follows; less, in proportion, where a new deadline is nearer."""
    division = state.spec.division
    if division is None:
        return 0.0
    spent_s = sum(done.seconds for done in state.records if done.stage != "confirm")
    wanted_s = max(0.0, division.explore_s - spent_s) + division.confirm_s + division.final_s
    behind_s = division.behind_s
    return behind_s + division.final_s * min(1.0, (state.deadline.remaining_s() - behind_s) / wanted_s)


def _expected(state: _Search, final_s: float) -> int:
    """Trials in all, if the rest take as long as those before."""
    division, made = state.spec.division, state.of("explore")
    if division is None or not made:
        return 0
    mean_s = sum(done.seconds for done in made) / len(made)
    left_s = state.deadline.remaining_s() - final_s - division.confirm_s
    return len(made) + max(1, int(left_s / max(mean_s, 1e-3)))


def _some(records: Sequence[Record]) -> bool:
    return any(done.state == "finished" for done in records)
