"""Random numbers as pure functions of (seed, purpose, epoch, row).

Nothing here keeps state. So the order of rows, the split and the augmentation of a row do not depend on the number of
workers or processes, on what was drawn before, or on where a run was resumed.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def key(seed: int, purpose: str, *numbers: int) -> int:
    """A 64-bit key for one purpose; different purposes or numbers give unrelated keys."""
    text = f"{seed}/{purpose}/{'/'.join(map(str, numbers))}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def generator(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """A fresh generator (Philox, counter-based) for one purpose."""
    return np.random.Generator(np.random.Philox(key=key(seed, purpose, *numbers)))


def permutation(seed: int, purpose: str, epoch: int, size: int) -> NDArray[np.int64]:
    """The order of `size` rows in one epoch."""
    return generator(seed, purpose, epoch).permutation(size)


def uniform(seed: int, purpose: str, epoch: int, rows: NDArray[np.int64], draws: int) -> NDArray[np.float32]:
    """`(N, draws)` numbers in [0, 1), each row's own: the same whatever batch the row stands in.

    splitmix64's output function (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014) over a
    counter made of the row and the draw.
    """
    start = np.uint64(key(seed, purpose, epoch))
    draw: NDArray[np.uint64] = np.arange(draws, dtype=np.uint64)
    counter: NDArray[np.uint64] = rows.astype(np.uint64)[:, None] * np.uint64(draws) + draw
    with np.errstate(over="ignore"):
        mixed = start + (counter + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)


def ranked(seed: int, purpose: str, names: Sequence[str]) -> list[int]:
    """Indices of `names` in a random order: the place of a name depends on it alone, not on the others."""

    def rank(index: int) -> tuple[bytes, int]:
        return hashlib.blake2b(f"{seed}/{purpose}/{names[index]}".encode(errors="surrogatepass")).digest(), index

    return sorted(range(len(names)), key=rank)
