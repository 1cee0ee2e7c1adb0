"""What a search writes and reads: `search.json`, `trials.jsonl`, `result.json`, and its events.

`trials.jsonl` is the journal: a training that is over stands there as one line, synced, and never changes. What comes
next follows from these lines alone; so after a crash the search goes on as if nothing had been, and no training that
was over is made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from ..errors import RunError
from ..rundir.run import SEARCH, TRIALS, Run
from ..space import Dimension, Setting
from ..spine.recipe import Recipe
from ..types import Event, Value
from .division import Division

Method: TypeAlias = Literal["bayes", "random", "grid"]
Stage: TypeAlias = Literal["explore", "pace", "confirm"]
State: TypeAlias = Literal["finished", "pruned", "failed"]

WORST: Final = -1e9


class SearchSpec(Value, frozen=True):
    """`search.json`: what was asked.

    Attributes:
        recipe: what every trial varies.
        method: how trials are drawn.
        dimensions: what is searched; empty: the space of the model family.
        trials: the most trials, the usual settings counted; None: as the time allows.
        total_s: seconds for everything; 0 where the recipe says how long a training is.
        storage: URL of an Optuna storage that is shared with others; empty for none.
        study: name there.
        workers: processes that make trainings side by side; None: this one alone, or with Ray one on each node.
        ray: address of a Ray cluster, or `local`; empty for none.
        division: of the time, as soon as it is measured.
    """

    recipe: Recipe
    method: Method = "bayes"
    dimensions: tuple[Dimension, ...] = ()
    trials: int | None = None
    total_s: float = 0.0
    storage: str = ""
    study: str = "gnomon"
    workers: Annotated[int, msgspec.Meta(ge=1, le=4096)] | None = None
    ray: str = ""
    division: Division | None = None


class Record(Value, frozen=True):
    """One training of a search that is over: a line of `trials.jsonl`.

    Attributes:
        stage: `explore`: a trial; `pace`: the usual settings for another time; `confirm`: usual or best with a fresh
            seed.
        number: in its stage, from 0; trial 0 has the usual settings.
        settings: what was searched.
        state: `pruned`: stopped on the way since others stood better; `failed`: nothing came of it, for `reason`.
        score: on the validation rows of its stage, the higher the better; that of its end.
        loss: beside it.
        scores: on the way: (share of the training, score).
        steps, seconds: of the training.
        seed: of it.
        network: in words.
        elapsed_s: of the whole search so far, the sessions before a restart counted.
        rows: of a confirmation: each row's part in the score.
    """

    stage: Stage
    number: int
    settings: dict[str, Setting]
    state: State
    score: float
    loss: float
    scores: tuple[tuple[float, float], ...]
    steps: int
    seconds: float
    seed: int
    network: str
    elapsed_s: float
    reason: str = ""
    rows: tuple[float, ...] = ()


class Influence(Value, frozen=True):
    """How much of the differences between trials one quantity explains, 0 to 1."""

    name: str
    share: float


class Gain(Value, frozen=True):
    """What the best settings gain over the usual ones, found with fresh seeds on rows that chose nothing.

    Attributes:
        value, low, high: of the score, with its 95 % interval.
        pairs: trainings of each.
        rows: that were judged.
        verdict: `better`: the whole interval is above 0; `likely`: more than one standard error; `noise`: else, and the
            usual settings are used; `usual`: nothing better was found at all.
        measured: (seconds of a training, gain in it) where trainings were shorter than the final one, of which `value`
            is then expected.
    """

    value: float
    low: float
    high: float
    pairs: int
    rows: int
    verdict: Literal["better", "likely", "noise", "usual"]
    measured: tuple[tuple[float, float], ...] = ()


class Result(Value, frozen=True):
    """`result.json`: what the search came to.

    Attributes:
        used: the settings of the final training.
        found: the best that was found, whether used or not.
        trial: its number.
        measure: what the score is.
        gain: over the usual settings.
        influences: what mattered, most first.
        said: the result in sentences.
    """

    used: dict[str, Setting]
    found: dict[str, Setting]
    trial: int
    measure: str
    gain: Gain
    influences: tuple[Influence, ...]
    said: tuple[str, ...]


# --- Events ----------------------------------------------------------------------------------------------------------


class Divided(Value, tag="division", tag_field="event", frozen=True):
    """How the time is divided."""

    division: Division


class Began(Value, tag="trial_began", tag_field="event", frozen=True):
    """A training of the search begins. `expected`: trials in all, as far as can be told."""

    stage: Stage
    number: int
    expected: int
    settings: dict[str, Setting]


class Ended(Value, tag="trial", tag_field="event", frozen=True):
    """A training of the search is over, and stands in the journal. `best`: none before it was better."""

    record: Record
    best: bool


class Found(Value, tag="found", tag_field="event", frozen=True):
    """The search is over; the final training follows."""

    result: Result


SearchEvent: TypeAlias = Event | Divided | Began | Ended | Found


# --- The journal -----------------------------------------------------------------------------------------------------


def read_search(run: Run) -> SearchSpec:
    """What was asked.

    Raises:
        RunError: this is no search, or a damaged one.
    """
    return run.read_json(SEARCH, SearchSpec)


def read_records(run: Run) -> list[Record]:
    """Every training that is over, in order. A line that a crash tore did not come to be.

    Raises:
        RunError: a line in the middle is damaged.
    """
    if not run.has(TRIALS):
        return []
    lines = run.read_text(TRIALS).split("\n")
    try:
        return [msgspec.json.decode(line, type=Record) for line in lines[:-1]]
    except msgspec.DecodeError as error:
        raise RunError(
            f"{str(run.path / TRIALS)!r} is damaged: {error}", remedy="Remove its damaged line, or search anew."
        ) from None


def pairs_of(records: Sequence[Record]) -> list[tuple[Record, Record]]:
    """Of each fresh seed the training by the usual settings and that by the best, where both are over."""
    confirmed = {done.number: done for done in records if done.stage == "confirm"}
    firsts = sorted(number for number in confirmed if number % 2 == 0 and number + 1 in confirmed)
    return [(confirmed[number], confirmed[number + 1]) for number in firsts]


def record(run: Run, done: Record) -> None:
    """Add a training that is over to the journal.

    Raises:
        RunError: it can't be written; the journal is as before.
    """
    before = run.read_text(TRIALS) if run.has(TRIALS) else ""
    run.write(TRIALS, before[: before.rfind("\n") + 1].encode() + msgspec.json.encode(done) + b"\n")
