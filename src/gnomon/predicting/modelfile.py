"""Encoder + model + task ↔ one `.safetensors` file; `load(path).predict(inputs)`.

The file's header carries, as JSON, everything but the weights: architecture as plain numbers, preprocessing, classes.
Loading runs no code from the file: the header is checked field by field, the architecture is built without memory,
and each tensor's name, shape and type is compared with it before anything is allocated. A SHA-256 over the header's
text and over all tensors, which stands in the header, shows what was damaged on the way.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import get_ident
from typing import Any, Final, Literal, TypeAlias, TypeVar

import msgspec
import numpy as np
import safetensors
import torch
from numpy.typing import NDArray
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from ..encoders import Encoder, ImageEncoder, has_statistics, kind_of, quiet_decoding
from ..errors import ModelFileError, RowError
from ..models import Cnn, Imported, ModelSpec, answering, channels_last
from ..models.bounds import empty_network
from ..models.threads import by_threads
from ..rounding import round_alike
from ..tasks import Classify, Regress, Tag, Task
from ..tasks.classify import outputs, with_views
from ..types import Metric, Raw, Value
from .chunks import CHUNKS, SMALL_CHUNKS, Chunk, chunk_rows, chunks_of, side_by_side
from .familiarity import Familiar, Familiarity
from .features import ends_of, heard, joined
from .quantise import Kind, kinds_stored, restored, stored
from .tensorfile import check_values, digest_of, read_outside

FORMAT: Final = "gnomon-model"
VERSION: Final = 3
SMALL: Final = 4
"""The version of files whose large tensors are int8; what else they hold is of version 3."""
UNSEALED: Final = (1, 2)
"""Versions without a checksum. They are read all the same: what is wrong with them shows in part only."""
_SEAL: Final = re.compile(r'(?<="sha256":")[0-9a-f]{64}(?="}\Z)')
_NO_SEAL: Final = "0" * 64


T = TypeVar("T")
Numbers: TypeAlias = Literal["float32", "int8"]


class Header(Value, frozen=True):
    """What a model file says beside its weights.

    Attributes:
        num_outputs: outputs of the network; equals the number of the task's classes.
        metrics: of the test part, as measured when the file was made.
        made: who made it: version of Gnomon, date, data; for people.
        numbers: of large tensors in a file: float32, or int8 with scales (see `quantise`); in memory all are float32.
        familiar: of the training rows that are remembered, so that others can be told; None where there are none.
        sha256: in a file, over this header with 64 zeros in its place and over the tensors; empty in memory.
    """

    encoder: Encoder
    model: ModelSpec
    task: Task
    metrics: dict[str, Metric] = msgspec.field(default_factory=dict)
    made: dict[str, str] = msgspec.field(default_factory=dict)
    familiar: Familiar | None = None
    numbers: Numbers = "float32"
    format: Literal["gnomon-model"] = FORMAT
    version: Literal[3, 4] = VERSION
    sha256: str = ""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one row as the network takes it."""
        return self.encoder.input_shape


@dataclass(frozen=True, slots=True)
class Passed:
    """What a network makes of rows.

    Attributes:
        averaged: `(N, K)`, outputs that a prediction rests on.
        single: `(N, K)`, outputs of each row's single view.
        features: `(N, F)`, what it has made of that view just before it answers.
    """

    averaged: NDArray[np.float32]
    single: NDArray[np.float32]
    features: NDArray[np.float32]


class Model:
    """A trained network with its preprocessing and its classes. Made by `load`."""

    def __init__(self, header: Header, network: nn.Module, memory: dict[str, Tensor] | None = None) -> None:
        self.header = header
        self.network = network
        self._memory = memory or {}
        self._quick = answering(network)
        self._ends = ends_of(self._quick, len(self.classes))
        self._tried: dict[tuple[int, int], bool] = {}
        self._alike: dict[int, bool] = {}

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.header.task.classes

    def predict(self, inputs: Sequence[Raw | Path] | Raw | Path, *, top: int = 1) -> list[Any]:
        """One answer a row: an `Answer`, or `Tags`, or an `Estimate`, by the model's task.

        Args:
            inputs: one row or several: paths, or bytes of files; arrays `(H, W)` or `(H, W, C)` for pictures, `(T,)` or
                `(T, C)` for series, and for recordings, at the encoder's rate; for texts the text itself.
            top: how many classes an answer names.

        Raises:
            RowError: a row can't be read; the message names it.
        """
        answers: list[Any] = [*self.header.task.answers(self.probabilities(inputs), top=top)]
        return answers

    def probabilities(self, inputs: Sequence[Raw | Path] | Raw | Path) -> NDArray[np.float32]:
        """`(N, K)` probabilities of the classes or labels, or values in their unit. Arguments as for `predict`."""
        rows = [inputs] if isinstance(inputs, (bytes, str, Path, np.ndarray)) else inputs
        with quiet_decoding():
            encoded = [encode_row(self.header.encoder, row) for row in rows]
        if not encoded:
            return np.zeros((0, len(self.classes)), np.float32)
        return self.probabilities_of_encoded(np.stack(encoded))

    def probabilities_of_encoded(self, encoded: NDArray[Any]) -> NDArray[np.float32]:
        """`(N, *shape)` as the encoder stores them → `(N, K)`. Evaluation and prediction both end here."""
        return self.answers_of_outputs(self.outputs_of_encoded(encoded)[0])

    def outputs_of_encoded(self, encoded: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Outputs `(N, K)` that a prediction rests on, and those of each row's single view, which cost nothing more."""
        passed = self.passed(encoded)
        return passed.averaged, passed.single

    def passed(self, encoded: NDArray[Any]) -> Passed:
        """Rows as the encoder stores them, `(N, *shape)`, through the network."""
        averaged, single = (np.empty((len(encoded), len(self.classes)), np.float32) for _ in range(2))
        with heard(self._ends) as found:

            def one(chosen: NDArray[np.int64], inputs: Tensor) -> NDArray[np.float32]:
                own, alone = self._seen(found, inputs)
                averaged[chosen] = self._averaged(inputs, alone, len(chosen))[: len(chosen)].cpu().numpy()
                single[chosen] = alone[: len(chosen)].cpu().numpy()
                return own[: len(chosen)].cpu().numpy()

            features = self._of_chunks(encoded, one)
        return Passed(averaged, single, self._features(encoded, features))

    def features(self, encoded: NDArray[Any]) -> NDArray[np.float32]:
        """`(N, F)`: what the network makes of rows, by a single view of each."""
        with heard(self._ends) as found:

            def one(chosen: NDArray[np.int64], inputs: Tensor) -> NDArray[np.float32]:
                return self._seen(found, inputs)[0][: len(chosen)].cpu().numpy()

            return self._features(encoded, self._of_chunks(encoded, one))

    def averaged(self, encoded: NDArray[Any], single: NDArray[np.float32]) -> NDArray[np.float32]:
        """The outputs that predictions rest on, where those of a single view are known; the same bits as `passed`."""
        averaged = single.copy()

        def one(chosen: NDArray[np.int64], inputs: Tensor) -> None:
            alone = torch.from_numpy(single[chosen]).to(inputs.device)
            averaged[chosen] = self._averaged(inputs, alone, len(chosen)).cpu().numpy()

        self._of_chunks(encoded, one)
        return averaged

    def answers_of_outputs(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs `(N, K)` → probabilities, or values in their unit."""
        answers: NDArray[np.float32] = self.header.task.activated(torch.from_numpy(outputs)).numpy()
        return answers

    def unlikeness(self, encoded: NDArray[Any], features: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """How unlike the training data rows are, `(N,)`: above 1 an answer deserves no trust. None where it is unknown.

        Args:
            encoded: `(N, *shape)`, as the encoder stores them.
            features: of them, as `passed` gives them.
        """
        if self.header.familiar is None:
            return None
        return Familiarity(self.header.familiar, self._memory).distances(self.header.encoder, encoded, features)

    def remembering(self, memory: Familiarity) -> Model:
        """The same model with what it remembers of its training rows."""
        header = msgspec.structs.replace(self.header, familiar=memory.spec)
        return Model(header, self.network, memory.tensors)

    @property
    def digest(self) -> str:
        """SHA-256 over all that decides its answers."""
        text = msgspec.json.encode(msgspec.structs.replace(self.header, sha256="", made={}, metrics={})).decode()
        return digest_of(text, self.network.state_dict())

    def to_bytes(self, *, numbers: Numbers = "float32") -> bytes:
        """The bytes of a model file that holds all of it; with int8 in about a quarter of the room, rounded."""
        version: Literal[3, 4] = VERSION if numbers == "float32" else SMALL
        header = msgspec.structs.replace(self.header, numbers=numbers, version=version)
        tensors = self.network.state_dict() | self._memory
        return to_bytes(header, tensors if numbers == "float32" else stored(tensors))

    def _seen(self, found: dict[int, list[Tensor]], inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Features and outputs of one pass in this thread, by what `heard` has `found` of it."""
        found.pop(get_ident(), None)  # of passes before, for other ends
        alone = outputs(self._quick, inputs)
        return joined(found.pop(get_ident(), []), alone), alone

    def _of_chunks(
        self, encoded: NDArray[Any], one: Callable[[NDArray[np.int64], Tensor], T]
    ) -> list[tuple[NDArray[np.int64], T]]:
        """What `one` makes of each block of rows: of its places and inputs.

        On a processor several blocks go side by side, one thread each, where that gives the same bits: nobody waits for
        a thread whose core another process has taken, and small operations are not divided. A network of the user's own
        may not bear that.
        """

        def made(chunk: Chunk) -> tuple[NDArray[np.int64], T]:
            chosen, steps = chunk
            inputs = self._inputs(encoded[chosen] if steps is None else encoded[chosen, :steps])
            return chosen, one(chosen, inputs)

        chunks, threads = list(chunks_of(self.header.encoder, encoded)), torch.get_num_threads()
        many = threads > 1 and len(chunks) >= 2 * threads and not isinstance(self.header.model, Imported)
        if many and self._threads_alike(chunks, encoded):
            return side_by_side(chunks, made, threads=threads)
        return [made(chunk) for chunk in chunks]

    def _threads_alike(self, chunks: Sequence[Chunk], encoded: NDArray[Any]) -> bool:
        """Whether one thread gives the bits of several on this machine; tried out once, on the first block."""
        threads = torch.get_num_threads()
        if threads not in self._alike:
            device = next((parameter.device.type for parameter in self.network.parameters()), "cpu")
            chosen, steps = chunks[0]
            inputs = self._inputs(encoded[chosen] if steps is None else encoded[chosen, :steps])
            several = outputs(self._quick, inputs)
            with by_threads(1):
                self._alike[threads] = device == "cpu" and torch.equal(outputs(self._quick, inputs), several)
        return self._alike[threads]

    def _features(
        self, encoded: NDArray[Any], found: Sequence[tuple[NDArray[np.int64], NDArray[np.float32]]]
    ) -> NDArray[np.float32]:
        """`(N, F)` of all blocks."""
        features = np.empty((len(encoded), found[0][1].shape[1] if found else 0), np.float32)
        for chosen, own in found:
            features[chosen] = own
        return features

    def _inputs(self, encoded: NDArray[Any]) -> Tensor:
        """As the network takes them, and filled up to the next size of `CHUNKS` by repeating the first."""
        encoder = self.header.encoder
        pictures = isinstance(encoder, ImageEncoder)
        size = self._chunk_of(len(encoded)) if pictures else chunk_rows(encoder, encoded.shape[1])
        filled = np.broadcast_to(encoded[:1], (size, *encoded.shape[1:])).copy()
        filled[: len(encoded)] = encoded
        device = next((parameter.device for parameter in self.network.parameters()), torch.device("cpu"))
        return encoder.inputs(torch.from_numpy(filled).to(device))

    def _averaged(self, inputs: Tensor, alone: Tensor, rows: int) -> Tensor:
        """Outputs with the other views of the rows whose first one leaves a doubt."""
        task = self.header.task
        if not isinstance(task, Classify) or task.views == "none":
            return alone
        unsure = (alone[:rows].softmax(1).amax(1) <= task.sure).nonzero()[:, 0]
        if not len(unsure):
            return alone
        pictures = inputs.ndim == 4
        filled = unsure.new_zeros(self._chunk_of(len(unsure)) if pictures else len(inputs))
        filled[: len(unsure)] = unsure
        chosen = inputs[filled]
        if pictures:
            chosen = chosen.contiguous(memory_format=torch.channels_last)
        averaged = alone.clone()
        averaged[unsure] = with_views(self._quick, chosen, alone[filled], task.views)[: len(unsure)]
        return averaged

    def _chunk_of(self, rows: int) -> int:
        size = next(size for size in (*SMALL_CHUNKS, *CHUNKS) if size >= rows)
        return size if size in CHUNKS or self._rounds_alike(size) else CHUNKS[0]

    def _rounds_alike(self, size: int) -> bool:
        """Whether so few rows give the same bits as more do on this machine; tried out once, on random rows."""
        if not isinstance(self.header.model, Cnn):
            return False
        situation = size, torch.get_num_threads()
        if situation not in self._tried:
            generator = torch.Generator().manual_seed(0)
            device = next(self.network.parameters()).device
            rows = torch.randn(2 * CHUNKS[0], *self.header.input_shape, generator=generator).to(device)
            rows = rows.contiguous(memory_format=torch.channels_last)
            many, few = (
                torch.cat([outputs(self._quick, part) for part in torch.split(rows, number)])
                for number in (CHUNKS[0], size)
            )
            self._tried[situation] = torch.equal(many, few)
        return self._tried[situation]


def to_bytes(header: Header, weights: dict[str, Tensor]) -> bytes:
    """The bytes of a model file. Writing them is left to the caller, who knows where and how."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    text = msgspec.json.encode(msgspec.structs.replace(header, sha256=_NO_SEAL)).decode()
    return to_safetensors(plain, metadata={"gnomon": _SEAL.sub(digest_of(text, plain), text)})


def load(path: str | Path, *, module: nn.Module | None = None) -> Model:
    """Read a model file.

    Args:
        path: the file; nothing beside it is needed.
        module: the network, where the file names one of the user's own: such code is never imported by loading.

    Raises:
        ModelFileError: missing, damaged, not a model file, of another version, or contents that do not fit.
    """
    round_alike()
    path = Path(path)
    text = _described(path)
    header = _header_of(text, path)
    network = module if module is not None else _empty_network(header, path)
    wanted = _wanted(network, header.familiar)
    tensors = _read_tensors(path, wanted if header.numbers == "float32" else kinds_stored(wanted))
    _check_seal(text, tensors, path)
    if header.numbers == "int8":
        tensors = restored(tensors, wanted)
        header = msgspec.structs.replace(header, numbers="float32", version=VERSION)
    memory = {name: tensors.pop(name) for name in (header.familiar.shapes if header.familiar else ())}
    network.load_state_dict(tensors, assign=True)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return Model(msgspec.structs.replace(header, sha256=""), channels_last(network).eval(), memory)


def _described(path: Path) -> str:
    """Gnomon's own part of the header, as it is written."""
    try:
        outside = read_outside(path)
    except FileNotFoundError:
        raise ModelFileError(
            f"there is no model file {str(path)!r}", remedy="Give the path of a .safetensors file."
        ) from None
    except OSError as error:
        raise _damaged(path, f"it can't be read ({error.strerror})") from None
    except ValueError as error:
        raise _damaged(path, str(error)) from None
    if "gnomon" not in outside.described:
        raise ModelFileError(
            f"{str(path)!r} holds weights, but no description by Gnomon", remedy="Give a file that Gnomon wrote."
        )
    return outside.described["gnomon"]


def _header_of(text: str, path: Path) -> Header:
    try:
        check_values(text.encode())
        header = msgspec.convert(_upgraded(msgspec.json.decode(text), path), Header)
    except (ValueError, RecursionError, TypeError) as error:  # msgspec's own are ValueErrors
        raise _damaged(path, f"its description is not valid: {error}") from None
    _check(header, path)
    return header


def _check_seal(text: str, tensors: dict[str, Tensor], path: Path) -> None:
    """Older versions have no checksum; but where one stands it must fit, whatever the version says."""
    seal = _SEAL.search(text)
    if seal is None and msgspec.json.decode(text, type=_Versioned).version in UNSEALED:
        return
    if seal is None or digest_of(_SEAL.sub(_NO_SEAL, text), tensors) != seal[0]:
        raise _damaged(path, "its checksum does not fit its contents" if seal else "its checksum is missing")


class _Versioned(msgspec.Struct):
    version: int


def _upgraded(described: Any, path: Path) -> Any:
    """What an older Gnomon wrote, in today's terms: version 1 knew pictures alone, version 2 no checksum."""
    version = described.get("version") if isinstance(described, dict) else None
    if isinstance(version, int) and version > SMALL:
        raise ModelFileError(
            f"{str(path)!r} is a model file of version {version}, and this Gnomon reads version {SMALL}",
            remedy="Update Gnomon.",
        )
    if version == 1 and isinstance(described.get("encoder"), dict):
        described = described | {"encoder": {"kind": "image"} | described["encoder"]}
    return described | {"version": VERSION} if version in UNSEALED else described


def _check(header: Header, path: Path) -> None:
    encoder, task = header.encoder, header.task
    if (header.version == SMALL) != (header.numbers == "int8"):
        raise _damaged(path, f"its numbers are not those of version {header.version}")
    if not all(1 <= side <= 65536 for side in encoder.shape) or math.prod(encoder.shape) > 2**28:
        raise _damaged(path, f"its input has the impossible shape {encoder.shape}")
    if not has_statistics(encoder):
        raise _damaged(path, "its normalisation does not fit its channels")
    if len(task.classes) < (2 if isinstance(task, Classify) else 1) or len(set(task.classes)) != len(task.classes):
        raise _damaged(path, "its classes are fewer than two or not unique")
    if isinstance(task, Regress) and not (
        len(task.mean) == len(task.scale) == len(task.classes)
        and len(task.margin) in (0, len(task.classes))
        and all(math.isfinite(number) for number in (*task.mean, *task.scale, *task.margin))
    ):
        raise _damaged(path, "its targets have no possible mean and scale")
    if isinstance(task, Tag) and len(task.thresholds) not in (0, len(task.classes)):
        raise _damaged(path, "its labels and their thresholds are not equally many")


def _empty_network(header: Header, path: Path) -> nn.Module:
    """The architecture on the meta device: shapes without memory."""
    if isinstance(header.model, Imported):
        raise ModelFileError(
            f"{str(path)!r} holds a network of the user's own ({header.model.name}), and loading imports no code",
            remedy="In Python: gnomon.load(path, module=YourModule(...)).",
        )
    try:
        return empty_network(header.model, header.input_shape, header.task.num_outputs)
    except ValueError as error:
        raise _damaged(path, str(error)) from None


def _wanted(network: nn.Module, familiar: Familiar | None) -> dict[str, Kind]:
    """Shape and type of all tensors in memory, by name."""
    wanted = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in network.state_dict().items()}
    if familiar is not None:
        wanted |= {name: (shape, familiar.types[name]) for name, shape in familiar.shapes.items()}
    return wanted


def _read_tensors(path: Path, wanted: Mapping[str, Kind]) -> dict[str, Tensor]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            names = set(file.keys())
            if names != set(wanted):
                raise _damaged(path, f"its tensors are not the network's: {sorted(names ^ set(wanted))[:3]}")
            for name, (shape, _) in wanted.items():
                if tuple(file.get_slice(name).get_shape()) != shape:
                    raise _damaged(path, f"{name} does not have the shape {shape}")
            tensors = {name: file.get_tensor(name) for name in wanted}
    except (OSError, safetensors.SafetensorError) as error:
        raise _damaged(path, str(error)) from None
    for name, (_, dtype) in wanted.items():
        if tensors[name].dtype != dtype:
            raise _damaged(path, f"{name} is {tensors[name].dtype}, not {dtype}")
        if tensors[name].is_floating_point() and not tensors[name].isfinite().all():
            raise _damaged(path, f"{name} holds values that are not finite")
    return tensors


def encode_row(encoder: Encoder, row: Raw | Path) -> NDArray[Any]:
    """One row as `Model.predict` takes it, as the encoder stores it. Raises RowError, which names it."""
    is_text = isinstance(row, str) and kind_of(encoder) == "text"
    try:
        raw = Path(row).read_bytes() if isinstance(row, (str, Path)) and not is_text else row
        assert not isinstance(raw, Path), "paths are read"
        return encoder.encode(raw)
    except OSError as error:
        raise RowError(f"{str(row)!r} can't be read: {error.strerror}") from None
    except RowError as error:
        raise RowError(f"{str(row)!r:.200} {error.reason}" if isinstance(row, (str, Path)) else error.reason) from None


def _damaged(path: Path, why: str) -> ModelFileError:
    return ModelFileError(f"the model file {str(path)!r} can't be used: {why}", remedy="Copy or train it again.")
