"""Processes that share each batch against one process with as many threads: rows a second of whole trainings.

    python benchmarks/processes.py [--data FILE] [--processes 2] [--steps 60] [--rounds 3]

Each line is `gnomon train` in a process of its own, for so many steps of one network; in turns, so that the machine's
moods fall on all. Rows a second are those of the steps themselves: reading, planning and judging do not count.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from runs import SHARED

NETWORKS = {"16-64-128": "--widths 16-64-128", "32-128-256": "--widths 32-128-256"}


def rate(data: Path, network: str, processes: int, threads: int, steps: int) -> float:
    """Rows a second, the first account left out."""
    with tempfile.TemporaryDirectory() as folder:
        words = (
            f"train {data} {NETWORKS[network]} --steps {steps} --processes {processes} --threads {threads} --batch 256 "
            f"--format bfloat16 --out {folder}/run --json"
        )
        events = []
        command = [sys.executable, "-m", "gnomon", *words.split()]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
            assert running.stdout is not None
            for line in running.stdout:
                events.append(json.loads(line))
                if events[-1].get("name") == "judging":  # what follows is not of interest
                    running.kill()
                    break
    told = [event for event in events if event["event"] == "step"][1:]
    pairs = itertools.pairwise(told)
    seconds = sum((later["step"] - one["step"]) * 256 / later["rows_per_s"] for one, later in pairs)
    return (told[-1]["step"] - told[0]["step"]) * 256 / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED / "cifar10-jpeg.zip")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    print("| network | one process, rows/s | processes | rows/s | ratio of medians | of pairs |")
    print("|---|---|---|---|---|---|")
    for network in NETWORKS:
        one, several = [], []
        for _ in range(chosen.rounds):
            one.append(rate(chosen.data, network, 1, chosen.processes, chosen.steps))
            several.append(rate(chosen.data, network, chosen.processes, 1, chosen.steps))
        ratios = ", ".join(f"{b / a:.2f}" for a, b in zip(one, several, strict=True))
        first, second = statistics.median(one), statistics.median(several)
        print(
            f"| {network} | {first:,.0f} | {chosen.processes} | {second:,.0f} | {second / first:.2f} | {ratios} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
