"""Arrays: `.npz` files of images or series; images in memory and the built-in digits, as a source of rows."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import lzma
import math
import os
import re
import tokenize
import zipfile
import zlib
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast

import numpy as np
from numpy.lib import format as npy
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError, RecipeError, nearest
from ..types import Question, Row, SetAside, Split, plural
from .files import digest, rows_digest, short_name
from .labels import CLASSES, label_text, settle
from .layout import SPLIT_WORDS
from .questions import AUTO, Asked

Images: TypeAlias = NDArray[np.generic]
"""`(N, H, W)` or `(N, H, W, C)`, uint8, uint16 or float."""

_INPUT_WORDS: Final = ("x", "images", "image", "inputs", "input", "data")
_TARGET_WORDS: Final = ("y", "labels", "label", "targets", "target", "classes")
_CHANNELS: Final = (1, 3, 4)
_UNREADABLE: Final = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, MemoryError),
    *(RuntimeError, NotImplementedError),  # an encrypted member; a method of compression that zipfile does not know
    *(tokenize.TokenError, SyntaxError),  # a header that NumPy can't read
)
_LARGEST_ARRAY: Final = 64 * 2**30
_SMALL_ARRAY: Final = 64 * 2**20
_MOST_UNPACKED: Final = 100
_LARGEST_HASHED: Final = 2**30
_SHAPES: Final = "Images are arrays (N, H, W), (N, H, W, C) or (N, C, H, W), where C is 1, 3 or 4."
_KEYS: Final = "Use keys such as X and y, or x_train, y_train, x_test, y_test; or name them with --input and --target."


@dataclass(frozen=True, slots=True)
class ArraySource:
    """Rows that are slices of arrays."""

    name: str
    rows: Sequence[Row]
    set_aside: Sequence[SetAside]
    notes: Sequence[str]
    fingerprint: str
    content_hints: Sequence[Hashable] | None
    images: Sequence[Images]
    places: Sequence[tuple[int, int]]
    """For each row: which of the arrays, and where in it."""
    kind: Literal["image"] = "image"
    question: Question = "classify"

    def read(self, index: int) -> NDArray[np.generic]:
        """The row's image, `(H, W)` or `(H, W, C)`: a view, not to be written to."""
        part, place = self.places[index]
        return cast("NDArray[np.generic]", self.images[part][place])

    def close(self) -> None:
        """Nothing is held open."""


@dataclass(frozen=True, slots=True)
class Part:
    """Images and labels of one part of the data, or of all of it.

    Attributes:
        images: `(N, H, W)`, `(N, H, W, C)` or `(N, C, H, W)`; or series `(N, T)` or `(N, T, C)`.
        labels: N scalars, or `(N, 1)`, or one-hot `(N, K)`.
        split: which part it is; None where the data has no parts.
    """

    images: Images
    labels: Sequence[object] | NDArray[np.generic]
    split: Split | None = None


def array_source(
    inputs: ArrayLike, targets: ArrayLike | Sequence[object], *, name: str = "arrays", asked: Asked = AUTO
) -> ArraySource:
    """Arrays in memory as a source.

    Args:
        inputs: `(N, H, W)`, `(N, H, W, C)` or `(N, C, H, W)` with 1, 3 or 4 channels; whole numbers or floats.
        targets: N labels of any kind, or one-hot `(N, K)`.
        name: a word for the run directory's name.
        asked: what the user says of the labels.

    Raises:
        DataError: shapes or types that are no images, numbers of rows that differ, fewer than two classes.
    """
    part = Part(np.asarray(inputs), targets_as_given(targets))
    return source_of_parts([part], name=short_name(name), where=name, asked=asked)


def targets_as_given(targets: ArrayLike | Sequence[object]) -> Sequence[object] | NDArray[np.generic]:
    """Labels for a `Part`: lists as they are, so that `[1, "a", None]` stays what it is; all else as an array."""
    return targets if isinstance(targets, (list, tuple)) else np.asarray(targets)


def source_of_parts(
    parts: Sequence[Part],
    *,
    name: str,
    where: str,
    fingerprint: str | None = None,
    notes: Sequence[str] = (),
    asked: Asked = AUTO,
) -> ArraySource:
    """A source over one array, or one for each part.

    Args:
        name: a word for the run directory's name.
        where: what the user named, for messages.
        fingerprint: stands for the images' content, where something cheaper than hashing it is known.
        notes: sentences to begin with.
        asked: what the user says of the labels.

    Raises:
        DataError: as `array_source`.
    """
    told: list[str] = []
    images = [_as_images(part.images, where, told) for part in parts]
    rows, set_aside = _rows(parts, images, where, told)
    if not rows:
        raise DataError(f"{where!r} holds no labelled images", remedy=_SHAPES)
    settled = settle(
        rows, where=where, giver="the arrays give", remedy="A classifier needs images of two classes.", asked=asked
    )
    place_of = dict(_keys(parts, images))
    places = [place_of[row.key] for row in settled.rows]
    hints = _hints(images, places)
    content = fingerprint or _content(images, hints)
    return ArraySource(
        name=name,
        rows=settled.rows,
        set_aside=[*set_aside, *settled.set_aside],
        notes=[*notes, *settled.notes, *dict.fromkeys(told)],
        fingerprint=digest([content, rows_digest(settled.rows)]),
        content_hints=hints,
        images=images,
        places=places,
        question=settled.question,
    )


def digits_source(*, notes: Sequence[str] = ()) -> ArraySource:
    """The 1,797 handwritten digits that come with scikit-learn, 8×8, grey values 0 to 16 spread over 0 to 255.

    Alpaydin and Kaynak: Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.

    Raises:
        DataError: scikit-learn is not installed.
    """
    # Read from its file: importing scikit-learn takes a second, the file a few hundredths.
    found = importlib.util.find_spec("sklearn")
    try:
        if found is None or found.origin is None:
            raise OSError("not installed")
        path = os.path.join(os.path.dirname(found.origin), "datasets", "data", "digits.csv.gz")
        with gzip.open(path, "rt", encoding="ascii") as file:
            table = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    except (OSError, ValueError) as error:
        raise DataError("the built-in digits need scikit-learn", remedy="Run: pip install scikit-learn") from error
    images = np.rint(table[:, :-1].reshape(-1, 8, 8) * 15.9375).astype(np.uint8)
    return source_of_parts([Part(images, table[:, -1])], name="digits", where="digits", notes=notes, asked=CLASSES)


# --- .npz ------------------------------------------------------------------------------------------------------------


def open_npz(
    location: str,
    *,
    input: str | None = None,
    target: str | None = None,
    asked: Asked = AUTO,
    notes: Sequence[str] = (),
) -> ArraySource:
    """The arrays of an `.npz` file.

    Args:
        input: the key of the images; guessed when obvious.
        target: the key of the labels.
        asked: what the user says of the labels.
        notes: sentences to begin with.

    Raises:
        DataError: not readable, keys that are not obvious, arrays that are no images or no labels.
        RecipeError: a key that is not there.
    """
    parts, checksum, told = read_npz(location, input, target, nouns="images")
    return source_of_parts(
        parts, name=short_name(location), where=location, fingerprint=checksum, notes=[*notes, *told], asked=asked
    )


def read_npz(location: str, input: str | None, target: str | None, *, nouns: str) -> tuple[list[Part], str, list[str]]:
    """The parts of an `.npz` file, a hash of its content, and a sentence that says which arrays they are.

    Args:
        location: of the file.
        input: the key of the rows; guessed when obvious.
        target: the key of the labels.
        nouns: what the rows are.

    Raises:
        DataError: not readable, keys that are not obvious.
        RecipeError: a key that is not there.
    """
    try:
        with zipfile.ZipFile(location) as archive:
            members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
            pairs = _pairs(list(members), location, input, target, nouns)
            for key in {key for pair in pairs for key in pair[1:]}:
                _check_header(archive, members[key], location)
        with np.load(location, allow_pickle=False) as arrays:
            parts = [Part(arrays[images], arrays[labels], split) for split, images, labels in pairs]
    except _UNREADABLE as error:
        raise DataError(
            f"the arrays in {location!r} can't be read: {error}", remedy="Copy it again, or save it anew: np.savez."
        ) from error
    used = [f"{images} with {labels}" for _, images, labels in pairs]
    told = [] if input and target else [f"{nouns} and labels are the arrays {', '.join(used)}"]
    return parts, digest((key, member.file_size, member.CRC) for key, member in members.items()), told


def _check_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo, location: str) -> None:
    """Refuses an array before memory is taken for it: Python objects, too large, or not of the size that it says."""
    with archive.open(member) as stream:
        version = npy.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"the array {member.filename!r} is in an unknown format {version}")
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(stream)
        header = stream.tell()
    if dtype.hasobject:
        raise DataError(
            f"the array {member.filename!r} in {location!r} holds Python objects, which can't be read safely",
            remedy="Save numbers or texts: array.astype(str), array.astype('uint8').",
        )
    size = math.prod(shape) * dtype.itemsize
    if size > _LARGEST_ARRAY:
        raise DataError(f"the array {member.filename!r} in {location!r} is too large: {size:,} bytes")
    if size > max(_SMALL_ARRAY, _MOST_UNPACKED * member.compress_size):
        raise DataError(
            f"the array {member.filename!r} in {location!r} unpacks to {size:,} bytes, more than {_MOST_UNPACKED} "
            "times what it takes in the file",
            remedy="If its numbers are meant to be so alike, save it as it is: np.savez.",
        )
    if size + header != member.file_size:
        raise ValueError(
            f"the array {member.filename!r} says {size:,} bytes, and holds {member.file_size - header:,}: it is damaged"
        )


def _pairs(
    keys: Sequence[str], location: str, input: str | None, target: str | None, nouns: str
) -> list[tuple[Split | None, str, str]]:
    """(part, key of the rows, key of the labels)."""
    for option, key in (("--input", input), ("--target", target)):
        if key is not None and key not in keys:
            raise RecipeError(f"{option} {key!r} is no array of {location!r}", remedy=nearest(key, keys))
    inputs: dict[Split | None, str] = {None: input} if input else _keys_by_part(keys, _INPUT_WORDS)
    targets: dict[Split | None, str] = {None: target} if target else _keys_by_part(keys, _TARGET_WORDS)
    both = [(split, inputs[split], targets[split]) for split in inputs if split in targets]
    chosen = [pair for pair in both if pair[0] is not None] or both
    if not chosen:
        raise DataError(f"which arrays of {location!r} are {nouns} and labels is not obvious: {keys}", remedy=_KEYS)
    return chosen


def _keys_by_part(keys: Sequence[str], words: Sequence[str]) -> dict[Split | None, str]:
    """The first key for each part among `x_train`, `test_images`, `X` and the like."""
    found: dict[Split | None, str] = {}
    for word in words:
        for key in keys:
            pieces = [piece for piece in re.split(r"[_\-. ]+", key.lower()) if piece]
            split = next((SPLIT_WORDS[piece] for piece in pieces if piece in SPLIT_WORDS), None)
            if [piece for piece in pieces if piece not in SPLIT_WORDS] == [word]:
                found.setdefault(split, key)
    return found


# --- Images ----------------------------------------------------------------------------------------------------------


def _as_images(images: Images, where: str, told: list[str]) -> Images:
    """`(N, H, W)` or `(N, H, W, C)`, of a type that a source gives."""
    shape = images.shape
    if images.ndim == 4 and shape[3] not in _CHANNELS and shape[1] in _CHANNELS:
        told.append(f"the images are stored with their channels first: {shape}")
        images = np.moveaxis(images, 1, 3)
    elif images.ndim not in (3, 4) or (images.ndim == 4 and shape[3] not in _CHANNELS):
        hint = " Flat rows must be given their shape: X.reshape(-1, 28, 28)." if images.ndim == 2 else ""
        hint += " If they are time series: --kind series." if images.ndim in (2, 3) else ""
        raise DataError(
            f"the inputs of {where!r} have the shape {shape}, which is none of images", remedy=_SHAPES + hint
        )
    if 0 in shape:
        raise DataError(f"the inputs of {where!r} are empty: their shape is {shape}", remedy=_SHAPES)
    return _as_stored_type(images, where, told)


def _as_stored_type(images: Images, where: str, told: list[str]) -> Images:
    if images.dtype in (np.uint8, np.uint16) or np.issubdtype(images.dtype, np.floating):
        return images
    if images.dtype == np.bool_:
        told.append("the images are made of false and true: read as black and white")
        return images.astype(np.uint8) * np.uint8(255)
    if not np.issubdtype(images.dtype, np.integer):
        remedy = "Give whole numbers from 0 to 255 (uint8), or floats."
        raise DataError(f"the inputs of {where!r} are of the type {images.dtype}", remedy=remedy)
    integers = cast("NDArray[np.integer]", images)
    low, high = int(integers.min()), int(integers.max())
    if low < 0 or high > 65535:
        remedy = "Whole numbers must lie between 0 and 255, or 0 and 65535; convert other values to float."
        raise DataError(f"the inputs of {where!r} hold whole numbers from {low} to {high}", remedy=remedy)
    stored = np.uint8 if high < 256 else np.uint16
    told.append(f"the images' numbers ({images.dtype}, {low} to {high}) are kept as {np.dtype(stored)}")
    return images.astype(stored)


# --- Labels and rows -------------------------------------------------------------------------------------------------


def _rows(
    parts: Sequence[Part], images: Sequence[Images], where: str, told: list[str]
) -> tuple[list[Row], list[SetAside]]:
    rows: list[Row] = []
    set_aside: list[SetAside] = []
    labels = [label for part in parts for label in labels_of_rows(part.labels, len(part.images), where, told)]
    splits = [part.split for part, array in zip(parts, images, strict=True) for _ in range(len(array))]
    for (key, _), label, split in zip(_keys(parts, images), labels, splits, strict=True):
        if label is None:
            set_aside.append(SetAside(key=key, reason="its label is missing"))
        else:
            rows.append(Row(key, label, split))
    if set_aside:
        told.append(f"{plural(len(set_aside), 'row')} set aside: the label is missing")
    return rows, set_aside


def _keys(parts: Sequence[Part], images: Sequence[Images]) -> Iterator[tuple[str, tuple[int, int]]]:
    """The key of every row, `7` or `train/7`, with its array and its place there."""
    for number, (part, array) in enumerate(zip(parts, images, strict=True)):
        prefix = "" if part.split is None else f"{part.split}/"
        for place in range(len(array)):
            yield f"{prefix}{place}", (number, place)


def labels_of_rows(
    labels: Sequence[object] | NDArray[np.generic],
    count: int,
    where: str,
    told: list[str],
    *,
    nouns: tuple[str, str] = ("image", "images"),
) -> list[str | None]:
    """The label of each of so many rows, None where it is missing; `told` takes sentences about them.

    Raises:
        DataError: not one label for each row.
    """
    remedy = f"Give one label for each {nouns[0]}: (N,) or one-hot."
    if isinstance(labels, np.ndarray):
        labels = _one_label_each(labels, where, told, remedy).tolist()
    texts = [label_text(label.item() if isinstance(label, np.generic) else label) for label in labels]
    if len(texts) != count:
        raise DataError(f"{where!r} has {count:,} {nouns[1]} and {len(texts):,} labels", remedy=remedy)
    return texts


def _one_label_each(labels: NDArray[np.generic], where: str, told: list[str], remedy: str) -> NDArray[np.generic]:
    if labels.ndim == 1:
        return labels
    if labels.ndim == 2 and labels.shape[1] == 1:
        return labels[:, 0]
    if labels.ndim == 2 and labels.dtype.kind in "buif":
        marks = labels.astype(np.float64)
        if np.array_equal(marks, marks.astype(bool)) and bool((marks.sum(axis=1) == 1).all()):
            told.append(f"the labels {labels.shape} are one-hot: the place of the 1 is the class")
            return cast("NDArray[np.generic]", marks.argmax(axis=1))
    raise DataError(f"the labels of {where!r} have the shape {labels.shape}", remedy=remedy)


def _hints(images: Sequence[Images], places: Sequence[tuple[int, int]]) -> Sequence[Hashable] | None:
    """A hash of each row's content; None where there is so much that it would take long."""
    if sum(array.nbytes for array in images) > _LARGEST_HASHED:
        return None
    return [
        hashlib.blake2b(np.ascontiguousarray(images[part][place]).tobytes(), digest_size=8).hexdigest()
        for part, place in places
    ]


def _content(images: Sequence[Images], hints: Sequence[Hashable] | None) -> str:
    """A hash of all that the images hold, from the rows' hashes where there are any."""
    described = [f"{array.shape} {array.dtype}" for array in images]
    if hints is not None:
        return digest([*described, *hints])
    content = hashlib.blake2b(digest_size=16)
    for array in images:
        for row in array:
            content.update(np.ascontiguousarray(row).tobytes())
    return digest([*described, content.hexdigest()])
