"""Damage to runs is found; and where it would not be, the suite says so."""

import io
import random
from pathlib import Path

import pytest

from gnomon.rundir.run import Run
from gnomon.torture import Verdict, judge
from gnomon.torture.corrupt import corrupt, mutated


def verdict_of(folder: Path, count: int, seed: int) -> tuple[Verdict, str]:
    told = io.StringIO()
    verdict = judge("corrupt", seed, corrupt(folder, count=count, seed=seed), as_json=False, out=told)
    return verdict, told.getvalue()


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def test_every_piece_of_damage_is_found_or_harmless(tmp_path: Path) -> None:
    verdict, told = verdict_of(tmp_path, 160, 3)
    assert verdict.held, told
    assert verdict.attempts == 160
    assert "found, and the checkpoint before taken" in told


def test_the_suite_sees_what_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run, "require_whole", lambda *_: None)
    monkeypatch.setattr(Run, "require_seals", lambda _: None)
    monkeypatch.setattr("gnomon.report.files.broken_seals", lambda *_, **__: [])
    verdict, told = verdict_of(tmp_path, 160, 3)
    assert verdict.broken > 10
    assert "BROKEN" in told


def test_mutations_follow_from_the_seed_and_change_something() -> None:
    files = {"a": b"x" * 5000, "b": b"y" * 10}
    some = [[mutated("a", files, {}, random.Random(f"{seed} {n}")) for n in range(60)] for seed in (1, 1, 2)]
    assert some[0] == some[1] != some[2]
    same = [one.what for one in some[0] if one.content == files["a"]]
    assert len(same) < 10, same
    kinds = {one.what.split()[0] for one in some[0]}
    assert kinds >= {"byte", "zeros", "cut", "holds", "that", "bytes"}
