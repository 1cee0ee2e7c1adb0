"""Predictions of the rows of a table: each row is answered for itself, to the bits of the evaluation."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from gnomon.cli import main
from source_files import write_text

QUICK = ["--steps", "2", "--threads", "1", "--quiet", "--out", "run"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, list[str]]:
    """Name → label or value, and confidence; or the problem alone."""
    capsys.readouterr()
    assert main(["predict", *words, "--csv"]) == code
    _, *lines = csv.reader(io.StringIO(capsys.readouterr().out))
    return {name: [problem] if problem and not cells[0] else cells[:2] for name, *cells, problem in lines}


def judged() -> dict[str, list[str]]:
    table = pyarrow.parquet.read_table("run/predictions.parquet").to_pydict()
    confidences = [f"{confidence:.6f}" for confidence in table["confidence"]]
    return {key: [label, told] for key, label, told in zip(table["key"], table["predicted"], confidences, strict=True)}


def test_texts_of_a_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    texts = [f"{word} film, number {'x' * number}" for word in ("good", "bad") for number in range(15)]
    lines = [f'"{text}",{text.split()[0]}' for text in texts]
    write_text(tmp_path, "r.csv", "\n".join(("text,label", *lines)))
    assert main(["train", "r.csv", *QUICK]) == 0
    expected = judged()
    labelled = said(capsys, "run", "r.csv")
    assert len(labelled) == len(texts)
    assert {key: labelled[f"r.csv, {key}"] for key in expected} == expected
    write_text(tmp_path, "new.jsonl", "\n".join(json.dumps({"text": text, "date": 3}) for text in texts))
    new = list(said(capsys, "run/model.safetensors", "new.jsonl").values())
    assert new == list(labelled.values())
    pyarrow.parquet.write_table(pa.table({"words": texts, "more": texts[::-1]}), "new.parquet")
    assert list(said(capsys, "run", "new.parquet", "--input", "words").values()) == new
    assert list(said(capsys, "run", "new.parquet", "--input", "more").values()) == new[::-1]


def test_rows_without_a_text_are_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lines = [f"{word} film {number},{word}" for word in ("good", "bad") for number in range(15)]
    write_text(tmp_path, "r.csv", "\n".join(("text,label", *lines)))
    assert main(["train", "r.csv", *QUICK]) == 0
    write_text(tmp_path, "new.csv", "text,label\na good film,\n  ,\nanother,\nsix,of,them\n")
    found = said(capsys, "run", "new.csv", code=2)
    assert list(found) == ["new.csv, row 1", "new.csv, row 3", "new.csv, line 5", "new.csv, row 2"]
    assert found["new.csv, row 2"] == ["its text is empty"]
    assert found["new.csv, line 5"] == ["3 values where the header has 2"]
    assert main(["predict", "run", "new.csv", "--input", "txt"]) == 2
    assert "--input 'txt' is no column of 'new.csv'" in capsys.readouterr().err
    assert main(["predict", "run/model.safetensors", "new.csv", "--input", "label"]) == 2
    assert len(said(capsys, "run", "--text", "one", "two", "--text", "three")) == 3


def test_series_of_a_long_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = ["device,t,x,y,label"]
    for device in range(30):
        steps = rng.normal(device % 2 * 2, 1, (6 + device % 5, 2))
        order = rng.permutation(len(steps))
        lines += [f"d{device},{t},{steps[t, 0]:.3f},{steps[t, 1]:.3f},{'ab'[device % 2]}" for t in order]
    write_text(tmp_path, "s.csv", "\n".join(lines))
    assert main(["train", "s.csv", "--series-id", "device", "--time", "t", *QUICK]) == 0
    expected = judged()
    by_run = said(capsys, "run", "s.csv")
    assert len(by_run) == 30
    assert {key: by_run[f"s.csv, {key}"] for key in expected} == expected
    write_text(tmp_path, "new.csv", "\n".join(line.rpartition(",")[0] for line in lines))
    by_file = said(capsys, "run/model.safetensors", "new.csv", "--series-id", "device", "--time", "t")
    assert list(by_file.values()) == list(by_run.values())
    shutil.copy("run/recipe.toml", tmp_path)
    assert main(["explain", "run", "s.csv", "--method", "occlusion"]) == 0
    assert "6 more rows are left out" in capsys.readouterr().err
    write_text(tmp_path, "one.csv", "x,y\n0.1,0.2\n0.3,0.1\n")
    assert list(said(capsys, "run", "one.csv")) == ["one.csv"]
    assert main(["predict", "run", "one.csv", "--series-id", "device"]) == 2
    assert "--series-id 'device' is no column of 'one.csv'" in capsys.readouterr().err
    write_text(tmp_path, "run/recipe.toml", "no recipe")
    assert main(["predict", "run", "s.csv"]) == 2
    assert "the run's recipe can't be used" in capsys.readouterr().err
    shutil.copy(tmp_path / "recipe.toml", "run")
    write_text(tmp_path, "lacking.csv", "device,t,x\nd0,0,0.1\n")
    assert main(["predict", "run", "lacking.csv"]) == 2
    assert "has no channel 'y'" in capsys.readouterr().err


def test_files_that_a_table_names(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "data").mkdir()
    for number in range(24):
        level = number % 2 * 120
        pixels = rng.integers(level, level + 100, (10, 10, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "data" / f"{number}.png")
    lines = [f"{number}.png,{'ab'[number % 2]}" for number in range(24)]
    write_text(tmp_path, "data/t.csv", "\n".join(("name,label", *lines)))
    assert main(["train", "data/t.csv", *QUICK]) == 0
    expected = judged()
    found = said(capsys, "run", "data/t.csv")
    assert {key: found[f"data/{key}"] for key in expected} == expected
    write_text(tmp_path, "data/new.csv", "name\n3.png\nnone.png\n")
    found = said(capsys, "run", "data/new.csv", code=2)
    assert found["data/3.png"][0] in "ab"
    assert "the file does not exist" in [*found.values()][1][0]
    shutil.rmtree("data")
    assert main(["predict", "run", "data/new.csv"]) == 2
