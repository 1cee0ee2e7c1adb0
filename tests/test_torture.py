"""Short versions of the suites that try to break what is promised, as a user runs them; and that they can fail."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

import gnomon
from gnomon.torture import Tried, judge

SOURCE: Final = Path(gnomon.__file__).parents[1]
pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")


def torture(folder: Path, *words: str) -> dict[str, Any]:
    """Run a suite; its verdict, which must be that everything held."""
    done = subprocess.run(
        [sys.executable, "-m", "gnomon", "torture", *words, "--where", str(folder), "--json"],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line for line in lines if not line.get("held", True)] == []
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == [], "it leaves nothing behind"
    verdict: dict[str, Any] = lines[-1]
    return verdict


@pytest.mark.slow
def test_killed_trainings_come_to_the_same_bits(tmp_path: Path) -> None:
    verdict = torture(tmp_path, "resume", "--kills", "20", "--saves", "40", "--seed", "7")
    assert verdict["faults"] >= 60


@pytest.mark.slow
def test_signals_end_a_training_as_they_should(tmp_path: Path) -> None:
    assert torture(tmp_path, "signals", "--signals", "6", "--seed", "2")["faults"] >= 6


@pytest.mark.slow
def test_disks_that_refuse_lose_nothing(tmp_path: Path) -> None:
    assert torture(tmp_path, "disk", "--sizes", "2", "--trainings", "2", "--seed", "3")["attempts"] >= 100


def test_a_verdict_counts_what_broke() -> None:
    attempts = [
        Tried(what="a", held=True, faults=3),
        Tried(what="b", held=False, found="gone"),
        Tried(what="c", held=True),
    ]
    out = io.StringIO()
    verdict = judge("some", 4, iter(attempts), as_json=False, out=out)
    assert (verdict.attempts, verdict.faults, verdict.broken, verdict.held) == (3, 5, 1, False)
    assert "BROKEN: b: gone\n" in out.getvalue()
    assert "torture some: BROKEN 1 time" in out.getvalue()
    assert judge("some", 4, iter(attempts[:1]), as_json=True, out=io.StringIO()).held
    assert not judge("none", 4, iter(()), as_json=False, out=io.StringIO()).held, "nothing tried is nothing shown"
