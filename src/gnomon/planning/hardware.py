"""What this machine is: cores, memory, quick number formats; and how to make it run well."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal, TypeAlias

import msgspec
import torch

from ..errors import RecipeError
from ..rounding import round_alike
from ..types import Value

Format: TypeAlias = Literal["float32", "bfloat16"]

TIMESTAMP: Final = "%Y-%m-%dT%H:%M:%S%z"

_OUT_OF_MEMORY: Final = ("can't allocate memory", "out of memory", "bad_alloc", "could not create a memory object")

# Option of glibc's mallopt, its value while memory is kept, and its usual value: trim threshold, top pad, most maps.
_ALLOCATOR = ((-1, 2**31 - 1, 64 * 2**20), (-2, 64 * 2**20, 0), (-3, 32 * 2**20, 32 * 2**20), (-4, 0, 65536))


class Hardware(Value, frozen=True):
    """What the machine is, as far as a plan needs it.

    Attributes:
        device: `cpu` or `cuda`.
        threads: of one operation.
        free_bytes: memory that is free on the device.
        formats: number formats that its products may take, widest first.
    """

    device: str
    threads: int
    free_bytes: int
    formats: tuple[Format, ...]


_THREADS: Final = range(1, 4097)


def measure_hardware(*, device: str, threads: int | None) -> Hardware:
    """Look at the machine, and set the number of threads for this process; on a GPU, that bits can be repeated.

    Args:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        threads: of one operation; None for all cores that this process may use.

    Raises:
        RecipeError: the device is not there.
    """
    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if chosen.split(":")[0] not in ("cpu", "cuda") or (chosen.startswith("cuda") and not torch.cuda.is_available()):
        raise RecipeError(f"there is no device {device!r} on this machine", remedy="Use --device cpu, or leave it out.")
    round_alike()
    count = usable_cores() if threads is None else threads
    if count not in _THREADS:
        raise RecipeError(f"{count:,} threads are none that a machine has", remedy="Leave --threads out.")
    torch.set_num_threads(count)
    if chosen.startswith("cuda"):
        _repeat_bits()
        free, quick = torch.cuda.mem_get_info(chosen)[0], torch.cuda.is_bf16_supported()
    else:
        free, quick = _free_memory(), _multiplies_bfloat16()
    formats: tuple[Format, ...] = ("float32", "bfloat16") if quick else ("float32",)
    return Hardware(device=chosen, threads=count, free_bytes=free, formats=formats)


def _repeat_bits() -> None:
    """The same operations give the same bits on a GPU: no sums in the order in which threads happen to come."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)


def usable_cores() -> int:
    """Cores that this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def threads_of_each(processes: int) -> int:
    """Of so many processes on this machine."""
    return max(1, usable_cores() // processes)


@contextmanager
def kept_memory() -> Iterator[None]:
    """Inside, glibc keeps what is freed for the next step, instead of handing it to the system and fetching it again.

    Large tensors are otherwise mapped afresh at every step, and the system fills each page with zeros: measured at
    14 to 25 % of a training step. For steps that all allocate the same; reading rows would leave holes that are never
    given back. Does nothing on other systems.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        yield
        return
    library = ctypes.CDLL(None)
    for option, kept, _ in _ALLOCATOR:
        library.mallopt(option, kept)
    try:
        yield
    finally:
        for option, _, usual in _ALLOCATOR:
            library.mallopt(option, usual)
        library.malloc_trim(0)


class Surroundings(Value, frozen=True):
    """What a training's bits hang on beside its plan, its data and its seed.

    Attributes:
        gnomon, torch: versions.
        processor, instructions: its model, and the widest vectors that PyTorch uses on it.
        device: `cpu`, or the name of the GPU.
        threads: of one operation.
    """

    gnomon: str
    torch: str
    processor: str
    instructions: str
    device: str
    threads: int

    def differences(self, now: Surroundings) -> tuple[str, ...]:
        """What is not as it was, as phrases: `threads 2 → 1`."""
        pairs = ((name, getattr(self, name), getattr(now, name)) for name in self.__struct_fields__)
        return tuple(f"{name} {before} → {after}" for name, before, after in pairs if before != after)


def surroundings(device: str, *, version: str) -> Surroundings:
    """Those of this process, for work on this device."""
    return Surroundings(
        gnomon=version,
        torch=str(torch.__version__),
        processor=_processor(),
        instructions=torch.backends.cpu.get_cpu_capability(),
        device=torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu",
        threads=torch.get_num_threads(),
    )


def describe_environment(device: str, *, version: str, seed: int, by_s: float | None) -> dict[str, Any]:
    """What a reader needs to repeat the run: `environment.json`.

    Args:
        device: of the training.
        version: of Gnomon.
        seed: of everything random.
        by_s: seconds that were given; None where none were.
    """
    return {
        **msgspec.to_builtins(surroundings(device, version=version)),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "seed": seed,
        "by_s": by_s,
        "started": time.strftime(TIMESTAMP),
    }


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, in the many ways in which PyTorch says so."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(phrase in text for phrase in _OUT_OF_MEMORY)


def _multiplies_bfloat16() -> bool:
    """Whether the processor has instructions for it; without them bfloat16 is emulated, and many times slower."""
    capability = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(bool(capability.get(name)) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def _free_memory() -> int:
    try:
        with open("/proc/meminfo") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return 2 * 2**30


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
