"""Small trainings of many kinds, each over in about a second: what the suites interrupt."""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from ..models import Cnn, Crnn, Ensemble, ModelSpec, Rnn, TextCnn, WideDeep
from ..optim import OptimizerSpec
from ..planning.asked import TrainingSpec
from ..sources import SourceSpec
from ..sources.arrays import digits_source
from ..spine.recipe import Recipe

_PICTURES, _TEXTS, _SOUNDS = "digits.npz", "reviews.csv", "tones"
_WORDS: Final = (
    ("good", "great", "fine", "lovely", "warm", "bright"),
    ("bad", "poor", "dull", "cold", "broken", "grim"),
    ("film", "story", "actor", "music", "scene", "plot", "the", "a", "was", "very"),
)
_RATE: Final = 8_000
_SMALL: Final = Cnn(widths=(8,), convolutions=3)


@dataclass(frozen=True, slots=True)
class Case:
    """One training.

    Attributes:
        name: what is special about it.
        recipe: with its data named relative to the folder of `make_data`.
    """

    name: str
    recipe: Recipe


def make_data(folder: Path) -> None:
    """Pictures, texts and recordings, few and always the same."""
    source = digits_source()
    pictures = np.stack([np.asarray(source.read(row)) for row in range(260)])
    np.savez(folder / _PICTURES, x=pictures, y=np.array([int(row.label) for row in source.rows[:260]]))
    random = np.random.default_rng(0)
    lines = ["text,label"]
    for number in range(240):
        words = random.choice(_WORDS[number % 2], 3).tolist() + random.choice(_WORDS[2], number % 7 + 3).tolist()
        lines.append(f"{' '.join(random.permutation(words).tolist())} {number},{'good' if number % 2 == 0 else 'bad'}")
    (folder / _TEXTS).write_text("\n".join(lines) + "\n", encoding="utf-8")
    for number in range(90):
        path = folder / _SOUNDS / ("low", "middle", "high")[number % 3] / f"{number:02d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_tone(path, hertz=300.0 * 2 ** (number % 3), random=random)


def cases() -> tuple[Case, ...]:
    """Pictures, texts and recordings; convolutional and recurrent; averaged or not; stopped early or not."""
    average, plain = OptimizerSpec(name="muon", average="ema"), OptimizerSpec(name="adam", average="none")
    gusty = OptimizerSpec(name="adamw", learning_rate=0.3, average="none", schedule="constant")
    members = Ensemble((TextCnn(embedding=8, widths=(1, 2), filters=8), Rnn(cell="gru", width=8)))
    return (
        _case("pictures, cnn, muon, average", _PICTURES, _SMALL, average, augment="shift=1,cutout=2,mixup=0.2"),
        _case("pictures, cnn, thrifty", _PICTURES, _SMALL, average, skip_easy=0.6, small_until=0.5),
        _case("pictures, cnn, stopped early", _PICTURES, _SMALL, gusty, augment="none", early_stopping=2, epochs=7.0),
        _case("pictures, cnn, stopped early, average", _PICTURES, _SMALL, average, early_stopping=1, epochs=5.0),
        _case("pictures, cnn, dropout, two threads", _PICTURES, Cnn(widths=(8, 8)), plain, dropout=0.3),
        _case("texts, rnn, average", _TEXTS, Rnn(cell="gru", width=8), OptimizerSpec(name="adam", average="ema")),
        _case("texts, linear part and two networks", _TEXTS, WideDeep(deep=members), plain),
        _case("texts, rnn, stopped early", _TEXTS, Rnn(cell="lstm", width=8), plain, early_stopping=1, epochs=5.0),
        _case("recordings, crnn, average", _SOUNDS, Crnn(widths=(8,), cell="gru"), average),
        _case("recordings, rnn", _SOUNDS, Rnn(cell="rnn", width=8), OptimizerSpec(name="sgd", average="none")),
    )


def _case(
    name: str,
    data: str,
    model: ModelSpec,
    optimizer: OptimizerSpec,
    *,
    augment: str = "auto",
    skip_easy: float | None = None,
    small_until: float | None = None,
    dropout: float = 0.0,
    early_stopping: int = 0,
    epochs: float | None = None,
) -> Case:
    training = TrainingSpec(
        steps=None if epochs else 16,
        epochs=epochs,
        batch=24,
        format="float32",
        augment=augment,
        skip_easy=skip_easy,
        small_until=small_until,
        dropout=dropout,
        early_stopping=early_stopping,
        threads=2 if "two threads" in name else 1,
        checkpoint_steps=3,
    )
    source = SourceSpec(location=data)
    return Case(name, Recipe(source=source, model=model, optimizer=optimizer, training=training, seed=5))


def _write_tone(path: Path, *, hertz: float, random: np.random.Generator) -> None:
    seconds = float(random.uniform(0.15, 0.4))
    times = np.arange(int(seconds * _RATE)) / _RATE
    samples = 0.4 * np.sin(2 * np.pi * hertz * random.uniform(0.95, 1.05) * times) + random.normal(0, 0.1, len(times))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
