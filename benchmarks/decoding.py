"""Pictures decoded a second: Pillow on one thread, a bare pool of threads around it, and Gnomon's cache from nothing.

    python benchmarks/decoding.py [ARCHIVE] [--rows N]

All three in one process, one after another, several times; medians. Gnomon's figure includes reading the archive, and
writing the decoded rows to disk.
"""

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image
from runs import SHARED

from gnomon.encoders import choose_geometry, read_header
from gnomon.planning.hardware import usable_cores
from gnomon.rows.decoding import write_rows
from gnomon.sources import Source, SourceSpec, open_source

ROUNDS = 5


def decode(raw: bytes) -> bytes:
    return Image.open(io.BytesIO(raw)).convert("RGB").tobytes()


def one_thread(rows: Sequence[bytes]) -> None:
    for raw in rows:
        decode(raw)


def thread_pool(rows: Sequence[bytes]) -> None:
    with ThreadPoolExecutor(usable_cores()) as pool:
        for _ in pool.map(decode, rows, chunksize=256):
            pass


def gnomon(source: Source) -> None:
    headers = [read_header(source.read(row)) for row in range(0, len(source.rows), max(1, len(source.rows) // 64))]
    encoder, _ = choose_geometry(headers, channels=None, fit="letterbox", side=None, max_pixels=10**9)
    with tempfile.TemporaryDirectory() as folder:
        for _ in write_rows(Path(folder, "rows"), source, encoder, threads=usable_cores(), failures={}):
            pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", nargs="?", type=Path, default=SHARED / "cifar10-jpeg.zip")
    chosen = parser.parse_args()
    if not chosen.archive.exists():
        raise SystemExit(f"skipped: no {chosen.archive}")
    source = open_source(SourceSpec(location=str(chosen.archive)))
    rows = [raw for raw in (source.read(row) for row in range(len(source.rows))) if isinstance(raw, bytes)]
    ways: dict[str, Callable[[], None]] = {
        "Pillow, one thread": lambda: one_thread(rows),
        f"Pillow, a pool of {usable_cores()} threads": lambda: thread_pool(rows),
        "Gnomon, from the archive to the disk": lambda: gnomon(source),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - began)
    first = statistics.median(next(iter(times.values())))
    print("| way | pictures/s | to one thread |\n|---|---|---|")
    for name, seconds in times.items():
        median = statistics.median(seconds)
        print(f"| {name} | {len(rows) / median:,.0f} | {first / median:.2f} |")


if __name__ == "__main__":
    main()
