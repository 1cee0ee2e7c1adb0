"""Files from strangers: each is given to the command that it is for, in a forked child that is watched.

A promise is broken where a command does not end with 0 or 2, does what no file may make it do, writes signs that move
a terminal's cursor, or takes more than a second or 200 MB. Where it goes on with the rows that are left, what the same
command takes for good files alone is not counted.
"""

from __future__ import annotations

import random
import runpy
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from . import Tried
from .preload import preload
from .strangers import OUTSIDE, Case, predict_words, train_words
from .strangers.archives import archive_cases
from .strangers.arrays import array_cases
from .strangers.material import photos, prepare
from .strangers.media import media_cases
from .strangers.models import model_cases
from .strangers.runs import run_cases
from .strangers.tables import table_cases
from .watched import Bounds, Outcome, run_watched

_GENERATORS: Final = (model_cases, run_cases, archive_cases, table_cases, array_cases, media_cases)
MOST_SECONDS: Final = 1.0
MOST_BYTES: Final = 200 * 10**6

_ENDED_AFTER_S: Final = 30.0


def files(folder: Path, *, count: int, seed: int) -> Iterator[Tried]:
    """So many files, of every kind equally many as far as there are.

    Args:
        folder: of its own.
        count: of files.
        seed: of what is wrong with them.
    """
    preload()
    good = prepare(folder)
    judged = _judged(folder, good)
    usual = {words[0]: _usual(words, folder, judged) for words in _USUAL}
    for case in chosen([case for cases in _GENERATORS for case in cases(seed)], count, seed):
        outcome = try_case(case, folder, judged if case.kind == "run" else good)
        found = problems_of(case, outcome, usual[case.words[0]])
        how = "refused" if outcome.code == 2 else "left out what was wrong" if case.ends == "aside" else "harmless"
        yield Tried(f"{case.kind}: {case.what}", not found, "; ".join(found) or how, kind=case.kind)


def chosen(cases: Sequence[Case], count: int, seed: int) -> list[Case]:
    """Equally many of each kind, as far as there are, in an order that the seed decides."""
    of_kind: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        of_kind[case.kind].append(case)
    left, picked = count, list[Case]()
    for place, kind in enumerate(sorted(of_kind, key=lambda kind: len(of_kind[kind]))):
        share = left // (len(of_kind) - place)
        picked += of_kind[kind][:share]
        left -= min(share, len(of_kind[kind]))
    random.Random(f"{seed}/order").shuffle(picked)
    return picked


def try_case(case: Case, root: Path, good: Path) -> Outcome:
    """Make the file in a fresh folder, run the command there, and take both away."""
    folder = root / "case"
    shutil.copytree(good, folder)
    try:
        case.make(folder)
        bounds = Bounds(
            writable=(folder / "run", folder / "runs", root / "cache"),
            secret=(root / OUTSIDE,),
            seconds=_ENDED_AFTER_S,
        )
        return run_watched(lambda: _command(case.words), folder=folder, bounds=bounds)
    finally:
        shutil.rmtree(folder)


def problems_of(case: Case, outcome: Outcome, usual_s: float) -> list[str]:
    """What of the promise did not hold; `usual_s` is what the command takes for good files."""
    found = list(outcome.forbidden)
    allowed = {"refused": (2,), "aside": (0, 2), "any": (0, 2)}[case.ends]
    if outcome.code not in allowed:
        ended = f"was ended after {_ENDED_AFTER_S:.0f} s" if outcome.code is None else f"exit code {outcome.code}"
        found.append(f"{ended}, said: …{outcome.text.strip()[-300:]!r}")
    if not all(line.isprintable() for line in outcome.text.splitlines()):
        found.append(f"wrote signs that can't be seen: {outcome.text[:300]!r}")
    if outcome.code == 2 and not outcome.text.strip():
        found.append("said nothing")
    most_s = MOST_SECONDS + (usual_s if outcome.code == 0 else 0)
    if outcome.seconds > most_s:
        found.append(f"took {outcome.seconds:.1f} s of a processor")
    if outcome.extra_bytes > MOST_BYTES:
        found.append(f"took {outcome.extra_bytes / 1e6:.0f} MB")
    return found


_USUAL: Final = (train_words("photos")[:-2], predict_words("photos"), ("resume", "run"), ("report", "run"))


def _usual(words: tuple[str, ...], root: Path, judged: Path) -> float:
    """Seconds that a command takes for good files."""
    tried = [try_case(Case("good", "good files", words, lambda _: None), root, judged) for _ in range(2)]
    return max(outcome.seconds for outcome in tried)


def _judged(root: Path, good: Path) -> Path:
    """A copy of the good files with pictures, and a run that was trained on them and judged."""
    judged = root / "judged"
    shutil.copytree(good, judged)
    photos(judged)
    bounds = Bounds(writable=(judged, root / "cache"))
    trained = run_watched(lambda: _command(train_words("photos")), folder=judged, bounds=bounds)
    assert trained.code == 0, trained.text
    return judged


def _command(words: Sequence[str]) -> int:
    """What the words do on a command line; never returns, but raises SystemExit."""
    sys.argv = ["gnomon", *words]
    runpy.run_module(__package__.partition(".")[0], run_name="__main__")
    return 0
