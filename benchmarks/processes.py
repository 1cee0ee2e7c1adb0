"""Processes that share each batch against one process with as many threads: rows a second of whole trainings.

    python benchmarks/processes.py [--processes 2] [--rounds 3] [--only NAME]

Each figure is of `gnomon train` in a process of its own, for so many steps of one network: by one process, by several
whether quicker or not (`--shards`), and by `--processes` as it chooses. In turns, so that the machine's moods fall on
all. Rows a second are those of the steps themselves: reading, planning and judging do not count.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile

from runs import SHARED

PICTURES = "cifar10-jpeg.zip --batch 256 --format bfloat16 --steps 60"
TRAININGS = {
    "pictures, 16-64-128": f"{PICTURES} --widths 16-64-128",
    "pictures, 32-128-256": f"{PICTURES} --widths 32-128-256",
    "reviews, lstm": "movie-reviews.csv --model lstm --batch 64 --steps 60",
    "reviews, textcnn": "movie-reviews.csv --model textcnn --batch 64 --steps 100",
    "spoken digits": "spoken-digits.zip --batch 64 --steps 60",
    "series": "JapaneseVowels_TRAIN.ts --steps 100",
}


def rate(training: str, *more: str) -> tuple[float, str]:
    """Rows a second, the median of its accounts but for the first; and what was chosen of the processes."""
    data, *words = training.split()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "gnomon", "train", str(SHARED / data), *words, *more]
        events = []
        with subprocess.Popen([*command, "--out", f"{folder}/run", "--json"], stdout=subprocess.PIPE) as running:
            assert running.stdout is not None
            for line in running.stdout:
                events.append(json.loads(line))
                if events[-1].get("name") == "judging":  # what follows is not of interest
                    running.kill()
                    break
    decisions = next(event["decisions"] for event in events if event["event"] == "plan")
    chosen = [item["value"] for item in decisions if item["name"] == "processes"]
    told = [event["rows_per_s"] for event in events if event["event"] == "step"][1:]
    return statistics.median(told), chosen[0] if chosen else "one"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=TRAININGS)
    chosen = parser.parse_args()
    count = str(chosen.processes)
    print("| training | one process, rows/s | shared by processes | of one, in pairs | by itself | chosen |")
    print("|---|---|---|---|---|---|")
    for name, training in TRAININGS.items():
        if chosen.only not in (None, name):
            continue
        one, shared, itself, values = [], [], [], set()
        for _ in range(chosen.rounds):
            one.append(rate(training, "--threads", count)[0])
            shared.append(rate(training, "--processes", count, "--threads", "1", "--shards", count)[0])
            quick, value = rate(training, "--processes", count, "--threads", "1")
            itself.append(quick)
            values.add(value)
        ratios = [", ".join(f"{b / a:.2f}" for a, b in zip(one, other, strict=True)) for other in (shared, itself)]
        print(
            f"| {name} | {statistics.median(one):,.0f} | {statistics.median(shared):,.0f} | {ratios[0]} | {ratios[1]} "
            f"| {'; '.join(sorted(values))} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
