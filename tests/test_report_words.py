"""Both languages of the report hold together: every message has its Chinese, with the same values in it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import gnomon
from gnomon.report import write_model_card, write_report
from gnomon.report.chinese import CHINESE
from gnomon.report.reasons import REASONS
from gnomon.report.words import Foreign, Said, say, translated
from report_runs import judged_run
from test_report import headline, parsed, text_of

REPORT = Path(gnomon.__file__).parent / "report"
HAN = re.compile("[\u4e00-\u9fff]")


def messages() -> set[str]:
    """Every first argument of `say`, in the code and in the templates."""
    found = set()
    for path in REPORT.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "say":
                message = node.args[0]
                assert isinstance(message, ast.Constant), f"{path.name}:{node.lineno}: not a literal"
                found.add(str(message.value))
    for path in REPORT.glob("*.jinja"):
        text = path.read_text("utf-8")
        literals = re.findall(r"\bsay\(\s*\"([^\"]*)\"", text)
        assert len(literals) == len(re.findall(r"\bsay\(", text)), f"{path.name}: a message is not a literal"
        found |= set(literals)
    return found


def test_the_dictionary_is_closed() -> None:
    assert messages() - set(CHINESE) == set(), "no Chinese"
    assert set(CHINESE) - messages() == set(), "said nowhere"


@pytest.mark.parametrize("dictionary", [CHINESE, REASONS], ids=["messages", "reasons"])
def test_both_languages_have_the_same_places(dictionary: dict[str, str]) -> None:
    for english, chinese in dictionary.items():
        assert set(re.findall(r"\{.*?\}", english)) == set(re.findall(r"\{.*?\}", chinese)), english
        assert not re.search(r"[,;:?!] ", chinese), f"English signs in {chinese}"


def test_templates_hold_no_words_of_their_own() -> None:
    """Between tags there is nothing but what `say` says, names, figures and signs."""
    for path in REPORT.glob("*.html.jinja"):
        text = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}|<!--.*?-->", "", path.read_text("utf-8"), flags=re.S)
        words = " ".join(re.findall(r">([^<]*)<", re.sub(r"<code>[^<]*</code>", "", text)))
        assert set(re.findall(r"[A-Za-z]{2,}", words)) <= {"Gnomon", "English"}, path.name


def test_the_chinese_page_is_chinese(tmp_path: Path) -> None:
    run = judged_run(tmp_path / "run")
    page = write_report(run, language="zh")
    assert '<html lang="zh-Hans">' in page.read_text("utf-8")
    assert headline(page, "zh") == "同类的新图片，每 100 张里它大约能答对 87 张。"
    headings = [text for text in parsed(page, "zh").text if text.strip()]
    assert HAN.search(text_of(page, "zh"))
    assert "Metrics" not in headings
    card = write_model_card(run, language="zh").read_text("utf-8")
    titles = re.findall(r"(?m)^#+ (.*)$", card)
    assert [title for title in titles if not HAN.search(title)] == []


def test_the_page_differs_by_its_first_language_alone(tmp_path: Path) -> None:
    run = judged_run(tmp_path / "run")
    assert text_of(write_report(run, language="zh"), "en") == text_of(write_report(run), "en")


def test_what_others_wrote_is_translated_in_its_parts() -> None:
    said = translated("12 s for training at 23.9 ms a step; 2.8 s kept for the rest")
    assert isinstance(said, Said)
    assert translated("64") == "64"
    assert translated("nobody foresaw this") == Foreign("nobody foresaw this")


def test_a_message_without_chinese_fails_loudly() -> None:
    with pytest.raises(KeyError):
        say("never said").pieces("zh")
