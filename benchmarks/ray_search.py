"""A search on a Ray cluster of two nodes, one of which is killed in the middle, beside the same search by processes.

    pip install 'gnomon[cluster]'
    python benchmarks/ray_search.py [--trials 12] [--epochs 4]

Both nodes are raylets of this computer with one core each. Printed are the seconds of exploring, the trials in the
journal, and whether each stands there once and is over; the overhead is that of the undisturbed search on the cluster
over the one by two local processes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"


def search(words: str, out: Path, harm: Callable[[], None] | None = None) -> tuple[float, list[dict]]:
    """Seconds of exploring, and the records of it. Harm is done when two trials are over."""
    command = [sys.executable, "-m", "gnomon", "tune", "digits", *words.split(), "--out", str(out), "--json"]
    began, over, seconds = 0.0, 0, 0.0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            event = json.loads(line)
            if event["event"] == "phase" and event["name"] == "exploring":
                began = time.monotonic()
            if event["event"] == "phase" and event["name"] == "confirming":
                seconds = time.monotonic() - began
            if event["event"] == "trial":
                over += 1
                if over == 2 and harm is not None:
                    harm()
        code = running.wait()
    assert code == 0, code
    records = [json.loads(line) for line in (out / "trials.jsonl").read_text().splitlines()]
    return seconds, [done for done in records if done["stage"] == "explore"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=4)
    chosen = parser.parse_args()
    from ray.cluster_utils import Cluster

    usual = f"--trials {chosen.trials} --epochs {chosen.epochs} --method random --workers 2"
    print("| search | exploring | trials | each once and over |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("two processes here", "two nodes", "two nodes, one killed"):
            cluster, words, harm = None, usual, None
            if "nodes" in name:
                cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
                node = cluster.add_node(num_cpus=1)
                cluster.wait_for_nodes()
                words += f" --ray {cluster.address}"
                if "killed" in name:
                    harm = lambda cluster=cluster, node=node: cluster.remove_node(node, allow_graceful=False)  # noqa: E731
            seconds, records = search(words, Path(folder) / name.replace(" ", "-").replace(",", ""), harm)
            whole = sorted(done["number"] for done in records) == list(range(chosen.trials))
            over = all(done["state"] in ("finished", "pruned") for done in records)
            print(f"| {name} | {seconds:.1f} s | {len(records)} | {'yes' if whole and over else 'NO'} |", flush=True)
            if cluster is not None:
                cluster.shutdown()


if __name__ == "__main__":
    main()
