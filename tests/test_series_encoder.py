"""Series to numbers: channels, gaps, lengths, scales; what is said of them, and what is refused."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gnomon.encoders import Encoder, geometry_key, has_statistics
from gnomon.encoders.series import SeriesEncoder, choose_series
from gnomon.errors import DataError, RowError
from gnomon.previews import preview
from gnomon.rows.cache import encode_rows
from gnomon.rows.fitting import fit_geometry, with_statistics
from gnomon.sources.series import series_source

NAN = np.nan
TWO = SeriesEncoder(channels=("x", "y"), length=8)


def steps_of(encoder: SeriesEncoder, raw: Any) -> NDArray[np.float32]:
    """The encoded steps, without padding."""
    row = encoder.encode(raw)
    return row[: int(encoder.lengths(row[None])[0])]


def named(**columns: Sequence[float]) -> NDArray[Any]:
    """A series whose channels have names."""
    array = np.empty(len(next(iter(columns.values()))), [(name, "f8") for name in columns])
    for name, values in columns.items():
        array[name] = values
    return array


# --- Forms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        b"x,y\n1,2\n3,4.5\n",
        b"\xef\xbb\xbfy,note,x\r\n2,a,1\r\n4.5,b,3\r\n",
        "y\tx\n2\t1\n4.5\t3",
        "x;y\n1;2\n3;4.5\n\n\n",
        "x y\n1 2\n3   4.5\n",
        'x,"y"\n"1",2\n\n3,"4.5"\n',
        "x,y\r1,2\r3,4.5\r",
        "\ufeffx,y\n1,2\n3,4.5".encode("utf-16-le"),
        np.array([[1, 2], [3, 4.5]]),
        np.array([[1, 2], [3, 4.5]], np.float16),
        named(y=[2, 4.5], other=[9, 9], x=[1, 3]),
    ],
    ids=range(11),
)
def test_a_series_in_many_forms(raw: Any) -> None:
    row = TWO.encode(raw)
    assert row.dtype == np.dtype(TWO.storage) == np.float32
    assert row.shape == TWO.shape == (8, 2)
    assert row[:2].tolist() == [[1, 2], [3, 4.5]]
    assert np.isnan(row[2:]).all()
    assert TWO.lengths(row[None]).tolist() == [2]
    assert (TWO.input_shape, TWO.row_bytes) == ((8, 3), 64)


def test_one_channel_as_a_line_of_numbers_or_a_column() -> None:
    encoder = SeriesEncoder(channels=("value",), length=8, header=False)
    for raw in (
        np.array([1, 2, 4]),
        np.array([[1.0], [2], [4]]),
        b"1\n2\n4\n",
        "value\n1\n2\n4",
        np.array([1, 2, 4], "u1"),
    ):
        assert steps_of(encoder, raw).tolist() == [[1], [2], [4]]
    assert steps_of(encoder, np.array([True, False])).tolist() == [[1], [0]]
    assert steps_of(encoder, b"1\n\n3\n").tolist() == [[1], [2], [3]]  # a blank line is a step that is missing


def test_files_without_names_are_read_in_order_and_a_line_of_names_is_passed_over() -> None:
    encoder = SeriesEncoder(channels=("channel 1", "channel 2"), length=8, header=False)
    assert steps_of(encoder, "1,2\n3,4").tolist() == steps_of(encoder, "a,b\n1,2\n3,4").tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "holds no values"),
        (b"x,y\n", "holds no values"),
        (b"x,y\n,\nnan,NA\n", "holds no values"),
        (np.zeros((0, 2)), "holds no values"),
        (np.full((3, 2), NAN), "holds no values"),
        (b"x,z\n1,2\n", "has no channel 'y': its first line names 'x', 'z'"),
        (b"1,2\n3,4\n", "has no channels 'x', 'y': its first line names '1', '2'"),
        (b"x,y,x\n1,2,3\n", "names the channel 'x' several times"),
        (b"x,y\n1,2\n3,abc\n", "holds 'abc' in line 3, where a number should stand; channel 'y'"),
        (b"x;y\n1,5;2\n", r"holds '1,5' in line 2, where a number should stand \(a number is written with a point\)"),
        (b"x,y\n\n1,2\n3\n", "has 1 values in line 4, where its first line has 2"),
        (b"x y\n1,2\n", "has no channels 'x', 'y': its first line names 'x y'"),
        (b"x,y\n1,2\n1,-inf\n", "holds an infinite value, in step 2 of the channel 'y'"),
        (b"x,y\n1,2\n1e400,3\n", "holds an infinite value, in step 2 of the channel 'x'"),
        (
            np.array([[1, 2], [3, -1e39]]),
            r"holds the value -1e\+39, too large for float32, in step 2 of the channel 'y'",
        ),
        (np.zeros((3, 5)), "has 5 channels, where 2 are expected"),
        (np.zeros(4), "has 1 channel, where 2 are expected"),
        (np.zeros((2, 2, 2)), r"has the shape \(2, 2, 2\)"),
        (np.array(3.0), r"has the shape \(\)"),
        (named(x=[1, 2]), "has no channel 'y'"),
        (named(x=[1, 2], y=[1, 2]).reshape(2, 1), r"has the shape \(2, 1\)"),
        (np.array([["a", "b"]]), "holds values of the type <U1"),
        (np.array([[None, 1]]), "holds values of the type object"),
        ("caf\xe9,y\n1,2\n".encode("latin-1"), "is no UTF-8 text"),
        (b"\x00\x01" * 600, "many of its bytes are 0"),
        (b'x,y\n"1,2\n3,4' + b"5" * 140_000, "can't be read: field larger than field limit"),
    ],
)
def test_what_is_no_series_is_refused_with_the_place(raw: Any, reason: str) -> None:
    with pytest.raises(RowError, match=reason):
        TWO.encode(raw)


def test_files_without_names_must_have_as_many_columns() -> None:
    encoder = SeriesEncoder(channels=("channel 1", "channel 2"), length=8, header=False)
    with pytest.raises(RowError, match="has 3 columns in line 1, where 2 channels are expected"):
        encoder.encode("1,2,3\n4,5,6")
    with pytest.raises(RowError, match="holds 'a' in line 1"):
        encoder.encode("a,1\n4,5")


# --- Gaps, length, scale ---------------------------------------------------------------------------------------------


def test_gaps_lie_on_the_line_between_their_neighbours() -> None:
    values = np.array([[NAN, 1], [2, NAN], [NAN, NAN], [NAN, NAN], [8, 5], [NAN, 7], [NAN, NAN]])
    expected = np.stack(
        [np.interp(range(6), [1, 4], [2, 8]), np.interp(range(6), [0, 4, 5], [1, 5, 7])], axis=1
    )  # the last step has no value at all: it is padding
    assert steps_of(TWO, values) == pytest.approx(expected, abs=1e-6)
    assert steps_of(TWO, "x,y\n,1\n2,?\nNaN,none\n,\n8,5\n,7\n,\n") == pytest.approx(expected, abs=1e-6)
    assert steps_of(TWO, values[::-1])[:2].tolist() == [[8, 7], [8, 7]]  # at the beginning the first value is held


def test_a_channel_without_any_value_is_nan_when_stored_and_zero_for_the_network() -> None:
    encoder = SeriesEncoder(channels=("x", "y"), length=8, mean=(10.0, 5.0), std=(2.0, 4.0))
    row = encoder.encode(np.array([[12, NAN], [NAN, NAN], [16, NAN]]))
    assert row[:3, 0].tolist() == [12, 14, 16]
    assert np.isnan(row[:, 1]).all()
    assert encoder.lengths(row[None]).tolist() == [3]
    assert encoder.inputs(torch.from_numpy(row[None]))[0, :4].tolist() == [[1, 0, 1], [2, 0, 1], [3, 0, 1], [0, 0, 0]]


def test_inputs_are_scaled_marked_and_zero_on_padding() -> None:
    draw = np.random.default_rng(0)
    rows = [draw.normal(3, 7, (steps, 2)) for steps in (1, 5, 8, 11)]
    encoder = SeriesEncoder(channels=("x", "y"), length=8, mean=(3.0, -1.0), std=(7.0, 0.5))
    stored = np.stack([encoder.encode(row) for row in rows])
    inputs = encoder.inputs(torch.from_numpy(stored)).numpy()
    assert (inputs.dtype.name, inputs.shape) == ("float32", (4, 8, 3))
    assert encoder.lengths(stored).tolist() == [1, 5, 8, 8]
    for row, found in zip(rows, inputs, strict=True):
        kept = row[:8]
        expected = np.zeros((8, 3))
        expected[: len(kept)] = np.column_stack([(kept - [3.0, -1.0]) / [7.0, 0.5], np.ones(len(kept))])
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-5)
        assert (found[len(kept) :] == 0).all()
    shorter = encoder.inputs(torch.from_numpy(stored[:2, :5])).numpy()
    assert (shorter == inputs[:2, :5]).all()


def test_immense_deviations_stay_finite() -> None:
    encoder = SeriesEncoder(channels=("x",), length=8, mean=(0.0,), std=(1e-20,))
    inputs = encoder.inputs(torch.from_numpy(encoder.encode(np.array([1e29, -1e29, 0]))[None]))
    assert inputs[0, :3, 0].tolist() == [pytest.approx(1e15), pytest.approx(-1e15), 0]


def test_neighbouring_steps_are_averaged_after_gaps_are_filled() -> None:
    encoder = SeriesEncoder(channels=("x",), length=8, factor=3)
    assert steps_of(encoder, np.array([1, NAN, 3, 4, 5, 6, 7, 9])).tolist() == [[2], [5], [8]]
    assert steps_of(encoder, np.array([4.0])).tolist() == [[4]]
    draw = np.random.default_rng(1)
    long = draw.normal(size=100)
    expected = [long[start : start + 3].mean() for start in range(0, 24, 3)]
    assert steps_of(encoder, long)[:, 0] == pytest.approx(expected, rel=1e-6)


def test_the_same_numbers_have_the_same_bits_in_any_form() -> None:
    draw = np.random.default_rng(2)
    values = draw.normal(size=(50, 2)) * 1e3
    values[draw.random((50, 2)) < 0.2] = NAN
    values[0], values[-1] = 1, 1
    encoder = SeriesEncoder(channels=("x", "y"), length=32, factor=2)
    text = "x,y\n" + "\n".join(",".join(map(repr, row)) for row in values.tolist())
    first = encoder.encode(values)
    for other in (text, values.astype(np.float32), named(x=values[:, 0].tolist(), y=values[:, 1].tolist())):
        assert encoder.encode(other).tobytes() == first.tobytes()


def test_an_encoder_survives_json_as_one_of_several() -> None:
    encoder = SeriesEncoder(channels=("x", "é\n"), length=16, factor=2, header=False, mean=(0.1, 1e20), std=(1.0, 3e-9))
    again = msgspec.json.decode(msgspec.json.encode(encoder), type=Encoder)
    assert again == encoder
    assert has_statistics(encoder)
    assert not has_statistics(SeriesEncoder(channels=("x",), length=8))
    assert geometry_key(encoder) == geometry_key(msgspec.structs.replace(encoder, mean=(), std=()))
    with pytest.raises(msgspec.ValidationError, match="factor"):
        msgspec.json.decode(b'{"kind": "series", "channels": ["x"], "length": 8, "factor": 0}', type=Encoder)


# --- Chosen from the training part -----------------------------------------------------------------------------------


def test_length_and_channels_follow_from_the_training_series() -> None:
    rows = [np.zeros((steps, 3)) + np.arange(steps)[:, None] for steps in (7, 29, 15)]
    encoder, decisions, notes = choose_series(rows)
    assert encoder == SeriesEncoder(channels=("channel 1", "channel 2", "channel 3"), length=32, header=False)
    assert [(decision.name, decision.value) for decision in decisions] == [
        ("channels", "3 channels"),
        ("longest series", "32 steps"),
    ]
    assert decisions[1].reason == "the median series has 15 steps, the shortest 7, the longest 29"
    assert notes == []
    assert choose_series([named(b=[1, 2], a=[1, 3])])[0].channels == ("b", "a")


def test_very_long_series_are_averaged_and_few_much_longer_ones_are_cut() -> None:
    encoder, decisions, notes = choose_series([np.arange(5000.0)] * 3)
    assert (encoder.length, encoder.factor) == (1672, 3)
    assert decisions[-1].value == "means of 3 neighbouring ones"
    assert notes == []
    rows = [np.arange(20.0)] * 3000 + [np.arange(100.0)]
    encoder, _, notes = choose_series(rows)
    assert (encoder.length, encoder.factor) == (40, 1)
    assert notes == ["1 of 3,001 series is cut after 40 steps: 60 steps (0.10% of all) are not seen"]
    assert choose_series(rows, longest=16)[0].shape == (16, 1)
    assert choose_series(rows, longest=16)[0].factor == 3


def test_what_series_lack_is_said() -> None:
    rows = [
        np.array([[1, NAN, 5, 1], [2, NAN, 5, NAN], [3, NAN, 5, 3]]),
        np.array([[1, 4, 5, NAN]]),
        np.array([[1, 4, 5, 2], [2, 5, 5, 3]]),
    ]
    assert choose_series(rows)[2] == [
        "5 values missing (20.83%), in 2 of 3 series: filled in between their neighbours",
        "in 2 of 3 series a channel has no value at all: it counts as the channel's mean",
        "the channel 'channel 3' never changes in the training part: nothing can be learnt from that",
        "1 of 3 series has one step alone",
    ]


def test_which_columns_of_files_are_channels() -> None:
    files = [
        f"time,,x,note,y,date,t,empty,rare\n0,0,{n},a,5,2020-01-01,3,,1\n1,1,{n + 1},b,6,2020-01-02,2,,1\n"
        for n in range(3)
    ]
    files = [files[0], *(file.replace(",rare", "").replace(",1\n", "\n") for file in files[1:])]
    encoder, _, notes = choose_series(files)
    assert (encoder.channels, encoder.header) == (("x", "y", "t"), True)
    assert notes[0] == (
        "columns that are no channels: 'time' (gives the time), '' (without a name), 'note' (holds no numbers), "
        "'date' (holds no numbers), 'empty' (holds no values), 'rare' (in 1 of 3 files only)"
    )
    assert [steps_of(encoder, file).tolist() for file in files[1:]] == [[[1, 5, 3], [2, 6, 2]], [[2, 5, 3], [3, 6, 2]]]


def test_files_may_name_no_channels_or_number_them() -> None:
    encoder, _, notes = choose_series(["1.5,2\n3,4\n", "5,6\n7,8\n"])
    assert (encoder.channels, encoder.header) == (("channel 1", "channel 2"), False)
    assert notes[0] == "the files name no channels: their 2 columns count in order"
    assert choose_series(["0,1\n3,4\n", "0,1\n7,8\n"])[0].channels == ("0", "1")
    assert not choose_series(["0,1\n3,4\n", "5,1\n7,8\n"])[0].header


def test_one_bad_file_decides_nothing_and_bad_files_alone_are_an_error() -> None:
    good = "x,y\n1,2\n3,5\n"
    encoder = choose_series([b"\x00" * 2000, "", "x,y\n1,abc\n", "1,2\n", good, good, np.zeros(0).tobytes()])[0]
    assert encoder.channels == ("x", "y")
    bad: list[list[Any]] = [[], ["", b"\xff"], ["name,place\na,b\n"], ["x,y\n1\n"], [np.full((2, 2), np.inf)]]
    for raws in bad:
        with pytest.raises(DataError, match=r"no training series can be read|no column of the files can be a channel"):
            choose_series(raws)


# --- Statistics ------------------------------------------------------------------------------------------------------


def test_mean_and_deviation_leave_out_padding_and_missing_channels_and_nothing_else() -> None:
    draw = np.random.default_rng(3)
    rows = [draw.normal((0, 5e6, 3e-9, 7), (1, 3, 2e-10, 1e-30), (steps, 4)) for steps in draw.integers(1, 30, 80)]
    for row in rows[::3]:
        row[:, 0] = NAN
    source = series_source(rows, [n % 2 for n in range(80)])
    train = np.arange(60)
    geometry, _, _ = fit_geometry(source, train, size=None, fit="letterbox", max_pixels=1)
    encoding = encode_rows(source, geometry, threads=1)
    try:
        while True:
            next(encoding)
    except StopIteration as stop:
        encoded = stop.value
    encoder = with_statistics(geometry, encoded, train, seed=0)
    assert isinstance(encoder, SeriesEncoder)
    together = np.concatenate(rows[:60]).astype(np.float32).astype(np.float64)
    assert encoder.mean == pytest.approx(np.nanmean(together, axis=0).tolist(), rel=1e-9)
    assert encoder.std[:3] == pytest.approx(np.nanstd(together, axis=0).tolist()[:3], rel=1e-5)
    assert encoder.std[3] == 1
    assert has_statistics(encoder)
    assert preview(encoder, encoded.take(np.array([0]))[0]).png
