"""Two processes and one run directory: one works there, and a dead one locks nobody out."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from gnomon.errors import RunError
from gnomon.rundir.run import METRICS
from gnomon.spine.finish import finish
from gnomon.spine.fit import fit, resume
from gnomon.spine.opening import InMemory
from gnomon.types import Stepped
from test_faults import SOURCE, _every_step_is_told, clock, given, new_run, recipe, until

__all__ = ["_every_step_is_told", "given"]

HOLD: Final = """
import sys
from pathlib import Path
from gnomon.rundir.lock import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_processes_do_not_work_in_one_directory_and_a_dead_one_locks_nobody_out(
    tmp_path: Path, given: InMemory
) -> None:
    run = new_run(tmp_path)
    until(fit(recipe(), run, clock(), given=given), Stepped, 4)
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run.path)],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    before = (run.path / METRICS).read_bytes()
    for work in (resume(run, clock(), given=given), finish(run, clock(), given=given)):
        with pytest.raises(RunError, match=f"is in use by another gnomon, process {other.pid}"):
            next(work)
    run.remove_unplanned()
    assert (run.path / METRICS).read_bytes() == before
    os.kill(other.pid, signal.SIGKILL)
    other.communicate()
    assert (run.path / ".lock").exists(), "left behind by the dead one"
    assert list(resume(run, clock(), given=given))
    assert not (run.path / ".lock").exists()
