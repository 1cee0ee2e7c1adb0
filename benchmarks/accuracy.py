"""What the whole command reaches by its deadline: accuracy, seconds used, and whether it ended in time.

    python benchmarks/accuracy.py [NAME …] [--data FOLDER] [--seeds N]

Each line runs `gnomon train` as a user would, in a process of its own, in an empty folder and with an empty cache.
Data that is not in FOLDER is skipped, and said.
"""

import argparse
import statistics
from dataclasses import dataclass
from pathlib import Path

from runs import SHARED, train

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(CASES), metavar="NAME", help=", ".join(CASES))
    parser.add_argument("--data", type=Path, default=SHARED)
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
        data = case.data if case.data == "digits" else str(path)
        results = [train(data, *case.options.split(), "--seed", str(seed)) for seed in range(chosen.seeds)]
        accuracies, seconds = [done.accuracy for done in results], [done.seconds for done in results]
        each = " ".join(f"{accuracy:.1%}" for accuracy in accuracies)
        limit = f" of {case.seconds:.0f}" if case.seconds else ""
        print(
            f"| {name} | `{case.options}` | {statistics.median(accuracies):.1%} ({each}) | {case.floor:.1%} "
            f"| {max(seconds):.1f}{limit} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
