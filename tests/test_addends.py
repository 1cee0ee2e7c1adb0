"""The terms of a linear part add up to the score, and each is what its words or its channel give."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import gnomon
from browsing import Scheme, check_quiet, launched, ready, sheet_in
from gnomon.api import TrainedRun
from gnomon.explain.addends import EDGE, MOST_ADDENDS, addends_of
from gnomon.explain.follow import Followed
from gnomon.explain.inputs import Subject, subject_of
from gnomon.explain.xray import write_xray
from gnomon.models import LinearDeep, ModelSpec, Rnn, TextCnn, WideDeep
from gnomon.models.linear import summary_of
from gnomon.models.wide import WideNetwork
from gnomon.predicting.modelfile import Header, Model
from gnomon.rundir.run import open_run
from gnomon.spine.reopening import dataset_of
from gnomon.tasks import Classify, Regress, Task
from planted import CLASSES, SERIES, TEXT

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMED = [("fine", "good"), ("awful", "bad")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as found:
        yield found


def subject(spec: ModelSpec, row: NDArray[Any], task: Task | None = None) -> Subject:
    """A network with random weights, also in its linear part."""
    torch.manual_seed(0)
    encoder = TEXT if row.dtype.kind == "i" else SERIES
    task = task or Classify(classes=CLASSES)
    network = spec.build(encoder.input_shape, task.num_outputs)
    for weights in network.parameters():
        torch.nn.init.normal_(weights, std=0.3)
    if isinstance(network, WideNetwork):
        network.weights.weight.data[0] = 0
    network.eval().requires_grad_(False)
    return subject_of(Model(Header(encoder=encoder, model=spec, task=task), network), row)


def ids(*words: int) -> NDArray[np.int32]:
    row = np.zeros(TEXT.length, np.int32)
    row[: len(words)] = words
    return row


def series(steps: int = 17) -> NDArray[np.float32]:
    row = np.full((SERIES.length, 2), np.nan, np.float32)
    row[:steps] = np.random.default_rng(1).normal(size=(steps, 2))
    return row


@pytest.mark.parametrize(
    ("spec", "row", "task"),
    [
        (WideDeep(buckets=2**10), ids(3, 4, 3, 4, 9), None),
        (WideDeep(buckets=2**10, lengths=True, tokens=3, share=0.3, deep=TextCnn(filters=4)), ids(3, 4, 3, 4, 9), None),
        (WideDeep(buckets=2**10, tokens=4), ids(5), None),
        (WideDeep(buckets=2**10, tokens=2), ids(*range(2, 18)), None),
        (LinearDeep(Rnn(width=4, tokens=False), share=0.7), series(), None),
        (LinearDeep(Rnn(width=4, tokens=False), share=0.0), series(3), None),
        (LinearDeep(Rnn(width=4, tokens=False)), series(), Regress(("a", "b"), mean=(5.0, -3.0), scale=(2.0, 0.1))),
    ],
    ids=["wide", "wide and deep", "one word", "a full text", "series", "networks count nothing", "values"],
)
def test_the_terms_add_up_to_the_score(spec: ModelSpec, row: NDArray[Any], task: Task | None) -> None:
    about = subject(spec, row, task)
    outputs = list(range(about.model.header.task.num_outputs))
    found = addends_of(about, outputs, [str(word) for word in row[row > 0]] if row.ndim == 1 else [])
    assert found is not None
    sums = np.sum([term.values for term in found.terms], axis=0)
    scores = [float(about.score(about.answered()[None], output)[0]) for output in outputs]
    np.testing.assert_allclose(sums, scores, atol=2e-4)
    assert len(found.terms) <= MOST_ADDENDS + 3


def test_a_word_group_gives_its_weights_as_often_as_it_stands_there() -> None:
    about = subject(WideDeep(buckets=2**12, lengths=True), ids(7, 8, 7, 8))
    network = about.model.network
    assert isinstance(network, WideNetwork)
    found = addends_of(about, [1, 0], ["so", "good", "so", "good"])
    assert found is not None
    assert found.outputs == (1, 0)
    terms = {term.text: term for term in found.terms if term.kind == "group"}
    assert set(terms) == {"so", "good", "so good", "good so", f"{EDGE} so", f"good {EDGE}"}
    assert [terms[text].number for text in ("so", "good", "so good", "good so")] == [2, 2, 2, 1]
    rows = network.weights.weight.double().numpy()
    weights = rows[7] * 2 / np.sqrt(4)
    score = (weights - weights.mean()) * 3 / 2
    np.testing.assert_allclose(terms["so"].values, score[[1, 0]], atol=1e-5)
    pair = network.groups(torch.tensor([[7, 8]]))[0, 3]  # two words, an end and the first, and then the pair
    weights = rows[int(pair)] * 2 / np.sqrt(4)
    np.testing.assert_allclose(terms["so good"].values, ((weights - weights.mean()) * 3 / 2)[[1, 0]], atol=1e-5)
    assert [term.number for term in found.terms if term.kind == "tokens"] == [4]


def test_a_channel_gives_all_that_is_known_of_it() -> None:
    about = subject(LinearDeep(Rnn(width=4, tokens=False)), series())
    found = addends_of(about, [0, 1, 2], [])
    assert found is not None
    weights = about.model.network.get_parameter("linear.weight").double().numpy()
    traits = summary_of(about.whole)[0].double().numpy()
    for place, name in enumerate(SERIES.channels):
        given = (weights[:, place:-1:2] * traits[place:-1:2]).sum(axis=1)
        term = next(term for term in found.terms if term.text == name)
        np.testing.assert_allclose(term.values, (given - given.mean()) * 3 / 2, atol=1e-4)
    assert {term.kind for term in found.terms} == {"channel", "duration", "bias", "networks"}


def test_a_network_without_a_linear_part_has_none() -> None:
    assert addends_of(subject(TextCnn(filters=4), ids(3, 4)), [0], ["a", "b"]) is None


# --- In a browser -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    draw = np.random.default_rng(0)
    words = np.array(["calm", "grey", "long", "late", "<i>", "soft"])
    rows = [f"{' '.join((*draw.choice(words, 4), word))},{label}" for word, label in NAMED for _ in range(60)]
    folder = tmp_path_factory.mktemp("wide")
    (folder / "texts.csv").write_text("\n".join(("text,label", *rows)))
    model = WideDeep(lengths=True, buckets=2**10, deep=TextCnn(widths=(2,), filters=4, embedding=4))
    run = gnomon.train(folder / "texts.csv", epochs=3, model=model, out=folder / "run", progress=False)
    run.xray(rows=3)
    return run


def test_the_terms_of_a_text_are_told_class_by_class(browser: Browser, wide: TrainedRun) -> None:
    sheet = sheet_in(wide.path / "xray.html")
    addends = sheet.rows[0].addends
    assert addends is not None
    assert sheet.outputs[addends.outputs[0]] == sheet.rows[0].predicted
    found = ready(browser, wide.path / "xray.html")
    page = found.page
    assert page.locator("#addends .term").count() == len(addends.terms) + 1
    assert page.locator("#addends .term .name").first.inner_text() in ("fine", "awful")
    for place, output in enumerate(addends.outputs):
        page.click(f"#addends .chips button >> nth={place}")
        assert f"‘{sheet.outputs[output]}’" in page.inner_text("#addends-hint")
        total = sum(term.values[place] for term in addends.terms)
        assert float(page.inner_text("#addends .rule .is")) == pytest.approx(total, abs=0.006)
    page.click("button[data-lang=zh]")
    assert "偏置" in page.inner_text("#addends")
    check_quiet(found)


def test_where_the_networks_count_nothing_the_terms_are_all(wide: TrainedRun, browser: Browser, tmp_path: Path) -> None:
    run = open_run(shutil.copytree(wide.path, tmp_path / "copy"))
    model, dataset = wide.model, dataset_of(run)
    assert isinstance(model.header.model, WideDeep)
    alone = msgspec.structs.replace(model.header.model, share=0.0)
    network = alone.build(model.header.encoder.input_shape, 2).eval()
    network.load_state_dict(model.network.state_dict())
    silent = Model(msgspec.structs.replace(model.header, model=alone), network.requires_grad_(False))
    row = dataset.parts["test"][:1]
    page = write_xray(run, dataset, silent, [Followed("a text", dataset.encoded.take(row)[0])])
    sheet = sheet_in(page)
    assert sheet.layers == ()
    assert sheet.rows[0].addends is not None
    found = ready(browser, page)
    assert found.page.is_visible("#addends")
    assert not found.page.is_visible("#flow-section")
    assert found.page.inner_text("#facts").endswith("learnt numbers")
    check_quiet(found)


@pytest.mark.parametrize(("scheme", "language", "width"), [("light", "en", 1100), ("dark", "zh", 360)])
def test_nobody_is_shut_out(browser: Browser, wide: TrainedRun, scheme: Scheme, language: str, width: int) -> None:
    found = ready(browser, wide.path / "xray.html", width=width, scheme=scheme)
    found.page.click(f"button[data-lang={language}]")
    assert found.violations() == []
    assert found.page.evaluate("document.documentElement.scrollWidth") <= width
    check_quiet(found)
