"""The training rows that a model file remembers, and from what distance on others are unlike them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from .. import chance
from ..predicting.familiarity import MOST_ROWS, Familiarity, remembered, statistics_of
from ..predicting.modelfile import Model
from ..rows.dataset import Dataset
from .answers import Outputs

BELOW: Final = 0.99
"""Share of the validation rows that count as like the training data."""

_MOST_VALIDATION: Final = 1000
_PARTS: Final = 4
_LEAST, _MOST = 1e-6, 1e9


def with_memory(
    dataset: Dataset, model: Model, validation: Outputs, *, seed: int, seconds: float | None = None
) -> Model:
    """The model with what it needs to tell rows that are unlike its training data.

    Args:
        dataset: of the training.
        model: trained.
        validation: what it says of the validation part.
        seed: of the choice of rows.
        seconds: that looking at the training rows may take; where they are over, a quarter, half or three quarters of
            the rows are remembered. None for as long as it takes.
    """
    known, features = _looked_at(dataset, model, _some(dataset, "train", MOST_ROWS, seed), seconds)
    own = features if features.shape[1] != len(model.classes) else None
    memory = remembered(known, own, generator=np.random.default_rng(0))
    encoder = dataset.encoder
    remote: list[float] = []
    odd: list[float] = []
    for rows, block in dataset.encoded.blocks(np.sort(_some(dataset, "validation", _MOST_VALIDATION, seed))):
        assert validation.features is not None, "there are rows"
        seen = validation.features[np.searchsorted(dataset.parts["validation"], rows)]
        far, strange = memory.both(encoder, block, seen)
        remote += [] if far is None else far.tolist()
        odd += strange.tolist()
    share = 1 - (1 - BELOW) / (2 if remote else 1)
    spec = msgspec.structs.replace(
        memory.spec, far=limit_of(remote, share) if remote else 1.0, odd=limit_of(odd, share)
    )
    return model.remembering(Familiarity(spec, memory.tensors))


def limit_of(distances: Sequence[float], share: float) -> float:
    """The distance that this share of further rows of the same kind stay below.

    The quantile, where so many rows have one. The farthest of a few says little of those to come: one in five lies
    beyond the farthest of four. So of few it is the prediction limit of log-normal distances, Student's t on their
    logarithms; of a single one nothing is concluded, and no row is beyond.

    Args:
        distances: of rows that were not trained on, at least one.
        share: below 1.
    """
    number = len(distances)
    if number * (1 - share) >= 1:
        return max(_LEAST, float(np.quantile(distances, share)))
    if number < 2:
        return _MOST
    logs = np.log(np.maximum(_LEAST, distances))
    reach = stdtrit(number - 1, share) * logs.std(ddof=1) * (1 + 1 / number) ** 0.5
    return min(_MOST, float(np.exp(min(np.log(_MOST), logs.mean() + reach))))


def what_is_forgotten(dataset: Dataset, model: Model) -> str:
    """What people should know of a memory that had no time for all of its rows; else nothing."""
    known, most = model.header.familiar, min(MOST_ROWS, len(dataset.parts["train"]))
    if known is None or known.rows in (0, most):
        return ""
    return f"time is short: the model remembers {known.rows:,} training rows instead of {most:,}"


def _some(dataset: Dataset, part: Any, most: int, seed: int) -> NDArray[np.int64]:
    """At most so many rows of a part, in an order drawn by chance."""
    rows = dataset.parts[part]
    return rows[chance.permutation(seed, "familiar", 0, len(rows))[:most]]


def _looked_at(
    dataset: Dataset, model: Model, rows: NDArray[np.int64], seconds: float | None
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    statistics: list[NDArray[np.float64]] = []
    features: list[NDArray[np.float32]] = []
    began = time.monotonic()
    for part in np.array_split(rows, min(_PARTS, len(rows))):
        if features and seconds is not None and time.monotonic() - began >= seconds:
            break
        for _, block in dataset.encoded.blocks(np.sort(part)):
            statistics.append(statistics_of(dataset.encoder, block))
            features.append(model.features(block))
    return np.concatenate(statistics), np.concatenate(features)
