"""Does every run end in time, and use its time? Many data sets and deadlines, some with a core taken away half-way.

    python benchmarks/deadlines.py [NAME …] [--by TIME,TIME] [--runs N] [--data FOLDER]

Late is what ends more than 0.5 s after the deadline; wasteful what ends before 85 % of it. The learning rate of the
last step is told as a share of the highest: it must come down to its end, however often the plan was changed.
"""

import argparse
import itertools
import tempfile
from pathlib import Path

from runs import SHARED, data_sets, sequence_sets, train

from gnomon.deadline import parse_deadline

TIMES = {
    "digits": ("15s", "20s", "25s"),
    "hands": ("25s", "35s"),
    "cifar10": ("30s", "45s"),
    "cifar10, 5,000 rows": ("15s", "20s", "30s"),
    "cifar10, grey, 16×16": ("15s", "20s", "30s"),
    "reviews": ("15s", "20s", "30s"),
    "titles": ("20s", "30s"),
    "spoken": ("15s", "20s", "30s"),
    "vowels": ("12s", "20s"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(TIMES), metavar="NAME", help="; ".join(TIMES))
    parser.add_argument("--by", type=lambda text: tuple(text.split(",")), help="in place of each data set's own")
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--busy-every", type=int, default=3, help="one run in so many loses a core half-way")
    chosen = parser.parse_args()
    print("| data | by | other process | seconds | share of the deadline | last rate | accuracy |")
    print("|---|---|---|---|---|---|---|")
    late = wasteful = 0
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        sets = {**data_sets(folder, chosen.data), **sequence_sets(chosen.data)}
        cases = [(name, by) for name in chosen.names if name in sets for by in chosen.by or TIMES[name]]
        for number, (name, by) in zip(range(chosen.runs), itertools.cycle(cases), strict=False):
            total_s = parse_deadline(by, start_s=0.0).total_s
            busy = total_s / 2 if number % chosen.busy_every == chosen.busy_every - 1 else None
            cache = folder / "cache" if number % 2 else None
            done = train(sets[name], "--by", by, "--seed", str(number), cache=cache, busy_after_s=busy)
            late += done.seconds > total_s + 0.5
            wasteful += done.seconds < 0.85 * total_s
            rate = done.last_rate / done.plan["optimizer"]["learning_rate"]
            print(
                f"| {name} | {by} | {'from the middle' if busy else ''} | {done.seconds:.1f} "
                f"| {done.seconds / total_s:.1%} | {rate:.1%} | {done.accuracy:.1%} |",
                flush=True,
            )
    print(f"{chosen.runs} runs, {late} late, {wasteful} wasteful")


if __name__ == "__main__":
    main()
