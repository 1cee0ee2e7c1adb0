"""Texts, recordings and series that are wrong in one way each: refused in words, or set aside, named and counted."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pytest

from bad_inputs import Refused, check_refused, photos, run_command
from gnomon.rows.dataset import DataSummary
from sound_files import sound_file, tone, with_sizes
from source_files import write_folder

QUICK: Final = " --steps 2 --threads 2 --quiet --out run"
NETWORK: Final = QUICK + " --model rnn"
GOOD: Final = [(f"a {word} film number {number}", word) for word in ("good", "bad") for number in range(14)]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# --- What the commands find ------------------------------------------------------------------------------------------


def csv_of(rows: list[tuple[object, ...]], *head: str) -> bytes:
    sink = io.StringIO()
    csv.writer(sink, lineterminator="\n").writerows([head, *rows])
    return sink.getvalue().encode()


def reviews(
    rows: list[tuple[str, str]] = GOOD, *, encoding: str = "utf-8", name: str = "r.csv"
) -> Callable[[Path], object]:
    content = csv_of([*rows], "text", "sentiment").decode()
    return lambda folder: (folder / name).write_text(content, encoding=encoding)


def wavs(extra: Mapping[str, bytes] | None = None, *, each: int = 12) -> Callable[[Path], object]:
    files = {
        f"{name}/{number}.wav": sound_file(tone(hertz + 3 * number, 0.2))
        for name, hertz in (("low", 200), ("high", 1500))
        for number in range(each)
    }
    return lambda folder: write_folder(folder / "sounds", files | dict(extra or {}))


def walks(rows: int = 24, steps: int = 6) -> list[tuple[object, ...]]:
    """Of a long table: id, time, x, y, label."""
    random = np.random.default_rng(1)
    return [
        (f"s{row}", step, *np.round(random.normal(row % 2, 0.1, 2), 3), "run" if row % 2 else "walk")
        for row in range(rows)
        for step in range(steps)
    ]


def long_table(rows: list[tuple[object, ...]]) -> Callable[[Path], object]:
    return lambda folder: (folder / "w.csv").write_bytes(csv_of(rows, "id", "t", "x", "y", "label"))


def ts(*lines: str, labels: str = "true walk run") -> Callable[[Path], object]:
    head = f"@problemName w\n@univariate false\n@classLabel {labels}\n@data\n"
    return lambda folder: (folder / "w.ts").write_text(head + "\n".join(lines) + "\n")


def file(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: write_folder(folder, {name: content})


SERIES: Final = "train w.csv --series-id id --time t" + NETWORK
SAYS_UTF8: Final = ("Save it as UTF-8",)

REFUSED: Final = (
    # texts
    Refused(
        "only empty texts",
        "train r.csv --kind text --input text" + NETWORK,
        ("no row", "its text is empty"),
        reviews([("", "good"), (" ", "bad")] * 8),
    ),
    Refused(
        "latin-1",
        "train r.csv" + NETWORK,
        ("line 2", "no UTF-8 text", *SAYS_UTF8),
        reviews([("caf\xe9", "good"), ("th\xe9", "bad")] * 8, encoding="latin-1"),
    ),
    Refused("utf-16", "train r.csv" + NETWORK, ("is in UTF-16", *SAYS_UTF8), reviews(encoding="utf-16")),
    Refused(
        "misspelt label column",
        "train r.csv --target sentimant" + NETWORK,
        ("--target 'sentimant' is no column", "Did you mean 'sentiment'?"),
        reviews(),
    ),
    Refused(
        "misspelt text column",
        "train r.csv --input txt" + NETWORK,
        ("--input 'txt'", "Did you mean 'text'?"),
        reviews(),
    ),
    Refused(
        "no label column",
        "train r.csv" + NETWORK,
        ("labels", "--target"),
        file("r.csv", csv_of([(text,) for text, _ in GOOD], "text")),
    ),
    Refused(
        "one class of texts",
        "train texts" + NETWORK,
        ("good", "texts"),
        lambda folder: write_folder(folder / "texts", {f"good/{number}.txt": b"fine" for number in range(9)}),
    ),
    Refused(
        "pictures' network for texts",
        "train r.csv --model cnn" + QUICK,
        ("cnn is for pictures, not for texts", "wide-deep"),
        reviews(),
    ),
    Refused(
        "series' network for texts",
        "train r.csv --model crnn" + QUICK,
        ("crnn is for recordings and series", "textcnn"),
        reviews(),
    ),
    Refused(
        "texts' network for pictures",
        "train photos --model wide-deep" + QUICK,
        ("wide-deep is for texts, not for pictures", "plain"),
        photos,
    ),
    Refused("recurrent network for pictures", "train photos --model lstm" + QUICK, ("not for pictures",), photos),
    Refused("unknown network", "train r.csv --model ltsm" + QUICK, ("'ltsm' is not known", "lstm"), reviews()),
    Refused(
        "flip of texts",
        "train r.csv --augment flip" + NETWORK,
        ("'flip' is not known for texts", "token-dropout"),
        reviews(),
    ),
    Refused(
        "too much token dropout",
        "train r.csv --augment token-dropout=5" + NETWORK,
        ("token-dropout=5", "0 to 0.9"),
        reviews(),
    ),
    Refused("texts as numbers", "train r.csv --task regress" + NETWORK, ("numbers", "--task classify"), reviews()),
    Refused("table of texts as recordings", "train r.csv --kind sound" + NETWORK, ("r.csv", "files"), reviews()),
    # recordings
    Refused(
        "recordings without samples",
        "train sounds" + NETWORK,
        ("none of", "can be read"),
        lambda folder: write_folder(
            folder / "sounds",
            {
                f"{name}/{number}.wav": sound_file(np.zeros(0), 8000 + number + 100 * (name == "a"))
                for name in ("a", "b")
                for number in range(12)
            },
        ),
    ),
    Refused(
        "no recordings at all",
        "train sounds" + NETWORK,
        ("can be read", "WAV, FLAC, OGG or MP3"),
        lambda folder: write_folder(
            folder / "sounds",
            {
                f"{name}/{number}.wav": f"RIFF nothing {name}{number}".encode()
                for name in ("a", "b")
                for number in range(12)
            },
        ),
    ),
    Refused(
        "flip of recordings",
        "train sounds --augment flip" + NETWORK,
        ("'flip' is not known for recordings", "speed"),
        wavs(),
    ),
    Refused(
        "texts' network for recordings",
        "train sounds --model textcnn" + QUICK,
        ("textcnn is for texts", "seqcnn"),
        wavs(),
    ),
    Refused(
        "test files that match nothing",
        "train sounds --test-files take9" + NETWORK,
        ("matches none of 24 rows",),
        wavs(),
    ),
    Refused("test files that match all", "train sounds --test-files wav" + NETWORK, ("matches all 24 rows",), wavs()),
    Refused(
        "a broken pattern of test files", "train sounds --test-files '(['" + NETWORK, ("no regular expression",), wavs()
    ),
    Refused("recordings as series", "train sounds --kind series" + NETWORK, ("no series", ".csv"), wavs()),
    # series
    Refused(
        "misspelt series",
        "train w.csv --series-id idd --time t" + NETWORK,
        ("'idd'", "Did you mean 'id'?"),
        long_table(walks()),
    ),
    Refused("misspelt time", "train w.csv --series-id id --time tt" + NETWORK, ("'tt'", "'t'"), long_table(walks())),
    Refused(
        "labels that change",
        SERIES,
        ("label",),
        long_table([(*row[:4], f"{number % 2}") for number, row in enumerate(walks())]),
    ),
    Refused(
        "series of NaN", SERIES, ("value",), long_table([(row[0], row[1], "nan", "nan", row[4]) for row in walks()])
    ),
    Refused(
        "series of words", SERIES, ("number",), long_table([(row[0], row[1], "up", "down", row[4]) for row in walks()])
    ),
    Refused("series of pictures", "train photos --series-id id" + NETWORK, ("--series-id 'id' means nothing",), photos),
    Refused(
        ".ts without labels",
        "train w.ts" + NETWORK,
        ("no labels", "@classLabel"),
        ts(*["1,2:3,4"] * 20, labels="false"),
    ),
    Refused(".ts without data", "train w.ts" + NETWORK, ("w.ts",), file("w.ts", b"@problemName w\n")),
    Refused(".ts that is no text", "train w.ts" + NETWORK, ("w.ts",), file("w.ts", bytes(range(256)) * 4)),
    Refused(
        "pitch of series",
        "train w.ts --augment pitch" + NETWORK,
        ("'pitch' is not known for series",),
        ts(*(f"{n},2:3,4:{'walk' if n % 2 else 'run'}" for n in range(24))),
    ),
    Refused(
        "two pairs in one folder",
        "train sets --kind series" + NETWORK,
        ("pair",),
        lambda folder: write_folder(
            folder / "sets", {f"{name}_{part}.ts": b"@data\n" for name in "AB" for part in ("TRAIN", "TEST")}
        ),
    ),
)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_what_can_not_be_trained_on_is_refused(
    case: Refused, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check_refused(case, tmp_path, capsys)


# --- Odd rows among good ones ----------------------------------------------------------------------------------------


def trained(command: str, capture: pytest.CaptureFixture[str]) -> DataSummary:
    said = run_command(command, capture)
    assert said.code == 0, said.error
    return msgspec.json.decode(Path("run/data.json").read_bytes(), type=DataSummary)


def aside(summary: DataSummary) -> dict[str, str]:
    return {row.key.rpartition("/")[2]: row.reason for row in summary.set_aside}


def test_odd_texts_in_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = {f"{label}/{number}.txt": text.encode() for number, (text, label) in enumerate(GOOD)}
    odd = {
        "good/one.txt": b"fine",
        "good/blank.txt": b" \n\t ",
        "good/empty.txt": b"",
        "bad/latin.txt": "d\xe9plorable ".encode("latin-1") * 20,
        "bad/zeros.txt": b"\x00" * 900 + b"film",
        "bad/zero.txt": b"one \x00 zero",
        "bad/long.txt": b"a very long film " * 700_000,
        "bad/utf16.txt": "a bad film".encode("utf-16"),
        "bad/mark.txt": b"\xef\xbb\xbfa bad film",
    }
    write_folder(tmp_path / "texts", good | odd)
    summary = trained("train texts" + NETWORK, capsys)
    reasons = aside(summary)
    assert set(reasons) == {"empty.txt", "latin.txt", "zeros.txt"}
    assert "byte 0xe9 at position 1" in reasons["latin.txt"]
    assert "many of its bytes are 0" in reasons["zeros.txt"]
    assert any("cut after" in note for note in summary.notes)  # 10 MB: said how much is not seen


def test_labels_that_differ_in_case_are_pointed_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reviews([*GOOD, *((text, "Good ") for text, label in GOOD if label == "good")])(tmp_path)
    summary = trained("train r.csv" + NETWORK, capsys)
    assert any("differ only in case" in note for note in summary.notes)


def test_odd_recordings_among_good_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sine = tone(400, 0.2)
    stereo = np.stack((sine, -0.5 * sine), axis=1)
    wavs(
        {
            "low/none.wav": sound_file(np.zeros(0)),
            "low/word.wav": b"this is no recording",
            "low/nan.wav": sound_file(np.array([0.1, np.nan] * 400, np.float32), subtype="FLOAT"),
            "low/one.wav": sound_file(np.array([0.5])),
            "low/eight.wav": sound_file(sine, subtype="PCM_U8"),
            "low/deep.wav": sound_file(sine, subtype="PCM_24"),
            "low/quick.wav": sound_file(tone(400, 0.2, rate=192_000), 192_000),
            "low/clipped.wav": sound_file(np.sign(sine)),
            "low/silent.wav": sound_file(np.zeros(1600)),
            "low/stereo.flac": sound_file(stereo, form="FLAC"),
            "low/lying.wav": with_sizes(sound_file(sine), riff=2**31 - 1, data=2**31 - 100),
            "high/cut.wav": sound_file(tone(1500, 0.2))[:900],
        }
    )(tmp_path)
    summary = trained("train sounds" + NETWORK, capsys)
    assert set(aside(summary)) == {"none.wav", "word.wav", "nan.wav"}
    assert all(summary.counts[part] for part in ("train", "validation", "test"))


def test_odd_series_among_good_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = walks()
    odd: list[tuple[object, ...]] = [
        *(("nothing", step, "nan", "", "walk") for step in range(6)),
        *(("changes", step, 0.1, 0.2, "walk" if step else "run") for step in range(6)),
        ("once", 0, 0.3, 0.1, "run"),
        *(("twice", step // 2, 0.3, 0.1 * step, "run") for step in range(6)),
        *(("gaps", step, "" if step == 2 else 0.1, 0.2, "walk") for step in range(6)),
        *(("flat", step, 0.5, 0.5, "walk") for step in range(6)),
    ]
    long_table(rows + odd)(tmp_path)
    summary = trained(SERIES, capsys)
    assert set(aside(summary)) == {"nothing", "changes"}
    assert any("twice" in note for note in summary.notes)  # two rows at one time


def test_several_labels_a_row_and_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(text, f"{label};film" if number % 2 else label) for number, (text, label) in enumerate(GOOD)]
    reviews(rows)(tmp_path)
    assert trained("train r.csv --separator ;" + NETWORK, capsys).classes == ("bad", "film", "good")
    reviews([(text, str(number / 3)) for number, (text, _) in enumerate(GOOD)])(tmp_path)
    said = run_command("train r.csv" + NETWORK.replace("run", "numbers"), capsys)
    assert said.code == 0
