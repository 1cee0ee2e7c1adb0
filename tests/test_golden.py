"""Golden loss traces: five steps on the built-in digits, the same as when they were pinned.

They catch what no formula says: another order of rows, another initial weight, another augmentation. Whoever changes
one on purpose runs this file as a program, looks whether the new traces are as plausible as the old ones, and pins
them. Each option is given, so that a better default changes nothing here. The tolerance is for other processors, whose
products round differently.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec
import pytest

import gnomon.training.train as training
from gnomon.deadline import Deadline
from gnomon.models import Cnn, Plain
from gnomon.optim import OptimizerSpec
from gnomon.planning.asked import TrainingSpec
from gnomon.rows.dataset import DatasetSpec
from gnomon.rundir.run import create_run
from gnomon.sources import SourceSpec
from gnomon.spine.fit import fit
from gnomon.spine.recipe import Recipe
from gnomon.types import Stepped, Validated

TOLERANCE: Final = 1e-4
_DIGITS: Final = SourceSpec(location="digits")
_CNN: Final = Cnn(widths=(8, 16), convolutions=3, stem_width=8)


def _training(augment: str, *, label_smoothing: float, dropout: float = 0.0) -> TrainingSpec:
    return TrainingSpec(
        steps=5,
        batch=64,
        format="float32",
        threads=1,
        augment=augment,
        label_smoothing=label_smoothing,
        dropout=dropout,
        balance="none",
        views="none",
    )


RECIPES: Final[dict[str, Recipe]] = {
    "plain, adam": Recipe(
        source=_DIGITS,
        dataset=DatasetSpec(size=24),
        model=Plain(widths=(8, 8, 16), dense=16),
        optimizer=OptimizerSpec(name="adam", learning_rate=0.003, schedule="constant", average="none"),
        training=_training("shift=2", label_smoothing=0.0, dropout=0.2),
    ),
    "cnn, muon": Recipe(
        source=_DIGITS,
        model=_CNN,
        optimizer=OptimizerSpec(name="muon", learning_rate=0.1, schedule="linear", average="ema"),
        training=_training("flip,shift=1,cutout=3,mixup=0.3", label_smoothing=0.1),
        seed=1,
    ),
    "cnn, sgd": Recipe(
        source=_DIGITS,
        model=_CNN,
        optimizer=OptimizerSpec(
            name="sgd", learning_rate=0.05, weight_decay=1e-3, schedule="cosine", warmup=0.4, average="none"
        ),
        training=_training("none", label_smoothing=0.0),
        seed=2,
    ),
}
PINNED: Final[dict[str, list[float]]] = {
    "plain, adam": [2.307407, 2.316766, 2.32632, 2.295509, 2.304462, 2.299094],
    "cnn, muon": [2.330836, 2.283819, 2.206531, 2.248394, 2.255178, 2.096086],
    "cnn, sgd": [2.332494, 2.344988, 2.295968, 2.215567, 2.242144, 2.213122],
}
"""Loss of each step, then the loss on the validation part after the last."""


def trace(recipe: Recipe, folder: Path) -> list[float]:
    """The numbers that are pinned."""
    events = list(fit(recipe, create_run(folder, data="digits", model="golden"), Deadline(time.monotonic())))
    losses = [event.loss for event in events if isinstance(event, Stepped)]
    return [*losses, next(event.loss for event in reversed(events) if isinstance(event, Validated))]


@pytest.fixture(autouse=True)
def _every_step_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_SECONDS_BETWEEN_EVENTS", -1.0)


@pytest.mark.parametrize("name", RECIPES)
def test_losses_are_as_pinned(tmp_path: Path, name: str) -> None:
    found = trace(RECIPES[name], tmp_path / "run")
    assert len(found) == 6
    assert found == pytest.approx(PINNED[name], rel=TOLERANCE)


def test_another_seed_is_another_trace(tmp_path: Path) -> None:
    found = trace(msgspec.structs.replace(RECIPES["cnn, sgd"], seed=3), tmp_path / "run")
    assert found != pytest.approx(PINNED["cnn, sgd"], rel=TOLERANCE)


if __name__ == "__main__":
    training._SECONDS_BETWEEN_EVENTS = -1.0
    for name, recipe in RECIPES.items():
        with tempfile.TemporaryDirectory() as folder:
            sys.stdout.write(f"{json.dumps(name)}: {[round(loss, 6) for loss in trace(recipe, Path(folder))]},\n")
