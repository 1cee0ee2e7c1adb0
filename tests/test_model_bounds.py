"""Architectures that a file may ask for: what is immense is refused before it is built, and nothing is ever drawn."""

import pytest
import torch

from gnomon.models import Cnn, Crnn, Ensemble, LinearDeep, ModelSpec, Plain, Rnn, TextCnn, WideDeep
from gnomon.models.bounds import empty_network

SHAPES: dict[type, tuple[int, ...]] = {Cnn: (3, 8, 8), Plain: (3, 24, 24), TextCnn: (16, 50), WideDeep: (16, 50)}


@pytest.mark.parametrize(
    "spec",
    [
        Cnn(widths=(4, 8)),
        Plain(widths=(2, 2, 2)),
        TextCnn(embedding=4, filters=4),
        WideDeep(deep=TextCnn(embedding=4, filters=4)),
        Rnn(width=4, cell="lstm", tokens=False),
        Crnn(widths=(4,), units=4),
        LinearDeep(),
        Ensemble((Rnn(width=4, tokens=False),), times=3),
    ],
)
def test_shapes_are_those_of_a_real_network(spec: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = SHAPES.get(type(spec), (16, 3))
    real = {name: tensor.shape for name, tensor in spec.build(shape, 4).state_dict().items()}

    def draw(*_: object, **__: object) -> None:
        raise AssertionError("on the meta device, drawing imports PyTorch's compiler")

    monkeypatch.setattr(torch.Tensor, "normal_", draw)
    network = empty_network(spec, shape, 4)
    assert {name: tensor.shape for name, tensor in network.state_dict().items()} == real
    assert all(parameter.is_meta for parameter in network.parameters())


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (Ensemble((Rnn(width=4, layers=16),) * 16, times=64), "impossible numbers"),
        (Cnn(widths=(2**23,)), "impossible numbers"),
        (Cnn(widths=(8,) * 300), "impossible numbers"),
        (Cnn(widths=(8, 8), convolutions=(2,)), "impossible numbers"),
        (TextCnn(widths=(3,) * 250, filters=2**22), "too large"),
        (Rnn(width=2**22, tokens=False), "too large"),
        (Plain(dense=2**22), "too large"),
        (Cnn(widths=(8,), dropout=7.0), "can't be built"),
    ],
)
def test_what_is_immense_or_impossible_is_refused(spec: ModelSpec, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        empty_network(spec, SHAPES.get(type(spec), (16, 3)) if not isinstance(spec, Plain) else (3, 900, 900), 4)
