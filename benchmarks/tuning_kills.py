"""Searches killed with SIGKILL at random moments: is a finished training lost, repeated or changed?

    python benchmarks/tuning_kills.py [KILLS]

Each session of a search is a process of its own, forked from one that has the libraries loaded, and killed at a random
moment after its start: inside of a training, of a write, of the final training, anywhere. Sessions are killed until so
many kills are over; then the search is let come to its end, and compared with one that nobody killed.
"""

import os
import random
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.stats  # noqa: F401 - loaded here once
import sklearn.gaussian_process  # noqa: F401
from safetensors.numpy import load_file

from gnomon.deadline import Deadline
from gnomon.planning.asked import TrainingSpec
from gnomon.rundir.run import BEST, MODEL, RESULT, Run, create_search
from gnomon.sources import SourceSpec
from gnomon.spine.recipe import Recipe
from gnomon.tuning.records import SearchSpec, read_records
from gnomon.tuning.search import search

TRIALS = 12


def asked() -> SearchSpec:
    training = TrainingSpec(steps=24, batch=32, threads=1, format="float32", views="none")
    return SearchSpec(recipe=Recipe(source=SourceSpec(location="digits"), training=training, seed=1), trials=TRIALS)


def session(directory: Path) -> Callable[[], None]:
    def work() -> None:
        for _ in search(create_search(directory, data="digits"), asked(), Deadline(time.monotonic())):
            pass

    return work


def in_a_process(work: Callable[[], None], *, kill_after_s: float | None) -> int:
    """Its exit code; less than 0 for a signal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def journal(directory: Path) -> list[tuple[object, ...]]:
    if not directory.exists():
        return []
    made = read_records(Run(directory))
    return [(r.stage, r.number, tuple(r.settings.items()), r.state, r.score, r.scores, r.seed, r.rows) for r in made]


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    moments = random.Random(0)

    def moment() -> float:
        """Seconds; now and then so many that the final training is reached."""
        return moments.uniform(0, whole_s * moments.choice((0.1, 0.3, 0.9)))

    with tempfile.TemporaryDirectory() as folder:
        os.environ["GNOMON_CACHE"] = f"{folder}/cache"
        whole = Path(folder, "whole")
        began = time.monotonic()
        assert in_a_process(session(whole), kill_after_s=None) == 0
        whole_s = time.monotonic() - began
        done, searches, faults, where = 0, 0, [], dict[str, int]()
        while done < kills:
            searches += 1
            directory, seen = Path(folder, f"killed-{searches}"), list[tuple[object, ...]]()
            while True:
                last = done >= kills
                ended = in_a_process(session(directory), kill_after_s=None if last else moment())
                now = journal(directory)
                if now[: len(seen)] != seen:
                    faults.append(f"search {searches}: a finished training is lost or changed")
                seen = now
                if ended == 0:
                    break
                if ended != -signal.SIGKILL:
                    faults.append(f"search {searches}: ended with {ended}")
                    break
                done += 1
                stage = "in the final training" if (directory / BEST).exists() else "in the search"
                where[stage] = where.get(stage, 0) + 1
            faults += [f"search {searches}: {what}" for what in differences(whole, directory)]
            print(f"search {searches}: {done} kills so far", flush=True)
    print(f"{done} kills over {searches} searches of {TRIALS} trials, {where}; a search takes {whole_s:.1f} s")
    print("\n".join(faults) or "no finished training lost, repeated or changed; results and models the same bits")
    raise SystemExit(bool(faults))


def differences(whole: Path, killed: Path) -> list[str]:
    found = []
    made = [(stage, number) for stage, number, *_ in journal(killed)]
    if len(made) != len(set(made)):
        found.append("a training stands twice")
    if journal(killed) != journal(whole):
        found.append("other trainings than those of the search that nobody killed")
    if (killed / RESULT).read_bytes() != (whole / RESULT).read_bytes():
        found.append("another result")
    before, after = (load_file(path / BEST / MODEL) for path in (whole, killed))
    if any(not np.array_equal(before[name], after[name]) for name in before):
        found.append("another model")
    return found


if __name__ == "__main__":
    main()
