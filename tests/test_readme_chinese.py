"""Guard: README.zh-CN.md is README.md's equal: the same headings, commands, tables, figures and links, in one order."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"
HAN = re.compile("[\u4e00-\u9fff]")


def prose(text: str) -> str:
    """Without blocks of code."""
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def headings(text: str) -> list[str]:
    """`##` for each heading; their words differ."""
    return re.findall(r"(?m)^(#+) ", prose(text))


def commands(text: str) -> list[str]:
    """Each line of code without its remark; drawings count as one line."""
    found = []
    for language, block in re.findall(r"```(\w*)\n(.*?)```", text, re.DOTALL):
        if "▶" in block:
            found.append("a drawing")
            continue
        lines = (re.sub(r"\s+#.*", "", line).rstrip() for line in block.splitlines())
        found += [f"{language}: {line}" for line in lines if line]
    return found


def quoted(text: str) -> list[str]:
    """What stands between backticks in the prose, sorted: the order of words differs between languages."""
    return sorted(re.findall(r"`([^`]+)`", prose(text)))


def tables(text: str) -> list[str]:
    """Each row of each table as its number of cells and the figures in them."""
    rows = (line for line in prose(text).splitlines() if line.startswith("|"))
    return [f"{line.count('|') - 1} cells: {' '.join(_figures(line))}" for line in rows]


def _figures(line: str) -> list[str]:
    return re.findall(r"\d[\d.,]*\d|\d", re.sub(r"`[^`]*`", "", line))


def points(text: str) -> list[str]:
    """A mark for each point of a list."""
    return re.findall(r"(?m)^- ", prose(text))


def links(text: str) -> list[str]:
    """Where links and pictures lead, but for the link to the other language."""
    return sorted(set(re.findall(r"\]\(([^)]+)\)", text)) - {"README.md", "README.zh-CN.md"})


PARTS: list[Callable[[str], list[str]]] = [headings, commands, quoted, tables, points, links]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_both_have_the_same(part: Callable[[str], list[str]]) -> None:
    english, chinese = part(ENGLISH.read_text("utf-8")), part(CHINESE.read_text("utf-8"))
    lost = [f"only in {ENGLISH.name}: {each}" for each in english if each not in chinese]
    more = [f"only in {CHINESE.name}: {each}" for each in chinese if each not in english]
    assert [*lost, *more] == [], "bring README.zh-CN.md up to README.md"
    assert english == chinese, f"{part.__name__} stand in another order, or another number of times"


def test_it_is_chinese_throughout() -> None:
    paragraphs = [part for part in prose(CHINESE.read_text("utf-8")).split("\n\n") if len(part.strip()) > 40]
    assert [part for part in paragraphs if not HAN.search(part)] == []


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", CHINESE.read_text("utf-8")):
        assert (ROOT / target).exists(), target
