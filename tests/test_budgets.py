"""Guard: files, functions and signatures stay small, and nothing that runs code from data is used."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

import pytest

ROOT: Final = Path(__file__).parents[1]
SOURCE: Final = ROOT / "src" / "gnomon"
CODE: Final = tuple(ROOT / folder for folder in ("src/gnomon", "tests", "tools", "benchmarks"))

FILE_LINES: Final = 500
FUNCTION_LINES: Final = 60
CONSTRUCTOR_LINES: Final = 25
PUBLIC_ARGUMENTS: Final = 12

CONSTRUCTORS: Final = {"__init__", "__post_init__", "__new__"}
NAMES_THAT_SAY_NOTHING: Final = {"util", "utils", "helper", "helpers", "common", "misc", "base"}
MODULES_THAT_UNPICKLE: Final = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Fault: TypeAlias = tuple[ast.AST, str]


# --- What is counted -------------------------------------------------------------------------------------------------


def name_faults(path: Path) -> list[str]:
    """Parts of a path inside the code that say nothing about what is there."""
    names = [Path(part).stem.strip("_").lower() for part in path.parts]
    return [
        f"the name {name!r} says nothing" for name in names if name in NAMES_THAT_SAY_NOTHING or name[:5] == "base_"
    ]


def size_faults(tree: ast.Module, text: str) -> Iterator[Fault]:
    """A file that is too long, functions and constructors that are."""
    if (count := len(text.splitlines())) > FILE_LINES:
        yield tree, f"the file has {count} lines; {FILE_LINES} are allowed"
    for function in _functions(tree):
        most = CONSTRUCTOR_LINES if function.name in CONSTRUCTORS else FUNCTION_LINES
        if (count := _lines_without_docstring(function)) > most:
            yield function, f"{function.name} has {count} lines without its docstring; {most} are allowed"


def signature_faults(tree: ast.Module) -> Iterator[Fault]:
    """Arguments without a type, and public functions with **kwargs or too many arguments."""
    for function in _functions(tree):
        bare = [argument.arg for argument in _arguments(function, tree) if argument.annotation is None]
        if bare:
            yield function, f"{function.name} has arguments without a type: {', '.join(bare)}"
        if function.returns is None:
            yield function, f"{function.name} does not say what it returns"
    for function in _public_functions(tree):
        if function.args.kwarg is not None:
            yield function, f"{function.name} takes **{function.args.kwarg.arg}"
        if (count := len(_arguments(function, tree))) > PUBLIC_ARGUMENTS:
            yield function, f"{function.name} takes {count} arguments; {PUBLIC_ARGUMENTS} are allowed"


def danger_faults(tree: ast.Module) -> Iterator[Fault]:
    """What can run code out of data, and handlers that hide every error."""
    for node in ast.walk(tree):
        for module in _imported(node):
            if module.split(".")[0] in MODULES_THAT_UNPICKLE or module in {"torch.load", "torch.save"}:
                yield node, f"imports {module}"
        if isinstance(node, ast.Call):
            yield from ((node, f"calls {name}") for name in _dangerous_calls(node))
        if isinstance(node, ast.ExceptHandler) and _catches_all(node.type) and _does_nothing(node.body):
            yield node, "catches every error and does nothing"


def _functions(tree: ast.AST) -> list[Function]:
    return [node for node in ast.walk(tree) if isinstance(node, Function)]


def _public_functions(tree: ast.Module) -> Iterator[Function]:
    """Functions that another module may call: of the module, and of its public classes; `__init__` is one."""
    scopes: list[ast.Module | ast.ClassDef] = [tree]
    while scopes:
        for node in scopes.pop().body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                scopes.append(node)
            elif isinstance(node, Function) and (not node.name.startswith("_") or node.name.endswith("__")):
                yield node


def _arguments(function: Function, tree: ast.Module) -> list[ast.arg]:
    """All arguments, *args and **kwargs too, but not the instance or the class that a method is called on."""
    arguments = [*function.args.posonlyargs, *function.args.args]
    methods = (node for owner in ast.walk(tree) if isinstance(owner, ast.ClassDef) for node in owner.body)
    is_static = any(getattr(decorator, "id", "") == "staticmethod" for decorator in function.decorator_list)
    if not is_static and any(function is method for method in methods):
        arguments = arguments[1:]
    starred = [argument for argument in (function.args.vararg, function.args.kwarg) if argument is not None]
    return [*arguments, *function.args.kwonlyargs, *starred]


def _lines_without_docstring(function: Function) -> int:
    lines = (function.end_lineno or 0) - function.lineno + 1
    if ast.get_docstring(function, clean=False) is None:
        return lines
    docstring = function.body[0]
    return lines - ((docstring.end_lineno or 0) - docstring.lineno + 1)


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and not node.level:
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def _dangerous_calls(call: ast.Call) -> Iterator[str]:
    name = ast.unparse(call.func)
    if name in {"eval", "exec", "torch.load", "torch.save", "torch.jit.load"}:
        yield name
    for keyword in call.keywords:
        if keyword.arg == "allow_pickle" and ast.unparse(keyword.value) != "False":
            yield f"{name} with allow_pickle={ast.unparse(keyword.value)}"
    if name.rpartition(".")[2] == "suppress" and any(map(_catches_all, call.args)):
        yield f"{name} on every error"


def _catches_all(caught: ast.expr | None) -> bool:
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(name is None or ast.unparse(name) in {"Exception", "BaseException"} for name in names)


def _does_nothing(body: list[ast.stmt]) -> bool:
    return all(
        isinstance(line, ast.Pass | ast.Continue)
        or (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
        for line in body
    )


# --- The guards ------------------------------------------------------------------------------------------------------


def _python_files(*folders: Path) -> list[Path]:
    return [file for folder in folders for file in sorted(folder.rglob("*.py"))]


def _faults(files: list[Path], find: Callable[[ast.Module, str], Iterator[Fault]]) -> list[str]:
    faults = []
    for file in files:
        text = file.read_text(encoding="utf-8")
        for node, fault in find(ast.parse(text), text):
            faults.append(f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}: {fault}")
    return faults


def test_there_is_code_to_judge() -> None:
    assert len(_python_files(SOURCE)) > 10


def test_names_say_what_is_there() -> None:
    paths = [file.relative_to(ROOT) for file in _python_files(*CODE)]
    assert [f"{path}: {fault}" for path in paths for fault in name_faults(path)] == []


def test_files_and_functions_are_short() -> None:
    assert _faults(_python_files(*CODE), size_faults) == []


def test_signatures_are_typed_and_short() -> None:
    assert _faults(_python_files(SOURCE), lambda tree, _: signature_faults(tree)) == []


def test_nothing_runs_code_from_data_or_hides_errors() -> None:
    assert _faults(_python_files(SOURCE), lambda tree, _: danger_faults(tree)) == []


# --- The guards see what they are there for --------------------------------------------------------------------------

LONG: Final = "    x = 1\n"


@pytest.mark.parametrize(
    "path", ["utils.py", "report/helpers.py", "common/x.py", "_misc.py", "base_model.py", "base.py"]
)
def test_a_name_that_says_nothing_is_found(path: str) -> None:
    assert len(name_faults(Path(path))) == 1
    assert name_faults(Path("database/commonness.py")) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1\n" * 500, 0),
        ("x = 1\n" * 501, 1),
        ("def f():\n" + LONG * 59, 0),
        ("def f():\n" + LONG * 60, 1),
        ('def f():\n    """One.\n\n    Two.\n    """\n' + LONG * 59, 0),
        ("class A:\n    def f(self):\n" + ("    " + LONG) * 60, 1),
        ("class A:\n    def __init__(self):\n" + ("    " + LONG) * 24, 0),
        ("class A:\n    def __init__(self):\n" + ("    " + LONG) * 25, 1),
        ("class A:\n    def __post_init__(self):\n" + ("    " + LONG) * 25, 1),
        ("async def f():\n    def g():\n" + ("    " + LONG) * 60, 2),
    ],
)
def test_what_is_too_long_is_found(text: str, expected: int) -> None:
    assert len(list(size_faults(ast.parse(text), text))) == expected


TWELVE: Final = ", ".join(f"a{number}: int" for number in range(12))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"def f({TWELVE}) -> None: ...", 0),
        (f"def f({TWELVE}, *, b: int) -> None: ...", 1),
        (f"def _f({TWELVE}, *, b: int) -> None: ...", 0),
        (f"class A:\n    def f(self, {TWELVE}) -> None: ...", 0),
        (f"class A:\n    def __init__(self, {TWELVE}, b: int) -> None: ...", 1),
        (f"class A:\n    @staticmethod\n    def f({TWELVE}, b: int) -> None: ...", 1),
        (f"class _A:\n    def f(self, {TWELVE}, b: int) -> None: ...", 0),
        ("def f(**options: int) -> None: ...", 1),
        ("class A:\n    async def f(self, **options: int) -> None: ...", 1),
        ("def _f(**options: int) -> None: ...", 0),
        ("def _f(a) -> None: ...", 1),
        ("def f(*a) -> None: ...", 1),
        ("def f(a: int): ...", 1),
        ("class A:\n    @classmethod\n    def f(cls, a: int) -> None: ...", 0),
    ],
)
def test_a_signature_that_is_untyped_or_too_wide_is_found(text: str, expected: int) -> None:
    assert len(list(signature_faults(ast.parse(text)))) == expected


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "def f():\n    from joblib import load",
        "from torch import load",
        "torch.load(file)",
        "torch.save(model, file)",
        "eval('1')",
        "exec(code)",
        "np.load(file, allow_pickle=True)",
        "np.load(file, allow_pickle=trusted)",
        "try:\n    f()\nexcept Exception:\n    pass",
        "try:\n    f()\nexcept (ValueError, BaseException):\n    ...",
        "for x in y:\n    try:\n        f()\n    except:\n        continue",
        "with contextlib.suppress(Exception):\n    f()",
    ],
)
def test_what_runs_code_or_hides_errors_is_found(text: str) -> None:
    assert len(list(danger_faults(ast.parse(text)))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "model.eval()",
        "np.load(file, allow_pickle=False)",
        "from safetensors.torch import load, save",
        "# pickle is not read\nx = 'pickle'",
        "try:\n    f()\nexcept Exception as error:\n    log(error)",
        "with contextlib.suppress(FileNotFoundError):\n    f()",
    ],
)
def test_what_is_safe_is_let_through(text: str) -> None:
    assert list(danger_faults(ast.parse(text))) == []
