"""Series: pick the channels, fill in what is missing, thin out what is very long, cut, scale.

What is done on purpose, so that nothing of a series is lost unsaid:

    channels       by their names, in the order of the training data; other columns of a file are not looked at
    missing        a value between two others lies on the line between them; before the first and behind the last, these
    no value       a channel without a single value counts as the channel's mean; a series without any is refused
    the end        last steps in which every channel is missing are padding, as rectangular arrays need it
    long series    means of so many neighbouring steps take their place that 2,048 suffice
    length         of longer series the beginning is kept; `choose_series` says how many are cut and how much
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, RowError
from ..sources.cells import TIME_NAMES, number, shortened
from ..types import Count, Decision, Raw, Value, listed, plural
from .numbers import Lines, cut, read_columns
from .text import read_text

if TYPE_CHECKING:
    import torch

LONGEST: Final = 2048
"""Steps of the longest series that is encoded."""

_LARGEST_VALUE: Final = 1e30
_LARGEST_INPUT: Final = 1e15
"""Deviations from the mean; sums of squares of such numbers still fit float32."""
_KEPT_WHOLE: Final = 0.999
_LOOKED_AT: Final = 256
_LINES_LOOKED_AT: Final = 1000


class SeriesEncoder(Value, tag="series", tag_field="kind", frozen=True):
    """Series → `(T, C)` array, padded with NaN; batch of such arrays → network input.

    Attributes:
        channels: their names; those of series that name none are made up.
        length: T, a multiple of 8; longer series are cut.
        factor: so many neighbouring steps are averaged into one.
        header: the channels have names, which the first line of a file must give; else they are taken in their order.
        mean, std: per channel, over the training part.
    """

    channels: tuple[str, ...]
    length: Count
    factor: Count = 1
    header: bool = True
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """`(T, C)` of one encoded series."""
        return self.length, len(self.channels)

    @property
    def storage(self) -> Literal["float32"]:
        """Type of the values."""
        return "float32"

    @property
    def row_bytes(self) -> int:
        """Bytes of one encoded series."""
        return math.prod(self.shape) * np.dtype(self.storage).itemsize

    @property
    def input_shape(self) -> tuple[int, int]:
        """`(T, C + 1)`, as a network takes it."""
        return self.length, len(self.channels) + 1

    def encode(self, raw: Raw) -> NDArray[Any]:
        """One series, `(T, C)` float32: first its steps, then padding, which is NaN in all channels.

        Raises:
            RowError: not a series, channels missing, texts among the numbers, infinite or immense values, none at all.
        """
        steps = _means(filled(self.read(raw)), self.factor)[: self.length]
        row = np.full(self.shape, np.nan, dtype=np.float32)
        row[: len(steps)] = steps
        return row

    def read(self, raw: Raw) -> NDArray[np.float64]:
        """The values of a series as they are, `(steps, C)`, missing ones NaN; steps without any value at the end left
        out.

        Args:
            raw: an array `(T, C)`, `(T,)`, or `(T,)` with named fields; or the text of a CSV or TSV file.

        Raises:
            RowError: as `encode`.
        """
        if isinstance(raw, np.ndarray):
            values = _columns_of_array(raw, self.channels)
        else:
            values = read_columns(cut(read_text(raw)), self.channels, header=self.header)
        _check_values(values, self.channels)
        # Rounded first: a series then has the same bits, whatever type and whatever file it comes from.
        values = values.astype(np.float32).astype(np.float64)
        held = np.flatnonzero(~np.isnan(values).all(axis=1))
        if not len(held):
            raise RowError("holds no values")
        return values[: int(held[-1]) + 1]

    def lengths(self, encoded: NDArray[Any]) -> NDArray[np.int64]:
        """Steps of each row of `(N, T, C)`: those that are no padding."""
        counts: NDArray[np.int64] = (~np.isnan(encoded).all(axis=2)).sum(axis=1).astype(np.int64)
        return counts

    def inputs(self, stored: torch.Tensor) -> torch.Tensor:
        """`(N, T, C)` as stored → `(N, T, C + 1)` float32: mean 0 and deviation 1 per channel, 0 where a channel has no
        value and on padding; the last channel is 1 on steps, 0 on padding."""
        import torch  # here alone: encoding runs without it

        mean, std = (torch.tensor(numbers, device=stored.device) for numbers in (self.mean, self.std))
        missing = stored.isnan()
        scaled = ((stored - mean) / std).clamp(-_LARGEST_INPUT, _LARGEST_INPUT)
        steps = ~missing.all(dim=2, keepdim=True)
        return torch.cat((scaled.masked_fill(missing, 0.0), steps.to(scaled.dtype)), dim=2)


def _columns_of_array(raw: NDArray[Any], channels: Sequence[str]) -> NDArray[np.float64]:
    """`(T, C)` of an array that may name its fields."""
    if raw.dtype.names is not None:
        missing = [name for name in channels if name not in raw.dtype.names]
        if missing or raw.ndim != 1:
            raise RowError(f"has no channel {missing[0]!r}" if missing else f"has the shape {raw.shape}, not (T,)")
        columns = [raw[name] for name in channels]
    elif raw.ndim in (1, 2):
        columns = [raw] if raw.ndim == 1 else list(raw.T)
    else:
        raise RowError(f"has the shape {raw.shape}; a series is (T,) or (T, C)")
    if len(columns) != len(channels):
        raise RowError(f"has {plural(len(columns), 'channel')}, where {len(channels)} are expected")
    wrong = [column.dtype for column in columns if column.dtype.kind not in "buif"]
    if wrong:
        raise RowError(f"holds values of the type {wrong[0]}, not numbers")
    return np.stack(columns, axis=1, dtype=np.float64)


def _check_values(values: NDArray[np.float64], channels: Sequence[str]) -> None:
    wrong = np.argwhere(np.abs(values) > _LARGEST_VALUE)
    if len(wrong):
        step, channel = wrong[0].tolist()
        value = values[step, channel]
        what = "an infinite value" if np.isinf(value) else f"the value {value:g}, too large for float32"
        raise RowError(f"holds {what}, in step {step + 1:,} of the channel {channels[channel]!r}")


def filled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(T, C)` with missing values on the line between their neighbours, the first and the last held to the ends.

    A channel without any value stays NaN.
    """
    whole = values.copy()
    steps = np.arange(len(values))
    for channel in np.flatnonzero(np.isnan(values).any(axis=0)).tolist():
        known = np.flatnonzero(~np.isnan(values[:, channel]))
        if len(known):
            whole[:, channel] = np.interp(steps, known, values[known, channel])
    return whole


def _means(values: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    """Means of so many neighbouring steps; the last one of those that are left."""
    if factor == 1:
        return values
    whole = len(values) // factor * factor
    means: NDArray[np.float64] = values[:whole].reshape(-1, factor, values.shape[1]).mean(axis=1)
    if whole == len(values):
        return means
    return np.concatenate((means, values[whole:].mean(axis=0, keepdims=True)))


# --- Chosen from the training part -----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Seen:
    """What the training series are like, gathered one by one."""

    lengths: list[int] = field(default_factory=list)
    values: int = 0
    missing: int = 0
    rows_with_missing: int = 0
    rows_without_channel: int = 0
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None
    reason: str = ""

    def add(self, values: NDArray[np.float64]) -> None:
        gaps = np.isnan(values)
        self.lengths.append(len(values))
        self.values += values.size
        self.missing += int(gaps.sum())
        self.rows_with_missing += bool(gaps.any())
        self.rows_without_channel += bool(gaps.all(axis=0).any())
        low, high = np.fmin.reduce(values, axis=0), np.fmax.reduce(values, axis=0)
        self.low = low if self.low is None else np.fmin(self.low, low)
        self.high = high if self.high is None else np.fmax(self.high, high)


def choose_series(raws: Iterable[Raw], *, longest: int = LONGEST) -> tuple[SeriesEncoder, list[Decision], list[str]]:
    """The encoder for these training series; what was decided, each with its reason; sentences on what they lack.

    Args:
        raws: of the training part, or of a sample of it; rows that can't be read are skipped here.
        longest: the most steps that are encoded; where twice the length of 99.9 % of the series is more, neighbouring
            steps are averaged.

    Raises:
        DataError: no series can be read.
    """
    rows = iter(raws)
    first = list(islice(rows, _LOOKED_AT))
    channels, header, notes = _choose_channels(first)
    encoder = SeriesEncoder(channels=channels, length=8, header=header)
    seen = _Seen()
    for raw in chain(first, rows):
        try:
            seen.add(encoder.read(raw))
        except RowError as error:  # named and counted when it is encoded
            seen.reason = seen.reason or error.reason
    if not seen.lengths:
        raise DataError(f"no training series can be read; the first one {seen.reason}", remedy=_REMEDY)
    lengths = np.array(seen.lengths, dtype=np.int64)
    length, factor, decisions = _choose_length(lengths, longest)
    encoder = SeriesEncoder(channels=channels, length=length, factor=factor, header=header)
    named = plural(len(channels), "channel")
    decisions = [Decision(name="channels", value=named, reason=listed(channels, 12)), *decisions]
    return encoder, decisions, [*notes, *_cut_notes(lengths, length, factor), *_notes(seen, channels)]


_REMEDY: Final = "A series is a file with a line for each step and a column for each channel, or an array (T, C)."


def _choose_length(lengths: NDArray[np.int64], most: int) -> tuple[int, int, list[Decision]]:
    """Steps, and how many are averaged into one: all that the longest needs, unless few are much longer than others."""
    longest = int(lengths.max())
    usual = math.ceil(float(np.quantile(lengths, _KEPT_WHOLE, method="higher")))
    wanted = min(longest, 2 * usual)
    factor = -(-wanted // most)
    length = max(8, -(-wanted // (8 * factor)) * 8)
    spread = f"the median series has {np.median(lengths):,.0f} steps, the shortest {lengths.min():,}, "
    decisions = [Decision(name="longest series", value=f"{length:,} steps", reason=f"{spread}the longest {longest:,}")]
    if factor > 1:
        what = f"{wanted:,} steps are more than {most:,}"
        decisions.append(Decision(name="steps", value=f"means of {factor:,} neighbouring ones", reason=what))
    return length, factor, decisions


def _cut_notes(lengths: NDArray[np.int64], length: int, factor: int) -> list[str]:
    kept = length * factor
    cut_off = lengths > kept
    if not cut_off.any():
        return []
    lost = int((lengths[cut_off] - kept).sum())
    what = f"{int(cut_off.sum()):,} of {len(lengths):,} series {'is' if cut_off.sum() == 1 else 'are'} cut"
    share = lost / int(lengths.sum())
    return [f"{what} after {kept:,} steps: {plural(lost, 'step')} ({share:.2%} of all) are not seen"]


def _notes(seen: _Seen, channels: Sequence[str]) -> list[str]:
    """What the series lack: values, channels, changes, steps."""
    rows, notes = f"{len(seen.lengths):,} series", []
    if seen.missing:
        what = f"{plural(seen.missing, 'value')} missing ({seen.missing / seen.values:.2%})"
        notes.append(f"{what}, in {seen.rows_with_missing:,} of {rows}: filled in between their neighbours")
    if seen.rows_without_channel:
        what = f"in {seen.rows_without_channel:,} of {rows} a channel has no value at all"
        notes.append(f"{what}: it counts as the channel's mean")
    assert seen.low is not None, "at least one was read"
    assert seen.high is not None, "at least one was read"
    flat = [repr(name) for name, range_ in zip(channels, seen.high - seen.low, strict=True) if not range_ > 0]
    if flat:
        subject = f"the channel {flat[0]} never changes" if len(flat) == 1 else f"{listed(flat, 6)} never change"
        notes.append(f"{subject} in the training part: nothing can be learnt from that")
    short = seen.lengths.count(1)
    if short:
        notes.append(f"{short:,} of {rows} {'has' if short == 1 else 'have'} one step alone")
    return notes


# --- Which channels there are ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Column:
    """What a column of one file holds."""

    has_texts: bool
    has_numbers: bool
    never_falls: bool


def _choose_channels(raws: Sequence[Raw]) -> tuple[tuple[str, ...], bool, list[str]]:
    """The channels' names, whether files name them in their first line, and sentences about columns left out."""
    arrays = [raw for raw in raws if isinstance(raw, np.ndarray)]
    if arrays:
        return *_channels_of_arrays(arrays), []
    files = [lines for lines in _cut_files(raws) if lines.cells]
    if not files:
        raise DataError("no training series can be read: none of the first ones holds a line", remedy=_REMEDY)
    if _have_headers(files):
        channels, notes = _named_channels(files)
        return channels, True, notes
    width = Counter(len(lines.cells[-1]) for lines in files).most_common(1)[0][0]
    return _made_up(width), False, [f"the files name no channels: their {plural(width, 'column')} count in order"]


def _cut_files(raws: Sequence[Raw]) -> Iterator[Lines]:
    for raw in raws:
        try:
            yield cut(read_text(raw), most=_LINES_LOOKED_AT)
        except RowError:
            continue  # named and counted when it is encoded


def _channels_of_arrays(arrays: Sequence[NDArray[Any]]) -> tuple[tuple[str, ...], bool]:
    names = next((array.dtype.names for array in arrays if array.dtype.names), None)
    if names:
        return names, True
    widths = Counter(array.shape[1] if array.ndim == 2 else 1 for array in arrays)
    return _made_up(widths.most_common(1)[0][0]), False


def _made_up(count: int) -> tuple[str, ...]:
    return tuple(f"channel {place}" for place in range(1, count + 1))


def _have_headers(files: Sequence[Lines]) -> bool:
    """Whether the first lines are names: texts, or in all files the same places, 0, 1, 2 or 1, 2, 3."""
    heads = [lines.cells[0] for lines in files]
    with_texts = sum(any(number(cell) is None for cell in head) for head in heads)
    if 2 * with_texts >= len(heads):
        return True
    counted = [[str(place + start) for place in range(len(heads[0]))] for start in (0, 1)]
    same = all([cell.strip() for cell in head] == [cell.strip() for cell in heads[0]] for head in heads)
    return len(heads) > 1 and len(heads[0]) > 1 and same and [cell.strip() for cell in heads[0]] in counted


def _named_channels(files: Sequence[Lines]) -> tuple[tuple[str, ...], list[str]]:
    """The columns of numbers that most files have, but for one that gives the time."""
    found: dict[str, list[_Column]] = {}
    for lines in files:
        for place, name in enumerate(lines.cells[0]):
            found.setdefault(name.strip(), []).append(_column([cells[place : place + 1] for cells in lines.cells[1:]]))
    left_out = {name: why for name, columns in found.items() if (why := _not_a_channel(name, columns, len(files)))}
    channels = tuple(name for name in found if name not in left_out)
    told = listed([f"{shortened(name)!r} ({why})" for name, why in left_out.items()], 6)
    if not channels:
        raise DataError(f"no column of the files can be a channel: {told}", remedy=_REMEDY)
    return channels, [f"columns that are no channels: {told}"] if left_out else []


def _column(cells: Sequence[Sequence[str]]) -> _Column:
    """Of the cells of a column, none where a line is too short."""
    read = [number(cell) for line in cells for cell in line]
    values = np.array([value for value in read if value is not None and not math.isnan(value)])
    return _Column(None in read, len(values) > 0, bool((values[1:] >= values[:-1]).all()))


def _not_a_channel(name: str, columns: Sequence[_Column], files: int) -> str:
    """Why a column is left out; "" where it is a channel."""
    if not name:
        return "without a name"
    if 2 * len(columns) < files:
        return f"in {len(columns)} of {files} files only"
    if all(column.has_texts for column in columns):
        return "holds no numbers" if not any(column.has_numbers for column in columns) else "holds texts in every file"
    if not any(column.has_numbers for column in columns):
        return "holds no values"
    if name.lower() in (*TIME_NAMES, "index") and all(column.never_falls for column in columns):
        return "gives the time"
    return ""
