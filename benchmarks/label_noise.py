"""Planted faults in real data: how many are found, and how many of what is found was planted.

    python benchmarks/label_noise.py [--by TIME] [--share S] [NAME ...]

Of each data set (cifar10, reviews, spoken; all if none is named) a share of the labels is changed to another class at
random, in all parts. A network is trained on it, the run judged without a deadline, and what `suspects.json` names
compared with what was changed. Then copies of rows are planted (the same bytes, resized, compressed anew; louder, at
another rate, as OGG; a word changed), of which `duplicates.json` should find all.
"""

import argparse
import csv
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image
from runs import SHARED
from scipy.signal import resample_poly

PARTS = ("train", "validation", "test")
COPIES = 300


def gnomon(folder: Path, *words: str) -> None:
    environment = {**os.environ, "GNOMON_CACHE": str(folder / "cache")}
    subprocess.run([sys.executable, "-m", "gnomon", *words, "--quiet"], cwd=folder, env=environment, check=True)


def unpack(name: str, folder: Path) -> list[tuple[str, str]]:
    """The archive's files in the folder: name and class of each."""
    with zipfile.ZipFile(SHARED / name) as archive:
        archive.extractall(folder)
        names = sorted(name for name in archive.namelist() if name.endswith((".jpg", ".wav")))
    return [(name, name.split("/")[-2]) for name in names]


def reviews() -> list[tuple[str, str]]:
    with (SHARED / "movie-reviews.csv").open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["label"]) for row in csv.DictReader(file)]


def rows_of(name: str, folder: Path) -> list[tuple[str, str]]:
    """Files or texts, and labels."""
    if name == "reviews":
        return reviews()
    return unpack({"cifar10": "cifar10-jpeg.zip", "spoken": "spoken-digits.zip"}[name], folder)


def written(name: str, rows: list[tuple[str, str]], folder: Path) -> Path:
    """A table of these rows; CIFAR-10 keeps its parts."""
    path = folder / "rows.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        head = ["text" if name == "reviews" else "file", "label"]
        table.writerow([*head, "split"] if name == "cifar10" else head)
        for content, label in rows:
            split = [content.split("/")[1] if content.startswith("cifar10/") else "train"]
            table.writerow([content, label, *(split if name == "cifar10" else [])])
    return path


def key_of(name: str, place: int, content: str) -> str:
    return f"row {place + 1}" if name == "reviews" else content


def noise(name: str, folder: Path, *, share: float, by: str) -> Iterator[str]:
    """Change labels, train, and compare."""
    rows, chance = rows_of(name, folder), random.Random(0)
    classes = sorted({label for _, label in rows})
    changed, noisy = set(), []
    for place, (content, label) in enumerate(rows):
        if chance.random() < share:
            changed.add(key_of(name, place, content))
            label = chance.choice([other for other in classes if other != label])
        noisy.append((content, label))
    written(name, noisy, folder)
    gnomon(folder, "train", "rows.csv", "--by", by, "--out", "noisy")
    gnomon(folder, "report", "noisy")
    run = folder / "noisy"
    with (run / "split.csv").open(encoding="utf-8", newline="") as file:
        part_of = {row["key"]: row["split"] for row in csv.DictReader(file)}
    suspects = json.loads((run / "evaluation/suspects.json").read_text())
    accuracy = json.loads((run / "evaluation/test.json").read_text())["metrics"]["accuracy"]["value"]
    for part in ("all", *PARTS):
        planted = {key for key in changed if part in ("all", part_of.get(key))}
        found = {row["key"] for row in suspects["rows"] if part in ("all", row["part"])}
        right, thought = len(planted & found), suspects["expected_wrong"]
        yield (
            f"| {name} ({accuracy:.1%}) | {part} | {len(planted):,} | {len(found):,} | "
            f"{right / max(1, len(found)):.1%} | {right / max(1, len(planted)):.1%} | {thought:.1%} |"
        )


def resized(side: int) -> Callable[[Path], bytes]:
    def copy(path: Path) -> bytes:
        sink = io.BytesIO()
        Image.open(path).resize((side, side), Image.Resampling.BICUBIC).save(sink, "PNG")
        return sink.getvalue()

    return copy


def compressed(path: Path) -> bytes:
    sink = io.BytesIO()
    Image.open(path).save(sink, "JPEG", quality=60)
    return sink.getvalue()


def sound(change: Callable[[np.ndarray], np.ndarray], *, faster: int = 1, form: str = "WAV") -> Callable[[Path], bytes]:
    def copy(path: Path) -> bytes:
        samples, rate = soundfile.read(path)
        sink = io.BytesIO()
        soundfile.write(sink, change(samples), rate * faster, format=form)
        return sink.getvalue()

    return copy


COPIERS: dict[str, dict[str, Callable[[Path], bytes]]] = {
    "cifar10": {
        "the same bytes": Path.read_bytes,
        "48×48": resized(48),
        "24×24": resized(24),
        "JPEG, quality 60": compressed,
    },
    "spoken": {
        "the same bytes": Path.read_bytes,
        "half as loud": sound(lambda samples: samples / 2),
        "at 16 kHz": sound(lambda samples: resample_poly(samples, 2, 1), faster=2),
        "as OGG": sound(lambda samples: samples, form="OGG"),
    },
}


def one_word_changed(text: str, chance: random.Random) -> str:
    words = text.split()
    words[chance.randrange(len(words))] = "otherwise"
    return " ".join(words)


def copies(name: str, folder: Path) -> Iterator[str]:
    """Plant copies, search, and compare. The network is of no matter, and trained two steps."""
    rows, chance = rows_of(name, folder), random.Random(1)
    long = [place for place, (content, _) in enumerate(rows) if name != "reviews" or len(content.split()) > 5]
    chosen = chance.sample(long, COPIES)
    kinds = ["the same", "one word changed"] if name == "reviews" else list(COPIERS[name])
    partner: dict[frozenset[str], str] = {}
    planted = list(rows)
    for number, place in enumerate(chosen):
        kind, (content, label) = kinds[number % len(kinds)], rows[place]
        if name == "reviews":
            copy = content if kind == "the same" else one_word_changed(content, chance)
        else:
            copy = f"copies/{number}.{'ogg' if kind == 'as OGG' else 'wav' if name == 'spoken' else 'png'}"
            (folder / "copies").mkdir(exist_ok=True)
            (folder / copy).write_bytes(COPIERS[name][kind](folder / content))
        partner[frozenset((key_of(name, place, content), key_of(name, len(planted), copy)))] = kind
        planted.append((copy, label))
    written(name, planted, folder)
    gnomon(folder, "train", "rows.csv", "--steps", "2", "--out", "copied")
    found = json.loads((folder / "copied/evaluation/duplicates.json").read_text())
    pairs = {frozenset(pair["keys"]) for pair in found["pairs"]}
    for kind in kinds:
        wanted = {pair for pair, its in partner.items() if its == kind}
        yield f"| {name} | {kind} | {len(wanted)} | {len(wanted & pairs) / len(wanted):.1%} |"
    yield f"| {name} | not planted, of {found['compared']:,} rows | | {len(pairs - set(partner))} pairs |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["spoken", "reviews", "cifar10"])
    parser.add_argument("--by", default="60s")
    parser.add_argument("--share", type=float, default=0.05)
    chosen = parser.parse_args()
    print(
        "| data (test accuracy) | part | changed | suspects | precision | recall | share thought wrong |\n"
        + "|---" * 7
        + "|"
    )
    for name in chosen.names:
        with tempfile.TemporaryDirectory() as folder:
            for line in noise(name, Path(folder), share=chosen.share, by=chosen.by):
                print(line, flush=True)
    print("\n| data | copies | planted | found |\n|---|---|---|---|")
    for name in chosen.names:
        with tempfile.TemporaryDirectory() as folder:
            for line in copies(name, Path(folder)):
                print(line, flush=True)


if __name__ == "__main__":
    main()
