"""Recordings: decode, average the channels, bring to one rate, tell the power in bands of pitch, step by step.

What is done on purpose, so that nothing of a recording is lost unsaid:

    formats        WAV, FLAC, OGG (Vorbis, Opus) and MP3, of any depth; whole numbers are scaled to ±1
    channels       averaged
    rate           brought to one; `choose_sound` takes the most common one, at most 16 kHz
    length         of longer recordings the beginning is kept; `choose_sound` says how many are cut and how much
    false headers  what is there is read, whatever the header says of the length; a file cut short is read up to there
    loudness       half of a recording's own mean is taken away in each band, so that voices, rooms and microphones
                   differ less; the other half is kept, since loudness and pitch may tell something
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, RowError
from ..types import Decision, Raw, Value, counted, plural
from .mel import log_mel, most_bands
from .recordings import MOST_SAMPLES, RATES, blocks_of, check_samples, decode, opened, resample, samples_of_array

if TYPE_CHECKING:
    import torch

HIGHEST_RATE: Final = 16_000
LONGEST: Final = 512

_MARGIN_S: Final = 0.1
"""What a filter of the resampling may see beyond the last frame."""
_STEP_S, _WINDOW_S = 0.01, 0.025
_LONGEST_WINDOW, _LONGEST_STEP = 2**16, 2**15
_BANDS: Final = ((8_000, 40), (12_000, 48), (math.inf, 64))
_KEPT_WHOLE, _USUAL = 0.999, 0.95
_LISTENED_S: Final = 10.0
_LISTENED_A_ROW_S: Final = 1.0
_FULL_SCALE, _CLIPPED_SHARE, _SILENCE = 0.9999, 0.001, 1e-4


class SoundEncoder(Value, tag="sound", tag_field="kind", frozen=True):
    """Recording → `(T, bands)` log-mel steps, padded with NaN; batch of them → network input.

    Attributes:
        rate: samples a second that recordings are brought to; those given as arrays have it already.
        bands: of pitch, on the mel scale.
        length: T; of longer recordings the beginning is kept.
        window, hop: samples of a frame, and from one to the next.
        levelling: share of a recording's own mean that is taken away in each band.
        mean, std: per band, over the training part.
    """

    rate: Annotated[int, msgspec.Meta(ge=RATES.start, lt=RATES.stop)]
    bands: Annotated[int, msgspec.Meta(ge=1, le=256)]
    length: Annotated[int, msgspec.Meta(ge=8, le=65536, multiple_of=8)]
    window: Annotated[int, msgspec.Meta(ge=2, le=_LONGEST_WINDOW, multiple_of=2)]
    hop: Annotated[int, msgspec.Meta(ge=1, le=_LONGEST_STEP)]
    levelling: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """`(T, bands)` of one encoded recording."""
        return self.length, self.bands

    @property
    def storage(self) -> Literal["float16"]:
        """Type of the logarithms."""
        return "float16"

    @property
    def row_bytes(self) -> int:
        """Bytes of one encoded recording."""
        return math.prod(self.shape) * np.dtype(self.storage).itemsize

    @property
    def input_shape(self) -> tuple[int, int]:
        """`(T, bands + 1)`, the last channel telling steps from padding."""
        return self.length, self.bands + 1

    def encode(self, raw: Raw) -> NDArray[Any]:
        """One recording, `(T, bands)` float16; steps behind its end are NaN.

        Args:
            raw: the bytes of a file, or samples `(N,)` or `(N, channels)` at this encoder's rate.

        Raises:
            RowError: not a recording, empty, not finite, or too long.
        """
        most = (self.length - 1) * self.hop + self.window
        with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is refused below
            if isinstance(raw, np.ndarray):
                samples = samples_of_array(raw)
            else:
                samples, rate = decode(raw, most_s=most / self.rate + _MARGIN_S)
                samples = resample(samples, rate, self.rate)
        check_samples(samples)
        steps = log_mel(
            samples[:most], rate=self.rate, window=self.window, hop=self.hop, bands=self.bands, most=self.length
        )
        steps -= self.levelling * steps.mean(axis=0)
        row = np.full(self.shape, np.nan, np.float16)
        row[: len(steps)] = steps
        return row

    def lengths(self, encoded: NDArray[Any]) -> NDArray[np.int64]:
        """Steps of each row of `(N, T, bands)`."""
        counts: NDArray[np.int64] = np.count_nonzero(~np.isnan(encoded[:, :, 0]), axis=1).astype(np.int64)
        return counts

    def inputs(self, stored: torch.Tensor) -> torch.Tensor:
        """`(N, T, bands)` as stored → `(N, T, bands + 1)` float32, mean 0 and deviation 1 per band; padding is 0."""
        import torch  # here alone: decoding runs without it

        padding = stored[:, :, :1].isnan()
        mean = stored.new_tensor(self.mean, dtype=torch.float32)
        scale = stored.new_tensor(self.std, dtype=torch.float32).reciprocal()
        values = ((stored.to(mean.dtype) - mean) * scale).masked_fill(padding, 0)
        return torch.cat((values, (~padding).to(mean.dtype)), dim=2)


# --- Chosen from the training part -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Heard:
    """What one training recording is like; of an array the rate is not known, and what was not listened to is None."""

    rate: int | None
    channels: int
    samples: int
    clipped: bool | None
    silent: bool | None


def choose_sound(
    raws: Iterable[Raw], *, rate: int | None = None, longest_s: float | None = None
) -> tuple[SoundEncoder, list[Decision], list[str]]:
    """The encoder for these training recordings; what was decided, each with its reason; sentences on what is lost.

    Args:
        raws: of the training part, or of a sample of it; rows that can't be read are skipped here.
        rate: samples a second, asked for; None: the most common rate, at most 16,000.
        longest_s: seconds that are kept, asked for; None: what 99.9 % of the recordings need.

    Raises:
        DataError: no recording can be read.
    """
    heard = _listen(raws)
    used, rate_decision = _choose_rate(heard, rate)
    seconds = np.array([one.samples / (one.rate or used) for one in heard])
    encoder, decisions = _choose_steps(seconds, used, longest_s)
    notes = (
        *(_rate_note(heard, used), _channels_note(heard), truncation_note(seconds, encoder)),
        *(_clipped_note(heard), _silence_note(heard)),
    )
    return encoder, [rate_decision, *decisions], [note for note in notes if note]


def truncation_note(seconds: NDArray[np.float64], encoder: SoundEncoder) -> str:
    """A sentence that says how many recordings are cut and how much is lost; "" if none is.

    Args:
        seconds: of each recording, before it is cut.
        encoder: that cuts.
    """
    kept = encoder.length * encoder.hop / encoder.rate
    cut = seconds > kept
    if not cut.any():
        return ""
    lost = float((seconds[cut] - kept).sum())
    what = f"{counted(int(cut.sum()), 'sound')} of {len(seconds):,} {'is' if cut.sum() == 1 else 'are'} cut"
    return f"{what} after {kept:.4g} s: {lost:,.4g} s ({lost / float(seconds.sum()):.2%} of all) are not heard"


def _listen(raws: Iterable[Raw]) -> list[_Heard]:
    """All headers; of the samples, evenly over the rows, about a second for each row."""
    heard: list[_Heard] = []
    listened_s, first_reason, rows = 0.0, "", 0
    for rows, raw in enumerate(raws, start=1):
        try:
            one = _hear(raw, listen=listened_s <= _LISTENED_A_ROW_S * rows)
        except RowError as error:  # named and counted when it is encoded
            first_reason = first_reason or error.reason
            continue
        heard.append(one)
        if one.clipped is not None:
            listened_s += min(_LISTENED_S, one.samples / (one.rate or HIGHEST_RATE))
    if not heard:
        said = f": the first one {first_reason}" if first_reason else ""
        raise DataError(
            f"none of {counted(rows, 'sound')} of the training part that were looked at can be read{said}",
            remedy="Play the first one by hand: is it a WAV, FLAC, OGG or MP3 file?",
        )
    return heard


def _hear(raw: Raw, *, listen: bool) -> _Heard:
    if isinstance(raw, np.ndarray):
        samples = samples_of_array(raw)
        check_samples(samples)
        return _Heard(None, 1 if raw.ndim == 1 else raw.shape[1], len(raw), *_judge([samples[:, None]]))
    with opened(raw) as file:
        rate, channels, claimed = file.samplerate, file.channels, file.frames
        if claimed > MOST_SAMPLES:  # most likely a header that lies
            return _Heard(rate, channels, sum(len(block) for block in blocks_of(file)), None, None)
        blocks: list[NDArray[np.float64]] = []
        for block in blocks_of(file) if listen else ():
            blocks.append(block)
            if sum(map(len, blocks)) >= _LISTENED_S * rate:
                break
    if not claimed or (listen and not blocks):
        raise RowError("holds no samples")
    return _Heard(rate, channels, claimed, *(_judge(blocks) if blocks else (None, None)))


def _judge(blocks: Sequence[NDArray[np.float64]]) -> tuple[bool, bool]:
    """Whether many samples stand at full scale, and whether nothing is to be heard."""
    full = sum(int(np.count_nonzero(np.abs(block) >= _FULL_SCALE)) for block in blocks)
    silent = max(float(block.max()) for block in blocks) - min(float(block.min()) for block in blocks) < _SILENCE
    return full >= _CLIPPED_SHARE * sum(block.size for block in blocks) and not silent, silent


def _choose_rate(heard: Sequence[_Heard], asked: int | None) -> tuple[int, Decision]:
    rates = Counter(one.rate for one in heard if one.rate is not None)
    common = max(rates, key=lambda rate: (rates[rate], rate), default=HIGHEST_RATE)
    used = asked or min(common, HIGHEST_RATE)
    if not rates:
        reason = "the recordings are given as samples, which don't tell"
    elif len(rates) == 1:
        reason = f"all recordings have {common:,} Hz"
    else:
        reason = f"{common:,} Hz is the most common of {len(rates)} rates"
    if asked:
        reason = f"asked for; {reason}"
    elif used < common:
        reason += f"; brought to {used:,} Hz, which holds what tells voices and most sounds apart"
    return used, Decision(name="sample rate", value=f"{used:,} Hz", reason=reason)


def _choose_steps(
    seconds: NDArray[np.float64], rate: int, asked_s: float | None
) -> tuple[SoundEncoder, list[Decision]]:
    """Frames of 25 ms every 10 ms, more seldom and longer where recordings are so long that there would be too many."""
    needed_s = asked_s or float(np.quantile(seconds, _KEPT_WHOLE, method="higher"))
    usual_s = 2 * float(np.quantile(seconds, _USUAL, method="higher"))
    covered = math.ceil((asked_s or min(needed_s, usual_s)) * rate)
    hop = min(_LONGEST_STEP, max(round(_STEP_S * rate), -(-covered // (LONGEST - 1))))
    window = min(_LONGEST_WINDOW, max(2 ** round(math.log2(_WINDOW_S * rate)), 2 ** math.ceil(math.log2(1.5 * hop))))
    frames = 1 + math.ceil(needed_s * rate) // hop
    bands = most_bands(rate, window, next(bands for most, bands in _BANDS if rate <= most))
    encoder = SoundEncoder(rate=rate, bands=bands, length=min(LONGEST, -(-frames // 8) * 8), window=window, hop=hop)
    steps = f"{bands} bands of pitch every {1000 * hop / rate:.3g} ms"
    usual = f"frames of {1000 * window / rate:.3g} ms"
    seldom = f": long recordings, {plural(LONGEST, 'step')} at most" if hop > round(_STEP_S * rate) else ""
    median = f"the median recording lasts {float(np.median(seconds)):.3g} s, the longest {float(seconds.max()):.4g} s"
    kept_s = encoder.length * hop / rate
    return encoder, [
        Decision(name="input", value=steps, reason=usual + seldom),
        Decision(
            name="longest recording",
            value=f"{encoder.length} steps, {kept_s:.3g} s",
            reason=f"{'asked for; ' if asked_s else ''}{median}",
        ),
    ]


def _rate_note(heard: Sequence[_Heard], used: int) -> str:
    rates = Counter(one.rate for one in heard if one.rate is not None)
    if len(rates) < 2:
        return ""
    each = ", ".join(f"{counted(count, 'sound')} of {rate:,} Hz" for rate, count in rates.most_common(6))
    return f"{each}{' and others' if len(rates) > 6 else ''}: all are brought to {used:,} Hz"


def _channels_note(heard: Sequence[_Heard]) -> str:
    several = sum(one.channels > 1 for one in heard)
    verb = "has" if several == 1 else "have"
    return f"{_share_of(several, heard)} {verb} several channels, which are averaged" if several else ""


def _clipped_note(heard: Sequence[_Heard]) -> str:
    listened = [one for one in heard if one.clipped is not None]
    clipped = sum(bool(one.clipped) for one in listened)
    verb = "is" if clipped == 1 else "are"
    what = f"{_CLIPPED_SHARE:.1%} of the samples or more stand at full scale"
    return f"{_share_of(clipped, listened)} {verb} clipped: {what}" if clipped else ""


def _silence_note(heard: Sequence[_Heard]) -> str:
    listened = [one for one in heard if one.silent is not None]
    silent = sum(bool(one.silent) for one in listened)
    return f"{_share_of(silent, listened)} {'is' if silent == 1 else 'are'} silent" if silent else ""


def _share_of(count: int, heard: Sequence[_Heard]) -> str:
    """`3 recordings of 2,000 listened to`."""
    return f"{counted(count, 'sound')} of {len(heard):,} looked at"
