"""Seconds until `gnomon --help` has answered, as a whole process, beside a bare Python: medians of several runs."""

import statistics
import subprocess
import sys
import time

RUNS = 15


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    commands = {
        "gnomon --help": [sys.executable, "-m", "gnomon", "--help"],
        "gnomon train --help": [sys.executable, "-m", "gnomon", "train", "--help"],
        "python -c pass": [sys.executable, "-c", "pass"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(RUNS):
        for name, command in commands.items():
            times[name].append(seconds(command))
    for name, measured in times.items():
        print(f"{name:<22} {statistics.median(measured):.3f} s (min {min(measured):.3f}, max {max(measured):.3f})")


if __name__ == "__main__":
    main()
