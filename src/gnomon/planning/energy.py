"""What a machine draws while it works: assumed, not measured, and said so wherever it is shown."""

from __future__ import annotations

from typing import Final

_WATTS_A_CORE: Final = 10.0
_WATTS_A_GPU: Final = 400.0


def watts_of(device: str, threads: int) -> float:
    """Of a GPU, or of the cores in use: about the share of a server's processor and memory."""
    return _WATTS_A_GPU if device.startswith("cuda") else _WATTS_A_CORE * threads
