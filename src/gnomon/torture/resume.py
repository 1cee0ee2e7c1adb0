"""Runs are ended again and again at any moment, and gone on with: they must come to the same bits as without."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from ..errors import GnomonError
from ..rows.cache import cache_root
from ..rundir.run import METRICS, MODEL, PREDICTIONS, RECIPE, Run
from . import Tried
from .cases import Case, cases, make_data
from .lives import NEVER, Ended, Moment, live, load_everything

_MOST_KILLS: Final = 8
_REAL_SHARE: Final = 0.06
_TIMED_SHARE: Final = 0.4
_UNREAD_SHARE: Final = 0.2
_TIMES: Final = ("check", "elapsed_s", "rows_per_s")
_COMPARED: Final = ("step", "validation", "replan", "revert", "stop")


@dataclass(frozen=True, slots=True)
class Whole:
    """What a training comes to that nobody ends, and how long it and its parts are.

    Attributes:
        case: that it is of.
        files: name → content of what must be the same to the bit.
        history: of the training, without times.
        bytes: of the whole run directory.
        ended: of a fork.
        real_s: seconds of a real process.
    """

    case: Case
    files: dict[str, bytes]
    history: list[dict[str, Any]]
    bytes: int
    ended: Ended
    real_s: float


def kills(folder: Path, *, count: int, seed: int) -> Iterator[Tried]:
    """At least so many SIGKILLs of the process group, 1 to 8 a run.

    Args:
        folder: an empty one.
        count: of kills.
        seed: of what is trained, and when it is killed.
    """
    yield from _attempts(folder, count, random.Random(seed), _killing)


def signals(folder: Path, *, count: int, seed: int) -> Iterator[Tried]:
    """At least so many signals that can be listened to: SIGINT once and twice, SIGTERM, SIGHUP."""
    yield from _attempts(folder, count, random.Random(seed), _signalling)


def _attempts(
    folder: Path, count: int, chance: random.Random, choose: Callable[[Whole, random.Random], Moment]
) -> Iterator[Tried]:
    make_data(folder)
    load_everything()
    wholes: dict[str, Whole] = {}
    loading_s = _loading_s(folder)
    made, number = 0, 0
    while made < count:
        case = chance.choice(cases())
        if case.name not in wholes:
            wholes[case.name] = whole_of(folder, case, loading_s=loading_s)
        tried = _attempt(folder, wholes[case.name], chance, choose, number, min(_MOST_KILLS, count - made))
        made, number = made + tried.faults, number + 1
        yield tried


def _loading_s(folder: Path) -> float:
    """How much longer a real process takes than a fork, and whether it gives the same."""
    case = cases()[0]
    whole = whole_of(folder, case)
    run = Run(folder / "real")
    real = live(words_for(run, case, folder), folder, Moment(real=True))
    problems = differences(run, whole)
    if real.code or problems:
        raise GnomonError(f"{case.name}: a process is not as a fork: {real.said} {problems}")
    shutil.rmtree(run.path)
    return max(0.0, real.seconds - whole.ended.seconds)


def whole_of(folder: Path, case: Case, *, loading_s: float = 0.0) -> Whole:
    """The run that nobody ends."""
    run = Run(folder / "whole")
    ended = live(words_for(run, case, folder), folder)
    if ended.code != 0:
        raise GnomonError(f"{case.name}: ended with {ended.code}: {ended.said}")
    size = sum(path.stat().st_size for path in run.path.rglob("*") if path.is_file())
    found = Whole(case, _files(run), _history(run), size, ended, ended.seconds + loading_s)
    shutil.rmtree(run.path)
    return found


def _attempt(
    folder: Path,
    whole: Whole,
    chance: random.Random,
    choose: Callable[[Whole, random.Random], Moment],
    number: int,
    most: int,
) -> Tried:
    """One run, ended 1 to 8 times and then let be."""
    if chance.random() < _UNREAD_SHARE:
        shutil.rmtree(cache_root(), ignore_errors=True)
    run, moments, made, problems = Run(folder / f"run {number}"), [], 0, []
    for _ in range(chance.randint(1, most)):
        moment = choose(whole, chance)
        before = latest_step(run)
        ended = live(words_for(run, whole.case, folder), folder, moment)
        moments.append(str(moment))
        made += ended.code != 0
        problems += _problems(run, ended, moment, before)
        if ended.code == 0:
            break
    last = live(words_for(run, whole.case, folder), folder, NEVER)
    if last.code != 0:
        problems.append(f"going on ended with {last.code}: {last.said}")
    problems += differences(run, whole)
    if not problems:
        shutil.rmtree(run.path)
    what = f"{whole.case.name}: {', '.join(moments)}"
    return Tried(what=what, held=not problems, found="; ".join(problems), faults=made)


def words_for(run: Run, case: Case, folder: Path) -> tuple[str, ...]:
    """The command that a user would give in this folder: going on where there is something to go on with."""
    if run.has(RECIPE):
        return "resume", run.path.name, "--quiet"
    (folder / RECIPE).write_text(case.recipe.to_toml())
    return "train", "--recipe", RECIPE, "--quiet", "--out", run.path.name


def _killing(whole: Whole, chance: random.Random) -> Moment:
    if chance.random() < _REAL_SHARE:
        return Moment(seconds=chance.uniform(0, 1.05 * whole.real_s), real=True)
    if chance.random() < _TIMED_SHARE:
        return Moment(seconds=chance.uniform(0, 1.05 * whole.ended.seconds))
    return _at_something(whole, chance, (signal.SIGKILL,))


def _signalling(whole: Whole, chance: random.Random) -> Moment:
    sent = chance.choice(
        ((signal.SIGINT,), (signal.SIGTERM,), (signal.SIGHUP,), (signal.SIGINT, signal.SIGINT), (signal.SIGTERM,) * 2)
    )
    if chance.random() < _REAL_SHARE:
        return Moment(seconds=chance.uniform(0, 1.05 * whole.real_s), signals=sent, real=True)
    if chance.random() < _TIMED_SHARE:
        return Moment(seconds=chance.uniform(0, 1.05 * whole.ended.seconds), signals=sent)
    return _at_something(whole, chance, sent)


def _at_something(whole: Whole, chance: random.Random, sent: tuple[int, ...]) -> Moment:
    """Each kind of thing is as likely, however often it is done."""
    what = chance.choice([name for name, count in whole.ended.counts.items() if count])
    number = 1 if chance.random() < 0.15 else chance.randint(1, whole.ended.counts[what])
    return Moment(what=what, number=number, after=chance.random() < 0.5, signals=sent)


def _problems(run: Run, ended: Ended, moment: Moment, before: int) -> list[str]:
    """What must hold after any end of a life."""
    wanted = {0, *(128 + number for number in moment.signals)}
    problems = [] if ended.code in wanted else [f"ended with {ended.code} at {moment}: {ended.said}"]
    after = latest_step(run)
    if after < before:
        problems.append(f"the checkpoint of step {before} is gone; the latest is that of {after}")
    return problems


def latest_step(run: Run) -> int:
    """Of the latest checkpoint that is whole; -1 for none."""
    checkpoint = run.latest_checkpoint()
    return -1 if checkpoint is None else checkpoint.step


def differences(run: Run, whole: Whole) -> list[str]:
    """What is not as in the run that nobody ended, and what was left behind."""
    files = _files(run)
    problems = [f"{name} differs" for name, content in whole.files.items() if files.get(name) != content]
    if _history(run) != whole.history:
        problems.append(f"the history differs: {_first_difference(_history(run), whole.history)}")
    left = [path.name for path in run.path.rglob(".*")]
    return problems + ([f"left behind: {left}"] if left else [])


def _first_difference(found: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> str:
    for one, other in zip(found, wanted, strict=False):
        if one != other:
            return f"{one} instead of {other}"
    return f"{len(found)} instead of {len(wanted)} events"


def _files(run: Run) -> dict[str, bytes]:
    paths = ((name, run.path / name) for name in (MODEL, PREDICTIONS))
    return {name: path.read_bytes() for name, path in paths if path.is_file()}


def _history(run: Run) -> list[dict[str, Any]]:
    """What was told of the training, without times."""
    if not run.has(METRICS):
        return []
    events = [msgspec.json.decode(line) for line in (run.path / METRICS).read_bytes().splitlines()]
    kept = [event for event in events if event["event"] in _COMPARED]
    return [{name: value for name, value in event.items() if name not in _TIMES} for event in kept]
