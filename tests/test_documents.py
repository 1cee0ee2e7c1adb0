"""Guard: what the documents show is run, and the structure that they draw is the real one."""

import re
import runpy
import shlex
import shutil
import sys
from pathlib import Path
from typing import Final

import pytest

from conftest import PictureFolder
from gnomon import cli
from gnomon.spine.recipe import parse_recipe
from gnomon.version import VERSION
from sound_files import sound_file, tone
from source_files import write_folder, write_text
from test_layers import ORDER, PACKAGE

ROOT: Final = Path(__file__).parents[1]
DOCUMENTS: Final = ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/RESULTS.md")
EXAMPLES: Final = sorted((ROOT / "examples").glob("*.py"))
RECIPES: Final = sorted((ROOT / "recipes").glob("*.toml"))


def blocks(language: str) -> list[str]:
    """The README's blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)


def quickly(text: str) -> str:
    """The same with two steps, or one epoch, in place of minutes."""
    return re.sub(r"--by \S+", "--steps 2", re.sub(r'by="\S+?"', "epochs=1", text))


@pytest.fixture
def user_folder(tmp_path: Path, picture_folder: PictureFolder, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the README speaks of: photos/ and new.jpg, texts, recordings, series and songs."""
    photos = picture_folder(per_class=12, size=24, name="photos")
    shutil.copy(next(photos.rglob("*.png")), tmp_path / "new.jpg")
    _write_sequences(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _write_sequences(folder: Path) -> None:
    rows = [(f"a {word} film about {number}", word) for word in ("good", "bad") for number in range(20)]
    write_text(folder, "reviews.csv", "text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    write_text(folder, "new-reviews.csv", "text\n" + "".join(f"{text}\n" for text, _ in rows[::7]))
    sounds = {
        f"{word}/{word}_{speaker}_{take}.wav": sound_file(tone(hertz + 9 * take + place, 0.1))
        for word, hertz in (("yes", 300), ("no", 1200))
        for place, speaker in enumerate(("ann", "bob", "cid", "dee"))
        for take in range(4)
    }
    write_folder(folder / "recordings", sounds)
    steps = [
        f"{device},{step},{device % 2 + 0.01 * (step + device)},{'on' if device % 2 else 'off'}"
        for device in range(24)
        for step in range(6)
    ]
    write_text(folder, "sensors.csv", "\n".join(["device,t,current,label", *steps]) + "\n")
    songs = [f"recordings/{name},{'loud;' * (place % 2)}{name[:2]}" for place, name in enumerate(sounds)]
    write_text(folder, "songs.csv", "\n".join(["file,labels", *songs]) + "\n")


@pytest.mark.usefixtures("user_folder")
def test_every_command_of_the_readme_runs() -> None:
    commands = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("gnomon ")]
    assert len(commands) >= 3
    for command in commands:
        words = shlex.split(quickly(command), comments=True)
        assert cli.main(words[1:]) == 0, command


@pytest.mark.usefixtures("user_folder")
def test_the_python_of_the_readme_runs() -> None:
    (program,) = blocks("python")
    scope: dict[str, object] = {}
    exec(compile(quickly(program), "README.md", "exec"), scope)
    assert "run" in scope


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_runs(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = re.sub(r"EPOCHS = \d+", "EPOCHS = 1", re.sub(r"epochs=\d+", "epochs=1", path.read_text("utf-8")))
    (tmp_path / path.name).write_text(text, "utf-8")
    _write_sequences(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [path.name, "reviews.csv"])
    runpy.run_path(str(tmp_path / path.name), run_name="__main__")
    assert re.search(r"\d", capsys.readouterr().out)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_every_shipped_recipe_is_read_and_makes_two_steps(path: Path, user_folder: Path) -> None:
    recipe = parse_recipe(path.read_text("utf-8"))
    assert parse_recipe(recipe.to_toml()) == recipe
    assert cli.main(["train", "photos", "--recipe", str(path), *_two_steps(), "--quiet"]) == 0
    assert (user_folder / "runs/latest/report.html").is_file()


def _two_steps() -> list[str]:
    return ["--steps", "2", "--batch", "8"]


def test_architecture_lists_the_modules_in_their_order() -> None:
    drawn = re.findall(r"^\| `(\w+)/?`", (ROOT / "ARCHITECTURE.md").read_text("utf-8"), re.MULTILINE)
    real = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert drawn == [name for name in ORDER if name in real and not name.startswith("__")]


def test_the_newest_change_is_this_version_or_the_next() -> None:
    newest = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert VERSION in newest[:2]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_between_documents_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    for target in re.findall(r"\]\((?!https?://|#)([^)#\s]+)", text):
        assert ((ROOT / name).parent / target).exists(), f"{name}: {target}"
