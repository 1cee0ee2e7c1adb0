"""The setting in which every peer is measured: its command line, the archive as arrays, and a clock that can pause."""

import argparse
import json
import os
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Part = tuple[NDArray[np.uint8], NDArray[np.int64]]


def arguments(description: str, *, epochs: int) -> argparse.ArgumentParser:
    """The options that all programs take; `epochs` is the most that this one trains."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, required=True, metavar="ZIP")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="of training; looked at after each epoch")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=epochs)
    return parser


def read_archive(path: Path) -> tuple[Part, Part]:
    """Training and test part of `cifar10/{train,test}/<class>/NNNN.jpg`.

    Each part is pictures `(N, 32, 32, 3)` uint8 and class numbers `(N,)` int64, in the order of the archive.
    """
    pictures: dict[str, list[NDArray[np.uint8]]] = {"train": [], "test": []}
    labels: dict[str, list[str]] = {"train": [], "test": []}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if not name.endswith(".jpg"):
                continue
            part, label = name.split("/")[1:3]
            with Image.open(archive.open(name)) as picture:
                pictures[part].append(np.asarray(picture.convert("RGB")))
            labels[part].append(label)
    classes = sorted(set(labels["train"]))
    train, test = (
        (np.stack(pictures[part]), np.array([classes.index(label) for label in labels[part]]))
        for part in ("train", "test")
    )
    return train, test


class Clock:
    """Seconds of training since the first step, without the pauses; prints the events."""

    def __init__(self) -> None:
        self._started_s = _process_start_s()
        self._first_step_s = 0.0
        self._paused_s = 0.0

    @property
    def train_s(self) -> float:
        return time.monotonic() - self._first_step_s - self._paused_s

    def first_step(self) -> None:
        """To be called right before the first training step."""
        self._first_step_s = time.monotonic()
        self._print("first_step")

    @contextmanager
    def paused(self) -> Iterator[None]:
        """For what is not training: the evaluation after an epoch."""
        began = time.monotonic()
        yield
        self._paused_s += time.monotonic() - began

    def epoch_done(self, epoch: int, accuracy: float) -> None:
        self._print("epoch", epoch=epoch, train_s=round(self.train_s, 2), accuracy=round(accuracy, 4))

    def _print(self, event: str, **values: float) -> None:
        elapsed_s = round(time.monotonic() - self._started_s, 2)
        print(json.dumps({"event": event, "elapsed_s": elapsed_s, **values}), flush=True)


def _process_start_s() -> float:
    """When this process began, on the monotonic clock; the time of the call where the system does not tell."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        return time.monotonic() - (time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))
    except (OSError, AttributeError):
        return time.monotonic()
