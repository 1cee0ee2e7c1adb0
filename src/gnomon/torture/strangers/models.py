"""Model files: what stands in a header is changed, and the checksum made anew, so that it hides nothing."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from safetensors.torch import load as from_safetensors

from ...encoders import Encoder, ImageEncoder, SeriesEncoder, SoundEncoder, TextEncoder
from ...models import Cnn, Crnn, Ensemble, LinearDeep, ModelSpec, Plain, Rnn, TextCnn, WideDeep
from ...predicting.modelfile import Header, to_bytes
from ...predicting.tensorfile import digest_of
from ...tasks import Classify, Regress, Tag, Task
from . import Case

_IMAGE: Final = ImageEncoder(height=18, width=18, channels=3, mean=(120.0,) * 3, std=(60.0,) * 3)
_TEXT: Final = TextEncoder(vocabulary=tuple(f"word{number}" for number in range(30)), length=16)
_SOUND: Final = SoundEncoder(rate=8000, bands=8, length=16, window=200, hop=80, mean=(0.0,) * 8, std=(1.0,) * 8)
_SERIES: Final = SeriesEncoder(channels=("x", "y"), length=16, mean=(0.0, 0.0), std=(1.0, 1.0))
_TWO: Final = Classify(classes=("cat", "dog"))
GOOD: Final[Mapping[str, tuple[Encoder, ModelSpec, Task]]] = {
    "cnn": (_IMAGE, Cnn(widths=(4, 8)), _TWO),
    "plain": (_IMAGE, Plain(widths=(2, 2, 2), dense=2), Tag(classes=("cat", "dog"))),
    "textcnn": (_TEXT, TextCnn(embedding=4, filters=4), _TWO),
    "rnn": (_SERIES, Rnn(width=4, tokens=False), Regress(classes=("size",), mean=(0.0,), scale=(1.0,))),
    "crnn": (_SOUND, Crnn(widths=(4, 4), units=4, dimensions=2), _TWO),
    "wide-deep": (_TEXT, WideDeep(buckets=64), _TWO),
    "linear-deep": (_SERIES, LinearDeep(deep=Rnn(width=4, tokens=False)), _TWO),
    "ensemble": (_SERIES, Ensemble((Rnn(width=4, tokens=False),), times=2), _TWO),
}
"""Small models of every architecture, by its name."""
_INPUT: Final = {"image": "good.png", "text": "good.txt", "sound": "good.wav", "series": "good.csv"}
_DEEP: Final = "⟨deep⟩"
_Way: TypeAlias = Sequence[str | int]
"""Where something stands in a tree of JSON."""
_VALUES: Final[tuple[object, ...]] = (
    *(-1, 0, 1, 3, 255, 2**31 - 1, 2**31, 2**53, 2**63, 10**30, -0.5, 1e-300, 1e308, 1.5),
    *(True, None, "", "x", "../../outside/secret.png", "__import__('os').system('id')", "x" * 10**6, _DEEP),
    *([], {}, [0], [2**22] * 9, [1] * 10**5, [[]] * 1000, {"model": "imported", "name": "os:system"}),
    *({"model": "cnn", "widths": [2**22] * 200}, {"model": "rnn", "width": 2**22, "layers": 16}),
    {"model": "ensemble", "members": [{"model": "rnn", "width": 4096, "layers": 16}] * 16, "times": 64},
)


def good_model(name: str) -> bytes:
    """A model file with random weights."""
    encoder, spec, task = GOOD[name]
    torch.manual_seed(0)
    network = spec.build(encoder.input_shape, task.num_outputs)
    return to_bytes(Header(encoder=encoder, model=spec, task=task), network.state_dict())


def model_cases(seed: int) -> Iterator[Case]:
    """All of them, in an order that the seed decides."""
    files = {name: good_model(name) for name in GOOD}
    cases = [*_outsides(files["plain"]), *_tensors(files["plain"]), *_swapped(files)]
    for name, content in files.items():
        cases += _descriptions(name, content)
    random.Random(f"{seed}/models").shuffle(cases)
    yield from cases


def _case(
    kind: str, what: str, content: bytes | Callable[[], bytes], file: str = "good.png", *, sure: bool = True
) -> Case:
    def make(folder: Path) -> None:
        (folder / "m.safetensors").write_bytes(content if isinstance(content, bytes) else content())

    return Case(kind, what, ("predict", "m.safetensors", file), make, "refused" if sure else "any")


# --- The outside of the file -----------------------------------------------------------------------------------------


def _outsides(content: bytes) -> list[Case]:
    """Lengths, nesting, numbers of tensors, places."""
    (length,) = struct.unpack("<Q", content[:8])
    header = content[8 : 8 + length]
    raw: dict[str, bytes | Callable[[], bytes]] = {
        f"{size} bytes": content[:size] for size in (0, 1, 7, 8, 9, 100, length, length + 8)
    }
    raw |= {
        f"claims a header of {claim} bytes": struct.pack("<Q", claim) + content[8:]
        for claim in (0, 1, length - 1, length + 1, 2**20, 2**24, 2**24 + 1, 2**31, 2**32, 2**40, 2**63, 2**64 - 1)
    }
    for depth in (1000, 100_000, 2**23):
        for sign in ("[", '{"a":', '{"__metadata__":', '{"__metadata__":{"gnomon":['):
            raw[f"{depth} times {sign}"] = partial(_repeated, sign, depth)
    many = "".join(f'"{number}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}},' for number in range(200_000))
    raw |= {
        "200,000 empty tensors": lambda: _file(("{" + many[:-1] + "}").encode()),
        "5,000,000 lists": lambda: _file(b'{"a":[' + b"[]," * 5_000_000 + b"[]]}"),
        "a text of 16 MB": lambda: _file(b'{"__metadata__":{"gnomon":"' + b"x" * 16_000_000 + b'"}}'),
        "5,000,000 texts": lambda: _file(b'{"__metadata__":{"gnomon":"[' + b'\\"a\\",' * 2_600_000 + b'0]"}}'),
        "a pickle": b"\x80\x04\x95\x16\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
        "a zip": b"PK\x03\x04" + content,
        "behind its end a zip": content + b"PK\x05\x06" + bytes(18),
        "bytes behind its end": content + bytes(2**20),
        "a header of zeros": lambda: _file(bytes(2**20)),
        "a header that is no UTF-8": _file(b'{"\xff\xfe":1}'),
        "the header twice": _file(header + header),
        "a folder's name": b"../outside/secret.png",
    }
    return [_case("model header", what, make) for what, make in raw.items()]


def _repeated(sign: str, times: int) -> bytes:
    return _file((sign * times)[: 2**24].encode())


def _file(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data


def _tensors(content: bytes) -> list[Case]:
    """What the outer header says of one tensor, and what its bytes are."""
    outer, data = _opened(content)
    names = sorted(name for name in outer if name != "__metadata__")
    changes: dict[str, Mapping[str, object]] = {
        f"{field} {value!r:.60}": {field: value}
        for field, values in {
            "dtype": ("F64", "F16", "BF16", "I64", "U8", "BOOL", "OBJECT", "F4", "", None, 32, ["F32"]),
            "shape": ([], [0], [2**40], [2**62, 4], [-1], [1.5], [2**64], ["1"], None, 8, [1] * 10_000, [[1]]),
            "data_offsets": (
                [0, 0],
                [0, 2**43],
                [4, 0],
                [-4, 0],
                [0],
                [0, 4, 8],
                [2**63, 2**63],
                None,
                "0-4",
                [0.5, 1],
            ),
            "code": ("import os",),
        }.items()
        for value in values
    }

    def changed(name: str, change: Mapping[str, object]) -> bytes:
        return _file(json.dumps(outer | {name: outer[name] | change}).encode(), data)

    cases = [
        _case("model tensor", f"{name}: {what}", partial(changed, name, change))
        for name in names[:2]
        for what, change in changes.items()
    ]
    numbers = {"nan": np.nan, "infinity": np.inf}
    cases += [
        _case("model tensor", f"{name} holds {what}", partial(_holding, content, name, value))
        for name in names
        for what, value in numbers.items()
    ]
    return [
        *cases,
        *(_case("model tensor", f"without {name}", partial(_without, outer, data, name)) for name in names),
    ]


def _holding(content: bytes, name: str, value: float) -> bytes:
    outer, _ = _opened(content)
    weights = from_safetensors(content)
    weights[name] = torch.full_like(weights[name], value)
    return _resealed(json.loads(outer["__metadata__"]["gnomon"]), weights)


def _without(outer: Mapping[str, Any], data: bytes, name: str) -> bytes:
    return _file(json.dumps({key: value for key, value in outer.items() if key != name}).encode(), data)


# --- What the file says of itself ------------------------------------------------------------------------------------


def _descriptions(name: str, content: bytes) -> Iterator[Case]:
    """Every field, and every place in a list, takes every value that it should not; the checksum fits."""
    outer, _ = _opened(content)
    described, weights = json.loads(outer["__metadata__"]["gnomon"]), from_safetensors(content)
    file = _INPUT[described["encoder"]["kind"]]
    for path in _paths(described):
        where = ".".join(map(str, path))
        for value in _VALUES:
            yield _case(
                f"model {name}",
                f"{where} = {value!r:.60}",
                partial(_redescribed, described, path, weights, value),
                file,
                sure=False,
            )
        yield _case(
            f"model {name}",
            f"{where} left out",
            partial(_redescribed, described, path, weights, None, leave=True),
            file,
            sure=False,
        )


def _swapped(files: Mapping[str, bytes]) -> Iterator[Case]:
    """The description of one model over the tensors of another."""
    for name, content in files.items():
        described = json.loads(_opened(content)[0]["__metadata__"]["gnomon"])
        for other in files:
            if other != name:
                yield _case(
                    "model swapped",
                    f"{name} over the tensors of {other}",
                    partial(_over, described, files[other]),
                    _INPUT[described["encoder"]["kind"]],
                )


def _redescribed(
    described: Any, path: _Way, weights: Mapping[str, torch.Tensor], new: object, *, leave: bool = False
) -> bytes:
    return _resealed(_with(described, path, new, leave=leave), weights)


def _over(described: Any, content: bytes) -> bytes:
    return _resealed(described, from_safetensors(content))


def _opened(content: bytes) -> tuple[dict[str, Any], bytes]:
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def _resealed(described: Any, weights: Mapping[str, torch.Tensor]) -> bytes:
    """A file whose checksum fits, whatever it says: written here by hand, since `to_bytes` takes good ones alone."""
    zeros = "0" * 64
    if isinstance(described, dict):
        described = {key: value for key, value in described.items() if key != "sha256"} | {"sha256": zeros}
    text = json.dumps(described, separators=(",", ":")).replace(json.dumps(_DEEP), "[" * 100_000)
    head, seal, _ = text.rpartition(f'{zeros}"}}')
    sealed = f'{head}{digest_of(text, weights)}"}}' if seal else text
    places: dict[str, Any] = {"__metadata__": {"gnomon": sealed}}
    data = bytearray()
    for name, tensor in weights.items():
        content = tensor.contiguous().numpy().tobytes()
        shape = list(tensor.shape)
        places[name] = {"dtype": "F32" if tensor.dtype == torch.float32 else "I64", "shape": shape,
                        "data_offsets": [len(data), len(data) + len(content)]}  # fmt: skip
        data += content
    return _file(json.dumps(places).encode(), bytes(data))


def _paths(value: Any) -> list[_Way]:
    """Where something stands in a tree of JSON; of lists the first place alone."""
    inside = value.items() if isinstance(value, dict) else list(enumerate(value))[:1] if isinstance(value, list) else ()
    found: list[_Way] = []
    for key, part in inside:
        found += [[key], *([key, *rest] for rest in _paths(part))]
    return found


def _with(value: Any, path: _Way, new: object, *, leave: bool = False) -> Any:
    """A copy with another value at this place, or without it."""
    copied = value.copy()
    first, *rest = path
    if rest:
        copied[first] = _with(value[first], rest, new, leave=leave)
    elif leave:
        del copied[first]
    else:
        copied[first] = new
    return copied
