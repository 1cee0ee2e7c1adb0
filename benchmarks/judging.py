"""What a judged run says, on real data: calibration before and after, what doubt is worth, and rows of other kinds.

    python benchmarks/judging.py [--by TIME] [NAME ...]

Each data set (cifar10, hands, digits, spoken, reviews, titles, vowels; all if none is named) is trained on by a
deadline. Printed are the calibration error on the test part before and after the temperature, and what it would be by
chance alone if every confidence meant what it says; the accuracy on what is kept if doubtful answers are withheld; of
texts, whose linear part is brought to the scale of probabilities by rows that it was not fitted on, also the error on
its models' own scale, to which that is the temperature; and for pictures, recordings and texts how well rows unlike the
training data are told from test rows (area under the ROC curve of the distance), and which share of them `predict`
warns of.
"""

import argparse
import csv
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow.parquet
import soundfile
import torch
from PIL import Image
from runs import SHARED
from sklearn.datasets import load_digits

from gnomon import load
from gnomon.batches import in_order, open_rows
from gnomon.deadline import Deadline
from gnomon.errors import RowError
from gnomon.models import WideDeep, wide_start
from gnomon.predicting.modelfile import Model
from gnomon.scoring.calibration import gap
from gnomon.scoring.curves import roc_area
from gnomon.sources import SourceSpec
from gnomon.spine.opening import open_data
from gnomon.spine.recipe import Recipe
from gnomon.training.train import build_model

DATA = {
    "cifar10": ("cifar10-jpeg.zip", "image"),
    "hands": ("sign-language-digits.zip", "image"),
    "digits": ("digits", "image"),
    "spoken": ("spoken-digits.zip", "sound"),
    "reviews": ("movie-reviews.csv", "text"),
    "titles": ("news-titles-zh-train.csv", "text"),
    "vowels": ("JapaneseVowels_TRAIN.ts", "series"),
}
KEPT = (1.0, 0.9, 0.75, 0.5)
STRANGERS = 200


def png(pixels: np.ndarray) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(sink, "PNG")
    return sink.getvalue()


def wav(samples: np.ndarray) -> bytes:
    sink = io.BytesIO()
    soundfile.write(sink, samples, 8000, format="WAV")
    return sink.getvalue()


def members(name: str, ending: str, rng: np.random.Generator) -> list[bytes]:
    with zipfile.ZipFile(SHARED / name) as archive:
        names = sorted(name for name in archive.namelist() if name.lower().endswith(ending))
        return [archive.read(names[place]) for place in rng.permutation(len(names))[:STRANGERS]]


def texts(name: str) -> list[bytes]:
    with (SHARED / name).open(encoding="utf-8", newline="") as file:
        rows = file.read().splitlines() if name.endswith(".txt") else [row["text"] for row in csv.DictReader(file)]
    return [row.encode() for row in rows if len(row) > 15][:STRANGERS]


def strangers(name: str, kind: str) -> Iterator[tuple[str, list[bytes]]]:
    """Rows of other kinds than the data set's."""
    rng = np.random.default_rng(0)
    many = range(STRANGERS)
    if kind == "image":
        yield "noise", [png(rng.integers(0, 256, (32, 32, 3))) for _ in many]
        yield "one colour", [png(np.broadcast_to(rng.integers(0, 256, 3), (32, 32, 3))) for _ in many]
        yield "smooth colours", [png(np.kron(rng.integers(0, 256, (4, 4, 3)), np.ones((8, 8, 1)))) for _ in many]
        if name != "digits":
            yield (
                "scanned digits",
                [png(np.kron(each, np.ones((4, 4))) * 15.9) for each in load_digits().images[: len(many)]],
            )
        if name != "hands":
            yield "hand signs", members("sign-language-digits.zip", ".jpg", rng)
        if name != "cifar10":
            yield "CIFAR-10", members("cifar10-jpeg.zip", ".jpg", rng)
    elif kind == "sound":
        yield "white noise", [wav(rng.normal(0, 0.1, rng.integers(2000, 6000))) for _ in many]
        yield "tones", [wav(0.3 * np.sin(rng.uniform(0.1, 2.4) * np.arange(4000))) for _ in many]
        yield "near silence", [wav(rng.normal(0, 1e-4, 4000)) for _ in many]
        words = [soundfile.read(io.BytesIO(each))[0] for each in members("spoken-digits.zip", ".wav", rng)]
        yield "words backwards", [wav(each[::-1]) for each in words]
        yield "words at twice the speed", [wav(each[::2]) for each in words]
    elif kind == "text":
        letters = list("abcdefghij klmnop ")
        yield "random letters", ["".join(rng.choice(letters, 60)).encode() for _ in many]
        yield "Shakespeare", texts("tinyshakespeare.txt")
        other = "news-titles-zh-test.csv" if name == "reviews" else "movie-reviews.csv"
        yield ("Chinese titles" if name == "reviews" else "English reviews"), texts(other)


def distances(model: Model, rows: list[bytes]) -> np.ndarray:
    """How unlike the training data each row is that can be read."""
    encoded = []
    for row in rows:
        try:
            encoded.append(model.header.encoder.encode(row))
        except RowError:
            continue
    if not encoded:
        return np.empty(0)
    stored = np.stack(encoded)
    found = model.unlikeness(stored, model.passed(stored).features)
    return np.empty(0) if found is None else found


def test_rows(run: Path, path: str, kind: str) -> list[bytes]:
    """Some rows of the test part, as they were given."""
    table = pyarrow.parquet.read_table(run / "predictions.parquet", filters=[("split", "==", "test")])
    keys = table["key"].to_pylist()[:: max(1, len(table) // (2 * STRANGERS))]
    if path.endswith(".zip"):
        with zipfile.ZipFile(SHARED / path) as archive:
            names = archive.namelist()
            return [archive.read(next(name for name in names if name.endswith(key))) for key in keys]
    if path == "digits":
        return [png(load_digits().images[int(key)] * 15.9) for key in keys]
    if kind == "text":
        rows = texts_of(path)
        return [rows[int(key.rpartition(" ")[2]) - 1] for key in keys]
    return []


def texts_of(path: str) -> list[bytes]:
    with (SHARED / path).open(encoding="utf-8", newline="") as file:
        return [row["text"].encode() for row in csv.DictReader(file)]


def judged(name: str, folder: Path, by: str) -> tuple[Path, dict[str, Any]]:
    path, _ = DATA[name]
    data = path if path == "digits" else str(SHARED / path)
    environment = {**os.environ, "GNOMON_CACHE": str(folder / "cache")}
    words = [sys.executable, "-m", "gnomon", "train", data, "--by", by, "--out", "run", "--quiet"]
    subprocess.run(words, cwd=folder, env=environment, check=True)
    return folder / "run", json.loads((folder / "run/evaluation/test.json").read_text())


def of_texts(name: str) -> tuple[float, float, float]:
    """The linear part's temperature, and its calibration error on the test part before and after it.

    Its three models' logits are added, each times a factor. The temperature is by what all factors are divided: before
    it, the models count 1 on the mean, in the same proportions, so that the answers are the same.
    """
    recipe = Recipe(source=SourceSpec(location=str(SHARED / DATA[name][0])))
    events = open_data(recipe, Deadline(time.monotonic()))
    try:
        while True:
            next(events)
    except StopIteration as stop:
        opened = stop.value
    factors: list[tuple[float, ...]] = []
    fitted = wide_start._factors

    def remembered(*given: Any) -> tuple[float, ...]:
        factors.append(fitted(*given))
        return factors[-1]

    with mock.patch.object(wide_start, "_factors", remembered), torch.no_grad():
        network = build_model(WideDeep(lengths=True), opened.rows, seed=0, device="cpu").eval()
        rows = open_rows(opened.dataset, "test", device=torch.device("cpu"), free_bytes=10**9)
        outputs, labels = zip(*((network(inputs), true) for inputs, true in in_order(rows, size=256)), strict=True)
    logits, true = torch.cat(outputs).double(), torch.cat(labels).numpy()
    temperature = len(factors[-1]) / sum(factors[-1])
    errors = []
    for scale in (temperature, 1.0):
        probabilities = (logits * scale).softmax(1).numpy()
        errors.append(gap(probabilities.max(axis=1), probabilities.argmax(axis=1) == true))
    return temperature, errors[0], errors[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(DATA))
    parser.add_argument("--by", default="60s")
    chosen = parser.parse_args()
    lines = []
    print("| data | accuracy | temperature | calibration error before | after | by chance | kept 90 % | 75 % | 50 % |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in chosen.names:
        with tempfile.TemporaryDirectory() as folder:
            run, said = judged(name, Path(folder), chosen.by)
            found = said["calibration"]
            kept = [min(said["kept"], key=lambda each: abs(each["share"] - share))["accuracy"] for share in KEPT]
            errors = [f"{100 * found[part]['value']:.1f} %" for part in ("error_before", "error")]
            shares = [
                f"{100 * each['value']:.1f} % ({100 * each['low']:.1f}–{100 * each['high']:.1f})" for each in kept
            ]
            errors.append(f"{100 * found['error_by_chance']:.1f} %")
            cells = [name, shares[0], f"{found['temperature']:.2f}", *errors, *shares[1:]]
            print(f"| {' | '.join(cells)} |", flush=True)
            model, kind = load(run / "model.safetensors"), DATA[name][1]
            known = distances(model, test_rows(run, DATA[name][0], kind))
            for what, rows in strangers(name, kind):
                far = distances(model, rows)
                area = roc_area(np.concatenate((known, far)), np.arange(len(known) + len(far)) >= len(known))
                told = f"{area.value:.3f}" if area else "–"
                lines.append(f"| {name} | {what} | {told} | {np.mean(far > 1):.0%} | {np.mean(known > 1):.1%} |")
    for name in chosen.names:
        if DATA[name][1] == "text":
            temperature, *errors = of_texts(name)
            before, after = (f"{error:.1%}" for error in errors)
            print(
                f"\n{name}, linear part: temperature {temperature:.2f}, error {before} before it and {after} after it"
            )
    print("\n| data | strangers | area | warned of | of test rows |\n|---|---|---|---|---|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
