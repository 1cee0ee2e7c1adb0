"""Rows in which the right explanation is known, and networks that learn them in a second or two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gnomon.encoders import Encoder, ImageEncoder, SeriesEncoder, SoundEncoder, TextEncoder
from gnomon.models import ModelSpec
from gnomon.predicting.modelfile import Header, Model
from gnomon.tasks import Classify

IMAGE = ImageEncoder(height=16, width=16, channels=1, mean=(128.0,), std=(64.0,))
TEXT = TextEncoder(vocabulary=("good", "bad", *(f"word{number}" for number in range(28))), length=16)
SOUND = SoundEncoder(rate=8000, bands=8, length=32, window=64, hop=32, mean=(0.0,) * 8, std=(1.0,) * 8)
SERIES = SeriesEncoder(channels=("x", "y"), length=24, mean=(0.0, 0.0), std=(1.0, 1.0))
CLASSES = ("up", "down", "neither")


@dataclass(frozen=True)
class Planted:
    """Encoded rows, their classes, and where in `Attribution.values` the cause of each stands."""

    encoder: Encoder
    rows: NDArray[Any]
    labels: NDArray[np.int64]
    causes: list[Any]


def planted(encoder: Encoder, count: int = 256, *, seed: int = 0) -> Planted:
    """A bright or dark square; `good` or `bad`; a low or a high tone; a peak or a dip of x; or, class 2, nothing."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 3, count)
    made = {ImageEncoder: _square, TextEncoder: _word, SoundEncoder: _tone, SeriesEncoder: _peak}[type(encoder)]
    pairs = [made(int(label), draw) for label in labels]
    return Planted(encoder, np.stack([row for row, _ in pairs]), labels, [cause for _, cause in pairs])


def learnt(data: Planted, spec: ModelSpec, *, steps: int = 150, seed: int = 0) -> Model:
    """A network that tells the classes apart."""
    torch.manual_seed(seed)
    network = spec.build(data.encoder.input_shape, len(CLASSES))
    inputs, labels = data.encoder.inputs(torch.from_numpy(data.rows)), torch.from_numpy(data.labels)
    optimizer = torch.optim.Adam([weights for weights in network.parameters() if weights.requires_grad], lr=0.01)
    for step in range(steps):
        chosen = torch.randperm(len(labels), generator=torch.Generator().manual_seed(step))[:64]
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(inputs[chosen]), labels[chosen]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    network.eval().requires_grad_(False)
    right = float((network(inputs).argmax(1) == labels).float().mean())
    assert right > 0.95, f"the network learnt {right:.0%} only"
    return model_of(data.encoder, spec, network)


def model_of(encoder: Encoder, spec: ModelSpec, network: nn.Module) -> Model:
    """As a model file would give it back."""
    return Model(Header(encoder=encoder, model=spec, task=Classify(classes=CLASSES)), network)


def _square(label: int, draw: np.random.Generator) -> tuple[NDArray[Any], Any]:
    row = draw.normal(128, 20, (16, 16, 1)).clip(0, 255).astype(np.uint8)
    top, left = draw.integers(1, 11, 2)
    if label < 2:
        row[top : top + 4, left : left + 4] = (250, 5)[label]
    return row, np.s_[top - 1 : top + 5, left - 1 : left + 5]


def _word(label: int, draw: np.random.Generator) -> tuple[NDArray[Any], Any]:
    row = np.zeros(16, np.int32)
    length = int(draw.integers(8, 15))
    row[:length] = draw.integers(4, 32, length)
    place = int(draw.integers(length))
    row[place] = 2 + label if label < 2 else 4
    return row, np.s_[place : place + 1]


def _tone(label: int, draw: np.random.Generator) -> tuple[NDArray[Any], Any]:
    row = np.full((32, 8), np.nan, np.float16)
    length = int(draw.integers(20, 31))
    row[:length] = draw.normal(0, 0.3, (length, 8))
    begin, band = int(draw.integers(length - 6)), (1, 6, 0)[label]
    row[begin : begin + 5, band] += 4 if label < 2 else 0
    return row, np.s_[max(0, begin - 1) : begin + 6, band - 1 : band + 2]


def _peak(label: int, draw: np.random.Generator) -> tuple[NDArray[Any], Any]:
    row = np.full((24, 2), np.nan, np.float32)
    length = int(draw.integers(16, 24))
    row[:length] = draw.normal(0, 0.3, (length, 2))
    place = int(draw.integers(length))
    row[place, 0] += (4, -4, 0)[label]
    return row, np.s_[place : place + 1, 0]
