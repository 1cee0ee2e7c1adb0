"""The report and the model card: right sentences, inert names, nothing from the network, and any unfinished run."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import struct
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gnomon.errors import RunError
from gnomon.report import Language, write_model_card, write_report
from report_runs import (
    ATTRIBUTE,
    SCRIPT,
    data,
    evaluation,
    events,
    judged_run,
    png,
    whole_run,
    write,
    write_events,
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return whole_run(tmp_path / "2025-03-04-1830-photos-resnet")


class Elements(HTMLParser):
    """Collects tags with their attributes and the text of one language, and checks that they close in order."""

    VOID = frozenset({"meta", "br", "img"})

    def __init__(self, other: str) -> None:
        super().__init__()
        self.other = other
        self.silent = 0
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"<{tag}> has an attribute twice"
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
            unseen = tag in ("script", "style") or self.other in (dict(attrs).get("class") or "").split()
            self.silent = self.silent + 1 if self.silent or unseen else 0

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.silent = max(0, self.silent - 1)

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.text.append(data)


def parsed(path: Path, language: str = "en") -> Elements:
    elements = Elements(other="zh" if language == "en" else "en")
    elements.feed(path.read_text("utf-8"))
    elements.close()
    assert elements.open == []
    return elements


def text_of(path: Path, language: str = "en") -> str:
    """The text of a page in one language, spaces joined."""
    return re.sub(r"\s+", " ", "".join(parsed(path, language).text))


def headline(path: Path, language: str = "en") -> str:
    text = re.search(r"<h1.*?</h1>", path.read_text("utf-8"), re.S)
    assert text
    found = re.search(rf'<span class="{language}" lang="[\w-]+">(.*?)</span>', text[0])
    assert found
    return found[1]


def test_verdict_says_it_to_a_layperson(run: Path) -> None:
    assert headline(write_report(run)) == "Of 100 new pictures like these, it names about 87 right."
    page = text_of(run / "report.html").replace("\u202f", " ")
    assert (
        "Most likely 86.3 to 87.7 of 100 (95 % interval). Measured on 10,000 pictures of the test part, some of" in page
    )
    assert (
        "Clearly better than every baseline: a linear model gets 41.0 %, always answering the commonest class 10.0 %"
        in page
    )
    assert "truck with airplane: of 1,000 pictures of truck, it called 138 airplane." in page
    assert "On pictures that come from where these came from, where 13 wrong of 100 can be borne." in page
    assert re.search("Time ?4 min 42 s ?of 5 min 00 s planned", page)
    assert "2.5 MB" in page
    assert re.search("each row looked at once only, as it is ?85.0.%", page)
    assert re.search("Linear model ?logistic regression on pictures of 12 × 12 ?41.0 %", page)
    assert "4 March 2025" in page


def test_losing_to_a_baseline_is_said(run: Path) -> None:
    write(run, "evaluation/test.json", evaluation(0.40, linear=0.41))
    page = text_of(write_report(run))
    assert "This network loses to a baseline: a linear model does better, with 41.0" in page
    assert "Clearly better" not in page
    assert "No: the simpler rule is right more often." in page
    assert "It loses to a baseline" in (write_model_card(run)).read_text("utf-8")


@pytest.mark.parametrize(("accuracy", "said"), [(0.415, "Not clearly better than"), (0.41, "No better than")])
def test_overlapping_intervals_are_no_victory(run: Path, accuracy: float, said: str) -> None:
    write(run, "evaluation/test.json", evaluation(accuracy, linear=0.41))
    page = text_of(write_report(run))
    assert f"{said} a linear model" in page
    assert "Clearly better" not in page
    assert "loses" not in page


@pytest.mark.parametrize(("groups", "times"), [(0, 0), (1, 2), (12, 0)])
def test_one_group_alone_is_said_beside_how_sure_it_is(run: Path, groups: int, times: int) -> None:
    write(run, "evaluation/test.json", evaluation(0.9) | {"groups": groups})
    page = text_of(write_report(run))
    warning = "All rows are of one group; how rows of others would fare, no interval tells."
    assert page.count(warning) == times
    assert page.find(warning) < page.index("Better than the simplest answers?")


def test_accuracy_has_no_tick_above_all(run: Path) -> None:
    write_events(run, [event | {"accuracy": 0.99} if "accuracy" in event else event for event in events()])
    chart = write_report(run).read_text("utf-8").partition("Accuracy on the validation part over")[2]
    assert re.findall(r">([\d.]+)\u202f%<", chart.partition("</svg>")[0])[-1] == "100.0"


@pytest.mark.parametrize(
    ("accuracy", "said"),
    [
        (0.993, "Of 1,000 new pictures like these, it names about 993 right."),
        (1.0, "Of 1,000 new pictures like these, it names all right."),
        (0.9999, "it names about 999.90 right."),
    ],
)
def test_verdict_near_the_top_is_exact(run: Path, accuracy: float, said: str) -> None:
    write(run, "evaluation/test.json", evaluation(accuracy))
    assert said in headline(write_report(run))


def test_without_test_part_it_rests_on_validation_and_says_so(run: Path) -> None:
    (run / "evaluation/test.json").unlink()
    page = text_of(write_report(run))
    assert "about 88 right" in page
    assert "validation part, by which this network was chosen" in page
    assert "Not there yet: the judgement on the test part" in page


@pytest.mark.parametrize("language", ["en", "zh"])
def test_names_are_inert_in_the_page(run: Path, language: Language) -> None:
    judged_run(run)
    elements = parsed(write_report(run, language=language), language)
    tags = [tag for tag, _ in elements.found]
    assert tags.count("script") == 1
    assert set(tags).isdisjoint({"link", "iframe", "object", "embed", "form", "base"})
    attributes = {name for _, attrs in elements.found for name in attrs}
    assert not [name for name in attributes if name.startswith("on")]
    assert SCRIPT in "".join(elements.text)
    assert ATTRIBUTE in "".join(elements.text)
    for text in [*elements.text, *(value or "" for _, attrs in elements.found for value in attrs.values())]:
        assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x7f]", text)
    assert "cat⟨U+202E⟩gnp.exe" in "".join(elements.text)


def test_page_asks_nothing_of_the_network(run: Path) -> None:
    source = write_report(judged_run(run)).read_text("utf-8")
    elements = parsed(run / "report.html")
    policy = [attrs["content"] for tag, attrs in elements.found if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in (policy[0] or "")
    script = source.partition("<script>")[2].partition("</script>")[0]
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{allowed}';" in (policy[0] or "")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(|fetch\(", script)
    for _, attrs in elements.found:
        assert (attrs.get("src") or "data:image/png;base64,").startswith("data:image/png;base64,")
        assert (attrs.get("href") or "#").startswith("#")
    assert not re.search(r"https?:|url\(|@import", source.replace("http://www.w3.org/2000/svg", ""))


def test_links_and_labels_lead_somewhere(run: Path) -> None:
    elements = parsed(write_report(judged_run(run)))
    names = [attrs["id"] for _, attrs in elements.found if "id" in attrs]
    assert len(names) == len(set(names))
    for _, attrs in elements.found:
        for target in (attrs.get("href"), attrs.get("aria-labelledby"), attrs.get("aria-controls")):
            assert target is None or target.removeprefix("#") in names


def test_attention_names_rows_and_reasons(run: Path) -> None:
    page = text_of(write_report(run))
    assert "10 pictures set aside" in page
    assert "dogs/008.jpg" in page
    assert "the file is cut short" in page
    assert "9 pictures in 4 groups of copies" in page
    assert "some of which have copies in the other parts" in page
    assert "The classes are of very different sizes" in page
    assert "3 animated pictures" in page


def test_attention_says_where_time_was_too_short_for_all_rows(run: Path) -> None:
    reason = "to decode all takes until 28 s of 25 s; --by 79s has time for all of them"
    for drawn in ({"reason": reason}, {"reason": "asked for", "asked_for": True}):
        write(run, "data.json", {**data(), "drawn": {"rows": 6600, "of": 60_000, **drawn}})
        said = "Only 6,600 of 60,000 pictures were used" in text_of(write_report(run))
        assert said is ("asked_for" not in drawn)


def test_confusion_in_sentences_and_matrix(run: Path) -> None:
    page = text_of(write_report(run))
    assert f"Of 1,000 pictures of truck it said truck 792 times, airplane 138 times, {ATTRIBUTE} 70 times." in page
    cells = [
        attrs for tag, attrs in parsed(run / "report.html").found if tag == "td" and "--t" in (attrs.get("style") or "")
    ]
    assert len([cell for cell in cells if cell.get("class") == "right"]) == 10
    assert len(cells) == 30


def test_many_classes_have_no_matrix_and_stay_small(run: Path) -> None:
    names = [f"class {index}" for index in range(1000)]
    write(run, "evaluation/test.json", evaluation(0.7, classes=names, support=50))
    write(run, "data.json", data() | {"classes": names, "counts": {"train": [50] * 1000}})
    write(
        run, "evaluation/mistakes.json", [{"key": "k", "label": "a", "predicted": "b", "thumbnail": png(1, 96)}] * 500
    )
    path = write_report(run)
    assert path.stat().st_size < 2_000_000
    page = text_of(path)
    assert "With 1,000 classes the whole matrix is too large to read" in page
    assert "Shown are the worst 300 of 1,000;" in page
    assert "Shown are 48 of 500;" in page


def test_sixty_classes_have_a_matrix_and_stay_small(run: Path) -> None:
    judged = evaluation(0.7, classes=[f"{index} {'long ' * 60}" for index in range(60)], support=5000)
    judged["confusion"] = [[5000 if row == column else 7 for column in range(60)] for row in range(60)]
    write(run, "evaluation/test.json", judged)
    path = write_report(run)
    assert path.stat().st_size < 2_000_000
    assert len([1 for tag, attrs in parsed(path).found if attrs.get("class") == "right"]) == 60


def test_pictures_are_pngs_or_nothing(run: Path) -> None:
    hostile = base64.b64encode(b"<svg onload='a'>" + struct.pack(">II", 9, 9)).decode()  # where a PNG has its size
    thumbnails = [png(200), hostile, '"><script>', ""]
    mistakes = [{"key": "k", "label": "a", "predicted": "b", "thumbnail": text} for text in thumbnails]
    write(run, "evaluation/mistakes.json", mistakes)
    elements = parsed(write_report(run))
    pictures = [(attrs["src"], attrs["width"], attrs.get("class")) for tag, attrs in elements.found if tag == "img"]
    assert pictures == [(f"data:image/png;base64,{png(200)}", "12", "tiny")]
    assert "".join(elements.text).count("nothing to show") == 3


JSON = ["data", "plan", "evaluation/test", "evaluation/validation", "evaluation/mistakes", "network"]
FILES = [*(f"{name}.json" for name in JSON), "environment.json", "recipe.toml", "metrics.jsonl", "model.safetensors"]


@pytest.mark.parametrize("name", FILES)
def test_any_file_may_be_missing(run: Path, name: str) -> None:
    (run / name).unlink()
    page = text_of(write_report(run))
    assert "This run is not complete" in page
    assert "not there yet" in page.lower()
    assert name in page
    write_model_card(run)


@pytest.mark.parametrize("names", [JSON, *([name] for name in JSON)], ids=str)
@pytest.mark.parametrize("content", ["{", '{"name": 3}'])
def test_any_file_may_be_damaged(run: Path, names: list[str], content: str) -> None:
    for name in names:
        (run / f"{name}.json").write_text(content, "utf-8")
    page = text_of(write_report(run))
    said = page.partition("Files of this run can’t be read")[2].partition("Metrics")[0]
    assert [name for name in names if f"{name}.json" not in said] == []
    write_model_card(run)


@pytest.mark.parametrize("content", ["", "[1]", "null", "[" * 100_000, "\0", '"\\ud800"'])
def test_any_damage_is_borne(run: Path, content: str) -> None:
    for name in FILES[:-2]:
        (run / name).write_text(content, "utf-8")
    page = text_of(write_report(run))
    assert "Files of this run can’t be read" in page
    assert "evaluation/test.json" in page


def test_an_empty_run_says_not_there_yet(tmp_path: Path) -> None:
    page = text_of(write_report(tmp_path))
    assert "This network has not been judged yet." in page
    assert page.count("Not there yet") >= 8
    assert "gnomon predict" not in page
    assert "not been judged" in write_model_card(tmp_path).read_text("utf-8")


def test_no_run_directory_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run directory"):
        write_report(tmp_path / "nowhere")


def test_resumed_run_counts_each_step_once(run: Path) -> None:
    found = events()
    write_events(run, found[:150] + found[100:])
    once = write_report(run).read_text("utf-8")
    write_events(run, found)
    assert write_report(run).read_text("utf-8") == once


def test_loss_that_is_no_number_breaks_the_line_and_is_said(run: Path) -> None:
    found = events()
    for event in [event for event in found if event["event"] == "step"][60:70]:
        event["loss"] = None
    write_events(run, found)
    page = text_of(write_report(run))
    assert "The loss was not a number in 10 reports" in page
    drawn = [attrs["d"] or "" for _, attrs in parsed(run / "report.html").found if attrs.get("class") == "line train"]
    assert not [path for path in drawn if "nan" in path]
    assert len(drawn) == 2 + 1 + 1  # key, two pieces of the loss, the learning rate


def test_unreadable_lines_are_counted_but_a_torn_end_is_not(run: Path) -> None:
    assert "unreadable" not in text_of(write_report(run))
    path = run / "metrics.jsonl"
    path.write_text('{"event": "step", "st\n' + path.read_text("utf-8"), "utf-8")
    assert "1 unreadable lines, the first is line 1" in text_of(write_report(run))


def test_interval_without_numbers_is_left_out(run: Path) -> None:
    judged = evaluation(0.87)
    judged["classes"][0]["f1"] = {"value": None, "low": None, "high": None}
    judged["classes"][1]["precision"] = {"value": float("nan"), "low": float("nan"), "high": float("nan")}
    write(run, "evaluation/test.json", judged)
    assert "nan" not in re.findall(r"[a-z]+", text_of(write_report(run)))


def test_confusion_of_another_size_is_not_shown(run: Path) -> None:
    judged = evaluation(0.87)
    judged["confusion"].pop()
    write(run, "evaluation/test.json", judged)
    assert "Nothing to show of the confusions" in text_of(write_report(run))


def test_names_are_inert_in_the_card(run: Path) -> None:
    card = write_model_card(run).read_text("utf-8")
    assert "<script" not in card
    assert r"\[click\](javascript:alert(3))" in card
    assert r"“a\|b”" in card
    assert "\u202e" not in card
    columns = {line.count("|") - line.count(r"\|") for line in card.split("\n") if line.startswith("| “")}
    assert columns == {6}
    assert "**Of 100 new pictures like these, it names about 87 right" in card
    assert "- **Problem:** 9 pictures in 4 groups of copies: The copies" in card
    assert "\n- 10 pictures set aside: They" in card


def test_names_with_bytes_that_are_not_utf8(run: Path) -> None:
    (run / "data.json").write_text(json.dumps(data() | {"name": "caf\udce9"}), "utf-8")
    assert "caf⟨U+DCE9⟩" in text_of(write_report(run))
    write_model_card(run)


def test_writing_leaves_no_other_file_and_the_same_bytes(run: Path) -> None:
    before = set(run.rglob("*"))
    first = write_report(run).read_bytes()
    assert write_report(run).read_bytes() == first
    assert set(run.rglob("*")) - before == {run / "report.html"}


def test_it_imports_no_torch() -> None:
    program = "import sys, gnomon.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


FIGURES = ["test", "slices", "suspects", "duplicates", "specimens", "speed"]


@pytest.mark.parametrize("number", [math.nan, math.inf, -1e308, 0, 10**30, None], ids=str)
def test_absurd_figures_are_borne(run: Path, number: float | None) -> None:
    judged_run(run)
    for name in [*(f"evaluation/{name}.json" for name in FIGURES), "explain/examples.json"]:
        found = json.loads((run / name).read_text("utf-8"))
        (run / name).write_text(json.dumps(_with_all_numbers(found, number)), "utf-8")
    drawn = re.findall(r'\b(?:d|cx|cy|x|y|width|height)="([^"]*)"', write_report(run).read_text("utf-8"))
    assert [text for text in drawn if re.search("nan|inf|e[+]?[0-9]{2}", text)] == []
    write_model_card(run)


def _with_all_numbers(value: object, number: float | None) -> object:
    if isinstance(value, dict):
        return {name: _with_all_numbers(part, number) for name, part in value.items()}
    if isinstance(value, list):
        return [_with_all_numbers(part, number) for part in value]
    return number if isinstance(value, int | float) and not isinstance(value, bool) else value


@pytest.mark.parametrize("name", [*(f"evaluation/{name}.json" for name in FIGURES), "explain/examples.json"])
@pytest.mark.parametrize("content", ["{", '{"name": 3}', "[1]", "null"])
def test_any_further_file_may_be_damaged_or_missing(run: Path, name: str, content: str) -> None:
    (judged_run(run) / name).write_text(content, "utf-8")
    assert name in text_of(write_report(run)).partition("Files of this run can’t be read")[2]
    (run / name).unlink()
    assert "about 87 right" in text_of(write_report(run)) or name == "evaluation/test.json"
