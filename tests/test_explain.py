"""Explanations point at what decides, add up, and change with the weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gnomon.encoders import Encoder
from gnomon.errors import RecipeError
from gnomon.explain.attribution import attribute, methods_for
from gnomon.explain.checks import areas, random_areas, randomised_likeness, rank_correlation, share_within
from gnomon.explain.inputs import Subject, differentiable, subject_of
from gnomon.explain.rows import explain_encoded
from gnomon.explain.values import Method
from gnomon.models import Cnn, Crnn, Ensemble, Imported, LinearDeep, ModelSpec, Plain, Rnn, TextCnn, WideDeep
from gnomon.predicting.modelfile import Header, Model
from gnomon.tasks import Classify, Regress, Tag
from gnomon.tasks.classify import with_views
from planted import CLASSES, IMAGE, SERIES, SOUND, TEXT, Planted, learnt, model_of, planted

NETWORKS: dict[str, tuple[Encoder, ModelSpec]] = {
    "cnn": (IMAGE, Cnn(widths=(8, 16), stem_width=8)),
    "textcnn": (TEXT, TextCnn(embedding=8, filters=8)),
    "text lstm": (TEXT, Rnn(cell="lstm", width=8, embedding=8, tokens=True)),
    "text gru": (TEXT, Rnn(cell="gru", width=8, embedding=8, tokens=True)),
    "text elman": (TEXT, Rnn(cell="rnn", width=8, embedding=8, tokens=True)),
    "text ensemble": (TEXT, Ensemble((TextCnn(embedding=8, filters=8), Rnn(width=8, embedding=8, tokens=True)))),
    "sound crnn": (SOUND, Crnn(widths=(4, 8), units=8, dimensions=2)),
    "sound cnn": (SOUND, Crnn(widths=(4, 8), cell="none", dimensions=2, pooling="max")),
    "sound gru": (SOUND, Rnn(cell="gru", width=8, tokens=False)),
    "series lstm": (SERIES, Rnn(cell="lstm", width=8, tokens=False)),
    "series cnn": (SERIES, Crnn(widths=(8,), cell="none", dimensions=1, pooling="max")),
}
ROWS = 4


@pytest.fixture(autouse=True)
def _one_thread(_threads: None) -> None:
    """Networks so small are slower on two."""
    torch.set_num_threads(1)


@cache
def _data(encoder: Encoder) -> Planted:
    return planted(encoder)


@cache
def _model(name: str) -> Model:
    encoder, spec = NETWORKS[name]
    return learnt(_data(encoder), spec)


def _subjects(name: str) -> Iterator[tuple[Subject, int, Any]]:
    data = _data(NETWORKS[name][0])
    for place in np.flatnonzero(data.labels < 2)[:ROWS]:
        yield subject_of(_model(name), data.rows[place]), int(data.labels[place]), data.causes[place]


@pytest.mark.parametrize("name", NETWORKS)
def test_what_decides_is_found(name: str) -> None:
    for method in ("integrated-gradients", "occlusion"):
        shares = [share_within(attribute(subject, label, method), cause) for subject, label, cause in _subjects(name)]
        assert np.mean(shares) > 0.45, (method, shares)


@pytest.mark.parametrize("name", ["cnn", "sound cnn", "series cnn"])
def test_grad_cam_looks_where_the_cause_is(name: str) -> None:
    for subject, label, cause in _subjects(name):
        found = attribute(subject, label, "grad-cam")
        even = np.zeros_like(found.values)
        even[cause] = 1
        assert share_within(found, cause) > 1.5 * even.mean()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_contributions_add_up(name: str) -> None:
    for subject, label, _ in _subjects(name):
        found = attribute(subject, label, "integrated-gradients")
        assert found.error is not None
        assert found.error <= 0.02
        size = max(abs(found.score - found.without), 0.05 * np.abs(found.values).sum())
        assert abs(found.values.sum() - (found.score - found.without)) <= 0.02 * size + 1e-6


@pytest.mark.parametrize("name", NETWORKS)
def test_what_counts_most_is_taken_away_and_put_back_first(name: str) -> None:
    deleted, inserted = [], []
    for subject, label, _ in _subjects(name):
        found = areas(subject, label, attribute(subject, label, "integrated-gradients").values)
        chance = random_areas(subject, label, found_shape(subject), seed=0)
        deleted.append(chance.deletion - found.deletion)
        inserted.append(found.insertion - chance.insertion)
    assert np.mean(deleted) > 0.05
    assert np.mean(inserted) > 0.05


def found_shape(subject: Subject) -> tuple[int, ...]:
    return attribute(subject, 0, "gradients").values.shape


@pytest.mark.parametrize("name", ["cnn", "text gru", "sound crnn", "series lstm"])
def test_shuffled_weights_give_another_explanation(name: str) -> None:
    likeness = []
    for subject, label, _ in _subjects(name):
        found = attribute(subject, label, "integrated-gradients")
        assert rank_correlation(
            found.values, attribute(subject, label, "integrated-gradients").values
        ) == pytest.approx(1)
        likeness += [abs(randomised_likeness(subject, found, seed=seed)) for seed in range(2)]
    assert np.mean(likeness) < 0.5


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("encoder", [TEXT, SERIES], ids=["text", "series"])
def test_gradients_with_respect_to_inputs_are_right(cell: str, encoder: Encoder) -> None:
    """In float64, against differences, through the backward passes written by hand."""
    torch.manual_seed(3)
    spec = Rnn(cell=cell, width=4, layers=2, embedding=3, pooling="mean", tokens=encoder is TEXT)  # type: ignore[arg-type]
    network = spec.build(encoder.input_shape, 2).double().eval().requires_grad_(False)
    subject = subject_of(model_of(encoder, spec, network), _data(encoder).rows[0])
    part = subject.parts[0].clone().requires_grad_()
    with differentiable():
        subject.score(subject.forward(part), 0).sum().backward()  # type: ignore[no-untyped-call]
    assert part.grad is not None
    step = 1e-6
    for place in np.random.default_rng(0).integers(0, part.numel(), 8):
        moved = torch.zeros(part.numel(), dtype=torch.float64)
        moved[place] = step
        up, down = (
            subject.score(subject.forward(subject.parts[0] + sign * moved.view(part.shape)), 0) for sign in (1, -1)
        )
        assert part.grad.flatten()[place] == pytest.approx(float(up - down) / (2 * step), rel=1e-5, abs=1e-9)


def test_the_wide_part_is_a_plain_sum() -> None:
    """Its words' contributions are their weights over the root of the length; a pair's go to both of its words."""
    spec = WideDeep(tokens=2, buckets=2**10)
    network = spec.build(TEXT.input_shape, 2)
    torch.manual_seed(0)
    nn.init.normal_(network.weights.weight)
    network.weights.weight.data[0] = 0
    row = np.zeros(16, np.int32)
    row[:3] = 5, 9, 7
    subject = subject_of(model_of(TEXT, spec, network.eval().requires_grad_(False)), row)
    found = attribute(subject, 0, "integrated-gradients")

    def side(ids: Tensor) -> Tensor:
        weights: Tensor = network.weights(network.groups(ids))[0]
        return (weights[:, 0] - weights[:, 1]) / 3**0.5

    gained = (side(subject.whole) - side(subject.nothing)).double().numpy()
    steps = subject.whole.shape[1]
    words, pairs = gained[:steps], gained[steps:]
    expected = [
        words[0] + pairs[0] + pairs[1] / 2,
        words[1] + (pairs[1] + pairs[2]) / 2,
        words[2] + pairs[2] / 2 + pairs[3],
    ]
    np.testing.assert_allclose(found.values, expected, rtol=1e-4, atol=1e-5)
    assert found.error is not None
    assert found.error < 1e-5


def test_the_weight_of_a_length_is_no_words_own() -> None:
    """Without its words a text is as long: the length speaks for no word more than for another, and here for none."""
    spec = WideDeep(buckets=2**10, lengths=True)
    network = spec.build(TEXT.input_shape, 2)
    nn.init.zeros_(network.weights.weight)
    network.weights.weight.data[-65:] = torch.tensor([2.0, -1.0])
    row = np.zeros(16, np.int32)
    row[:3] = 5, 9, 7
    subject = subject_of(model_of(TEXT, spec, network.eval().requires_grad_(False)), row)
    found = attribute(subject, 0, "integrated-gradients")
    assert found.values.tolist() == [0.0, 0.0, 0.0]
    assert float(subject.outputs(subject.whole)[0, 0]) == pytest.approx(2 / 3**0.5)


def test_views_are_explained_as_they_are_predicted() -> None:
    model = copy.copy(_model("cnn"))
    model = Model(
        Header(encoder=IMAGE, model=model.header.model, task=Classify(classes=CLASSES, views="mirror+shift")),
        model.network,
    )
    subject = subject_of(model, _data(IMAGE).rows[0])
    assert subject.views == "mirror+shift"
    expected = with_views(model.network, subject.whole, subject.alone(subject.whole), "mirror+shift")
    torch.testing.assert_close(subject.answered(), expected[0])
    assert {found.method for found in explain_encoded(model, subject.encoded)} == {"integrated-gradients", "occlusion"}


def test_a_network_of_the_users_own_is_explained() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(32, 6)
            self.head = nn.Linear(6, 3)

        def forward(self, ids: Tensor) -> Tensor:
            logits: Tensor = self.head(self.words(ids).tanh().mean(dim=1))
            return logits

    torch.manual_seed(0)
    model = Model(Header(encoder=TEXT, model=Imported(name="a:B"), task=Classify(classes=CLASSES)), Own().eval())
    subject = subject_of(model, _data(TEXT).rows[0])
    assert methods_for(subject) == ("integrated-gradients", "occlusion", "gradients")
    found = attribute(subject, 1, "integrated-gradients")
    assert found.error is not None
    assert found.error < 0.02


@pytest.mark.parametrize(
    "task", [Tag(classes=("a", "b", "c")), Regress(classes=("a", "b", "c"), mean=(1.0,) * 3, scale=(2.0,) * 3)]
)
def test_labels_and_values_are_explained(task: Tag | Regress) -> None:
    spec = LinearDeep(Rnn(width=4, tokens=False))
    torch.manual_seed(0)
    model = Model(Header(encoder=SERIES, model=spec, task=task), spec.build(SERIES.input_shape, 3).eval())
    row = _data(SERIES).rows[0]
    found = explain_encoded(model, row, outputs=["c"], methods=["integrated-gradients"])[0]
    answer = float(model.probabilities_of_encoded(row[None])[0, 2])
    if isinstance(task, Regress):
        assert found.score == pytest.approx(answer, abs=1e-3)
    else:
        assert found.score == pytest.approx(float(np.log(answer / (1 - answer))), abs=1e-3)
    assert found.error is not None
    assert found.error < 0.02
    assert found.output == "c"


@pytest.mark.parametrize(("name", "method"), [("text gru", "grad-cam"), ("sound crnn", "grad-cam")])
def test_a_method_that_does_not_fit_is_refused(name: str, method: Method) -> None:
    subject, label, _ = next(_subjects(name))
    with pytest.raises(RecipeError, match=r"grad-cam.*convolution"):
        attribute(subject, label, method)


def test_an_unknown_class_is_refused_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match="dwon") as caught:
        explain_encoded(_model("cnn"), _data(IMAGE).rows[0], outputs=["dwon"])
    assert "down" in caught.value.remedy


def test_plain_network_has_a_last_convolution() -> None:
    encoder = type(IMAGE)(height=20, width=20, channels=1, mean=(0.0,), std=(1.0,))
    network = Plain(widths=(4, 4, 4), dense=8).build(encoder.input_shape, 2).eval()
    row = np.random.default_rng(0).integers(0, 255, encoder.shape).astype(np.uint8)
    found = attribute(subject_of(model_of(encoder, Plain(), network), row), 0, "grad-cam")
    assert found.values.shape == (20, 20)
    assert found.values.min() >= 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", NETWORKS)
def test_a_gpu_explains_alike(name: str) -> None:
    """Recurrent layers too, which cuDNN can't go through backward in evaluation mode."""
    model = _model(name)
    on_gpu = Model(model.header, copy.deepcopy(model.network).cuda())
    for subject, label, _ in _subjects(name):
        there = subject_of(on_gpu, subject.encoded)
        for method in methods_for(subject):
            expected = attribute(subject, label, method).values
            found = attribute(there, label, method).values
            np.testing.assert_allclose(found, expected, rtol=0.02, atol=0.01 * np.abs(expected).max())
