"""A run directory as one self-contained HTML page, and as a model card in Markdown.

    files       what is in the directory, however far the run came
    verdict     the judgement in one sentence                     ┐
    attention   what to look at before using the model            │
    curves      the course of the training, drawn by `charts`     ├─ page ─▶ the .jinja files, report.css
    confusion   which classes are taken for which                 ┘
    figures, visible: numbers and names as text

The page asks nothing of any network, holds no script, and shows names from the data as they are, never as markup.
Imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path

import jinja2

from ..run import MODEL_CARD, REPORT
from ..writing import write_atomically
from . import figures
from .files import read_run
from .page import MOST_CLASSES, build_page
from .visible import markdown, shortened, visible

__all__ = ["write_model_card", "write_report"]


def write_report(directory: Path) -> Path:
    """Write `report.html` into a run directory, from the files that are there; a part that is missing says so.

    Returns:
        The page's path.

    Raises:
        RunError: `directory` is not a directory, or can't be written.
    """
    return _write(directory, REPORT, "report.html.jinja", visible)


def write_model_card(directory: Path) -> Path:
    """Write `model-card.md` into a run directory, from the same data as the report.

    Returns:
        The card's path.

    Raises:
        RunError: `directory` is not a directory, or can't be written.
    """
    return _write(directory, MODEL_CARD, "model-card.md.jinja", markdown)


def _write(directory: Path, name: str, template: str, safe: Callable[[str], str]) -> Path:
    page = build_page(read_run(directory))
    text = _environment(safe).get_template(template).render(page=page)
    write_atomically(directory / name, text.encode())
    return directory / name


def _environment(safe: Callable[[str], str]) -> jinja2.Environment:
    """Templates in which every text passes through `safe` and then through HTML's escaping."""

    def finalize(shown: object) -> object:
        return safe(shown) if type(shown) is str else shown

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": figures.percent,
        "spread": figures.spread,
        "value": figures.value,
        "size": figures.size,
        "shape": figures.shape,
        "shortened": shortened,
        "visible": visible,
    }
    environment.globals["most_classes"] = MOST_CLASSES
    return environment


def _template(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")
