"""What the whole command reaches by its deadline: accuracy, seconds used, and whether it ended in time.

    python benchmarks/accuracy.py [NAME …] [--data FOLDER] [--seeds N]

Each line runs `gnomon train` as a user would, in a process of its own, in an empty folder and with an empty cache.
Data that is not in FOLDER is skipped, and said.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

TEXTBOOK = "--model plain --optimizer adam --batch 32 --epochs 10 --augment none"


@dataclass(frozen=True)
class Case:
    """One command, and the test accuracy that it must reach at least."""

    data: str
    options: str
    floor: float
    seconds: float | None = None


CASES = {
    "digits": Case("digits", "--by 25s", 0.985, 25),
    "hands": Case("sign-language-digits.zip", "--by 2m", 0.96, 120),
    "cifar10": Case("cifar10-jpeg.zip", "--by 2m", 0.80, 120),
    "textbook": Case("cifar10-jpeg.zip", TEXTBOOK, 0.67),
}


def run(case: Case, data: str, seed: int) -> tuple[float, float]:
    """Test accuracy, and the wall seconds of the whole process."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "GNOMON_CACHE": f"{folder}/cache"}
        command = [sys.executable, "-m", "gnomon", "train", data, *case.options.split(), "--seed", str(seed), "--json"]
        began = time.monotonic()
        done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
        seconds = time.monotonic() - began
    finished = json.loads(done.stdout.splitlines()[-1])
    return finished["metrics"]["accuracy"]["value"], seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(CASES), metavar="NAME", help=", ".join(CASES))
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--seeds", type=int, default=1)
    chosen = parser.parse_args()
    print("| case | options | test accuracy, median (each) | floor | seconds of the process, longest |")
    print("|---|---|---|---|---|")
    for name in chosen.names:
        case = CASES[name]
        path = chosen.data / case.data
        if case.data != "digits" and not path.exists():
            print(f"| {name} | skipped: no {case.data} | | | |")
            continue
        results = [run(case, case.data if case.data == "digits" else str(path), seed) for seed in range(chosen.seeds)]
        accuracies, seconds = zip(*results, strict=True)
        each = " ".join(f"{accuracy:.1%}" for accuracy in accuracies)
        limit = f" of {case.seconds:.0f}" if case.seconds else ""
        print(
            f"| {name} | `{case.options}` | {statistics.median(accuracies):.1%} ({each}) | {case.floor:.1%} "
            f"| {max(seconds):.1f}{limit} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
