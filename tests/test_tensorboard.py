"""Event files for TensorBoard hold the run's own figures, and their absence costs nothing."""

from __future__ import annotations

import builtins
import struct
from pathlib import Path

import pytest

from gnomon import cli
from gnomon.errors import RecipeError
from gnomon.rundir.run import Run
from gnomon.tensorboard import open_tensorboard
from gnomon.types import Finished, Metric, Noted, Stepped, Validated

pytest.importorskip("tensorboardX", reason="tensorboardX is not installed: pip install 'gnomon[tensorboard]'")


def scalars(folder: Path) -> list[tuple[int, str, float]]:
    """(step, tag, value) of all event files: records of length, its check, content, its check."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.iterdir()):
        content, at = path.read_bytes(), 0
        while at < len(content):
            (length,) = struct.unpack("<Q", content[at : at + 8])
            event = Event.FromString(content[at + 12 : at + 12 + length])
            found += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
            at += length + 16
    return found


def step(number: int) -> Stepped:
    return Stepped(
        step=number, steps=20, epoch=0.5, loss=1.0 / number, learning_rate=0.1, rows_per_s=900.0, elapsed_s=1.0
    )


def test_each_figure_stands_at_its_step(tmp_path: Path) -> None:
    with open_tensorboard(Run(tmp_path), wanted=True) as log:
        log(Noted(text="nothing to draw"))
        log(step(4))
        log(Validated(step=4, epoch=0.5, loss=0.6, score=0.75, elapsed_s=1.0, best=True, measure="micro_f1"))
        log(Finished(run="r", metrics={"micro_f1": Metric(0.5, 0.4, 0.6)}, planned_s=1.0, used_s=1.0))
    assert scalars(tmp_path / "tensorboard") == [
        (4, "train/loss", 0.25),
        (4, "train/learning_rate", pytest.approx(0.1)),
        (4, "train/rows_per_s", 900.0),
        (4, "train/epoch", 0.5),
        (4, "validation/loss", pytest.approx(0.6)),
        (4, "validation/micro_f1", 0.75),
        (0, "test/micro_f1", 0.5),
    ]


def test_nothing_is_written_unasked(tmp_path: Path) -> None:
    with open_tensorboard(Run(tmp_path), wanted=False) as log:
        log(step(1))
    assert list(tmp_path.iterdir()) == []


def test_without_the_package_it_is_said_before_any_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name == "tensorboardX":
            raise ImportError(name)
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with (
        pytest.raises(RecipeError, match="needs the package tensorboardX"),
        open_tensorboard(Run(tmp_path), wanted=True),
    ):
        pass


def test_a_training_writes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["train", "digits", "--steps", "2", "--batch", "32", "--model", "cnn", "--widths", "8-16", "--threads", "1"]
    assert cli.main([*words, "--out", "run", "--quiet", "--tensorboard", "--lang", "zh"]) == 0
    tags = {tag for _, tag, _ in scalars(tmp_path / "run/tensorboard")}
    assert {"train/loss", "validation/accuracy", "test/accuracy"} <= tags
    assert '<html lang="zh-Hans">' in (tmp_path / "run/report.html").read_text("utf-8")
    assert "# 模型卡：digits" in (tmp_path / "run/model-card.md").read_text("utf-8")
