"""Files and texts that a user gives → explained rows."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from numpy.typing import NDArray

from ..encoders import SoundEncoder, TextEncoder, kind_of, quiet_decoding
from ..errors import DataError, RowError
from ..predicting.modelfile import Model
from ..predicting.predict import contents
from ..previews import preview
from ..rundir.run import EXPLANATIONS
from ..sources.unlabelled import Content, TableColumns
from ..types import NOUNS
from .examples import judged, seconds_of
from .rows import explain_encoded, playable
from .values import Example, Method

MOST_ROWS: Final = 24
"""On one page; more are for `gnomon predict`."""
_LONGEST_NAME: Final = 60


def given_rows(
    model: Model, files: Sequence[str], texts: Sequence[str], columns: TableColumns
) -> Iterator[tuple[str, Content, NDArray[Any] | str]]:
    """Name, content, and the encoded row, or the reason why there is none.

    Raises:
        DataError: a path does not exist, or texts are given to a model of something else.
    """
    encoder = model.header.encoder
    kind = kind_of(encoder)
    if texts and kind != "text":
        raise DataError(
            f"this model was trained on {NOUNS[kind][1]}, not on texts", remedy=f"Give files: {NOUNS[kind][1]}."
        )
    given: list[tuple[str, Content]] = [(_shortened(text), text.encode()) for text in texts]
    for name, raw in (*given, *contents(files, encoder, columns)):
        if isinstance(raw, str):
            yield name, raw, raw
            continue
        with quiet_decoding():
            try:
                encoded: NDArray[Any] | str = encoder.encode(raw)
            except RowError as error:
                encoded = error.reason
        yield name, raw, encoded


def explain_raw(
    model: Model, name: str, raw: Any, encoded: NDArray[Any], *, outputs: Sequence[str], methods: Sequence[Method]
) -> Example:
    """One row that nobody has labelled, with its explanations.

    Args:
        name: of the row.
        raw: as it was given; sounds are played from it, and texts shown as they are written.
        encoded: as the encoder stores it.
        outputs, methods: as for `explain_encoded`.
    """
    encoder = model.header.encoder
    said, confidence, right = judged(model, model.probabilities_of_encoded(encoded[None]))
    seen = preview(encoder, encoded)
    tokens = encoder.tokens(raw) if isinstance(encoder, TextEncoder) else ()
    return Example(
        key=os.path.basename(name),
        label="",
        predicted=said,
        confidence=confidence,
        right=right,
        explanations=explain_encoded(model, encoded, outputs=outputs, methods=methods, tokens=tokens),
        picture=seen.png,
        text=seen.text,
        sound=playable(encoder, raw) if isinstance(encoder, SoundEncoder) else "",
        seconds=seconds_of(encoder, encoded),
    )


def page_name(names: Sequence[str]) -> str:
    """Of the page in the run directory: the first row's name, safe for any file system, and how many more there are."""
    stem = re.sub(r"[^\w.-]+", "-", names[0].replace("\\", "/").rpartition("/")[2]).strip(".-")[:48] or "row"
    return f"{EXPLANATIONS}/{stem}{f'-and-{len(names) - 1}-more' if len(names) > 1 else ''}.html"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"
