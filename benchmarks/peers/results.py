"""What was measured: the lines of results.jsonl as runs, and the table over them."""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TARGET = 0.68
NEVER = float("inf")
NAMES = {
    "gnomon": "Gnomon",
    "keras-tensorflow": "Keras tutorial on TensorFlow",
    "keras-jax": "Keras tutorial on JAX",
    "torch-cnn": "the same network in PyTorch",
    "torch-resnet18": "ResNet-18 in PyTorch",
}


@dataclass(frozen=True)
class Point:
    """A network on the test part: what it took, and how good it is.

    Attributes:
        whole_s: Gnomon: the whole command. Others: from the process's start, without evaluations.
        train_s: since the first step, without evaluations.
    """

    whole_s: float
    train_s: float
    accuracy: float


@dataclass
class Run:
    """One process. `by` is Gnomon's deadline, empty for the others."""

    program: str
    seed: int
    by: str
    lines: list[dict[str, Any]] = field(default_factory=list)

    def first(self, event: str, **values: object) -> dict[str, Any]:
        """The first line of that event, with those values; empty where there is none."""
        found = (line for line in self.lines if line.get("event") == event and values.items() <= line.items())
        return next(found, {})

    @property
    def failure(self) -> str:
        """Why it has no result, or nothing."""
        ended = self.first("ended")
        return ended.get("message", "") if ended else "interrupted"

    @property
    def process_s(self) -> float:
        return float(self.first("ended").get("seconds", NEVER))

    @property
    def points(self) -> list[Point]:
        """Gnomon: one. Others: one for each epoch."""
        if self.failure:
            return []
        if self.program == "gnomon":
            began, ended = (self.first("phase", name=name)["elapsed_s"] for name in ("training", "judging"))
            accuracy = self.first("finished")["metrics"]["accuracy"]["value"]
            return [Point(self.process_s, ended - began, accuracy)]
        ready_s = self.first("first_step")["elapsed_s"]
        epochs = (line for line in self.lines if line.get("event") == "epoch")
        return [Point(ready_s + line["train_s"], line["train_s"], line["accuracy"]) for line in epochs]


def append(path: Path, run: Run, line: dict[str, Any]) -> None:
    """Into the run and the file at once, so that nothing measured is lost."""
    run.lines.append(line)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"program": run.program, "seed": run.seed, "by": run.by, "line": line}) + "\n")


def read(path: Path) -> list[Run]:
    """The latest run of each program, seed and deadline."""
    runs: dict[tuple[str, int, str], Run] = {}
    for text in path.read_text(encoding="utf-8").splitlines():
        kept = json.loads(text)
        key = (kept["program"], kept["seed"], kept["by"])
        if kept["line"]["event"] == "started":
            runs[key] = Run(*key)
        runs[key].lines.append(kept["line"])
    return list(runs.values())


def seconds_of(duration: str) -> float:
    """`90s`, `5m`, `1h`, or plain seconds."""
    unit = {"s": 1, "m": 60, "h": 3600}.get(duration[-1:])
    return float(duration[:-1]) * unit if unit else float(duration)


def grouped(runs: Iterable[Run]) -> dict[tuple[str, str], list[Run]]:
    """The seeds of each program and deadline; programs in the order of `NAMES`, deadlines ascending."""
    order = list(NAMES)
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in sorted(runs, key=lambda run: (order.index(run.program), seconds_of(run.by or "0"), run.seed)):
        groups.setdefault((run.program, run.by), []).append(run)
    return groups


def median_points(runs: Sequence[Run]) -> list[Point]:
    """Over seeds, as far as every seed that has a result got."""
    histories = [run.points for run in runs if run.points]
    return [
        Point(
            statistics.median(point.whole_s for point in points),
            statistics.median(point.train_s for point in points),
            statistics.median(point.accuracy for point in points),
        )
        for points in zip(*histories, strict=False)
    ]


def seconds_to_target(runs: Sequence[Run]) -> float:
    """Training seconds until the test part is right in 68 %, median over seeds; `NEVER` where it is not reached."""
    reached = (next((p.train_s for p in run.points if p.accuracy >= TARGET), NEVER) for run in runs if run.points)
    return statistics.median([*reached] or [NEVER])


def table(runs: Iterable[Run]) -> str:
    """Markdown: a row for each program and deadline."""
    rows = [
        f"| program | training seconds to {100 * TARGET:.0f} % | test accuracy | training seconds | whole seconds |",
        "|---|---:|---:|---:|---:|",
    ]
    for (program, by), group in grouped(runs).items():
        name = f"{NAMES[program]} `--by {by}`" if by else NAMES[program]
        points = median_points(group)
        if not points:
            rows.append(f"| {name} | {group[-1].failure} | | | |")
            continue
        needed = seconds_to_target(group)
        whole_s = statistics.median(run.process_s for run in group if run.points)
        rows.append(
            f"| {name} | {_spoken(needed, at_most=bool(by))} | {100 * points[-1].accuracy:.1f} % "
            f"| {points[-1].train_s:.1f} | {whole_s:.1f} |"
        )
    return "\n".join(rows)


def _spoken(seconds: float, *, at_most: bool) -> str:
    return "not reached" if seconds == NEVER else f"{'≤ ' if at_most else ''}{seconds:.1f}"


def ratio(runs: Iterable[Run]) -> str:
    """How much longer Keras on TensorFlow trains until 68 % than Gnomon in the shortest deadline that gives 68 %."""
    groups = grouped(runs)
    keras_s = seconds_to_target(groups.get(("keras-tensorflow", ""), []))
    enough = ((by, group) for (program, by), group in groups.items() if program == "gnomon")
    by, gnomon_s = next(((by, s) for by, group in enough if (s := seconds_to_target(group)) < NEVER), ("", NEVER))
    target, peer = f"{100 * TARGET:.0f} %", NAMES["keras-tensorflow"]
    missing = [name for name, seconds in ((peer, keras_s), ("Gnomon", gnomon_s)) if seconds == NEVER]
    if missing:
        return f"No ratio: {' and '.join(missing)} did not reach {target}."
    return (
        f"Training seconds to {target}: {peer} {keras_s:.1f}, Gnomon (`--by {by}`) at most {gnomon_s:.1f}: "
        f"{keras_s / gnomon_s:.1f} times."
    )
