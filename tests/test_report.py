"""The report and the model card: right sentences, inert names, nothing from the network, and any unfinished run."""

from __future__ import annotations

import base64
import json
import re
import struct
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from gnomon.errors import RunError
from gnomon.report import write_model_card, write_report

LONG = "endless " * 37 + "name"
SCRIPT = "<script>alert(1)</script>"
ATTRIBUTE = '"onmouseover="alert(2)'
REVERSED = "cat\u202egnp.exe"
CLASSES = ["airplane", SCRIPT, ATTRIBUTE, REVERSED, LONG, "dog", "[click](javascript:alert(3))", "a|b", "قطة", "truck"]


def metric(value: float, margin: float = 0.007) -> dict[str, float]:
    return {"value": value, "low": max(0.0, value - margin), "high": min(1.0, value + margin)}


def png(red: int, side: int = 12) -> str:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    lines = (b"".join(bytes((red, 20 * x % 256, 20 * y % 256)) for x in range(side)) for y in range(side))
    pixels = b"".join(b"\0" + line for line in lines)
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    image = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    return base64.b64encode(image).decode()


def evaluation(
    accuracy: float, *, linear: float = 0.41, classes: list[str] = CLASSES, support: int = 1000
) -> dict[str, Any]:
    size = len(classes)
    confusion = [[0] * size for _ in range(size)]
    for true in range(size):
        wrong = round(support * (1 - accuracy) * (0.4 + 1.2 * true / (size - 1)))
        confusion[true][(true + 1) % size] += wrong * 2 // 3
        confusion[true][(true + 3) % size] += wrong - wrong * 2 // 3
        confusion[true][true] = support - wrong
    scores = [
        {
            "name": name,
            "support": support,
            "precision": metric(accuracy, 0.02),
            "recall": metric(confusion[index][index] / support, 0.02),
            "f1": metric(confusion[index][index] / support, 0.03),
        }
        for index, name in enumerate(classes)
    ]
    shares = ("accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1")
    return {
        "rows": support * size,
        "metrics": {name: metric(accuracy) for name in shares}
        | {"log_loss": {"value": 0.412, "low": 0.4, "high": 0.425}},
        "classes": scores,
        "confusion": confusion,
        "baselines": {
            "majority": {"accuracy": metric(0.1), "what": f"always {classes[0]!r}"},
            "linear": {"accuracy": metric(linear), "what": "logistic regression on pictures of 12 × 12"},
        },
        "without_views": metric(accuracy - 0.02),
    }


def data() -> dict[str, Any]:
    return {
        "name": "photos",
        "kind": "image",
        "classes": CLASSES,
        "counts": {"train": [4500, 400, *[4500] * 8], "validation": [500] * 10, "test": [1000] * 10},
        "split_origin": "the folders train and test; validation was taken from train, by class",
        "notes": ["The folder names are the classes.", "3 animated pictures: the first frame of each is used."],
        "set_aside": [
            {"key": "cats/\u202egpj.txt", "reason": "not a picture: it begins with 'MZ'"},
            *({"key": f"dogs/{index:03d}.jpg", "reason": "the file is cut short"} for index in range(9)),
        ],
        "input_shape": [3, 32, 32],
        "encoder": {"size": 32, "mean": [0.4, 0.4, 0.4]},
        "duplicates": {
            "groups": 4,
            "rows": 9,
            "across_labels": 1,
            "across_splits": 2,
            "examples": [["cats/1.png", "dogs/2.png"], ["cats/3.png", "cats/4.png", "cats/5.png"]],
        },
    }


def plan() -> dict[str, Any]:
    return {
        "decisions": [
            {"name": "network", "value": "resnet, width 48", "reason": "the largest that takes 12 epochs in 5 min"},
            {"name": "format", "value": "bfloat16", "reason": "1.9 × as fast as float32 here, measured in 3 s"},
            {"name": "batch", "value": "256", "reason": "larger ones are no faster on this machine"},
        ],
        "steps": 1800,
        "batch": 256,
        "planned_s": 300.0,
        "history": [
            {"step": 900, "steps_before": 2000, "steps": 1800, "reason": "steps took 11 % longer than measured"}
        ],
        "unknown": {"to": "this version"},
    }


def events() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"event": "phase", "name": "training", "elapsed_s": 12.0}]
    for step in range(10, 1801, 10):
        done = step / 1800
        epoch, elapsed_s = step / 175, 12 + 270 * done
        wobble = 0.08 * ((step * 7919) % 13 / 13 - 0.5)
        found.append(
            {
                "event": "step",
                "step": step,
                "steps": 1800,
                "epoch": epoch,
                "loss": 0.45 + 1.9 * (1 - done) ** 3 + wobble,
                "learning_rate": 0.4 * min(done / 0.2, (1 - done) / 0.8),
                "rows_per_s": 1700.0,
                "elapsed_s": elapsed_s,
            }
        )
        if step % 150 == 0:
            judged = {"step": step, "epoch": epoch, "loss": 0.42 + 1.5 * (1 - done) ** 2, "elapsed_s": elapsed_s}
            found.append({"event": "validation", "accuracy": 0.869 - 0.5 * (1 - done) ** 2, "best": True} | judged)
    return [*found, {"event": "stop", "step": 1800, "reason": "planned"}]


def write(run: Path, name: str, content: object) -> None:
    (run / name).parent.mkdir(parents=True, exist_ok=True)
    (run / name).write_text(json.dumps(content), "utf-8")


def write_events(run: Path, found: list[dict[str, Any]], torn: str = "") -> None:
    (run / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in found) + torn, "utf-8")


def whole_run(run: Path) -> Path:
    """A finished run of ten classes with hostile names."""
    write(run, "data.json", data())
    write(run, "plan.json", plan())
    environment = {"gnomon": "0.1.0", "python": "3.11.2", "threads": 2, "seed": 0}
    environment |= {"started": "2025-03-04T18:30:00+01:00", "command": "gnomon train photos/ --by 5m"}
    write(run, "environment.json", environment)
    (run / "recipe.toml").write_text('[source]\nlocation = "photos"\n\n[dataset]\nseed = 0\n', "utf-8")
    write_events(run, events(), torn='{"event": "step", "st')
    write(run, "evaluation/test.json", evaluation(0.87))
    write(run, "evaluation/validation.json", evaluation(0.876))
    mistakes = [
        {
            "key": f"test/{CLASSES[index]}/{index:04d}.png",
            "label": CLASSES[index],
            "predicted": CLASSES[(index + 1) % 10],
            "confidence": 0.99999 - 0.01 * index,
            "thumbnail": png(25 * index),
        }
        for index in range(10)
    ]
    write(run, "evaluation/mistakes.json", mistakes)
    layer = {"name": "stage.convolution", "kind": "Conv2d", "parameters": 9216, "output_shape": [48, 32, 32]}
    write(run, "network.json", {"model": "resnet", "parameters": 1234567, "bytes": 4938268, "layers": [layer] * 14})
    (run / "model.safetensors").write_bytes(b"\0" * 2_470_000)
    return run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return whole_run(tmp_path / "2025-03-04-1830-photos-resnet")


class Elements(HTMLParser):
    """Collects tags with their attributes, and checks that they close in order."""

    VOID = frozenset({"meta", "br", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"<{tag}> has an attribute twice"
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(path: Path) -> Elements:
    elements = Elements()
    elements.feed(path.read_text("utf-8"))
    elements.close()
    assert elements.open == []
    return elements


def text_of(path: Path) -> str:
    """The text of a page, spaces joined."""
    return re.sub(r"\s+", " ", "".join(parsed(path).text))


def headline(path: Path) -> str:
    found = re.search(r"<h1>(.*?)</h1>", path.read_text("utf-8"), re.S)
    assert found
    return found[1].replace("\u202f", " ")


def test_verdict_says_it_to_a_layperson(run: Path) -> None:
    assert headline(write_report(run)) == (
        "Of 100 new pictures like these, it names about 87 right (95 % interval 86.3–87.7); "
        "a linear model would get 41, always answering the commonest class 10."
    )
    page = text_of(run / "report.html")
    assert "Clearly better than every baseline" in page
    assert "4 min 42 s of 5 min 00 s planned" in page
    assert "2.5 MB" in page
    assert re.search("each picture looked at once only ?85.0.%", page)
    assert "Linear model: logistic regression on pictures of 12 × 12." in page
    assert "4 March 2025" in page


def test_losing_to_a_baseline_is_said(run: Path) -> None:
    write(run, "evaluation/test.json", evaluation(0.40, linear=0.41))
    page = text_of(write_report(run))
    assert "This network loses to a baseline: a linear model does better." in page
    assert "Clearly better" not in page
    assert "It loses to a baseline" in (write_model_card(run)).read_text("utf-8")


@pytest.mark.parametrize(("accuracy", "said"), [(0.415, "Not clearly better than"), (0.41, "No better than")])
def test_overlapping_intervals_are_no_victory(run: Path, accuracy: float, said: str) -> None:
    write(run, "evaluation/test.json", evaluation(accuracy, linear=0.41))
    page = text_of(write_report(run))
    assert f"{said} a linear model" in page
    assert "Clearly better" not in page
    assert "loses" not in page


def test_accuracy_has_no_tick_above_all(run: Path) -> None:
    write_events(run, [event | {"accuracy": 0.99} if "accuracy" in event else event for event in events()])
    chart = write_report(run).read_text("utf-8").partition("Accuracy on the validation part over")[2]
    assert re.findall(r">([\d.]+)\u202f%<", chart.partition("</svg>")[0])[-1] == "100.0"


@pytest.mark.parametrize(
    ("accuracy", "said"),
    [
        (0.993, "Of 1,000 new pictures like these, it names about 993 right (95 % interval 986–1000)"),
        (1.0, "Of 1,000 new pictures like these, it names all 1,000 right"),
        (0.9999, "it names about 999.90 right"),
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


def test_names_are_inert_in_the_page(run: Path) -> None:
    elements = parsed(write_report(run))
    tags = {tag for tag, _ in elements.found}
    assert tags.isdisjoint({"script", "link", "iframe", "object", "embed", "form", "base"})
    attributes = {name for _, attrs in elements.found for name in attrs}
    assert not [name for name in attributes if name.startswith("on")]
    assert SCRIPT in "".join(elements.text)
    assert ATTRIBUTE in "".join(elements.text)
    for text in [*elements.text, *(value or "" for _, attrs in elements.found for value in attrs.values())]:
        assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x7f]", text)
    assert "cat⟨U+202E⟩gnp.exe" in "".join(elements.text)


def test_page_asks_nothing_of_the_network(run: Path) -> None:
    source = write_report(run).read_text("utf-8")
    elements = parsed(run / "report.html")
    policy = [attrs["content"] for tag, attrs in elements.found if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in (policy[0] or "")
    assert "script-src" not in (policy[0] or "")
    for _, attrs in elements.found:
        assert (attrs.get("src") or "data:image/png;base64,").startswith("data:image/png;base64,")
        assert (attrs.get("href") or "#").startswith("#")
    assert not re.search(r"https?:|url\(|@import", source)


def test_links_and_labels_lead_somewhere(run: Path) -> None:
    elements = parsed(write_report(run))
    names = [attrs["id"] for _, attrs in elements.found if "id" in attrs]
    assert len(names) == len(set(names))
    for _, attrs in elements.found:
        for target in (attrs.get("href"), attrs.get("aria-labelledby")):
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


def test_confusion_in_sentences_and_matrix(run: Path) -> None:
    page = text_of(write_report(run))
    assert f"Of 1,000 pictures of truck it said truck 792 times, airplane 138, {ATTRIBUTE} 70." in page
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
    assert "With 1000 classes the whole matrix is too large to read" in page
    assert "the worst 300 of 1,000 classes" in page
    assert "Shown are 48 of 500" in page


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
    said = page.partition("Files of this run can't be read")[2].partition("Metrics")[0]
    assert [name for name in names if f"{name}.json" not in said] == []
    write_model_card(run)


@pytest.mark.parametrize("content", ["", "[1]", "null", "[" * 100_000, "\0", '"\\ud800"'])
def test_any_damage_is_borne(run: Path, content: str) -> None:
    for name in FILES[:-2]:
        (run / name).write_text(content, "utf-8")
    page = text_of(write_report(run))
    assert "Files of this run can't be read" in page
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
    assert "- **Problem:** 9 pictures in 4 groups of copies." in card
    assert "\n- 10 pictures set aside." in card


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
