"""From texts, recordings and series to a model file and back: a copy of it alone answers as the evaluation did."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch
from safetensors.numpy import load_file

import gnomon
import gnomon.training.train as training
from gnomon.cli import main
from gnomon.deadline import Deadline
from gnomon.encoders import Encoder, SeriesEncoder, SoundEncoder, TextEncoder, kind_of
from gnomon.errors import ModelFileError
from gnomon.models import (
    Crnn,
    Ensemble,
    LinearDeep,
    ModelSpec,
    Rnn,
    TextCnn,
    WideDeep,
    channels_last,
    fitted_to,
)
from gnomon.planning.asked import TrainingSpec
from gnomon.predicting.modelfile import Header, Model, to_bytes
from gnomon.rundir.run import MODEL, create_run
from gnomon.sources import SourceSpec
from gnomon.sources.series import series_source
from gnomon.spine.finish import finish
from gnomon.spine.fit import fit, resume
from gnomon.spine.opening import InMemory
from gnomon.spine.recipe import Recipe
from gnomon.tasks import Classify, Views
from gnomon.types import Stepped
from sound_files import sound_file, tone
from source_files import write_folder, write_text

QUICK = ["--steps", "3", "--threads", "2", "--quiet", "--out", "run"]
TEXT = TextEncoder(vocabulary=tuple(f"word{number}" for number in range(30)), length=24)
SOUND = SoundEncoder(rate=8000, bands=8, length=32, window=64, hop=32, mean=(0.0,) * 8, std=(1.0,) * 8)
SERIES = SeriesEncoder(channels=("x", "y"), length=24, mean=(0.0, 0.0), std=(1.0, 1.0))
NETWORKS: list[tuple[Encoder, ModelSpec]] = [
    (TEXT, TextCnn(embedding=6, filters=5)),
    (TEXT, Rnn(cell="lstm", width=5, embedding=6)),
    (TEXT, WideDeep()),
    (TEXT, WideDeep(lengths=True)),
    (TEXT, WideDeep(deep=Ensemble((TextCnn(embedding=6, filters=5), Rnn(width=4)), times=2), tokens=3)),
    (TEXT, WideDeep(deep=Rnn(cell="gru", width=5))),
    (SOUND, Crnn(widths=(4, 6), units=5)),
    (SOUND, Ensemble((Crnn(widths=(4,), cell="none", pooling="max"), Rnn(width=4)), times=2)),
    (SERIES, Crnn(widths=(4,), cell="none")),
    (SERIES, Rnn(cell="rnn", width=5, pooling="attention")),
    (SERIES, LinearDeep(Rnn(width=4))),
]


def encoded(encoder: Encoder, count: int) -> np.ndarray:
    """Rows of all lengths."""
    random = np.random.default_rng(0)
    lengths = random.integers(1, encoder.shape[0] + 1, count)
    if isinstance(encoder, TextEncoder):
        rows = np.zeros((count, *encoder.shape), encoder.storage)
        for row, length in zip(rows, lengths, strict=True):
            row[:length] = random.integers(1, 32, length)
        return rows
    rows = np.full((count, *encoder.shape), np.nan, encoder.storage)
    for row, length in zip(rows, lengths, strict=True):
        row[:length] = random.normal(size=(length, encoder.shape[1]))
    return rows


@pytest.mark.parametrize(
    ("encoder", "spec", "views"),
    [
        *((encoder, spec, "none") for encoder, spec in NETWORKS),
        (SOUND, Crnn(widths=(4, 6), units=5), "pitch"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value.__struct_config__.tag),
)
def test_a_file_gives_the_same_bits_in_any_company(
    encoder: Encoder, spec: ModelSpec, views: Views, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    model = fitted_to(spec, kind_of(encoder))
    network = channels_last(model.build(encoder.input_shape, 3).eval().requires_grad_(False))
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    header = Header(encoder=encoder, model=model, task=Classify(classes=("a", "b", "c"), views=views, sure=0.7))
    path = tmp_path / "m.safetensors"
    path.write_bytes(to_bytes(header, network.state_dict()))
    loaded, rows = gnomon.load(path), encoded(encoder, 150)
    whole = Model(header, network).probabilities_of_encoded(rows)
    assert np.array_equal(loaded.probabilities_of_encoded(rows), whole)
    for count in (1, 2, 17, 100):
        assert np.array_equal(loaded.probabilities_of_encoded(rows[:count]), whole[:count])
    assert np.array_equal(loaded.probabilities_of_encoded(rows[::-1]), whole[::-1])
    assert len(np.unique(whole[:, 0])) > 100


def test_views_of_recordings_are_half_a_band_up_and_down() -> None:
    """Against the definition, of the rows that leave a doubt: the network's outputs for copies made by NumPy."""
    torch.manual_seed(1)
    spec = Crnn(widths=(4,), units=5, dimensions=2)
    network = spec.build(SOUND.input_shape, 3).eval().requires_grad_(False)
    rows = encoded(SOUND, 30)
    alone = Model(Header(encoder=SOUND, model=spec, task=Classify(classes=("a", "b", "c"))), network)
    sure = float(np.median(alone.probabilities_of_encoded(rows).max(axis=1)))
    task = Classify(classes=("a", "b", "c"), views="pitch", sure=sure)
    averaged, single = Model(Header(encoder=SOUND, model=spec, task=task), network).outputs_of_encoded(rows)
    steps = SOUND.inputs(torch.from_numpy(rows)).numpy()
    bands, there = steps[..., :-1], steps[..., -1:]
    framed = np.pad(bands, ((0, 0), (0, 0), (1, 1)), mode="edge")
    copies = (bands, (bands + framed[..., :-2]) / 2, (bands + framed[..., 2:]) / 2)
    outputs = [network(torch.from_numpy(np.concatenate((copy, there), axis=2))).numpy() for copy in copies]
    doubtful = alone.probabilities_of_encoded(rows).max(axis=1) <= sure
    np.testing.assert_allclose(single, outputs[0], atol=1e-5)
    np.testing.assert_allclose(averaged[doubtful], np.mean(outputs, axis=0)[doubtful], atol=1e-5)
    np.testing.assert_array_equal(averaged[~doubtful], single[~doubtful])
    assert doubtful.sum() == 15
    assert np.abs(averaged - single)[doubtful].max() > 0.01


def answers_of(tmp_path: Path, words: list[str], capture: pytest.CaptureFixture[str]) -> dict[str, tuple[str, str]]:
    """Name → label and confidence, by a copy of the model file in another folder."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy("run/model.safetensors", elsewhere)
    shutil.rmtree("run")
    capture.readouterr()
    assert main(["predict", str(elsewhere / "model.safetensors"), *words, "--csv"]) == 0
    lines = [line.split(",") for line in capture.readouterr().out.splitlines()[1:]]
    return {name: (label, confidence) for name, label, confidence, _ in lines}


def judged() -> dict[str, tuple[str, str]]:
    table = pyarrow.parquet.read_table("run/predictions.parquet").to_pydict()
    told = [f"{confidence:.6f}" for confidence in table["confidence"]]
    return {key: (label, share) for key, label, share in zip(table["key"], table["predicted"], told, strict=True)}


def test_recordings_from_the_command_to_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {
        f"{name}/{take}.wav": sound_file(tone(hertz + 20 * take, 0.1 + 0.01 * take))
        for name, hertz in (("low", 200), ("high", 1500))
        for take in range(15)
    }
    write_folder(tmp_path / "sounds", files)
    assert main(["train", "sounds", *QUICK]) == 0
    assert "predict model.safetensors new.wav" in Path("run/report.html").read_text("utf-8")
    expected = judged()
    said = answers_of(tmp_path, ["sounds"], capsys)
    assert {key: said[f"sounds/{key}"] for key in expected} == expected


def test_series_from_the_command_to_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(1)
    files = {
        f"{name}/{take}.csv": "\n".join(
            ["x,y", *(f"{x:.3f},{y:.3f}" for x, y in random.normal(level, 1, (5 + take, 2)))]
        ).encode()
        for name, level in (("walk", 0), ("run", 2))
        for take in range(15)
    }
    write_folder(tmp_path / "motion", files)
    assert main(["train", "motion", *QUICK]) == 0
    expected = judged()
    said = answers_of(tmp_path, ["motion"], capsys)
    assert {key: said[f"motion/{key}"] for key in expected} == expected


def test_texts_from_the_command_to_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    texts = [(f"{word} film number {'x' * number}", word) for word in ("good", "bad") for number in range(15)]
    write_text(tmp_path, "r.csv", "text,label\n" + "".join(f"{text},{label}\n" for text, label in texts))
    assert main(["train", "r.csv", *QUICK]) == 0
    expected = {texts[int(key.split()[1]) - 1][0]: answer for key, answer in judged().items()}
    said = answers_of(tmp_path, ["--text", *expected], capsys)
    assert {name: said[name] for name in expected} == expected


def test_impossible_sizes_are_refused_before_anything_is_built(tmp_path: Path) -> None:
    header = Header(encoder=TEXT, model=WideDeep(deep=TextCnn(embedding=2**40)), task=Classify(classes=("a", "b")))
    path = tmp_path / "m.safetensors"
    path.write_bytes(to_bytes(header, {"bias": torch.zeros(2)}))
    with pytest.raises(ModelFileError, match="impossible numbers"):
        gnomon.load(path)


@pytest.mark.parametrize("stop", [1, 7, 8, 12])
def test_a_stopped_training_goes_on_to_the_same_bits(
    stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of different lengths, augmented, several networks with dropout and norms beside a linear part."""
    monkeypatch.setattr(training, "_SECONDS_BETWEEN_EVENTS", -1.0)
    random = np.random.default_rng(2)
    labels = np.arange(120) % 3
    rows = [
        random.normal(label, 2, (length, 2)) for label, length in zip(labels, random.integers(4, 40, 120), strict=True)
    ]
    given = InMemory(source=series_source(rows, labels))
    model = LinearDeep(Ensemble((Rnn(cell="gru", width=8), Crnn(widths=(8,), cell="none"))), residual=False)
    asked = TrainingSpec(steps=16, batch=24, threads=1, format="float32")
    recipe = Recipe(source=SourceSpec(location="(in memory)"), model=model, training=asked, seed=3)
    weights = []
    for name, last in (("whole", None), ("stopped", stop)):
        run = create_run(tmp_path / name, data="series", model="both")
        events = fit(recipe, run, Deadline(time.monotonic()), given=given)
        for event in events:
            if isinstance(event, Stepped) and event.step == last:
                events.close()
        if last is not None:
            assert list(resume(run, Deadline(time.monotonic()), given=given))
        assert list(finish(run, Deadline(time.monotonic()), given=given))
        weights.append(load_file(run.path / MODEL))
    assert weights[0].keys() == weights[1].keys()
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])
