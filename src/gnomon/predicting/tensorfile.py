"""The outside of a safetensors file from a stranger: its header, held to bounds before anything is believed.

A file is 8 bytes that say how long the header is, the header in JSON, and the tensors' bytes behind one another. What
is checked here: that the header is short, names few tensors of known types, and that these fill the file exactly, in
no other order than one behind the other. So no later step takes memory that the file itself does not hold.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import msgspec
import torch
from torch import Tensor, nn

LARGEST_HEADER: Final = 16 * 2**20
"""Bytes; a vocabulary of 60,000 long words takes half of it."""
MOST_TENSORS: Final = 20_000
MOST_VALUES: Final = 2_000_000
"""In the JSON of a header: each may take a hundred times its text in memory."""

_METADATA: Final = "__metadata__"
_BYTES: Final = {
    name: size
    for size, names in (
        (1, "BOOL U8 I8 F8_E5M2 F8_E4M3"),
        (2, "I16 U16 F16 BF16"),
        (4, "I32 U32 F32"),
        (8, "I64 U64 F64"),
    )
    for name in names.split()
}
_Size: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**48)]


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a header says of one tensor: its type, its shape, and where in the data its bytes begin and end."""

    dtype: str
    shape: Annotated[tuple[_Size, ...], msgspec.Meta(max_length=16)]
    data_offsets: tuple[_Size, _Size]


@dataclass(frozen=True, slots=True)
class Outside:
    """A header that fits its file.

    Attributes:
        described: what stands beside the tensors; texts by name.
        places: of the tensors, by name.
    """

    described: Mapping[str, str]
    places: Mapping[str, Place]


def read_outside(path: Path) -> Outside:
    """The header of a file, checked.

    Raises:
        OSError: as `open`.
        ValueError: no such file, or one that can't be; the message is a phrase.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        prefix = file.read(8)
        if len(prefix) < 8:
            raise ValueError(f"its header can't be read (the file has {size} bytes)")
        (length,) = struct.unpack("<Q", prefix)
        if length > LARGEST_HEADER:
            raise ValueError(f"its header claims {length:,} bytes")
        text = file.read(length)
    if len(text) < length:
        raise ValueError(f"its header can't be read (it claims {length:,} bytes, and {len(text):,} are there)")
    outside = _parsed(text)
    _check_places(outside.places, size - 8 - length)
    return outside


def check_values(text: bytes) -> None:
    """Raises ValueError where a JSON text holds so many values that reading it would take memory without end."""
    if sum(text.count(sign) for sign in (b",", b"[", b"{")) > MOST_VALUES:
        raise ValueError(f"its header holds more than {MOST_VALUES:,} values")


def _parsed(text: bytes) -> Outside:
    check_values(text)
    try:
        entries = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        described = msgspec.json.decode(entries.pop(_METADATA, b"{}"), type=dict[str, str])
        if len(entries) > MOST_TENSORS:
            raise ValueError(f"it names {len(entries):,} tensors")
        places = {name: msgspec.json.decode(raw, type=Place) for name, raw in entries.items()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"its header can't be read ({error})") from None
    return Outside(described, places)


def _check_places(places: Mapping[str, Place], data_bytes: int) -> None:
    """Whether the tensors lie one behind the other, each as long as its shape says, and fill the data."""
    end = 0
    for name, place in sorted(places.items(), key=lambda item: item[1].data_offsets):
        begin, after = place.data_offsets
        if place.dtype not in _BYTES:
            raise ValueError(f"its tensor {name[:80]!r} is of the unknown type {place.dtype[:20]!r}")
        wanted = math.prod(place.shape) * _BYTES[place.dtype]
        if begin != end or after - begin != wanted:
            raise ValueError(f"its tensor {name[:80]!r} does not lie where one of its shape can")
        end = after
    if end != data_bytes:
        raise ValueError(f"its tensors take {end:,} bytes, and it holds {data_bytes:,}: it is not fully covered")


def digest_of(text: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over a text and over the names, types, shapes and bytes of tensors, in the order of their names."""
    content = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        content.update(f"\x00{name}\x00{tensor.dtype}\x00{tuple(tensor.shape)}\x00".encode())
        content.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return content.hexdigest()


def misfit(path: Path, network: nn.Module) -> str:
    """Why a file's tensors can't be those of a network, as a phrase; "" where names and shapes are the same.

    Args:
        path: of the file, of which the header alone is read.
        network: may be without memory.
    """
    try:
        found = {name: place.shape for name, place in read_outside(path).places.items()}
    except OSError as error:
        return f"it can't be read ({error.strerror})"
    except ValueError as error:
        return str(error)
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    if found.keys() != wanted.keys():
        return f"its tensors are not the network's: {sorted(found.keys() ^ wanted.keys())[:3]}"
    wrong = [name for name, shape in wanted.items() if found[name] != shape]
    return f"{wrong[0]} does not have the shape {wanted[wrong[0]]}" if wrong else ""
