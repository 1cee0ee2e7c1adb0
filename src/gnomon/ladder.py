"""Networks of growing cost, and what was measured of them: which one is best for so many passes over so many rows.

The shape and the numbers come from `benchmarks/scaling.py`; RESULTS.md has the table. A narrow first stage and a deep
last one learn most for their cost: at full resolution a filter costs most and sees least.
"""

from __future__ import annotations

import math
from typing import Final

from .models import Cnn

_WIDTHS: Final = (
    *((8, 16, 32), (16, 32, 64), (16, 64, 128), (32, 96, 192)),
    *((32, 128, 256), (64, 192, 384), (64, 256, 512), (128, 512, 768)),
)
_DEPTHS: Final = (1, 2, 3)
_MEASURED_ROWS: Final = 47_500
_EPOCHS: Final = (0.0, 0.5, 1.0, 2.3, 4.5, 10.0, 18.0, 40.0)
"""Passes over 47,500 rows from which a network of the ladder is better than the one before it."""
_MOST_EPOCHS: Final = 40.0


def ladder(input_shape: tuple[int, int, int]) -> list[Cnn]:
    """Networks of growing cost for this input, smallest first.

    Large pictures enter through a stem that strides; stages halve what is left until about 4×4. A single stage has
    three convolutions, so that the last of them sees the whole of a tiny picture.
    """
    side = min(input_shape[1:])
    stride = 1 if side < 96 else 2 if side < 192 else 4
    stages = min(4, max(1, round(math.log2(max(side, 8) / stride / 4))))
    return [
        Cnn(
            widths=(*widths, widths[-1]) if stages == 4 else widths[3 - stages :],
            convolutions=(1, 2, 2, 3) if stages == 4 else _DEPTHS[3 - stages :],
            stem_stride=stride,
        )
        for widths in _WIDTHS
    ]


def wanted_epochs(rung: int, rows: int) -> float:
    """Passes that a rung needs to be worth its cost. Fewer rows must be seen more often to tell as much."""
    return min(_MOST_EPOCHS, _EPOCHS[rung] * _MEASURED_ROWS / max(1, rows))
