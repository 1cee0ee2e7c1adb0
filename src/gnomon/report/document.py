"""The templates, and what they may call: a page's content as HTML or as Markdown."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, Final, Literal

import jinja2
from markupsafe import Markup

from ..visible import visible
from . import figures, markup
from .confusion import Confused
from .metrics import SHARES, named
from .page import Page
from .shapes import Sentence, Slice
from .visible import shortened
from .words import (
    TAGS,
    Both,
    Code,
    Language,
    Name,
    Said,
    classes_counted,
    in_order,
    say,
    translated,
)

SLICED_BY: Final[dict[str, Said]] = {
    "class": say("class"),
    "group": say("group"),
    "length": say("length"),
    "size": say("size"),
    "shape": say("width over height"),
    "brightness": say("brightness"),
    "contrast": say("contrast"),
    "loudness": say("loudness"),
    "column": say("column"),
}

_CAPITALS: Final = {say("class"): say("Class"), say("label"): say("Label")}


def page_of(page: Page) -> str:
    """The HTML page. Its script is named in the policy by its hash, so that no other one runs."""
    script = _text("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    parts = {"script": Markup(script), "script_hash": f"sha256-{digest}", "style": Markup(_text("report.css"))}
    environment = _environment(page.language, "html")
    return environment.get_template("report.html.jinja").render(page=page, **parts)


def card_of(page: Page) -> str:
    """The model card."""
    environment = _environment(page.language, "markdown")
    return environment.get_template("model-card.md.jinja").render(page=page)


def contents(page: Page) -> list[tuple[str, Said]]:
    """The sections that the page has, in their order."""
    judged, run = page.judged, page.run
    found = (
        ("attention", say("What needs attention"), True),
        ("metrics", say("Metrics"), True),
        ("course", say("Learning curves"), True),
        ("values", say("Values"), page.of_values and page.value_charts),
        ("confusion", say("Confusions"), judged is None or judged.headline == "accuracy"),
        ("classes", say("Each {0}", page.of_each), not page.of_values),
        ("calibration", say("Confidence"), page.trust_charts),
        ("thresholds", say("Thresholds"), page.separation_charts and not page.of_values),
        ("slices", say("Better and worse"), page.slices),
        ("mistakes", say("Mistakes"), True),
        ("suspects", say("Suspicious data"), run.suspects or run.near),
        ("explanations", say("Explanations"), page.explained),
        ("cost", say("Cost"), page.costs),
        ("decisions", say("Decisions"), True),
        ("network", say("Network and data"), True),
        ("reproduce", say("How to repeat it"), True),
    )
    return [(name, title) for name, title, shown in found if shown]


@cache
def _environment(language: Language, form: Literal["html", "markdown"]) -> jinja2.Environment:
    """Templates in which every value is written down in that form. Kept, since to compile them takes longest."""

    def finalize(value: object) -> object:
        if isinstance(value, Markup | jinja2.Undefined):
            return value
        return markup.html(value) if form == "html" else markup.markdown(value, language)

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= _filters()
    environment.globals |= _callables(language)
    return environment


def _filters() -> Mapping[str, Callable[..., Any]]:
    return {
        "percent": figures.percent,
        "spread": figures.spread,
        "value": figures.value,
        "size": figures.size,
        "shape": figures.shape,
        "shortened": shortened,
        "visible": visible,
        "drawn": markup.drawn,
        "capital": _capital,
        "difference": figures.difference,
        "chance": figures.chance,
        "some": _some,
    }


def _callables(language: Language) -> Mapping[str, Any]:
    return {
        "tags": TAGS,
        "shares": SHARES,
        "say": say,
        "name": Name,
        "code": Code,
        "both": _both,
        "translated": translated,
        "listed": in_order,
        "classes_counted": classes_counted,
        "metric": named,
        "contents": contents,
        "answers_of": _answers,
        "times": _times,
        "slice_kind": lambda it: SLICED_BY.get(it.by, it.by) if not it.column else it.column,
        "slice_name": _slice_name,
        "attribute": lambda name, value: markup.attribute(name, value, language),
    }


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _both(sentence: Sentence) -> Both:
    return Both(sentence.en, sentence.zh or sentence.en)


def _capital(value: object) -> object:
    """The same with a capital letter, where the language has them."""
    if isinstance(value, Both):
        return Both(value.en[:1].upper() + value.en[1:], value.zh)
    return _CAPITALS.get(value, value) if isinstance(value, Said) else value


def _some(values: Sequence[Any], most: int) -> list[Any]:
    """At most about `most` of them, evenly."""
    return list(values[:: math.ceil(len(values) / most) or 1])


def _answers(confused: Confused) -> list[Said]:
    return [say("{0} {1}", Name(each.name, wrong=not each.right), _times(each.times)) for each in confused.answers]


def _times(count: int) -> Both:
    return Both(f"{count:,} {'time' if count == 1 else 'times'}", f"{count:,} 次")


def _slice_name(it: Slice) -> object:
    """A class or group by its name, a range by its ends."""
    if it.low is None and it.high is None:
        return Name(it.name, 60)
    unit = translated(it.unit) if it.unit else ""
    if it.low is None:
        return say("up to {0} {1}", figures.number_of(it.high or 0.0), unit)
    if it.high is None:
        return say("from {0} {1}", figures.number_of(it.low), unit)
    return say("{0} to {1} {2}", figures.number_of(it.low), figures.number_of(it.high), unit)
