"""A run directory as one self-contained HTML page, and as a model card in Markdown, in English and Chinese.

    files, shapes        what is in the directory, however far the run came
    verdict              the judgement in one sentence, and whether to rely on it   ┐
    attention            what to look at before using the model                     │
    metrics, confusion   figures, and which classes are taken for which             ├─ page ─▶ document
    curves, score_charts the course of the training and the judgement, by `charts`  │
    rows, media          pictures, texts and sounds of single rows                  │
    cost                 time, energy, size and speed                               ┘      (the templates)
    words, chinese, reasons, markup: what is said, in both languages; figures, visible: numbers and names as text

The page asks nothing of any network. Its one script and its style stand in it; names from the data are text, never
markup. Imports no torch.
"""

from __future__ import annotations

from pathlib import Path

from ..rundir.run import MODEL_CARD, REPORT
from ..rundir.writing import write_atomically
from .document import card_of, page_of
from .files import read_run
from .page import build_page
from .words import LANGUAGES, Language

__all__ = ["LANGUAGES", "Language", "write_model_card", "write_report"]


def write_report(directory: Path, *, language: Language = "en") -> Path:
    """Write `report.html` into a run directory, from the files that are there; a part that is missing says so.

    Args:
        directory: of the run.
        language: that the page opens in; it holds both.

    Returns:
        The page's path.

    Raises:
        RunError: `directory` is not a directory, or can't be written.
    """
    page = build_page(read_run(directory), language)
    write_atomically(directory / REPORT, page_of(page).encode())
    return directory / REPORT


def write_model_card(directory: Path, *, language: Language = "en") -> Path:
    """Write `model-card.md` into a run directory, from the same data as the report.

    Args:
        directory: of the run.
        language: of the card.

    Returns:
        The card's path.

    Raises:
        RunError: `directory` is not a directory, or can't be written.
    """
    page = build_page(read_run(directory), language)
    write_atomically(directory / MODEL_CARD, card_of(page).encode())
    return directory / MODEL_CARD
