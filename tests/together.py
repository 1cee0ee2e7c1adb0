"""Trainings by several processes, as whole commands."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gnomon.rundir.run import MODEL, PREDICTIONS

STEPS = 120
OPTIONS = f"--widths 8 --steps {STEPS} --threads 1 --shards 4 --seed 3 --dropout 0.1 --format float32"


def command_of(*words: str) -> "subprocess.Popen[str]":
    """`gnomon` with these words; its events come as JSON lines."""
    return subprocess.Popen(
        [sys.executable, "-m", "gnomon", *words, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def train_together(out: Path, processes: int, *more: str) -> "subprocess.Popen[str]":
    """A training of digits in four shards."""
    return command_of("train", "digits", *OPTIONS.split(), "--processes", str(processes), "--out", str(out), *more)


def wait_for(command: "subprocess.Popen[str]", event: str) -> None:
    """Until it tells of such an event."""
    assert command.stdout is not None
    for line in command.stdout:
        if json.loads(line)["event"] == event:
            return
    pytest.fail(f"ended before {event}: {command.stderr.read() if command.stderr else ''}")


def ended(command: "subprocess.Popen[str]") -> list[dict[str, object]]:
    """All that it tells; it ends well."""
    said, complaints = command.communicate(timeout=120)
    assert command.returncode == 0, complaints
    return [json.loads(line) for line in said.splitlines()]


def outcome(run: Path) -> tuple[bytes, bytes, list[tuple[int, float]]]:
    """Model, predictions, and the losses on the way."""
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = [(event["step"], event["loss"]) for event in events if event["event"] in ("step", "validation")]
    return (run / MODEL).read_bytes(), (run / PREDICTIONS).read_bytes(), losses


def others_of(command: "subprocess.Popen[str]") -> list[int]:
    """The processes that a command has started and that follow it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if b"gnomon.spine.following" in words and parent == command.pid:
                found.append(int(entry.name))
    return found
