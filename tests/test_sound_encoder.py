"""Recordings to log-mel steps: the formula, the rates, what is read although the header lies, what is refused."""

import os
import struct
from typing import Any, Final

import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gnomon.encoders import SoundEncoder, choose_sound, recordings
from gnomon.encoders.mel import FLOOR, log_mel, mel_matrix, most_bands
from gnomon.encoders.sound import truncation_note
from gnomon.errors import DataError, RowError
from sound_files import sound_file, tone, with_sizes
from test_layers import loaded_by

ENCODER: Final = SoundEncoder(rate=8_000, bands=20, length=24, window=256, hop=80, levelling=0.0)
NOISE: Final = np.random.default_rng(0).normal(0, 0.1, 8_000)


def steps_of(encoder: SoundEncoder, raw: bytes | NDArray[Any]) -> NDArray[np.float64]:
    """The encoded steps without the padding."""
    encoded = encoder.encode(raw)
    (count,) = encoder.lengths(encoded[None])
    return encoded[:count].astype(np.float64)


# --- The formula -----------------------------------------------------------------------------------------------------


def spectrogram_by_definition(
    samples: NDArray[np.float64], rate: int, window: int, hop: int, bands: int
) -> NDArray[np.float64]:
    """Frame by frame, the Fourier transform as a sum, triangles drawn through their corners."""
    count = len(samples)
    hann = np.array([np.sin(np.pi * n / window) ** 2 for n in range(window)])
    turns = np.exp(-2j * np.pi * np.outer(np.arange(window // 2 + 1), np.arange(window)) / window)
    corners = [700 * (10 ** (2595 * np.log10(1 + rate / 1400) * k / (bands + 1) / 2595) - 1) for k in range(bands + 2)]
    frequencies = np.arange(window // 2 + 1) * rate / window
    rows = []
    for centre in range(0, count + 1, hop):
        frame = np.zeros(window)
        for n, place in enumerate(range(centre - window // 2, centre + window // 2)):
            if count >= window:  # mirrored, the ends themselves not twice
                frame[n] = samples[(count - 1) - abs((count - 1) - abs(place))]
            elif 0 <= place < count:
                frame[n] = samples[place]
        power = np.abs(turns @ (frame * hann)) ** 2 / np.sum(hann**2)
        row = [np.interp(frequencies, corners[k : k + 3], [0, 1, 0]) @ power for k in range(bands)]
        rows.append(np.log(np.array(row) + FLOOR))
    return np.array(rows)


@pytest.mark.parametrize("count", [1, 2, 79, 80, 255, 256, 257, 1_000])
def test_the_spectrogram_is_that_of_the_formula(count: int) -> None:
    samples = NOISE[:count] + tone(1_000, count / 8_000)
    expected = spectrogram_by_definition(samples, 8_000, 256, 80, 20)
    found = log_mel(samples, rate=8_000, window=256, hop=80, bands=20, most=100)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(steps_of(ENCODER, samples), expected[:24], rtol=1e-3, atol=1e-3)


def test_many_frames_are_transformed_in_blocks_and_only_those_that_are_wanted() -> None:
    whole = log_mel(np.tile(NOISE, 30), rate=8_000, window=256, hop=40, bands=20, most=10_000)
    assert whole.shape == (6_001, 20)
    np.testing.assert_array_equal(
        log_mel(np.tile(NOISE, 30), rate=8_000, window=256, hop=40, bands=20, most=5), whole[:5]
    )
    np.testing.assert_allclose(whole[4_200], whole[4_000], rtol=1e-9)  # the same second of noise again


def test_noise_has_the_same_power_in_any_window() -> None:
    for window in (128, 1_024):
        matrix = mel_matrix(8_000, window, 8)
        steps = log_mel(np.tile(NOISE, 20), rate=8_000, window=window, hop=window, bands=8, most=5_000)
        np.testing.assert_allclose(np.exp(steps).mean(axis=0) / matrix.sum(axis=1), 0.01, rtol=0.1)


def test_bands_are_triangles_over_one_another() -> None:
    matrix = mel_matrix(16_000, 512, 64)
    assert matrix.shape == (64, 257)
    assert (matrix >= 0).all()
    assert (matrix <= 1).all()
    inside = slice(matrix[0].argmax() + 1, matrix[-1].argmax())
    np.testing.assert_allclose(matrix.sum(axis=0)[inside], 1)
    assert (np.diff(matrix.argmax(axis=1)) >= 0).all()


@pytest.mark.parametrize("rate", [1_000, 2_000, 4_000, 6_000, 8_000, 11_025, 12_000, 16_000])
def test_no_band_is_empty_at_any_rate(rate: int) -> None:
    window = 2 ** round(np.log2(0.025 * rate))
    bands = most_bands(rate, window, 64)
    assert mel_matrix(rate, window, bands).any(axis=1).all()
    assert bands % 8 == 0


# --- From bytes and arrays -------------------------------------------------------------------------------------------


def test_an_encoded_row_is_filled_with_nan() -> None:
    assert (ENCODER.shape, ENCODER.input_shape, ENCODER.row_bytes) == ((24, 20), (24, 21), 960)
    encoded = np.stack([ENCODER.encode(NOISE[:count]) for count in (1, 799, 800, 8_000)])
    assert encoded.dtype == np.dtype(ENCODER.storage)
    assert ENCODER.lengths(encoded).tolist() == [1, 10, 11, 24]
    for row, count in zip(encoded, (1, 10, 11, 24), strict=True):
        assert np.isfinite(row[:count]).all()
        assert np.isnan(row[count:]).all()


def test_of_a_long_recording_the_beginning_is_what_it_is_in_a_short_one() -> None:
    kept = 23 * 80 + 128  # to the end of the last frame's window
    np.testing.assert_array_equal(ENCODER.encode(NOISE), ENCODER.encode(NOISE[: kept + 400]))
    changed = NOISE.copy()
    changed[kept:] = 0
    np.testing.assert_array_equal(ENCODER.encode(NOISE), ENCODER.encode(changed))


def test_files_and_arrays_of_the_same_samples_give_the_same_bits() -> None:
    whole = np.round(NOISE * 32_768).astype(np.int16)
    expected = ENCODER.encode(whole)
    same: list[NDArray[Any]] = [
        whole / 32_768,
        (whole / 32_768).astype(np.float32),
        whole.astype(np.int32) * 65_536,
        whole[:, None],
    ]
    files = [sound_file(whole, form=form) for form in ("WAV", "FLAC", "RF64", "WAVEX")]
    files += [sound_file(whole / 32_768, subtype=subtype) for subtype in ("PCM_24", "PCM_32", "FLOAT", "DOUBLE")]
    assert all(np.array_equal(ENCODER.encode(file), expected) for file in files)
    assert all(np.array_equal(ENCODER.encode(array), expected) for array in same)


@pytest.mark.parametrize(
    ("form", "subtype", "tolerance"),
    [
        ("WAV", "PCM_U8", 0.1),
        ("WAV", "ULAW", 0.1),
        ("WAV", "IMA_ADPCM", 0.5),
        ("OGG", "VORBIS", 0.2),
        ("OGG", "OPUS", 0.5),
        ("MP3", None, 0.5),
    ],
)
def test_lossy_files_are_nearly_the_same(form: str, subtype: str | None, tolerance: float) -> None:
    samples = tone(440, 1) + tone(1_200, 1, loudness=0.2)
    steps = steps_of(ENCODER, sound_file(samples, form=form, subtype=subtype))
    loud = steps_of(ENCODER, samples) > np.log(1e-2)
    assert np.abs(steps - steps_of(ENCODER, samples))[5:-5][loud[5:-5]].max() < tolerance


def test_channels_are_averaged() -> None:
    left, right = NOISE, tone(500, 1)
    both = np.stack([left, right], axis=1)
    expected = ENCODER.encode((left + right) / 2)
    np.testing.assert_array_equal(ENCODER.encode(both), expected)
    np.testing.assert_array_equal(ENCODER.encode(sound_file(both, subtype="DOUBLE")), expected)


def test_unsigned_numbers_have_their_zero_in_the_middle() -> None:
    whole = np.round(tone(440) * 127).astype(np.int16)
    np.testing.assert_array_equal(ENCODER.encode((whole + 128).astype(np.uint8)), ENCODER.encode(whole.astype(np.int8)))
    np.testing.assert_array_equal(ENCODER.encode(np.full(800, 128, np.uint8)), ENCODER.encode(np.zeros(800)))


def test_silence_is_constant_and_finite() -> None:
    steps = steps_of(ENCODER, sound_file(np.zeros(800)))
    assert steps.shape == (11, 20)
    np.testing.assert_allclose(steps, np.log(FLOOR), rtol=1e-3)


@pytest.mark.parametrize("rate", [1_000, 4_000, 11_025, 22_050, 44_100, 44_101, 48_000, 96_000, 192_000])
def test_resampling_keeps_the_pitch_the_loudness_and_the_length(rate: int) -> None:
    samples, found = recordings.decode(sound_file(tone(440, 1, rate), rate, subtype="PCM_24"), most_s=10)
    brought = recordings.resample(samples, found, 8_000)
    assert found == rate
    assert len(brought) == pytest.approx(8_000, abs=4)
    spectrum = np.abs(np.fft.rfft(brought[1_000:7_000] * np.hanning(6_000)))
    assert spectrum.argmax() * 8_000 / 6_000 == pytest.approx(440, abs=1)
    assert np.abs(brought[1_000:7_000]).max() == pytest.approx(0.5, rel=0.01)


def test_what_the_lower_rate_cannot_hold_is_gone() -> None:
    encoder = msgspec.structs.replace(ENCODER, length=48)
    inside, beyond = (sound_file(tone(hertz, 0.4, 44_100), 44_100) for hertz in (3_000, 9_000))
    assert steps_of(encoder, inside)[5:35].max() > 0
    assert steps_of(encoder, beyond)[5:35].max() < steps_of(encoder, inside)[5:35].max() - 10


@pytest.mark.parametrize(("rate", "window"), [(44_100, 256), (44_100, 32), (1_000, 32)])
def test_cutting_before_resampling_changes_nothing(rate: int, window: int) -> None:
    encoder = msgspec.structs.replace(ENCODER, window=window, bands=4)
    long = np.random.default_rng(1).normal(0, 0.1, 3 * rate)
    whole = recordings.resample(long, rate, 8_000)
    np.testing.assert_array_equal(encoder.encode(sound_file(long, rate, subtype="DOUBLE")), encoder.encode(whole))


def test_encoding_needs_no_torch() -> None:
    code = (
        "import numpy; from gnomon.encoders import SoundEncoder; "
        "SoundEncoder(rate=8000, bands=8, length=8, window=256, hop=80).encode(numpy.zeros(900))"
    )
    assert "torch" not in loaded_by(code)


# --- What a network takes --------------------------------------------------------------------------------------------


def test_inputs_are_normalised_and_tell_steps_from_padding() -> None:
    draw = np.random.default_rng(0)
    mean, std = draw.normal(-8, 2, 20), draw.uniform(1, 3, 20)
    encoder = msgspec.structs.replace(ENCODER, mean=tuple(mean.tolist()), std=tuple(std.tolist()))
    stored = np.stack([encoder.encode(NOISE[:count]) for count in (800, 8_000)])
    inputs = encoder.inputs(torch.from_numpy(stored[:, :16]))
    assert inputs.shape == (2, 16, 21)
    assert inputs.dtype == torch.float32
    expected = (stored[:, :16].astype(np.float64) - mean) / std
    np.testing.assert_allclose(inputs[1, :, :20].numpy(), expected[1], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(inputs[0, :11, :20].numpy(), expected[0, :11], rtol=1e-5, atol=1e-5)
    assert not inputs[0, 11:].any()
    assert inputs[:, :, 20].sum(dim=1).tolist() == [11, 16]


def test_an_encoder_survives_json_and_its_numbers_are_bounded() -> None:
    encoder = msgspec.structs.replace(ENCODER, mean=(0.0,) * 20, std=(1.0,) * 20)
    assert msgspec.json.decode(msgspec.json.encode(encoder), type=SoundEncoder) == encoder
    for name, value in (("rate", 0), ("bands", 0), ("length", 9), ("window", 2**30), ("window", 3), ("hop", 0)):
        hostile = msgspec.to_builtins(encoder) | {name: value}
        with pytest.raises(msgspec.ValidationError, match=name):
            msgspec.convert(hostile, SoundEncoder)


# --- Headers that lie, files that are cut ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("riff", "data"), [(None, 10**9), (2**32 - 1, 2**32 - 1), (0, 0), (0, None), (8, 0), (None, 2**31)]
)
def test_what_is_there_is_read_whatever_a_wave_header_says(riff: int | None, data: int | None) -> None:
    wave = sound_file(NOISE[:1_200])
    np.testing.assert_array_equal(ENCODER.encode(with_sizes(wave, riff=riff, data=data)), ENCODER.encode(wave))


@pytest.mark.parametrize("claim", [b"\x0f\xff\xff\xff\xff", b"\x00\x00\x00\x00\x00"], ids=["2^36", "unknown"])
def test_what_is_there_is_read_whatever_a_flac_header_says(claim: bytes) -> None:
    flac = sound_file(NOISE[:1_200], form="FLAC")
    changed = flac[:21] + bytes([flac[21] & 0xF0 | claim[0]]) + claim[1:] + flac[26:]
    np.testing.assert_array_equal(ENCODER.encode(changed), ENCODER.encode(flac))
    encoder, _, notes = choose_sound([changed] * 3)
    assert encoder.length == 16
    assert notes == []


@pytest.mark.parametrize("form", ["WAV", "FLAC", "MP3"])
def test_a_file_that_is_cut_is_read_up_to_there(form: str, capfd: pytest.CaptureFixture[str]) -> None:
    file = sound_file(np.tile(NOISE, 4), form=form)
    encoder = msgspec.structs.replace(ENCODER, length=512)
    whole, cut = steps_of(encoder, file), steps_of(encoder, file[: len(file) // 2])
    assert 100 < len(cut) < 300
    np.testing.assert_array_equal(cut[:90], whole[:90])
    assert capfd.readouterr().err == ""


def test_standard_error_is_there_again_after_a_damaged_file(capfd: pytest.CaptureFixture[str]) -> None:
    damaged = bytearray(sound_file(np.tile(NOISE, 4), form="MP3"))
    damaged[4_000:4_300] = bytes(300)
    ENCODER.encode(bytes(damaged))
    with pytest.raises(RowError):
        ENCODER.encode(b"ID3" + bytes(100))
    os.write(2, b"still here")
    assert capfd.readouterr().err == "still here"


# --- What is refused -------------------------------------------------------------------------------------------------


def header(rate: int = 8_000, channels: int = 1) -> bytes:
    """A WAV file of 4,000 bytes of samples whose header says this."""
    wave = bytearray(sound_file(np.zeros(2_000)))
    wave[22:28] = struct.pack("<HI", channels, rate)
    wave[32:34] = struct.pack("<H", 2 * channels)
    return bytes(wave)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", r"is empty \(0 bytes\)"),
        ("a.wav", "is a text, not a recording"),
        (b"hello " * 100, "is not a readable WAV, FLAC, OGG or MP3 recording"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "is not a readable WAV"),
        (b"RIFF", "is not a readable WAV"),
        (b"OggS" + bytes(100), "is not a readable WAV"),
        (b"\xff\xfb" * 100, "is not a readable WAV"),
        (sound_file(tone(440), form="AIFF"), "is not a readable WAV"),
        (b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10) + sound_file(tone(440), form="AIFF"), "is not a readable WAV"),
        (sound_file(tone(440))[:40], "is not a readable WAV"),
        (sound_file(np.zeros(0)), "holds no samples"),
        (sound_file(tone(440))[:44], "holds no samples"),
        (sound_file(np.array([0, np.nan, 1]), subtype="FLOAT"), "not finite"),
        (sound_file(np.array([[np.inf, -np.inf]] * 9), subtype="FLOAT"), "not finite"),
        (sound_file(np.array([[np.inf, 0]] * 9), 44_100, subtype="FLOAT"), "not finite"),
        (sound_file(np.full(99, 1e300), subtype="DOUBLE"), "beyond ±1e"),
        (header(rate=5), "claims 5 samples a second"),
        (header(rate=2_000_000), "claims 2,000,000 samples a second"),
        (header(channels=1_000), "claims 1,000 channels"),
        (np.zeros(0), "holds no samples"),
        (np.zeros((0, 2)), "holds no samples"),
        (np.zeros((9, 2, 2)), r"has shape \(9, 2, 2\)"),
        (np.zeros((2, 8_000)), r"has shape \(2, 8000\)"),
        (np.zeros((9, 0)), r"has shape \(9, 0\)"),
        (np.array([0, np.nan]), "not finite"),
        (np.zeros(9, np.int64), "holds int64"),
        (np.zeros(9, np.complex128), "holds complex128"),
        (np.array(["a"]), "holds <U1"),
    ],
)
def test_bad_rows_are_refused_with_the_reason(raw: bytes | str | NDArray[Any], reason: str) -> None:
    with pytest.raises(RowError, match=reason):
        ENCODER.encode(raw)


@pytest.mark.parametrize("form", ["WAV", "FLAC", "array"])
def test_what_is_too_long_is_refused(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "MOST_SAMPLES", 5_000)
    raw = NOISE if form == "array" else sound_file(NOISE, form=form)
    with pytest.raises(RowError, match="is too long"):
        ENCODER.encode(raw)
    ENCODER.encode(NOISE[:5_000] if form == "array" else sound_file(NOISE[:5_000], form=form))


# --- Chosen from the training part -----------------------------------------------------------------------------------


def test_the_most_common_rate_is_taken_and_others_are_told() -> None:
    rows = [sound_file(tone(440, rate=rate), rate) for rate in (8_000, 8_000, 8_000, 44_100, 11_025)]
    encoder, decisions, notes = choose_sound(rows)
    assert (encoder.rate, encoder.bands, encoder.window, encoder.hop) == (8_000, 40, 256, 80)
    assert decisions[0].value == "8,000 Hz"
    assert "the most common of 3 rates" in decisions[0].reason
    assert notes == [
        "3 recordings of 8,000 Hz, 1 recording of 44,100 Hz, 1 recording of 11,025 Hz: all are brought to 8,000 Hz"
    ]
    assert choose_sound(rows, rate=4_000)[0].rate == 4_000


def test_high_rates_are_brought_down_and_channels_counted() -> None:
    stereo = sound_file(np.stack([tone(440, rate=44_100)] * 2, axis=1), 44_100)
    encoder, decisions, notes = choose_sound([stereo, sound_file(tone(440, rate=44_100), 44_100)])
    assert (encoder.rate, encoder.bands, encoder.window, encoder.hop) == (16_000, 64, 512, 160)
    assert "44,100 Hz; brought to 16,000 Hz" in decisions[0].reason
    assert notes == ["1 recording of 2 looked at has several channels, which are averaged"]


def test_the_length_is_what_nearly_all_need_and_what_is_cut_is_told() -> None:
    rows = [sound_file(tone(440, 0.5))] * 1_500 + [sound_file(tone(440, 2))]
    encoder, decisions, notes = choose_sound(rows)
    assert encoder.length == 56
    assert decisions[-1].value == "56 steps, 0.56 s"
    assert "the median recording lasts 0.5 s, the longest 2 s" in decisions[-1].reason
    assert notes == ["1 recording of 1,501 is cut after 0.56 s: 1.44 s (0.19% of all) are not heard"]
    assert choose_sound(rows[:3])[2] == []
    assert choose_sound(rows, longest_s=2)[0].length == 208
    assert truncation_note(np.array([3.0, 9.0]), encoder).startswith("2 recordings of 2 are cut after 0.56 s: 10.88 s")


def test_long_recordings_have_longer_steps_so_that_there_are_not_too_many() -> None:
    encoder, decisions, _ = choose_sound([sound_file(tone(440, 60, 4_000), 4_000)] * 3)
    assert encoder.length == 512
    assert encoder.length * encoder.hop / encoder.rate == pytest.approx(60, rel=0.02)
    assert encoder.window >= 1.5 * encoder.hop
    assert "long recordings" in decisions[1].reason
    assert len(steps_of(encoder, sound_file(tone(440, 60, 4_000), 4_000))) == 511


def test_one_endless_recording_does_not_make_all_steps_long() -> None:
    rows = [sound_file(tone(440, 0.5, 4_000), 4_000)] * 40 + [sound_file(tone(440, 60, 4_000), 4_000)]
    encoder, _, notes = choose_sound(rows)
    assert encoder.hop == 40
    assert encoder.length == 512
    assert "1 recording of 41 is cut after 5.12 s" in notes[0]


def test_clipped_and_silent_recordings_are_counted() -> None:
    loud = np.clip(tone(440, loudness=3), -1, 1)
    peak = np.where(np.arange(4_000) == 100, -1, tone(440))  # reaches full scale, and is not clipped
    quiet = (np.zeros(4_000), np.full(4_000, -1.0))
    rows = [sound_file(samples) for samples in (loud, loud, peak, tone(440), *quiet)]
    assert choose_sound(rows)[2] == [
        "2 recordings of 6 looked at are clipped: 0.1% of the samples or more stand at full scale",
        "2 recordings of 6 looked at are silent",
    ]


def test_rows_that_cannot_be_read_are_passed_over_and_none_at_all_is_an_error() -> None:
    encoder, _, notes = choose_sound([b"nothing", sound_file(np.zeros(0)), sound_file(tone(440)), np.zeros((3, 3, 3))])
    assert encoder.rate == 8_000
    assert notes == []
    with pytest.raises(DataError, match=r"none of 2 recordings .* the first one is not a readable WAV"):
        choose_sound([b"nothing", b"nothing"])


def test_samples_without_a_rate_are_taken_as_they_are() -> None:
    encoder, decisions, _ = choose_sound([tone(440, rate=16_000), np.zeros((16_000, 2), np.int16)])
    assert encoder.rate == 16_000
    assert encoder.length == 104
    assert "don't tell" in decisions[0].reason


def test_half_of_a_recordings_own_mean_is_taken_away() -> None:
    plain, levelled = (
        msgspec.structs.replace(ENCODER, levelling=share).encode(NOISE).astype(np.float64) for share in (0.0, 0.5)
    )
    there = ~np.isnan(plain[:, 0])
    np.testing.assert_allclose(levelled[there], plain[there] - 0.5 * plain[there].mean(axis=0), atol=0.02)
    assert np.array_equal(np.isnan(levelled), np.isnan(plain))
