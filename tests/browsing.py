"""Pages of a run driven in headless Chromium, as a person would, with everything noted that a good page never does."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import pytest

from gnomon.explain.sheet import Sheet

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Scheme = Literal["light", "dark"]


@dataclass(slots=True)
class Opened:
    """A page, what its console said, and what it asked of anyone beside itself."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def violations(self) -> list[str]:
        """What axe calls serious or critical."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        return [
            f"{each['id']}: {each['nodes'][0]['html'][:200]} {each['nodes'][0].get('failureSummary', '')[:300]}"
            for each in found
            if each["impact"] in ("serious", "critical")
        ]


Open = Callable[..., Opened]
"""(path, width=1000, scheme="light") → the page, opened from its file."""


@contextmanager
def launched() -> Iterator[Browser]:
    """Headless Chromium; skips where it, or what drives it, is not installed."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'gnomon[dev]'")
    pytest.importorskip("axe_playwright_python", reason="axe is not installed: pip install 'gnomon[dev]'")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("there is no Chromium: install it (apt-get install chromium) to try pages as a person would")
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(browser: Browser, path: Path, *, width: int = 1000, scheme: Scheme = "light") -> Opened:
    """Open a file in a window of its own."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
    found = Opened(page)
    page.on("console", lambda message: found.said.append(message.text))
    page.on("pageerror", lambda error: found.said.append(str(error)))
    page.on("request", lambda request: found.asked.append(request.url))
    page.goto(path.resolve().as_uri())
    return found


def ready(browser: Browser, page: Path, *, width: int = 1100, scheme: Scheme = "light") -> Opened:
    """Open an X-ray, and wait until it is drawn."""
    found = opened(browser, page, width=width, scheme=scheme)
    found.page.wait_for_selector("html[data-ready]")
    return found


def check_quiet(found: Opened) -> None:
    """Nothing on the console, and nothing asked of anyone but the file itself."""
    assert found.said == []
    assert [url for url in found.asked if not url.startswith(("data:", "file:"))] == []
    found.page.close()


def sheet_in(page: Path) -> Sheet:
    """What an X-ray's file holds."""
    found = re.search(r'id="sheet">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    assert found
    return msgspec.json.decode(found[1], type=Sheet)
