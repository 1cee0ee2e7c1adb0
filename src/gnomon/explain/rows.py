"""One row → explanations for people."""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..encoders import FIRST_TOKEN, SeriesEncoder, SoundEncoder, TextEncoder
from ..encoders.recordings import decode, resample, samples_of_array
from ..errors import RecipeError, RowError, nearest
from ..predicting.modelfile import Model
from ..tasks import Classify, Regress, Tag
from ..types import Raw
from .attribution import MOST_POINTS, Attribution, attribute, methods_for
from .findings import findings
from .inputs import Subject, subject_of
from .pictures import heat, overlaid, relative
from .values import Explanation, Method, Piece

_MOST_OUTPUTS: Final = 3
_ROUNDED: Final = 4


def explain_encoded(
    model: Model,
    encoded: NDArray[Any],
    *,
    outputs: Sequence[str] = (),
    methods: Sequence[Method] = (),
    tokens: Sequence[str] = (),
    most_points: int = MOST_POINTS,
) -> tuple[Explanation, ...]:
    """What each method says of one row.

    Args:
        model: that answers.
        encoded: the row, as the encoder stores it.
        outputs: names of classes, labels or values; by default those of the answer.
        methods: by default the most telling ones that the network allows.
        tokens: of a text, as it is written; by default those of the vocabulary.
        most_points: as for `attribute`.

    Raises:
        RecipeError: an output is not known, or the network has not what a method goes by.
    """
    subject = subject_of(model, encoded)
    chosen = [output_named(model, name) for name in outputs] or answered_outputs(subject)
    able = methods_for(subject)
    return tuple(
        told(subject, attribute(subject, output, method, most_points=most_points), tokens)
        for output in chosen
        for method in methods or tuple(method for method in able if method != "gradients")[:2]
    )


def told(subject: Subject, attribution: Attribution, tokens: Sequence[str] = ()) -> Explanation:
    """An attribution for people; arguments as for `explain_encoded`."""
    model, values = subject.model, attribution.values
    name = model.classes[attribution.output]
    pieces = token_pieces(subject, values, tokens)
    pictured = not pieces
    return Explanation(
        method=attribution.method,
        output=name,
        score=round(attribution.score, _ROUNDED),
        without=round(attribution.without, _ROUNDED),
        error=None if attribution.error is None else round(attribution.error, 6),
        picture=overlaid(subject.kind, subject.encoded, values) if pictured else "",
        heat=heat(subject.kind, values) if pictured else "",
        pieces=pieces,
        spaced=is_spaced(model),
        steps=_rounded(relative(attribution.by_step)) if subject.kind in ("sound", "series") else (),
        channels=_channels(model, values),
        findings=findings(model, attribution, pieces, f"‘{name}’"),
    )


def output_named(model: Model, name: str) -> int:
    """Its place among the outputs.

    Raises:
        RecipeError: there is none of this name.
    """
    if name not in model.classes:
        noun = {Classify: "class", Tag: "label", Regress: "value"}[type(model.header.task)]
        raise RecipeError(f"the model knows no {noun} {name!r}", remedy=nearest(name, model.classes))
    return model.classes.index(name)


def answered_outputs(subject: Subject) -> list[int]:
    """The class of the answer; the labels given, or the likeliest where none is; the first value."""
    outputs, task = subject.answered(), subject.model.header.task
    if isinstance(task, Tag):
        given = task.given(task.activated(outputs[None]).cpu().numpy())[0]
        return np.flatnonzero(given)[:_MOST_OUTPUTS].tolist() or [int(outputs.argmax())]
    return [int(outputs.argmax())] if isinstance(task, Classify) else [0]


def playable(encoder: SoundEncoder, raw: Raw) -> str:
    """What the network hears of a recording, as a WAV file in base64; "" where it can't be read."""
    most = (encoder.length - 1) * encoder.hop + encoder.window
    try:
        if isinstance(raw, np.ndarray):
            samples = samples_of_array(raw)
        else:
            samples, rate = decode(raw, most_s=most / encoder.rate)
            samples = resample(samples, rate, encoder.rate)
    except RowError:
        return ""
    sink = io.BytesIO()
    with wave.open(sink, "wb") as file:
        file.setparams((1, 2, encoder.rate, 0, "NONE", "not compressed"))
        file.writeframes((np.clip(samples[:most], -1, 1) * 32767).astype("<i2").tobytes())
    return base64.b64encode(sink.getvalue()).decode()


def is_spaced(model: Model) -> bool:
    """Whether spaces stand between a text's tokens."""
    return not (isinstance(model.header.encoder, TextEncoder) and model.header.encoder.unit == "characters")


def token_pieces(subject: Subject, values: NDArray[np.float64], tokens: Sequence[str] = ()) -> tuple[Piece, ...]:
    """Of a text its tokens and how much each counts; of other kinds none."""
    encoder = subject.model.header.encoder
    if not isinstance(encoder, TextEncoder):
        return ()
    ids = subject.encoded[: len(values)].tolist()
    known = [encoder.vocabulary[token - FIRST_TOKEN] if token >= FIRST_TOKEN else "▢" for token in ids]
    shown = list(tokens[: len(ids)]) if len(tokens) >= len(ids) else known
    return tuple(Piece(text, weight) for text, weight in zip(shown, _rounded(relative(values)), strict=True))


def _channels(model: Model, values: NDArray[np.float64]) -> tuple[Piece, ...]:
    encoder = model.header.encoder
    if not isinstance(encoder, SeriesEncoder):
        return ()
    sums = relative(values.sum(axis=0))
    order = np.argsort(-np.abs(sums), kind="stable")
    return tuple(Piece(encoder.channels[index], round(float(sums[index]), _ROUNDED)) for index in order)


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(round(float(value), _ROUNDED) for value in values)
