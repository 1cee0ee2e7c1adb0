"""The report in a browser: read by pointer and by keys alone, in both languages and themes, narrow and on paper."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from browsing import Opened, Scheme, launched, opened
from gnomon.report import write_report
from report_runs import ATTRIBUTE, SCRIPT, judged_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as found:
        yield found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(judged_run(tmp_path_factory.mktemp("runs") / "run"))


@pytest.fixture
def page(browser: Browser, report: Path) -> Iterator[Page]:
    """A window on the report, in which nothing may go wrong."""
    found = opened(browser, report)
    yield found.page
    check_quiet(found, report)
    found.page.close()


def check_quiet(found: Opened, report: Path) -> None:
    """No word on the console, and nothing asked of anyone but the file itself."""
    assert found.said == []
    assert [url for url in found.asked if not url.startswith("data:")] == [report.resolve().as_uri()]


@pytest.mark.parametrize(("scheme", "language"), [("light", "en"), ("dark", "zh")])
def test_nobody_is_shut_out(browser: Browser, report: Path, scheme: Scheme, language: str) -> None:
    """Each theme and each language once: colours don't depend on the language, nor names and roles on the theme."""
    found = opened(browser, report, scheme=scheme)
    found.page.click(f"[data-language={language}]")
    found.page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    found.page.click(".matrix a >> nth=1")
    assert found.violations() == []
    check_quiet(found, report)
    found.page.close()


def test_names_run_no_script(page: Page) -> None:
    assert page.locator("h1").inner_text().startswith("Of 100 new pictures")
    assert SCRIPT in page.inner_text("#classes")
    assert ATTRIBUTE in page.inner_text("#classes")
    assert page.evaluate("document.scripts.length") == 1


def test_the_language_is_switched_with_all_that_is_read_aloud(page: Page) -> None:
    chart = page.locator("#course svg.chart").first
    assert (chart.get_attribute("aria-label") or "").startswith("Loss over the steps")
    page.click("text=中文")
    assert page.evaluate("document.documentElement.lang") == "zh-Hans"
    assert page.locator("h1").inner_text() == "同类的新图片，每 100 张里它大约能答对 87 张。"
    assert "训练过程中的损失" in (chart.get_attribute("aria-label") or "")
    assert page.locator("[data-language=zh]").get_attribute("aria-pressed") == "true"
    assert "Learning curves" not in page.inner_text("main")
    page.click("text=English")
    assert page.evaluate("document.documentElement.lang") == "en"
    assert "学习曲线" not in page.inner_text("main")


def test_a_chart_tells_the_values_under_the_pointer(page: Page) -> None:
    plot = page.locator("#course .plot").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.55, box["y"] + 60)
    told = plot.locator(".tip").inner_text()
    assert re.search(r"step [\d,]+\s+training [\d.]+", told)
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 60)
    assert plot.locator(".tip").inner_text() != told
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] - 300)
    assert not plot.locator(".tip").is_visible()


def test_a_chart_is_read_by_keys(page: Page) -> None:
    page.locator("#calibration svg.chart").first.focus()
    page.keyboard.press("End")
    last = page.inner_text("#told")
    assert "as it is 93" in last
    page.keyboard.press("ArrowLeft")
    assert "as it is 83" in page.inner_text("#told")
    page.keyboard.press("Escape")
    assert not page.locator("#calibration .tip").first.is_visible()


def test_a_number_of_the_matrix_leads_to_its_rows(page: Page) -> None:
    page.click(".matrix tbody tr:nth-child(1) td:nth-child(3) a")
    panel = page.locator("#cell-0-1")
    assert panel.is_visible()
    assert panel.locator("img").count() == 3
    assert panel.locator("h4").inner_text().startswith(f"airplane, taken for {SCRIPT}")
    assert "test/0/1-0.png" in panel.inner_text()
    assert all(panel.evaluate("panel => [...panel.querySelectorAll('img')].map(image => image.naturalWidth > 0)"))
    page.click(".matrix tbody tr:nth-child(10) td:nth-child(2) a")
    assert not panel.is_visible()
    page.click("#cell-9-0 .close")
    assert not page.locator("#cell-9-0").is_visible()


def test_the_matrix_is_walked_by_keys_alone(page: Page) -> None:
    assert page.locator(".matrix a[tabindex='0']").count() == 1, "one stop of the tabulator for the whole matrix"
    page.locator(".matrix a[tabindex='0']").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.locator("#cell-1-1").is_visible()
    assert page.evaluate("document.activeElement.id") == "cell-1-1"
    page.keyboard.press("Escape")
    assert not page.locator("#cell-1-1").is_visible()
    assert page.evaluate("document.activeElement.hash") == "#cell-1-1"


def test_everything_is_reached_by_the_tabulator(page: Page) -> None:
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("(document.activeElement.closest('section') || document.activeElement).id || 'bar'"))
    assert {"theme", "verdict", "metrics", "course", "confusion", "classes", "calibration"} <= reached


def test_a_table_is_sorted_by_its_headings(page: Page) -> None:
    names = page.locator("#classes tbody th")
    assert names.first.inner_text() == "truck"
    heading = page.locator("#classes thead th", has_text="Recall")
    heading.locator("button").focus()
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert names.first.inner_text() == "airplane"
    page.click("#classes thead th:first-child button")
    assert names.first.inner_text() == ATTRIBUTE


def test_light_and_dark_are_the_readers_choice(page: Page) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(ground)
    page.click("#theme")
    assert page.evaluate(ground) != before
    page.click("#theme")
    assert page.evaluate(ground) == before


@pytest.mark.parametrize("width", [360, 420, 1000, 1400])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_nothing_is_wider_than_the_window(browser: Browser, report: Path, width: int, language: str) -> None:
    found = opened(browser, report, width=width)
    found.page.click(f"[data-language={language}]")
    assert found.page.evaluate("document.documentElement.scrollWidth") == width
    found.page.close()


def test_on_paper_everything_is_open_and_light(browser: Browser, report: Path) -> None:
    found = opened(browser, report, scheme="dark")
    found.page.emulate_media(media="print")
    assert found.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not found.page.locator(".tools").is_visible()
    found.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert found.page.locator("details:not([open])").count() == 0
    assert found.page.pdf(prefer_css_page_size=True).startswith(b"%PDF")
    found.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert found.page.locator("details:not([open])").count() > 0
    found.page.close()


def test_without_script_it_can_be_read_and_clicked_through(browser: Browser, report: Path) -> None:
    window = browser.new_context(java_script_enabled=False)
    page = window.new_page()
    page.goto(report.resolve().as_uri())
    page.click(".matrix tbody tr:nth-child(1) td:nth-child(3) a")
    assert page.locator("#cell-0-1").is_visible()
    assert not page.locator("#cell-1-1").is_visible()
    assert not page.locator(".tools button").first.is_visible(), "what needs the script is not offered"
    window.close()
