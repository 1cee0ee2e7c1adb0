"""Names that would run, load, calculate or move a cursor do nothing of it: in pages, tables and on the terminal."""

from __future__ import annotations

import csv
import io
import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bad_inputs import run_command
from browsing import launched
from gnomon.cli import main
from gnomon.rundir.run import SPLIT
from gnomon.sources.cells import protected, unprotected
from hostile_names import NAMES

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page

PREDICTED = [name for name in NAMES if name[0] != "-"]
CALCULATED = re.compile("[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def test_there_are_two_hundred() -> None:
    assert len(NAMES) >= 200


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_protected_cell_is_no_formula_and_gives_its_text_back(name: str) -> None:
    cell = protected(name)
    assert not CALCULATED.match(cell)
    assert unprotected(cell) == name


@pytest.mark.parametrize("text", ["-1", "+2.5", "-1e9", "3", "", "plain"])
def test_numbers_and_plain_texts_stay_as_they_are(text: str) -> None:
    assert protected(text) == unprotected(text) == text


# --- A run whose classes, files and texts are all named so -----------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`run`, trained on texts: every name is a class, and stands in a text of every class."""
    made = tmp_path_factory.mktemp("names")
    rows = [{"text": f"{name} word{number} {NAMES[number - 7]}", "label": name} for number, name in enumerate(NAMES)]
    lines = [json.dumps(row | {"text": f"{row['text']} {again}"}) for row in rows for again in range(4)]
    (made / "<img src=x onerror=alert(1)>.jsonl").write_text("\n".join(lines), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The number of unique classes")  # of a fold of few rows
        patch.chdir(made)
        words = ["--target", "label", "--input", "text", "--steps", "2", "--threads", "1", "--quiet", "--out", "run"]
        assert main(["train", "<img src=x onerror=alert(1)>.jsonl", *words]) == 0
    return made


@pytest.fixture
def there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


@pytest.fixture(scope="module")
def pages(folder: Path) -> list[Path]:
    """All pages of the run: the report, and what explains a text and looks into the network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        main(["explain", "run", "--text", NAMES[0], NAMES[1]])
        main(["xray", "run"])
    return sorted((folder / "run").rglob("*.html"))


def harm(browser: Browser, path: Path) -> list[str]:
    """What a page did that it must not: asked for things, opened dialogs, ran what a name holds, changed its title."""
    page = browser.new_page()
    asked, shown = list[str](), list[str]()
    _watch(page, asked, shown)
    page.goto(path.resolve().as_uri())
    for place in page.locator("summary, button, select, [tabindex]").all()[:40]:
        if place.is_visible():
            place.hover(timeout=2000, force=True)
    found = [f"asked for {url}" for url in asked if url != path.resolve().as_uri() and not url.startswith("data:")]
    found += [f"showed {message}" for message in shown]
    if page.evaluate("window.harm") is not None or page.title() == "harm":
        found.append("ran what a name holds")
    tags = "iframe, object, embed, base, link, form, meta[http-equiv=refresh], svg script"
    found += [f"has {page.locator(tags).first.evaluate('tag => tag.outerHTML')}"] if page.locator(tags).count() else []
    page.close()
    return found


@pytest.mark.slow
@pytest.mark.usefixtures("there")
def test_no_name_runs_or_loads_anything_in_a_page(pages: list[Path]) -> None:
    assert "report.html" in [page.name for page in pages]
    with launched() as browser:
        assert {path.name: harm(browser, path) for path in pages} == {path.name: [] for path in pages}


@pytest.mark.parametrize(
    "name",
    [
        "<script>window.harm=1</script>",
        "<img src=x onerror=alert(1)>",
        "<script>document.title='harm'</script>",
        "<img src=http://harm.invalid/x.png>",
        "<iframe></iframe>",
        "<meta http-equiv=refresh content=900>",
    ],
)
def test_a_page_that_believes_a_name_is_seen(tmp_path: Path, name: str) -> None:
    (tmp_path / "page.html").write_text(f"<title>x</title>{name}", encoding="utf-8")
    with launched() as browser:
        assert harm(browser, tmp_path / "page.html")


def _watch(page: Page, asked: list[str], shown: list[str]) -> None:
    def dismiss(dialog: Dialog) -> None:
        shown.append(dialog.message)
        dialog.dismiss()

    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", dismiss)


def _cells(text: str) -> Iterator[str]:
    for row in csv.reader(io.StringIO(text)):
        yield from row


@pytest.mark.slow
@pytest.mark.usefixtures("there")
def test_tables_hold_no_formula(capsys: pytest.CaptureFixture[str]) -> None:
    split = Path("run", SPLIT).read_text(encoding="utf-8")
    said = run_csv(["predict", "run", "--csv", "--top", "5", "--text", *PREDICTED], capsys)
    for table in (split, said):
        formulas = [cell for cell in _cells(table) if CALCULATED.match(cell) and not _is_number(cell)]
        assert formulas == []
    assert len([*csv.reader(io.StringIO(said))]) > 150


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def run_csv(words: list[str], capture: pytest.CaptureFixture[str]) -> str:
    capture.readouterr()
    main(words)
    return capture.readouterr().out


@pytest.mark.slow
@pytest.mark.usefixtures("there")
def test_a_run_with_such_names_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    said = run_command("report run --quiet", capsys)
    assert said.code == 0, said.error


@pytest.mark.slow
@pytest.mark.usefixtures("there")
def test_the_terminal_is_told_no_sign_that_moves_it(capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    for words in (
        ["predict", "run", "--text", *PREDICTED],
        ["evaluate", "run"],
        ["report", "run"],
    ):
        main(words)
        out, error = capsys.readouterr()
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", out + error), words
