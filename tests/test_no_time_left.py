"""Few rows, and no time for what can be left out: every kind of data and question ends with a model and a report."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gnomon import cli
from gnomon.deadline import Deadline
from gnomon.evaluate.alike import alike_rows
from gnomon.spine import finish
from gnomon.spine.finish import _before
from sound_files import sound_file, tone

ROWS = 18
Written = Callable[[Path], list[str]]


def _pictures(folder: Path) -> list[str]:
    rng = np.random.default_rng(0)
    for number in range(ROWS):
        name = folder / "data" / ("dark" if number % 2 else "light") / f"{number}.png"
        name.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(number % 2 * 128, 128 + number % 2 * 128, (12, 12, 3), dtype=np.uint8)).save(name)
    return [str(folder / "data")]


def _texts(labels: Callable[[int], str], *options: str) -> Written:
    def write(folder: Path) -> list[str]:
        draw = random.Random(0)
        lines = [
            f"{' '.join(draw.sample(['a', 'few', 'words', 'of', 'which', 'some', 'are', 'drawn'], 4))},{labels(n)}"
            for n in range(ROWS)
        ]
        (folder / "data.csv").write_text("\n".join(("text,label", *lines)), encoding="utf-8")
        return [str(folder / "data.csv"), *options]

    return write


def _recordings(folder: Path) -> list[str]:
    for number in range(ROWS):
        name = folder / "data" / ("low" if number % 2 else "high") / f"{number}.wav"
        name.parent.mkdir(parents=True, exist_ok=True)
        name.write_bytes(sound_file(tone(200 + 400 * (number % 2) + number, seconds=0.2)))
    return [str(folder / "data")]


def _series(folder: Path) -> list[str]:
    rng = np.random.default_rng(0)
    for number in range(ROWS):
        name = folder / "data" / ("up" if number % 2 else "down") / f"{number}.csv"
        name.parent.mkdir(parents=True, exist_ok=True)
        steps = (number % 2 - 0.5) * np.arange(12 + number)[:, None] + rng.normal(size=(12 + number, 2))
        name.write_text("\n".join(("x,y", *(f"{x:.3f},{y:.3f}" for x, y in steps))), encoding="utf-8")
    return [str(folder / "data")]


@pytest.mark.parametrize(
    ("write", "question"),
    [
        (_pictures, "classify"),
        (_texts(lambda number: "ab"[number % 2]), "classify"),
        (_texts(lambda number: ("a", "b", "a;b")[number % 3], "--separator", ";"), "tag"),
        (_texts(lambda number: f"{number * 1.7:.2f}", "--task", "regress"), "regress"),
        (_recordings, "classify"),
        (_series, "classify"),
    ],
    ids=["pictures", "texts", "texts, labels", "texts, numbers", "recordings", "series"],
)
def test_without_time_to_search_all_else_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Written, question: str
) -> None:
    monkeypatch.setattr(finish, "_searching_s", lambda _: 0.0)
    monkeypatch.setattr(finish, "_before", lambda deadline, _: _before(Deadline(deadline.start_s, deadline.start_s), 0))
    assert cli.main(["train", *write(tmp_path), "--epochs", "1", "--out", str(tmp_path / "run"), "--quiet"]) == 0
    said = json.loads((tmp_path / "run/evaluation/test.json").read_text())
    assert said["headline"] == {"classify": "accuracy", "tag": "micro_f1", "regress": "r2"}[question]
    assert "0 of 18 rows were compared" in (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert (tmp_path / "run/model.safetensors").exists()


@pytest.mark.parametrize("number", [0, 1])
def test_of_less_than_two_rows_none_are_alike(number: int) -> None:
    assert len(alike_rows(None, np.arange(number)).pairs) == 0  # type: ignore[arg-type]
