"""`.npz` files: objects that would run code, headers that lie, arrays that unfold from nothing."""

from __future__ import annotations

import io
import random
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from . import Case, Ends, train_words

_CODE: Final = b"cposix\nsystem\n(S'touch ../outside/made'\ntR."
"""A pickle that would run a program."""


def array_cases(seed: int) -> Iterator[Case]:
    """All of them, in an order that the seed decides."""
    draw = random.Random(f"{seed}/arrays")
    made: list[tuple[str, Callable[[], Mapping[str, bytes]], Ends]] = []
    for header in _HEADERS:
        made.append((f"header {header[:60]!r}", partial(_lying, header), "refused"))
    for version in ((0, 0), (1, 1), (3, 0), (9, 9), (255, 255)):
        made.append((f"version {version}", partial(_of_version, version), "any"))
    for claimed in (0, 1, 10, 65_535):
        made.append((f"a header of {claimed} bytes", partial(_of_length, claimed), "refused"))
    made += [
        ("objects", _objects, "refused"),
        ("labels that are objects", _object_labels, "refused"),
        ("a pickle for an array", lambda: {**_good(), "X.npy": _CODE}, "refused"),
        ("a pickle beside the arrays", lambda: {**_good(), "extra.pkl": _CODE, "extra.npy": _CODE}, "any"),
        ("names that lead out", lambda: {**_good(), "../../outside/made.npy": _npy(np.zeros(3))}, "any"),
        ("the same name twice", lambda: {**_good(), "X": _npy(np.zeros(3))}, "any"),
        ("100 MB of zeros", partial(_zeros, (1600, 250, 250)), "any"),
        ("a gigabyte of zeros", partial(_zeros, (16_000, 250, 250)), "refused"),
        ("one row of immense shape", partial(_zeros, (2, 30_000, 3_000)), "any"),
        ("no rows", lambda: {"X.npy": _npy(np.zeros((0, 8, 8))), "y.npy": _npy(np.zeros(0))}, "refused"),
        ("fields", lambda: {**_good(), "X.npy": _npy(np.zeros(24, dtype=[("a", "f4"), ("b", "i8")]))}, "refused"),
        ("dates", lambda: {**_good(), "X.npy": _npy(np.zeros((24, 8, 8), "M8[s]"))}, "refused"),
        ("complex numbers", lambda: {**_good(), "X.npy": _npy(np.zeros((24, 8, 8), np.complex128))}, "refused"),
        ("not a number", lambda: {**_good(), "X.npy": _npy(np.full((24, 8, 8), np.nan))}, "refused"),
        ("immense numbers", lambda: {**_good(), "X.npy": _npy(np.full((24, 8, 8), 1e300))}, "any"),
        ("64 dimensions", lambda: {**_good(), "X.npy": _npy(np.zeros((1,) * 32))}, "refused"),
        ("labels with control signs", lambda: {**_good(), "y.npy": _npy(np.array(["\x1b[2J", "=1+1"] * 12))}, "any"),
        ("labels of a megabyte", lambda: {**_good(), "y.npy": _npy(np.array(["x" * 10**5, "y"] * 12))}, "any"),
    ]
    cases = [Case("npz", what, train_words("a.npz"), partial(_write, content), ends) for what, content, ends in made]
    for number in range(40):
        cases.append(Case("npz", f"spoilt, {number}", train_words("a.npz"), partial(_spoilt, draw.random()), "any"))
    draw.shuffle(cases)
    yield from cases


_HEADERS: Final = (
    "{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776, 8, 8), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (24, 8, 9), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (-24, -8, 8), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (2**62, 4), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (24, 8, 8), }",
    "{'descr': '|V1000000000', 'fortran_order': False, 'shape': (24, 8, 8), }",
    "{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (24, 8, 8), }",
    "{'descr': '<U1000000000', 'fortran_order': False, 'shape': (24,), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': __import__('os').system('id'), }",
    "{'descr': '<f8', 'fortran_order': False}",
    "[" * 10_000,
    "(" * 10_000,
    "{'a': " * 5_000,
    "-" * 50_000 + "1",
    "1" * 60_000,
    "{'descr': '<f8', 'fortran_order': 'x', 'shape': 8, }",
)


def _npy(array: NDArray[Any]) -> bytes:
    sink = io.BytesIO()
    np.lib.format.write_array(sink, array, allow_pickle=False)
    return sink.getvalue()


def _good() -> dict[str, bytes]:
    numbers = np.random.default_rng(0)
    return {"X.npy": _npy(numbers.random((24, 8, 8))), "y.npy": _npy(np.arange(24) % 2)}


def _lying(header: str) -> dict[str, bytes]:
    text = header.encode().ljust(len(header) + 1, b"\n")
    return {**_good(), "X.npy": b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(24 * 64 * 8)}


def _of_version(version: tuple[int, int]) -> dict[str, bytes]:
    good = _good()
    return {**good, "X.npy": good["X.npy"][:6] + bytes(version) + good["X.npy"][8:]}


def _of_length(claimed: int) -> dict[str, bytes]:
    good = _good()
    return {**good, "X.npy": good["X.npy"][:8] + struct.pack("<H", claimed) + good["X.npy"][10:]}


def _objects() -> dict[str, bytes]:
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (24, 8, 8), }\n"
    return {**_good(), "X.npy": b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + _CODE}


def _object_labels() -> dict[str, bytes]:
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (24,), }\n"
    return {**_good(), "y.npy": b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + _CODE}


def _zeros(shape: tuple[int, ...]) -> dict[str, bytes]:
    rows = shape[0]
    return {"X.npy": _npy(np.zeros(shape, np.uint8)), "y.npy": _npy(np.arange(rows) % 2)}


def _write(content: Callable[[], Mapping[str, bytes]], folder: Path) -> None:
    with zipfile.ZipFile(folder / "a.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in content().items():
            archive.writestr(name, data)


def _spoilt(seed: float, folder: Path) -> None:
    _write(_good, folder)
    data, draw = bytearray((folder / "a.npz").read_bytes()), random.Random(seed)
    for _ in range(draw.choice((1, 3, 30))):
        data[draw.randrange(len(data))] = draw.randrange(256)
    (folder / "a.npz").write_bytes(data)
