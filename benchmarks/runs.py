"""What the benchmarks share: data sets of several kinds, and whole commands with their clock."""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

SHARED = Path(__file__).parents[2] / "shared" / "data"
BUSY = "while True: pass"


@dataclass(frozen=True)
class Done:
    """One `gnomon train`: its events, what its run directory says, and the seconds of the whole process."""

    events: list[dict[str, Any]]
    plan: dict[str, Any]
    data: dict[str, Any]
    judged: dict[str, Any]
    seconds: float

    @property
    def accuracy(self) -> float:
        return self.score("accuracy")

    @property
    def linear(self) -> float:
        """The headline's score of the linear baseline."""
        value: float = self.judged["baselines"]["linear"]["score"]["value"]
        return value

    def score(self, name: str) -> float:
        """A metric of the test part."""
        value: float = self.events[-1]["metrics"][name]["value"]
        return value

    @property
    def last_rate(self) -> float:
        """The learning rate of the last step that was told."""
        rate: float = [event["learning_rate"] for event in self.events if event["event"] == "step"][-1]
        return rate

    def decided(self, name: str) -> str:
        value: str = next(item["value"] for item in self.plan["decisions"] if item["name"] == name)
        return value


def train(data: str, *options: str, cache: Path | None = None, busy_after_s: float | None = None) -> Done:
    """Run `gnomon train` in an empty folder.

    Args:
        data: path or name.
        options: further words.
        cache: folder that stays; an empty one where none is given.
        busy_after_s: from then on another process keeps one core busy.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "GNOMON_CACHE": str(cache or f"{folder}/cache")}
        command = [sys.executable, "-m", "gnomon", "train", data, *options, "--json", "--out", "run"]
        began = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
        with _busy(began, busy_after_s, process):
            said, _ = process.communicate()
        seconds = time.monotonic() - began
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
        names = ("plan.json", "data.json", "evaluation/test.json")
        plan, about, judged = (json.loads(Path(folder, "run", name).read_text()) for name in names)
    return Done([json.loads(line) for line in said.splitlines()], plan, about, judged, seconds)


@contextlib.contextmanager
def _busy(began: float, after_s: float | None, process: "subprocess.Popen[str]") -> Iterator[None]:
    if after_s is None:
        yield
        return
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, began + after_s - time.monotonic()))
    other = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        yield
    finally:
        other.kill()
        other.wait()


def data_sets(folder: Path, shared: Path) -> dict[str, str]:
    """Name → path of five sets; two are made from CIFAR-10 in `folder`. What is absent is left out."""
    found = {"digits": "digits"}
    hands, cifar = shared / "sign-language-digits.zip", shared / "cifar10-jpeg.zip"
    if hands.exists():
        found["hands"] = str(hands)
    if cifar.exists():
        found["cifar10"] = str(cifar)
        found["cifar10, 5,000 rows"] = str(_part_of(cifar, folder / "few.zip", every=10, side=32, mode="RGB"))
        found["cifar10, grey, 16×16"] = str(_part_of(cifar, folder / "grey.zip", every=3, side=16, mode="L"))
    return found


def sequence_sets(shared: Path) -> dict[str, str]:
    """Name → path of texts, recordings and series; what is absent is left out."""
    files = {
        "reviews": "movie-reviews.csv",
        "titles": "news-titles-zh-train.csv",
        "spoken": "spoken-digits.zip",
        "vowels": "JapaneseVowels_TRAIN.ts",
    }
    return {name: str(shared / file) for name, file in files.items() if (shared / file).exists()}


def _part_of(archive: Path, path: Path, *, every: int, side: int, mode: str) -> Path:
    """One training picture in `every` and one test picture in three, in another size and mode."""
    with zipfile.ZipFile(archive) as whole, zipfile.ZipFile(path, "w") as part:
        names = [name for name in sorted(whole.namelist()) if name.endswith(".jpg")]
        groups = {kind: [name for name in names if f"/{kind}/" in name] for kind in ("train", "test")}
        for name in (*groups["train"][::every], *groups["test"][::3]):
            picture = Image.open(io.BytesIO(whole.read(name))).convert(mode)
            sink = io.BytesIO()
            picture.resize((side, side), Image.Resampling.BOX).save(sink, "PNG")
            part.writestr(f"{name.rpartition('.')[0]}.png", sink.getvalue())
    return path
