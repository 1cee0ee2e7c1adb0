"""The X-ray as one page: its content as JSON, its numbers as one compressed text, one script, one style. No torch.

The page asks nothing of any network: its policy allows the one script, by its hash, and pictures and sounds that
stand in the page itself.
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources

import jinja2
import msgspec

from .sheet import Sheet


def xray_page(sheet: Sheet, numbers: str) -> str:
    """The whole page.

    Args:
        sheet: what it shows.
        numbers: as `Packer.text` gives them.
    """
    script = _part("xray.js")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_part),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("xray.html.jinja").render(
        title=sheet.title,
        style=_part("xray.css"),
        script=script,
        allowed=f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'",
        sheet=_inert(msgspec.json.encode(sheet).decode()),
        texts=_inert(_part("xray_texts.json")),
        numbers=numbers,
    )


def _inert(json: str) -> str:
    """JSON that no HTML parser takes for the end of its element."""
    return json.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _part(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")
