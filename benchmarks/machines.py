"""One training over several machines, of which one is lost: does it go on, to the same bits, and is it noticed soon?

    python benchmarks/machines.py [--machines 2,4] [--steps 600]

Each machine is a network namespace of Linux on this computer (as root), all on one bridge. `torchrun` (elastic) starts
one process on each; they share this disk, as machines share a network's. The rendezvous stands on the bridge's side, so
that no machine's loss takes it away. Tried are: nothing (the bits to compare with), SIGKILL of the first machine's
process, of the last one's, of a whole machine, and a cable that is pulled out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

BRIDGE, NET, PORT = "gnomon0", "10.77.0", 29711
LONGEST_S = 240.0
SETTINGS = {
    "GLOO_SOCKET_IFNAME": "eth0",
    "OMP_NUM_THREADS": "1",
    # With it shared, torchrun (2.13) sends processes that start again to the first machine of the time before.
    "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
}


def ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True, capture_output=True)


@contextmanager
def machines(count: int) -> Iterator[list[str]]:
    """Namespaces with a cable each to one bridge."""
    names = [f"gnomon{number}n" for number in range(1, count + 1)]
    try:
        ip(f"link add {BRIDGE} type bridge")
        ip(f"addr add {NET}.254/24 dev {BRIDGE}")
        ip(f"link set {BRIDGE} up")
        for number, name in enumerate(names, 1):
            ip(f"netns add {name}")
            ip(f"link add {name}v type veth peer name eth0 netns {name}")
            ip(f"link set {name}v master {BRIDGE} up")
            ip(f"-n {name} addr add {NET}.{number}/24 dev eth0")
            ip(f"-n {name} link set eth0 up")
            ip(f"-n {name} link set lo up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "link", "del", f"{name}v"], capture_output=True)
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
        subprocess.run(["ip", "link", "del", BRIDGE], capture_output=True)


def start(name: str, number: int, count: int, out: Path, steps: int, attempt: str) -> subprocess.Popen[bytes]:
    """`torchrun` on one machine, in a session of its own."""
    elastic = (
        f"-m torch.distributed.run --nnodes 1:{count} --nproc-per-node 1 --max-restarts 3 --rdzv-backend c10d "
        f"--rdzv-endpoint {NET}.254:{PORT} --rdzv-id {attempt} --local-addr {NET}.{number} "
        "--rdzv-conf is_host=0,join_timeout=60,last_call_timeout=3,keep_alive_interval=2 "
        f"-m gnomon train digits --widths 16 --steps {steps} --threads 1 --shards {count} --seed 3 --out {out} --json"
    )
    said = open(out.parent / f"{attempt}-{number}.log", "wb")  # noqa: SIM115
    return subprocess.Popen(
        ["ip", "netns", "exec", name, sys.executable, *elastic.split()],
        stdout=said,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, **SETTINGS},
    )


def worker_of(machine: subprocess.Popen[bytes]) -> int:
    """The process that trains, under its `torchrun`."""
    for _ in range(200):
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if parent == machine.pid and b"gnomon" in words:
                    return int(entry.name)
        time.sleep(0.1)
    raise RuntimeError("no process trains")


def wait_for_step(out: Path) -> None:
    """Until something of the training was told."""
    began = time.monotonic()
    while time.monotonic() - began < LONGEST_S:
        events = out / "metrics.jsonl"
        if events.is_file() and '"event":"validation"' in events.read_text():
            return
        time.sleep(0.1)
    raise RuntimeError("no training began")


def one(count: int, steps: int, folder: Path, what: str, harm: Callable[[list, list[str]], None] | None) -> dict:
    """Train, do harm, and wait for the end. Seconds, digest of the model, and what was noticed when."""
    from torch.distributed import TCPStore

    attempt = f"{count}-{what.replace(' ', '-')}"
    out = folder / attempt
    with machines(count) as names:
        head = TCPStore(f"{NET}.254", PORT, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=300))
        began = time.monotonic()
        running = [start(name, number, count, out, steps, attempt) for number, name in enumerate(names, 1)]
        noticed = None
        try:
            wait_for_step(out)
            before = _complaints(folder, attempt)
            harmed_at = time.monotonic()
            if harm is not None:
                harm(running, names)
            while not (out / "report.html").is_file() and time.monotonic() - began < LONGEST_S:
                time.sleep(0.1)
                if harm is not None and noticed is None and _complaints(folder, attempt) > before:
                    noticed = time.monotonic() - harmed_at
        finally:
            for process in running:
                for number in (signal.SIGTERM, signal.SIGKILL):
                    if process.poll() is None:
                        os.killpg(process.pid, number)
                        time.sleep(0.3)
                process.wait()
        seconds = time.monotonic() - began
        del head
    model = out / "model.safetensors"
    digest = hashlib.sha256(model.read_bytes()).hexdigest()[:12] if model.is_file() else "none"
    return {"machines": count, "harm": what, "seconds": seconds, "noticed_s": noticed, "model": digest}


def _complaints(folder: Path, attempt: str) -> int:
    """How often a machine said that another process is lost."""
    return sum(path.read_text(errors="replace").count("is lost") for path in folder.glob(f"{attempt}-*.log"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machines", default="2,4")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--keep", type=Path, help="folder for what is written")
    parser.add_argument("--harm", help="only this one, beside none")
    chosen = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("ip") is None:
        sys.exit("needs root and iproute2, to make network namespaces")

    def kill_worker(which: int) -> Callable[[list, list[str]], None]:
        return lambda running, names: os.kill(worker_of(running[which]), signal.SIGKILL)

    def kill_machine(which: int) -> Callable[[list, list[str]], None]:
        def harm(running: list, names: list[str]) -> None:
            os.kill(worker_of(running[which]), signal.SIGKILL)
            os.killpg(running[which].pid, signal.SIGKILL)

        return harm

    def pull_cable(running: list, names: list[str]) -> None:
        ip(f"link set {names[-1]}v down")

    harms = {
        "none": None,
        "first process killed": kill_worker(0),
        "last process killed": kill_worker(-1),
        "first machine killed": kill_machine(0),
        "last machine killed": kill_machine(-1),
        "cable pulled": pull_cable,
    }
    folder = chosen.keep or Path(tempfile.mkdtemp(prefix="gnomon-machines-"))
    folder.mkdir(parents=True, exist_ok=True)
    print("| machines | harm | noticed after | whole command | model |\n|---|---|---|---|---|")
    for count in map(int, chosen.machines.split(",")):
        wanted = ""
        for what, harm in harms.items():
            if chosen.harm and what not in ("none", chosen.harm):
                continue
            found = one(count, chosen.steps, folder, what, harm)
            wanted = wanted or found["model"]
            same = "the same bits" if found["model"] == wanted else f"OTHER: {found['model']}"
            noticed = "" if found["noticed_s"] is None else f"{found['noticed_s']:.1f} s"
            print(f"| {count} | {what} | {noticed} | {found['seconds']:.0f} s | {same} |", flush=True)
    print(json.dumps({"kept": str(folder)}))


if __name__ == "__main__":
    main()
