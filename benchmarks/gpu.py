"""Whole commands on a GPU by several deadlines, and the textbook's network in PyTorch with its usual loader.

    python benchmarks/gpu.py --data cifar10-jpeg.zip [--by 15s,30s,60s]

The first command decodes the pictures; the others find them in the cache.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from runs import train


def peer(data: str) -> list[dict[str, float]]:
    """The epochs of the textbook's network, ten of them."""
    program = Path(__file__).parent / "peers" / "torch_cnn.py"
    command = [sys.executable, str(program), "--data", data, "--device", "cuda"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [event for event in map(json.loads, said.splitlines()) if event["event"] == "epoch"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--by", default="15s,30s,60s")
    chosen = parser.parse_args()
    print("| program | network | steps | accuracy | training s | whole command s |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as cache:
        for by in chosen.by.split(","):
            done = train(str(Path(chosen.data).resolve()), "--by", by, "--device", "cuda", cache=Path(cache))
            phases = {event["name"]: event["elapsed_s"] for event in done.events if event["event"] == "phase"}
            trained_s = phases["judging"] - phases["training"]
            steps = [event["step"] for event in done.events if event["event"] == "step"][-1]
            network = f"{done.decided('network')}, batch {done.decided('batch')}"
            figures = f"{steps} | {done.accuracy:.2%} | {trained_s:.1f} | {done.seconds:.1f}"
            print(f"| gnomon --by {by} | {network} | {figures} |", flush=True)
            print(f"  {phases}", file=sys.stderr, flush=True)
    for epoch in peer(chosen.data):
        seconds = f"{epoch['train_s']:.1f} | {epoch['elapsed_s']:.1f}"
        print(f"| textbook in PyTorch, epoch {epoch['epoch']} | | | {epoch['accuracy']:.2%} | {seconds} |", flush=True)


if __name__ == "__main__":
    main()
