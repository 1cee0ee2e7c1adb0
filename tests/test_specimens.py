"""Rows for the cells of the confusion matrix are those that the cells count, and are seen and heard."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import msgspec
import pyarrow.parquet
import pytest
import soundfile
from PIL import Image

from conftest import PictureFolder
from gnomon import cli
from gnomon.answer_speed import AnswerSpeed
from gnomon.encoders.sound import choose_sound
from gnomon.judgement import Evaluation, Mistake
from gnomon.rundir.run import MISTAKES, SPECIMENS, SPEED, TEST, Run
from gnomon.sources import Source
from gnomon.specimens import MOST_OF_A_CELL, SpecimensOfCell, playable, write_specimens
from gnomon.spine.reopening import dataset_of
from sound_files import sound_file, tone
from source_files import write_folder, write_text


def trained(data: Path, folder: Path) -> Run:
    words = ["train", str(data), "--steps", "2", "--batch", "8", "--threads", "1", "--out", str(folder), "--quiet"]
    assert cli.main(words) == 0
    return Run(folder)


def cells_of(run: Run) -> tuple[SpecimensOfCell, ...]:
    return run.read_json(SPECIMENS, tuple[SpecimensOfCell, ...])


def test_each_cell_shows_rows_that_it_counts(tmp_path: Path, picture_folder: PictureFolder) -> None:
    run = trained(picture_folder(per_class=40, size=16), tmp_path / "run")
    judged = run.read_json(TEST, Evaluation)
    names = [score.name for score in judged.classes]
    table = pyarrow.parquet.read_table(run.path / "predictions.parquet").to_pylist()
    answers = {line["key"]: line for line in table if line["split"] == "test"}
    cells = cells_of(run)
    for cell in cells:
        counted = judged.confusion[cell.true][cell.predicted]
        assert len(cell.rows) == min(counted, MOST_OF_A_CELL)
        surest = sorted(
            (
                line["confidence"]
                for line in answers.values()
                if (line["label"], line["predicted"]) == _pair(cell, names)
            ),
            reverse=True,
        )
        assert [row.confidence for row in cell.rows] == pytest.approx(surest[: len(cell.rows)], abs=1e-4)
        for row in cell.rows:
            assert _pair(cell, names) == (answers[row.key]["label"], answers[row.key]["predicted"])
            assert Image.open(io.BytesIO(base64.b64decode(row.picture))).size == (16, 16)
    assert sum(bool(times) for row in judged.confusion for times in row) == len(cells)


def _pair(cell: SpecimensOfCell, names: list[str]) -> tuple[str, str]:
    return names[cell.true], names[cell.predicted]


def of_tones(folder: Path) -> Run:
    """Of low and high ones."""
    tones = {
        f"{name}/{take}.wav": sound_file(tone(hertz + take, 0.2))
        for name, hertz in (("low", 200), ("high", 900))
        for take in range(20)
    }
    write_folder(folder / "words", tones)
    return trained(folder / "words", folder / "run")


def test_recordings_are_heard(tmp_path: Path) -> None:
    run = of_tones(tmp_path)
    (first, *_) = cells_of(run)
    mistakes = run.read_json(MISTAKES, tuple[Mistake, ...])
    assert mistakes, "two steps teach little"
    for sound in (first.rows[0].sound, *(mistake.sound for mistake in mistakes)):
        samples, rate = soundfile.read(io.BytesIO(base64.b64decode(sound)))
        assert len(samples) / rate == pytest.approx(0.2, abs=0.1)
        assert abs(samples).max() > 0.05


def test_without_time_each_cell_shows_one_row_and_nothing_is_heard(tmp_path: Path) -> None:
    run = of_tones(tmp_path)
    before = cells_of(run)
    assert max(len(cell.rows) for cell in before) > 1

    def refused() -> Source:
        raise AssertionError

    write_specimens(run, dataset_of(run), refused, seconds=0.0)
    run.seal_judgement()
    for cell, whole in zip(cells_of(run), before, strict=True):
        (row,) = cell.rows
        assert row == msgspec.structs.replace(whole.rows[0], sound="")


@pytest.mark.parametrize("rate", [4000, 8000, 96_000])
def test_recordings_of_any_rate_are_heard(rate: int) -> None:
    samples = tone(440, seconds=0.5, rate=rate)
    encoder = choose_sound([sound_file(samples, rate)])[0]
    heard, told = soundfile.read(io.BytesIO(base64.b64decode(playable(encoder, sound_file(samples, rate)))))
    assert len(heard) / told == pytest.approx(0.5, abs=0.1)


def test_texts_are_read_and_several_labels_have_no_cells(tmp_path: Path) -> None:
    rows = [(f"a {word} film about {number}", word) for word in ("good", "bad") for number in range(30)]
    write_text(tmp_path, "reviews.csv", "text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    write_text(tmp_path, "tags.csv", "text,label\n" + "".join(f"{text},{label};film\n" for text, label in rows))
    (first, *_) = cells_of(trained(tmp_path / "reviews.csv", tmp_path / "one"))
    assert "film" in first.rows[0].text
    words = ["train", str(tmp_path / "tags.csv"), "--separator", ";", "--steps", "2", "--batch", "8", "--quiet"]
    assert cli.main([*words, "--out", str(tmp_path / "many")]) == 0
    assert not (tmp_path / "many" / SPECIMENS).exists()
    speed = msgspec.json.decode((tmp_path / "many" / SPEED).read_bytes(), type=AnswerSpeed)
    assert 0 < speed.one_row_s < 60
    assert speed.rows_per_s > 1 / speed.one_row_s / 10
