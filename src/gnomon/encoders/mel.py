"""Log-mel spectrograms: how much sound there is in each band of pitch, step by step.

Triangular bands of equal width on the mel scale: Davis and Mermelstein, Comparison of parametric representations for
monosyllabic word recognition, IEEE Transactions on Acoustics, Speech and Signal Processing 28(4), 1980. The scale, as
the HTK Book has it: mel(f) = 2595 log10(1 + f / 700).

In float64, by NumPy, and added up in one order: bits then depend neither on how many threads nor on how many frames
there are, and processes that decode need no PyTorch.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FLOOR: Final = 1e-8
"""Added to the power of each band: 80 dB below noise of full scale, above the rounding of 16 bits."""

_MEL_FACTOR: Final = 2595.0
_MEL_CORNER_HZ: Final = 700.0
_BLOCK: Final = 2**20
"""Numbers in the frames that are transformed at once."""


def log_mel(
    samples: NDArray[np.float64], *, rate: int, window: int, hop: int, bands: int, most: int
) -> NDArray[np.float64]:
    """`(N,)` samples → `(min(most, 1 + N // hop), bands)`: the logarithm of the power in each band.

    Frame t is centred on sample t · hop. Beyond both ends the samples are mirrored, or taken as 0 where there are fewer
    than a window. A frame is weighed with a periodic Hann window, and its power divided by the window's own.

    Args:
        samples: at least one, mono, full scale ±1.
        rate: samples a second.
        window: samples of a frame, an even number.
        hop: samples from one frame to the next.
        bands: between 0 Hz and half the rate.
        most: frames that are wanted; the others are not computed.
    """
    half = window // 2
    padded = np.pad(samples, half, mode="reflect" if len(samples) >= window else "constant")
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop][:most]
    weights = _hann(window)
    matrix = _sparse(rate, window, bands)
    logarithms = np.empty((len(frames), bands))
    size = max(1, _BLOCK // window)
    for start in range(0, len(frames), size):
        spectrum = np.fft.rfft(frames[start : start + size] * weights)
        power = (spectrum.real**2 + spectrum.imag**2) / (weights @ weights)
        logarithms[start : start + size] = np.log((matrix @ power.T).T + FLOOR)
    return logarithms


@lru_cache(maxsize=4)
def mel_matrix(rate: int, window: int, bands: int) -> NDArray[np.float64]:
    """`(bands, window // 2 + 1)`: the weight of each frequency in each band, a triangle with its peak at 1.

    Args:
        rate: samples a second.
        window: samples of a frame.
        bands: between 0 Hz and half the rate, of equal width in mel, each half over its neighbours.
    """
    corners = _hertz(np.linspace(0, _mel(rate / 2), bands + 2))
    left, peak, right = (corners[start : start + bands, None] for start in range(3))
    frequencies = np.arange(window // 2 + 1) * rate / window
    rising, falling = (frequencies - left) / (peak - left), (right - frequencies) / (right - peak)
    matrix: NDArray[np.float64] = np.maximum(0, np.minimum(rising, falling))
    matrix.setflags(write=False)
    return matrix


def most_bands(rate: int, window: int, wanted: int) -> int:
    """The number wanted, or the most, in steps of 8, with which no band lies between two frequencies of a frame."""
    while wanted > 8 and not mel_matrix(rate, window, wanted).any(axis=1).all():
        wanted -= 8
    return wanted


@lru_cache(maxsize=4)
def _sparse(rate: int, window: int, bands: int) -> Any:
    """The matrix in rows of what is not 0: a product with it adds up in one order."""
    from scipy import sparse

    return sparse.csr_array(mel_matrix(rate, window, bands))


@lru_cache(maxsize=4)
def _hann(window: int) -> NDArray[np.float64]:
    weights: NDArray[np.float64] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    weights.setflags(write=False)
    return weights


def _mel(hertz: float) -> float:
    return _MEL_FACTOR * float(np.log10(1 + hertz / _MEL_CORNER_HZ))


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    hertz: NDArray[np.float64] = _MEL_CORNER_HZ * (10 ** (mel / _MEL_FACTOR) - 1)
    return hertz
