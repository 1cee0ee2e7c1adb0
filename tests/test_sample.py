"""Some of the rows: how many of each class and part, which ones, and the same ones wherever they are asked for."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from gnomon import cli
from gnomon.rows.dataset import DataSummary
from gnomon.rows.sample import Drawn, Sample, drawn_from, sampled
from gnomon.rundir.run import DATA, PLAN, open_run
from gnomon.sources import Source
from gnomon.sources.arrays import Part, source_of_parts
from gnomon.spine.reopening import dataset_of


def source_of(labels: list[str], *, test: int = 0) -> Source:
    """The last rows are the test part."""
    pictures = np.arange(len(labels) * 16, dtype=np.uint16).view(np.uint8).reshape(len(labels), 4, 8)
    end = len(labels) - test
    parts = [Part(pictures[:end], labels[:end], "train" if test else None)]
    parts += [Part(pictures[end:], labels[end:], "test")] if test else []
    return source_of_parts(parts, name="made", where="made")


def sample_of(source: Source, rows: int) -> Sample:
    return Sample(source, Drawn(rows=rows, of=len(source.rows), reason="asked for", asked_for=True))


def keys(source: Source) -> set[str]:
    return {row.key for row in source.rows}


def test_each_class_and_part_keeps_its_share() -> None:
    labels = ["a"] * 600 + ["b"] * 200 + ["a"] * 150 + ["b"] * 50
    few = sample_of(source_of(labels, test=200), 100)
    counts = Counter((row.split, row.label) for row in few.rows)
    assert counts.total() == 100
    assert counts["test", "b"] == 10  # at least; its share is five
    assert (counts["train", "a"], counts["train", "b"], counts["test", "a"]) == (57, 19, 14)  # the same share of each


def test_small_classes_come_first() -> None:
    labels = ["a"] * 900 + ["b"] * 95 + ["c"] * 5
    counts = Counter(row.label for row in sample_of(source_of(labels), 100).rows)
    assert counts["c"] == 5
    assert counts["b"] == 10
    assert counts.total() == 100
    assert Counter(row.label for row in sample_of(source_of(labels), 9).rows) == {"a": 3, "b": 3, "c": 3}


def test_a_larger_sample_holds_the_smaller_and_chance_has_chosen() -> None:
    source = source_of(["a", "b"] * 500)
    small, large = (keys(sample_of(source, rows)) for rows in (100, 300))
    assert small < large < keys(source)
    assert len(large) == 300
    taken = [index for index, row in enumerate(source.rows) if row.key in large]
    assert 400 < np.mean(taken) < 600


def test_a_sample_is_a_source_with_its_own_fingerprint() -> None:
    source = source_of(["a", "b"] * 100)
    few = sample_of(source, 50)
    assert (few.name, few.kind, few.question) == (source.name, source.kind, source.question)
    assert few.fingerprint != source.fingerprint
    assert few.fingerprint != sample_of(source, 51).fingerprint
    where = {row.key: index for index, row in enumerate(source.rows)}
    order = [where[row.key] for row in few.rows]
    assert order == sorted(order)
    for index, place in enumerate(order):
        assert np.array_equal(few.read(index), source.read(place))
    hints = source.content_hints
    assert few.content_hints == (None if hints is None else [hints[place] for place in order])
    assert few.notes[-1] == "50 of 200 rows are used, drawn by chance within each class: asked for"
    assert few.drawn.said("regress") == "50 of 200 rows are used, drawn by chance: asked for"
    assert drawn_from(few) == few.drawn
    assert drawn_from(source) is None
    assert sampled(source, None) is source


@pytest.fixture
def run(tmp_path: Path) -> Path:
    words = ("--rows", "400", "--steps", "20", "--widths", "8", "--quiet", "--out", str(tmp_path / "run"))
    assert cli.main(["train", "digits", *words]) == 0
    return tmp_path / "run"


def test_a_run_uses_the_rows_that_were_asked_for_and_says_so(run: Path) -> None:
    directory = open_run(str(run))
    summary = directory.read_json(DATA, DataSummary)
    assert summary.drawn == Drawn(rows=400, of=1797, reason="asked for", asked_for=True)
    assert sum(map(sum, summary.counts.values())) == 400
    assert '"400 of 1,797 rows"' in directory.read_text(PLAN)
    assert "400 of 1,797 rows are used, drawn by chance within each class" in (run / "report.html").read_text("utf-8")
    table = pyarrow.parquet.read_table(run / "predictions.parquet")
    assert len(set(table.column("key").to_pylist())) == len(table) <= 400
    assert {row.key for row in dataset_of(directory).rows} >= set(table.column("key").to_pylist())


def test_it_goes_on_and_is_judged_again_with_the_same_rows(run: Path) -> None:
    before = (run / "predictions.parquet").read_bytes()
    (run / "report.html").unlink()
    (run / "model.safetensors").unlink()
    assert cli.main(["resume", str(run), "--quiet"]) == 0
    assert (run / "report.html").is_file()
    assert (run / "predictions.parquet").read_bytes() == before
