"""The same product rounds alike wherever its row stands. Imports nothing heavy.

By itself Intel's library, which PyTorch multiplies float32 matrices with, takes other kernels for the last rows of a
matrix than for the first, on some processors and for some widths (measured on an AMD EPYC: widths that are no multiple
of four). An answer's last bits would then depend on its neighbours. Told which instructions to use, it keeps to one
kernel; it reads that when it multiplies for the first time, and no speed is lost (RESULTS.md).
"""

from __future__ import annotations

import os
from contextlib import suppress


def of_processor(name: str) -> str:
    """The words of its first line that begins with this name in what Linux tells of the processor; none elsewhere."""
    with suppress(OSError), open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        return next((line.partition(":")[2].strip() for line in file if line.startswith(name)), "")
    return ""


def round_alike() -> None:
    """To be called before the first product of a process; what the user has set stands."""
    if "MKL_CBWR" not in os.environ:
        os.environ["MKL_CBWR"] = "AVX512" if "avx512f" in of_processor("flags") else "AVX2"
