"""What the whole command reaches by its deadline: score, seconds used, and whether it ended in time.

    python benchmarks/accuracy.py [NAME …] [--data FOLDER] [--seeds N]

Each line runs `gnomon train` as a user would, in a process of its own, in an empty folder and with an empty cache.
Data that is not in FOLDER is skipped, and said. `reviews` is judged by ten folds, and `speakers` by leaving each of six
speakers out; their figures are means over these, the others' medians over seeds. `labels` names the digit and the
speaker of each recording, several labels a row; `oil` is a transformer's oil temperature, 24 hours after the four days
that a row shows (ETTh1; 12, 4 and 4 months), in degrees.
"""

import argparse
import csv
import statistics
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from runs import SHARED, train

TEXTBOOK = "--model plain --optimizer adam --batch 32 --epochs 10 --augment none"
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
Runs = Iterator[tuple[str, list[str]]]


@dataclass(frozen=True)
class Case:
    """One command, and the score on the test part that it must reach at least.

    Attributes:
        data: a file, or the name of a built-in set.
        options: further words.
        floor: of the score.
        seconds: of the deadline.
        score: the metric.
        divided: (file, folder for new files) → data and options of several runs, instead of several seeds.
    """

    data: str
    options: str
    floor: float
    seconds: float | None = None
    score: str = "accuracy"
    divided: Callable[[Path, Path], Runs] | None = None


def ten_folds(table: Path, folder: Path) -> Runs:
    """The rows as they stand, each tenth one tested in turn: pairs of tables."""
    with table.open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    for fold in range(10):
        parts = {"train": [row for place, row in enumerate(rows) if place % 10 != fold], "test": rows[fold::10]}
        for part, chosen in parts.items():
            with (folder / f"fold{fold}-{part}.csv").open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([head, *chosen])
        yield str(folder / f"fold{fold}-train.csv"), []


def each_speaker(archive: Path, folder: Path) -> Runs:
    for speaker in SPEAKERS:
        yield str(archive), ["--test-files", f"_{speaker}_"]


def digit_and_speaker(archive: Path, folder: Path) -> Runs:
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
    with (folder / "labels.csv").open("w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(("file", "labels", "split"))
        for path in sorted(folder.rglob("*.wav")):
            digit, speaker, take = path.stem.split("_")
            writer.writerow((path.relative_to(folder), f"{digit};{speaker}", "test" if int(take) < 5 else "train"))
    yield str(folder / "labels.csv"), []


def oil_a_day_later(table: Path, folder: Path) -> Runs:
    with table.open(newline="") as file:
        values = np.array([[float(cell) for cell in row[1:]] for row in list(csv.reader(file))[1:]], dtype=np.float32)
    months = 30 * 24
    ends = {"train": (0, 12 * months), "val": (12 * months, 16 * months), "test": (16 * months, 20 * months)}
    arrays = {}
    for part, (begin, end) in ends.items():
        starts = range(begin, end - 96 - 24 + 1, 3)
        arrays[f"x_{part}"] = np.stack([values[start : start + 96] for start in starts])
        arrays[f"y_{part}"] = np.array([values[start + 96 + 23, -1] for start in starts])
    np.savez(folder / "oil.npz", **arrays)
    yield str(folder / "oil.npz"), []


CASES = {
    "digits": Case("digits", "--by 25s", 0.985, 25),
    "hands": Case("sign-language-digits.zip", "--by 2m", 0.96, 120),
    "cifar10": Case("cifar10-jpeg.zip", "--by 2m", 0.80, 120),
    "textbook": Case("cifar10-jpeg.zip", TEXTBOOK, 0.67),
    "reviews": Case("movie-reviews.csv", "--by 30s", 0.79, 30, divided=ten_folds),
    "reviews-textcnn": Case("movie-reviews.csv", "--by 30s --model textcnn", 0.76, 30, divided=ten_folds),
    "reviews-gru": Case("movie-reviews.csv", "--by 30s --model gru", 0.76, 30, divided=ten_folds),
    "titles": Case("news-titles-zh-train.csv", "--by 60s", 0.88, 60),
    "spoken": Case("spoken-digits.zip", r"--by 60s --test-files _[0-4]\.wav$", 0.99, 60),
    "speakers": Case("spoken-digits.zip", "--by 60s --group _([a-z]+)_", 0.90, 60, divided=each_speaker),
    "vowels": Case("JapaneseVowels_TRAIN.ts", "--by 30s", 0.985, 30),
    "motions": Case("BasicMotions_TRAIN.ts", "--by 30s", 1.0, 30),
    "labels": Case("spoken-digits.zip", "--by 60s --separator ;", 0.97, 60, "micro_f1", digit_and_speaker),
    "oil": Case("ETTh1.csv", "--by 60s --kind series", 0.3, 60, "r2", oil_a_day_later),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(CASES), metavar="NAME", help=", ".join(CASES))
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--seeds", type=int, default=1)
    chosen = parser.parse_args()
    print("| case | options | score on the test part (each) | floor | linear baseline | seconds, longest | network |")
    print("|---|---|---|---|---|---|---|")
    for name in chosen.names:
        case = CASES[name]
        path = chosen.data / case.data
        if case.data != "digits" and not path.exists():
            print(f"| {name} | skipped: no {case.data} | | | | | |")
            continue
        with tempfile.TemporaryDirectory() as folder:
            print(measured(name, case, path, Path(folder), chosen.seeds), flush=True)


def measured(name: str, case: Case, path: Path, folder: Path, seeds: int) -> str:
    """One line of the table."""
    if case.divided is not None:
        runs = list(case.divided(path, folder))
    else:
        data = case.data if case.data == "digits" else str(path)
        runs = [(data, ["--seed", str(seed)]) for seed in range(seeds)]
    done = [train(data, *case.options.split(), *more) for data, more in runs]
    scores, linear = [one.score(case.score) for one in done], [one.linear for one in done]
    total = statistics.mean if case.divided else statistics.median
    each = " ".join(f"{score:.1%}" for score in scores)
    limit = f" of {case.seconds:.0f}" if case.seconds else ""
    return (
        f"| {name} | `{case.options}` | {case.score} {total(scores):.1%} ({each}) | {case.floor:.1%} "
        f"| {total(linear):.1%} | {max(one.seconds for one in done):.1f}{limit} | {done[-1].decided('network')} |"
    )


if __name__ == "__main__":
    main()
