"""Guard: a module imports only what stands before it in one list, and light modules stay light.

The list is the design: the first half is all that a prediction needs, and knows nothing of the second, which trains.
"""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

SOURCE: Final = Path(__file__).parents[1] / "src"
PACKAGE: Final = SOURCE / "gnomon"

PREDICT: Final = (
    *("errors", "visible", "types", "version", "deadline", "chance", "rounding", "space"),
    *("sources", "encoders", "minimise", "models", "tasks", "predicting"),
)
TRAIN: Final = (
    *("rows", "augment", "batches", "fsdp", "optim", "planning", "rundir", "training"),
    *("previews", "judgement", "scoring", "evaluate", "specimens", "answer_speed", "final", "shrinking"),
    *("explain", "report", "spine", "display", "tensorboard", "api", "tuning", "estimator", "options", "torture"),
    *("commands", "cli"),
)
INSIDE: Final = {
    "predicting": ("features", "familiarity", "tensorfile", "quantise", "chunks", "modelfile", "predict"),
    "rows": ("decoding", "cache", "splits", "fitting", "sample", "targets", "dataset", "baseline", "text_baseline"),
    "planning": ("hardware", "energy", "estimate", "memory", "ladder", "progress", "thrift", "asked", "plan"),
    "rundir": ("writing", "lock", "seals", "run", "checkpoints"),
    "training": ("pace", "state", "team", "launch", "stepping", "train", "probing", "forecast"),
    "shrinking": ("thin", "shrink", "distil"),
    "spine": (
        *("recipe", "reading", "opening", "reopening", "preparing", "sharing", "recording", "fit", "finish"),
        "following",
    ),
}
"""Folders whose modules have an order of their own."""
ORDER: Final = (*PREDICT, *TRAIN, "__main__", "__init__")


# --- The order, read from the code without running it ----------------------------------------------------------------


def order_problems(package: Path) -> list[str]:
    """Every import in `package` that the order forbids, and every module that the order does not know."""
    problems = []
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(package).with_suffix("").parts
        where = file.relative_to(package.parent).as_posix()
        if parts[0] not in ORDER:
            problems.append(f"{where}: {parts[0]!r} has no place in ORDER")
            continue
        if len(parts) > 1 and parts[1] not in ("__init__", *INSIDE.get(parts[0], (parts[1],))):
            problems.append(f"{where}: {parts[1]!r} has no place in INSIDE")
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            for wrong in _wrong_imports(node, parts, package.name):
                problems.append(f"{where}:{getattr(node, 'lineno', 0)}: {parts[0]} {wrong}")
    return problems


def _wrong_imports(node: ast.AST, parts: tuple[str, ...], package: str) -> Iterator[str]:
    """What is wrong with one node of the module at `parts`, if it is an import: a phrase for each fault."""
    absolute = [name for name in _absolute_names(node) if name.split(".")[0] == package]
    yield from (f"imports {name} by its full name; write it relative" for name in absolute)
    for target, *rest in _relative_targets(node, (package, *parts[:-1])):
        inside_one_folder = target == parts[0] and len(parts) > 1
        if target not in ORDER or target == "__init__":
            yield f"imports {target!r}, which is no module of ORDER"
        elif inside_one_folder:
            order = INSIDE.get(target, ())
            if rest and rest[0] in order and parts[1] in order and order.index(rest[0]) >= order.index(parts[1]):
                yield f"imports {rest[0]}, which does not stand before it"
        elif ORDER.index(target) >= ORDER.index(parts[0]):
            yield f"imports {target}, which does not stand before it"


def _absolute_names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and not node.level:
        return [node.module or ""]
    name = _named_at_run_time(node)
    return [name] if name and not name.startswith(".") else []


def _relative_targets(node: ast.AST, folder: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The modules that a relative import names, as parts; `..` where it leaves the package. `folder` begins with it."""
    name = _named_at_run_time(node)
    if name and name.startswith("."):
        level = len(name) - len(name.lstrip("."))
        names: list[str] = []
        module = name[level:]
    elif isinstance(node, ast.ImportFrom) and node.level:
        level, names, module = node.level, [alias.name for alias in node.names], node.module or ""
    else:
        return []
    if level > len(folder):
        return [("..",)]
    path = (*folder[1 : len(folder) - level + 1], *(part for part in module.split(".") if part))
    return [path] if len(path) > 1 or (path and not names) else [(*path, name) for name in names]


def _named_at_run_time(node: ast.AST) -> str | None:
    """The constant in `import_module("...")` or `__import__("...")`."""
    if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
        return None
    function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    value = node.args[0].value
    return value if function in {"import_module", "__import__"} and isinstance(value, str) else None


def test_modules_import_only_what_stands_before_them() -> None:
    assert order_problems(PACKAGE) == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("encoders/image.py", "from ..training import step"),
        ("encoders/image.py", "from .. import training"),
        ("encoders/image.py", "def f():\n    from ..spine.recipe import Recipe"),
        ("models/resnet.py", "if TYPE_CHECKING:\n    from ..cli import main"),
        ("models/resnet.py", "import_module('..rundir', __package__)"),
        ("models/resnet.py", "from ...gnomon import errors"),
        ("errors.py", "from .types import Row"),
        ("types.py", "from gnomon.errors import InputError"),
        ("types.py", "import gnomon.errors"),
        ("types.py", "from . import types"),
        ("api.py", "from . import __version__"),
        ("cli.py", "from .__init__ import fit"),
        ("training/team.py", "from .stepping import one_step"),
        ("training/team.py", "from . import stepping"),
        ("training/team.py", "from ..training.stepping import one_step"),
        ("training/surprise.py", "x = 1"),
        ("surprise.py", "x = 1"),
        ("surprise/part.py", "x = 1"),
    ],
)
def test_a_forbidden_import_is_found(tmp_path: Path, file: str, text: str) -> None:
    _write(tmp_path / "gnomon" / file, text)
    assert len(order_problems(tmp_path / "gnomon")) == 1


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (
            "training/train.py",
            "from .. import errors\nfrom .team import Team\nfrom ..models.resnet import ResNet",
        ),
        ("models/__init__.py", "from .resnet import ResNet\nfrom ..errors import InputError"),
        ("models/resnet.py", "from . import parts\nfrom .parts import Block\nfrom .. import types"),
        ("__init__.py", "from .cli import main\nimport_module(f'.{name}', __name__)"),
    ],
)
def test_a_permitted_import_is_let_through(tmp_path: Path, file: str, text: str) -> None:
    _write(tmp_path / "gnomon" / file, text)
    assert order_problems(tmp_path / "gnomon") == []


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="utf-8")


# --- What an import brings along, seen in a fresh interpreter --------------------------------------------------------


def loaded_by(code: str) -> set[str]:
    """Names of all modules that stand in memory after a fresh interpreter has run `code`; it may end by SystemExit."""
    program = (
        "import json, sys\n"
        f"try:\n    exec({code!r})\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "print('\\n' + json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import gnomon", {"torch", "numpy", "PIL", "sklearn", "pyarrow"}),
        ("import gnomon.types, gnomon.sources", {"torch", "sklearn"}),
        ("import gnomon.report", {"torch", "sklearn"}),
        (
            "sys.argv = ['gnomon', '--help']; from gnomon.cli import main; sys.exit(main())",
            {"torch", "numpy", "PIL", "sklearn", "pyarrow"},
        ),
    ],
    ids=["gnomon", "types and sources", "report", "gnomon --help"],
)
def test_light_modules_load_nothing_heavy(code: str, heavy: set[str]) -> None:
    assert loaded_by(code) & heavy == set()


def test_explaining_loads_no_plots_and_leaves_captum_whole() -> None:
    loaded = loaded_by("from gnomon.explain.attribution import _captum; _captum().Saliency")
    assert {"matplotlib", "captum"} & loaded == set()
    assert "matplotlib" in loaded_by(
        "from gnomon.explain.attribution import _captum; _captum()\n"
        "import captum.attr; assert captum.attr.LLMAttribution"
    )


def test_predicting_loads_nothing_that_trains() -> None:
    loaded = loaded_by("import gnomon.predicting.modelfile")
    assert "gnomon.predicting.modelfile" in loaded
    assert {f"gnomon.{module}" for module in TRAIN} & loaded == set()
