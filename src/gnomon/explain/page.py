"""Explanations of given rows as one page, `explain/<name>.html`, and in words for the terminal. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Final

import jinja2

from ..encoders.text import gap
from .values import METHODS, Example, Explanation, Method

NAMES: Final[dict[Method, str]] = {
    "integrated-gradients": "Integrated gradients",
    "occlusion": "Occlusion",
    "grad-cam": "Grad-CAM",
    "gradients": "Gradients",
}
MEANINGS: Final[dict[Method, str]] = {
    "integrated-gradients": "what each place adds to the score, from nothing to the whole; all of it adds up",
    "occlusion": "what the score loses when a place is taken away",
    "grad-cam": "where the last convolution found what raises the score; coarse, and it knows no against",
    "gradients": "how much the score would move with each place; noisy, shown for comparison",
}
_ROOM: Final = 100


def explanation_page(examples: Sequence[Example], *, title: str) -> str:
    """The page: self-contained, without scripts, names of the data as text and never as markup.

    Args:
        examples: one card each.
        title: what was explained: the run's name.
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_part),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["gap"] = gap
    page = environment.get_template("explanation.html.jinja")
    used = [method for method in METHODS if any(method == one.method for row in examples for one in row.explanations)]
    return page.render(
        title=title, examples=examples, names=NAMES, meanings=MEANINGS, used=used, style=_part("explain.css")
    )


def in_words(example: Example) -> str:
    """Some lines for the terminal: the answer, and what each method found."""
    sure = "" if example.confidence is None else f" ({example.confidence:.1%})"
    lines = [f"{example.key}: {example.predicted or 'no label'}{sure}"]
    for one in example.explanations:
        lines.append(f"  {NAMES[one.method]}, ‘{one.output}’{_from_to(one)}")
        lines += [f"    {finding.en}" for finding in one.findings]
    return "\n".join("".join(character if character.isprintable() else "�" for character in line) for line in lines)


def _from_to(one: Explanation) -> str:
    if one.without is None:
        return ""
    return f": score {one.score:+.3g}, {one.without:+.3g} with nothing there"


def _part(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")
