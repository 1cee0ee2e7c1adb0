"""Memory of a training on a set that is larger decoded than the memory it may take.

    python benchmarks/memory.py [--gigabytes G] [--folder DIR]

Makes a .zip of JPEG files that decode to G gigabytes at 224×224, trains a few steps on it in a process of its own, and
prints that process's peak memory. DIR needs G gigabytes for the cache, and a tenth of that for the archive.
"""

import argparse
import io
import os
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 224
STEPS = 12


def make_archive(path: Path, count: int) -> None:
    """`count` JPEG files in four classes: smooth random colours, each its own."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number in range(count):
            small = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
            small[:, :, number % 3] //= 2 + number % 4
            sink = io.BytesIO()
            Image.fromarray(small).resize((SIDE, SIDE), Image.Resampling.BILINEAR).save(sink, "JPEG", quality=70)
            archive.writestr(f"{'abcd'[number % 4]}/{number:06d}.jpg", sink.getvalue())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--folder", type=Path)
    chosen = parser.parse_args()
    count = int(chosen.gigabytes * 1e9 / (SIDE * SIDE * 3))
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        archive = Path(folder) / "pictures.zip"
        make_archive(archive, count)
        print(f"{count:,} pictures, {archive.stat().st_size / 1e6:,.0f} MB as JPEG, {chosen.gigabytes:g} GB decoded")
        words = f"train {archive} --steps {STEPS} --size {SIDE} --test 0.005 --validation 0.005 --quiet"
        environment = {**os.environ, "GNOMON_CACHE": f"{folder}/cache", "GNOMON_CACHE_LIMIT": "1e12"}
        began = time.monotonic()
        subprocess.run([sys.executable, "-m", "gnomon", *words.split()], cwd=folder, env=environment, check=True)
        seconds = time.monotonic() - began
        size = sum(file.stat().st_size for file in Path(folder, "cache").rglob("*") if file.is_file())
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(f"peak memory {peak / 1e6:,.0f} MB")
    print(f"cache on disk {size / 1e9:.2f} GB, {seconds:.0f} s in all, {count / seconds:,.0f} pictures/s")


if __name__ == "__main__":
    main()
