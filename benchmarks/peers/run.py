"""Gnomon beside its peers: CIFAR-10 as JPEG files, one machine, one after another.

    python benchmarks/peers/run.py --out FOLDER [--deadlines 15s,30s,…] [--seeds N] [--only NAME,…] [--draw-only]

Every line that the programs print is appended to FOLDER/results.jsonl. A later call adds to it; where it repeats a
program, seed and deadline, the later run counts. The table and the picture show all that is there.
"""

import argparse
import datetime
import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import drawing
import results

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
DEADLINES = "15s,30s,60s,2m,5m,15m"
PROGRAMS = {
    "keras-tensorflow": ("keras_cnn.py", {"KERAS_BACKEND": "tensorflow"}),
    "keras-jax": ("keras_cnn.py", {"KERAS_BACKEND": "jax"}),
    "torch-cnn": ("torch_cnn.py", {}),
    "torch-resnet18": ("torch_resnet18.py", {}),
}
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2"}
PACE_ROWS = 625


@dataclass(frozen=True)
class Bench:
    """What all runs of a call have in common."""

    data: Path
    out: Path
    seconds: float
    gnomon: str

    @property
    def kept(self) -> Path:
        return self.out / "results.jsonl"

    def measure(self, run: results.Run, command: list[str], environment: dict[str, str]) -> None:
        """Runs the command in an empty folder and keeps what it prints."""
        started = {"event": "started", "command": shlex.join(command), "when": _now(), "machine": _machine()}
        results.append(self.kept, run, {**started, "data": self.data.name, "sha256": _digest(self.data)})
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as errors:
            cache = {"GNOMON_CACHE": f"{folder}/cache"}
            began = time.monotonic()
            with subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, **QUIET, **cache, **environment},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            ) as process:
                for line in _lines(process):
                    results.append(self.kept, run, line)
                    _tell(run, line)
            seconds = round(time.monotonic() - began, 2)
            errors.seek(0)
            last = next((text.strip() for text in reversed(errors.readlines()) if text.strip()), "no message")
        message = f"failed ({process.returncode}): {last}" if process.returncode else ""
        ended = {"event": "ended", "seconds": seconds, "exit": process.returncode, "message": message}
        results.append(self.kept, run, ended)
        print(f"{_title(run)}: {message or f'{seconds:.1f} s in all'}", flush=True)

    def measure_gnomon(self, by: str, seed: int) -> None:
        words = ["train", str(self.data), "--by", by, "--json", "--seed", str(seed)]
        self.measure(results.Run("gnomon", seed, by), [*shlex.split(self.gnomon), *words], {})

    def measure_peer(self, program: str, seed: int) -> None:
        run = results.Run(program, seed, "")
        words: list[str] = []
        if program == "torch-resnet18":
            epoch_s = self._epoch_s(program)
            print(f"{program}: an epoch takes about {epoch_s:.0f} s", flush=True)
            if epoch_s > self.seconds:
                reason = f"skipped: an epoch takes {epoch_s:.0f} s, {self.seconds:.0f} are given"
                results.append(self.kept, run, {"event": "started", "when": _now()})
                results.append(self.kept, run, {"event": "ended", "message": reason})
                return
            words = ["--epochs", str(int(self.seconds / epoch_s))]
        self.measure(run, [*self._command(program, self.data, seed), *words], PROGRAMS[program][1])

    def _command(self, program: str, data: Path, seed: int) -> list[str]:
        file = str(HERE / PROGRAMS[program][0])
        return [str(PEERS_PYTHON), file, "--data", str(data), "--seconds", f"{self.seconds:g}", "--seed", str(seed)]

    def _epoch_s(self, program: str) -> float:
        """Seconds of an epoch, from the second of two epochs over a few rows."""
        with tempfile.TemporaryDirectory() as folder:
            rows = thin(self.data, Path(folder, "few.zip"), PACE_ROWS)
            command = [*self._command(program, Path(folder, "few.zip"), 0), "--epochs", "2", "--seconds", "inf"]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
        first, second = (json.loads(line)["train_s"] for line in done.stdout.splitlines()[1:])
        return float(second - first) / rows * _train_rows(self.data)


def thin(source: Path, target: Path, limit: int) -> int:
    """About `limit` pictures of each part, spread evenly over the classes, as an archive; how many train."""
    with zipfile.ZipFile(source) as whole, zipfile.ZipFile(target, "w") as few:
        for part in ("/test/", "/train/"):
            names = [name for name in whole.namelist() if part in name and name.endswith(".jpg")]
            chosen = names[:: -(-len(names) // limit)]
            for name in chosen:
                few.writestr(name, whole.read(name))
    return len(chosen)


def _train_rows(data: Path) -> int:
    with zipfile.ZipFile(data) as archive:
        return sum("/train/" in name and name.endswith(".jpg") for name in archive.namelist())


def _lines(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    for text in process.stdout or ():
        if text.startswith("{"):
            yield json.loads(text)


def _tell(run: results.Run, line: dict[str, Any]) -> None:
    if line["event"] == "epoch":
        print(f"{_title(run)}: epoch {line['epoch']}, {line['train_s']:.1f} s, {line['accuracy']:.1%}", flush=True)
    if line["event"] == "finished":
        print(f"{_title(run)}: {line['metrics']['accuracy']['value']:.1%}", flush=True)


def _title(run: results.Run) -> str:
    return " ".join(filter(None, (run.program, run.by, f"seed {run.seed}")))


def _now() -> str:
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


def _machine() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        processor = platform.processor()
    return f"{cores} cores, {processor}, {platform.system()}"


def _digest(path: Path) -> str:
    """Also brings the archive into the system's file cache, for every program alike."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _run_all(bench: Bench, chosen: argparse.Namespace) -> None:
    names = chosen.only.split(",") if chosen.only else list(results.NAMES)
    if unknown := set(names) - set(results.NAMES):
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(results.NAMES)}")
    if set(names) - {"gnomon"} and not PEERS_PYTHON.exists():
        sys.exit(f"the peers' environment is not there: {PEERS_PYTHON}; `make bench-peers` makes it")
    bench.out.mkdir(parents=True, exist_ok=True)
    for seed in range(chosen.seeds):
        for name in names:
            if name == "gnomon":
                for by in chosen.deadlines.split(","):
                    bench.measure_gnomon(by, seed)
            else:
                bench.measure_peer(name, seed)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "cifar10-jpeg.zip")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "peers")
    parser.add_argument("--deadlines", default=DEADLINES, help="Gnomon's, default %(default)s")
    parser.add_argument("--seconds", type=float, help="of training for each peer; default: the longest deadline")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", metavar="NAME,…", help=", ".join(results.NAMES))
    parser.add_argument("--gnomon", default=str(ROOT / ".venv" / "bin" / "gnomon"), metavar="COMMAND")
    parser.add_argument(
        "--limit-rows", type=int, default=0, metavar="N", help="a trial on about N pictures of each part"
    )
    parser.add_argument("--picture", type=Path, help="default docs/peers.svg; FOLDER/peers.svg with --limit-rows")
    parser.add_argument("--draw-only", action="store_true", help="table and picture of what was measured before")
    return parser.parse_args()


def main() -> None:
    chosen = _parse()
    longest = max(results.seconds_of(by) for by in chosen.deadlines.split(","))
    bench = Bench(chosen.data.resolve(), chosen.out.resolve(), chosen.seconds or longest, chosen.gnomon)
    picture = chosen.picture or (bench.out if chosen.limit_rows else ROOT / "docs") / "peers.svg"
    if not chosen.draw_only:
        if not bench.data.exists():
            print(f"skipped: there is no {chosen.data}")
            return
        with tempfile.TemporaryDirectory() as folder:
            if chosen.limit_rows:
                few = Path(folder, bench.data.name)
                thin(bench.data, few, chosen.limit_rows)
                bench = Bench(few, bench.out, bench.seconds, bench.gnomon)
            _run_all(bench, chosen)
    if not bench.kept.exists():
        sys.exit(f"nothing has been measured: there is no {bench.kept}")
    runs = results.read(bench.kept)
    print(f"\n{results.table(runs)}\n\n{results.ratio(runs)}")
    try:
        if drawing.draw(runs, picture):
            print(picture)
    except ModuleNotFoundError as error:
        sys.exit(f"not drawn, since {error.name} is not installed here; {PEERS_PYTHON} has it")
    if any(run.failure.startswith("failed") for run in runs):
        sys.exit("something failed, see the table")


if __name__ == "__main__":
    main()
