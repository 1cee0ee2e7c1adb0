"""The X-ray: what it tells is what the network does, and a person gets about in it by pointer and by keys alone."""

from __future__ import annotations

import base64
import json
import re
import shutil
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import gnomon
from browsing import Scheme, check_quiet, launched, ready, sheet_in
from gnomon.api import TrainedRun
from gnomon.cli import main
from gnomon.deadline import Deadline
from gnomon.explain.cells import VALUES, unrolled
from gnomon.explain.columns import columns_of
from gnomon.explain.examples import MOST_SECONDS, explain_examples
from gnomon.explain.inputs import subject_of
from gnomon.explain.packing import Packer
from gnomon.explain.values import Examples
from gnomon.explain.xray_page import xray_page
from gnomon.models import Cnn, Crnn, Ensemble, LinearDeep, Plain, Rnn, TextCnn, WideDeep
from gnomon.models.recurrence import Recurrent
from gnomon.rundir.run import EXAMPLES, open_run
from gnomon.spine.reopening import dataset_of
from planted import TEXT

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MOST_BYTES = 5_000_000
LETTERS = {work: work[0] for work in ("convolution", "activation", "pooling", "dense", "embedding", "reduction")} | {
    "recurrent": "s"
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as found:
        yield found


@pytest.fixture(scope="module")
def cnn(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    out = tmp_path_factory.mktemp("cnn") / "run"
    model = Cnn(widths=(8, 16), stem_width=8)
    run = gnomon.train("digits", epochs=2, model=model, out=out, progress=False)
    run.xray(rows=4)
    return run


@pytest.fixture(scope="module")
def rnn(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    draw = np.random.default_rng(0)
    waves = [
        np.stack((np.sin(np.arange(n) / (2 + label)), draw.normal(size=n)), axis=1)
        for label in (0, 1)
        for n in draw.integers(18, 30, 60)
    ]
    labels = [name for name in ("quick", "slow") for _ in range(60)]
    out = tmp_path_factory.mktemp("rnn") / "run"
    run = gnomon.train((waves, labels), kind="series", epochs=6, model=Rnn(width=8), out=out, progress=False)
    run.xray()
    return run


# --- What is noted is what happens -----------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("own", [True, False], ids=["ours", "torch's"])
def test_states_and_gates_are_those_of_the_layer(cell: Any, own: bool) -> None:
    torch.manual_seed(0)
    steps = torch.randn(7, 3)
    if own:
        layer: nn.Module = Recurrent(cell, 3, 4, layers=2, bidirectional=True).eval()
        expected = layer(steps[None], torch.tensor([7]))[0]
    else:
        kind = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[cell]
        layer = kind(3, 4, num_layers=2, bidirectional=True, batch_first=True)
        expected = layer(steps[None])[0][0]
    found = [part for part in unrolled(layer, steps) if part.layer == 1]
    torch.testing.assert_close(torch.cat([part.values[0] for part in found], dim=1), expected)
    assert [part.backward for part in found] == [False, True]
    assert {len(part.values) for part in found} == {len(VALUES[cell])}


@pytest.mark.parametrize(
    ("spec", "shape", "letters"),
    [
        (
            Plain(widths=(4, 4, 4), dense=8),
            (3, 20, 20),
            "capcapcadad",
        ),
        (
            Cnn(widths=(4,), convolutions=3, stem_width=4),
            (3, 8, 8),
            "cacpacacard",
        ),
        (Rnn(cell="gru", width=4, tokens=True), (8, 20), "esrd"),
        (WideDeep(deep=TextCnn(widths=(2,), filters=4)), (8, 20), "ecard"),
        (LinearDeep(deep=Rnn(cell="gru", width=4)), (8, 4), "srd"),
        (
            Crnn(widths=(4,), units=4, dimensions=2),
            (8, 5),
            "cacasd",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, msgspec.Struct) else "",
)
def test_columns_follow_the_network(spec: Any, shape: tuple[int, ...], letters: str) -> None:
    network = spec.build(shape, 3).eval()
    inputs = torch.ones(2, 8, dtype=torch.long) if len(shape) == 2 and shape[1] == 20 else torch.ones(2, *shape)
    columns = columns_of(network, inputs)
    assert "".join(LETTERS[column.work] for column in columns) == letters
    torch.testing.assert_close(columns[-1].output / (9 if isinstance(spec, Cnn) else 1), _deep(network)(inputs))
    counted = sum(step.parameters for column in columns for step in column.steps)
    if not isinstance(spec, WideDeep | LinearDeep):
        assert counted == sum(weights.numel() for weights in network.parameters())


def _deep(network: nn.Module) -> nn.Module:
    deep = getattr(network, "deep", None)
    return deep if isinstance(deep, nn.Module) else network


def test_networks_that_answer_together_are_told_apart() -> None:
    spec = Ensemble((TextCnn(embedding=4, filters=4, widths=(2,)), Rnn(width=4, embedding=4, tokens=True)), times=2)
    columns = columns_of(spec.build(TEXT.input_shape, 2).eval(), torch.ones(1, 8, dtype=torch.long))
    assert [column.member for column in columns] == [0] * 5 + [1] * 4 + [2] * 5


def test_what_writes_in_place_is_noted_before() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(8, 2))
    columns = columns_of(network, torch.randn(1, 1, 4, 4))
    torch.testing.assert_close(columns[0].output.relu(), columns[1].output)
    assert (columns[0].output < 0).any()


def test_packed_numbers_come_back() -> None:
    draw = np.random.default_rng(0)
    values = draw.normal(size=(3, 4, 5)).astype(np.float32)
    packer = Packer()
    eighths, halves = packer.eighths(values), packer.halves(values)
    assert (eighths.at, halves.at) == (0, 60)
    assert packer.size == 60 + 120
    stored = zlib.decompress(base64.b64decode(packer.text()))
    bytes_of = np.frombuffer(stored[:60], np.uint8).reshape(3, -1)
    low, high = np.array(eighths.low)[:, None], np.array(eighths.high)[:, None]
    np.testing.assert_allclose(
        low + bytes_of / 255 * (high - low), values.reshape(3, -1), atol=float((high - low).max()) / 500
    )
    np.testing.assert_allclose(np.frombuffer(stored[60:], "<f2").reshape(values.shape), values, rtol=1e-3)


def test_a_page_holds_right_and_wrong_rows_and_is_small(cnn: TrainedRun, rnn: TrainedRun) -> None:
    for run in (cnn, rnn):
        page = run.path / "xray.html"
        assert page.stat().st_size < MOST_BYTES
        sheet = sheet_in(page)
        assert 3 <= len(sheet.rows) <= 6
        for row in sheet.rows:
            assert row.right == (row.label == row.predicted)
            assert len(row.maps) == len(sheet.layers)
    top = [unit for layer in sheet_in(cnn.path / "xray.html").layers for unit in layer.top]
    assert all(len(unit) == 5 and unit[0].value >= unit[-1].value for unit in top)


def test_the_page_allows_its_own_script_alone(cnn: TrainedRun) -> None:
    text = (cnn.path / "xray.html").read_text("utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert "://" not in text.replace("http://www.w3.org/2000/svg", "")


def test_names_from_data_are_no_markup(rnn: TrainedRun, tmp_path: Path) -> None:
    sheet = msgspec.structs.replace(
        sheet_in(rnn.path / "xray.html"), title="</script><b>&", outputs=("<i>", "</script>")
    )
    page = xray_page(sheet, "")
    assert "</script><b>" not in page
    found = re.search(r'id="sheet">(.*?)</script>', page, re.DOTALL)
    assert found
    assert json.loads(found[1])["outputs"] == ["<i>", "</script>"]


# --- On the command line ---------------------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    names = []
    for number in range(2):
        noise = np.random.default_rng(number).integers(0, 255, (16, 16)).astype(np.uint8)
        names.append(str(tmp_path / f"picture {number}.png"))
        Image.fromarray(noise).save(names[-1])
    return names


def test_explain_writes_a_page_and_tells_what_it_found(
    cnn: TrainedRun, pictures: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", str(cnn.path), *pictures, "--class", "3", "--method", "occlusion"]) == 0
    said = capsys.readouterr().out
    assert said.count("Occlusion, ‘3’: score") == 2
    assert "what speaks for ‘3’ lies around the" in said
    page = (cnn.path / "explain" / "picture-0.png-and-1-more.html").read_text("utf-8")
    assert "<script" not in page
    assert page.count("<img") == 4


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nothing.png"], "there is no file 'nothing.png'"),
        (["{}", "--class", "cat"], "the model knows no class 'cat'"),
        (["{}", "--method", "magic"], "invalid choice: 'magic'"),
        (["--text", "a word"], "this model was trained on pictures, not on texts"),
        ([], "there is nothing to explain"),
    ],
)
def test_rubbish_is_refused(
    cnn: TrainedRun, pictures: list[str], capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    assert main(["explain", str(cnn.path), *(word.format(pictures[0]) for word in words)]) == 2
    assert told in capsys.readouterr().err


def test_a_file_that_is_no_picture_is_named_and_the_rest_explained(
    cnn: TrainedRun, pictures: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"not a picture")
    assert main(["explain", str(cnn.path), str(bad), pictures[0]]) == 2
    said = capsys.readouterr()
    assert "bad.png: is not a readable" in said.err
    assert "Integrated gradients" in said.out
    assert main(["xray", str(cnn.path), str(bad)]) == 2


def test_xray_follows_given_files(
    cnn: TrainedRun, pictures: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    copy = shutil.copytree(cnn.path, tmp_path / "copy")
    assert main(["xray", str(copy), *pictures]) == 0
    assert "xray.html" in capsys.readouterr().out
    assert [row.key for row in sheet_in(copy / "xray.html").rows] == ["picture 0.png", "picture 1.png"]


def test_examples_for_the_report_keep_the_deadline(cnn: TrainedRun, tmp_path: Path) -> None:
    run = open_run(shutil.copytree(cnn.path, tmp_path / "copy"))
    dataset, now = dataset_of(run), time.monotonic()
    late = explain_examples(run, dataset, cnn.model, Deadline(now - 5, now - 1))
    assert late.examples == ()
    assert late.note
    assert "gnomon explain" in late.note.en
    made = explain_examples(run, dataset, cnn.model, Deadline(now))
    assert run.read_json(EXAMPLES, Examples) == made
    rights = [bool(example.right) for example in made.examples]
    assert rights == sorted(rights)
    assert all(example.right == (example.label == example.predicted) for example in made.examples)
    assert all(example.explanations[0].output == example.predicted for example in made.examples)


def test_an_explanation_is_broken_off_where_the_deadline_comes(
    cnn: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = open_run(shutil.copytree(cnn.path, tmp_path / "copy"))
    dataset, passes = dataset_of(run), 0

    def count(*_: object) -> None:
        nonlocal passes
        passes += 1

    handle = cnn.model.network.register_forward_hook(count)
    monkeypatch.setattr(time, "monotonic", lambda: passes / 4)  # a clock on which four passes take a second
    try:
        found = []
        for seconds in (0.5, 60.0):
            passes = 0
            found.append(explain_examples(run, dataset, cnn.model, Deadline(0.0, seconds)))
            assert passes <= 4 * min(seconds, MOST_SECONDS) + 1
    finally:
        handle.remove()
    assert found[0].examples == ()
    assert 0 < len(found[1].examples) < 8
    assert all(one.note for one in found)


# --- In a browser ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["cnn", "rnn"])
@pytest.mark.parametrize(("scheme", "language"), [("light", "en"), ("dark", "zh")])
def test_nobody_is_shut_out(
    browser: Browser, request: pytest.FixtureRequest, which: str, scheme: Scheme, language: str
) -> None:
    found = ready(browser, request.getfixturevalue(which).path / "xray.html", scheme=scheme)
    found.page.click(f"button[data-lang={language}]")
    assert found.page.get_attribute("html", "lang") == language
    assert found.violations() == []
    check_quiet(found)


def test_the_arithmetic_at_a_place_is_the_networks(browser: Browser, cnn: TrainedRun) -> None:
    """What is added up under the pointer is what the convolution gives there."""
    page = cnn.path / "xray.html"
    sheet = sheet_in(page)
    number = next(place for place, layer in enumerate(sheet.layers) if place > 0 and layer.work == "convolution")
    layer = sheet.layers[number]
    found = ready(browser, page)
    found.page.click(f"[data-layer='{number}']")
    found.page.click("#units button >> nth=2")
    box = found.page.locator("#field").bounding_box()
    assert box
    _, height, width = layer.shape
    found.page.mouse.move(box["x"] + box["width"] * 4.5 / width, box["y"] + box["height"] * 3.5 / height)
    told = found.page.inner_text("#sum")
    row = next(one for one in _test_rows(cnn) if one[0] == sheet.rows[0].key)
    columns = columns_of(cnn.model.network, subject_of(cnn.model, row[1]).whole)
    expected = float(columns[number].output[0, layer.units[2], 3, 4])
    assert told.startswith(f"Unit {layer.units[2]} at row 4, column 5")
    assert float(told.rpartition("=")[2]) == pytest.approx(expected, abs=0.02)
    assert found.page.locator("#arithmetic .grid").count() == 8
    assert found.page.locator("#source canvas").count() == 1
    check_quiet(found)


def _test_rows(run: TrainedRun) -> list[tuple[str, Any]]:
    dataset = dataset_of(open_run(run.path))
    rows = dataset.parts["test"]
    return list(zip([dataset.rows[row].key for row in rows], dataset.encoded.take(rows), strict=True))


def test_every_layer_and_unit_can_be_opened(browser: Browser, cnn: TrainedRun) -> None:
    found = ready(browser, cnn.path / "xray.html")
    for layer in found.page.locator("button.layer").all():
        layer.click()
        assert layer.get_attribute("aria-pressed") == "true"
        units = found.page.locator("#units button")
        units.last.click()
        assert found.page.inner_text("#h-unit") != ""
        assert re.search(r"\d", found.page.inner_text("#sum"))
    found.page.click("#rows button >> nth=1")
    assert found.page.get_attribute("#rows button >> nth=1", "aria-pressed") == "true"
    check_quiet(found)


def test_pooling_shows_the_winner(browser: Browser, cnn: TrainedRun) -> None:
    sheet = sheet_in(cnn.path / "xray.html")
    number = next(place for place, layer in enumerate(sheet.layers) if layer.work == "pooling")
    found = ready(browser, cnn.path / "xray.html")
    found.page.click(f"[data-layer='{number}']")
    cells = [float(text) for text in found.page.locator("#arithmetic .grid i").all_inner_texts()]
    assert len(cells) == 4
    assert float(found.page.inner_text("#arithmetic .win")) == max(cells)
    check_quiet(found)


def test_keys_alone_are_enough(browser: Browser, cnn: TrainedRun) -> None:
    found = ready(browser, cnn.path / "xray.html")
    page = found.page
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
        if seen[-1] == "field":
            break
    assert seen[-1] == "field", seen
    before = page.inner_text("#sum")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    assert page.inner_text("#sum") != before
    page.focus("#slider")
    told = page.inner_text("#course p >> nth=0")
    page.keyboard.press("Home")
    assert page.inner_text("#course p >> nth=0") != told
    check_quiet(found)


def test_the_slider_goes_through_the_training(browser: Browser, cnn: TrainedRun) -> None:
    sheet = sheet_in(cnn.path / "xray.html")
    found = ready(browser, cnn.path / "xray.html")
    found.page.fill("#slider", "0")
    step, _, score = sheet.course.validations[0]
    assert f"After step {step:,}" in found.page.inner_text("#course")
    assert f"{100 * score:.1f} %" in found.page.inner_text("#course")
    assert sheet.course.kept
    assert found.page.locator("#course .bar").count() == 5
    check_quiet(found)


def test_time_can_be_walked_through(browser: Browser, rnn: TrainedRun) -> None:
    sheet = sheet_in(rnn.path / "xray.html")
    states = sheet.rows[0].states[0]
    assert states.names == ("state", "memory", "input", "forget", "output", "new")
    found = ready(browser, rnn.path / "xray.html")
    page = found.page
    assert page.locator("#time .moments figure").count() == len(states.similar[0]) == 3
    page.focus("#states")
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    assert page.inner_text("#time h3 >> nth=0") == f"Unit {states.units[1]} over time · step 3"
    page.click("#time .chips button >> nth=3")
    assert page.get_attribute("#time .chips button >> nth=3", "aria-pressed") == "true"
    check_quiet(found)


@pytest.mark.parametrize("which", ["cnn", "rnn"])
def test_a_narrow_window_needs_no_scrolling_sideways(
    browser: Browser, request: pytest.FixtureRequest, which: str
) -> None:
    found = ready(browser, request.getfixturevalue(which).path / "xray.html", width=360)
    assert found.page.evaluate("document.documentElement.scrollWidth") <= 360
    check_quiet(found)


def test_a_network_of_the_users_own_is_seen_through(tmp_path: Path) -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Conv2d(1, 4, 3, padding=1, groups=1)
            self.head = nn.Linear(4 * 8 * 8, 2)

        def forward(self, pictures: Tensor) -> Tensor:
            answers: Tensor = self.head(nn.functional.max_pool2d(self.body(pictures).relu(), 2).flatten(1))
            return answers

    pictures = np.random.default_rng(0).integers(0, 255, (60, 16, 16)).astype(np.uint8)
    pictures[::2] //= 2
    labels = ["dark", "light"] * 30
    run = gnomon.train((pictures, labels), epochs=2, model=Own(), out=tmp_path / "run", progress=False)
    sheet = sheet_in(run.xray(list(pictures[:2])))
    assert [layer.work for layer in sheet.layers] == ["convolution", "activation", "pooling", "dense"]
    assert len(sheet.rows) == 2
    assert {found.method for found in run.explain(pictures[0])[0]} == {"integrated-gradients", "occlusion"}
