"""Guard: the names that `import gnomon` gives are all there, in order and documented."""

import dataclasses
import inspect
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

import gnomon
from gnomon import types as gnomon_types


def sort_key(name: str) -> tuple[int, str]:
    """Constants, classes, then the rest: the order that the linter keeps in `__all__`."""
    if re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
        return 0, name
    return (1 if name[0].isupper() else 2), name


def is_documented(value: object) -> bool:
    """Whether a class, a function or a module has a docstring of its own, not one that a decorator made.

    Constants and type aliases can hold none, and count as documented.
    """
    if isinstance(value, type):
        text = value.__dict__.get("__doc__")
        made = isinstance(text, str) and dataclasses.is_dataclass(value) and text.startswith(f"{value.__name__}(")
        return bool(text) and not made
    if isinstance(value, ModuleType) or inspect.isroutine(value):
        return bool(value.__doc__)
    return True


def test_names_are_sorted_and_not_repeated() -> None:
    names = list(gnomon.__all__)
    assert names == sorted(set(names), key=sort_key)


@pytest.mark.parametrize("name", gnomon.__all__)
def test_a_name_resolves_and_is_documented(name: str) -> None:
    assert is_documented(getattr(gnomon, name)), f"gnomon.{name} has no docstring"


def test_names_are_listed() -> None:
    assert set(gnomon.__all__) <= set(dir(gnomon))


def test_an_unknown_name_is_an_attribute_error() -> None:
    name = "no_such_name"
    with pytest.raises(AttributeError, match=name):
        getattr(gnomon, name)


def test_the_version_is_that_of_the_installed_package() -> None:
    try:
        installed = version("gnomon")
    except PackageNotFoundError:
        pytest.skip("gnomon is on the path, but not installed")
    assert getattr(gnomon, "__version__", None) == installed


def test_what_lacks_a_docstring_is_found() -> None:
    @dataclasses.dataclass
    class Bare:
        number: int

    class Record(msgspec.Struct):
        number: int

    def function() -> None:
        pass

    assert not any(is_documented(value) for value in (Bare, Record, function))
    assert all(
        is_documented(value) for value in (gnomon_types.DataSpec, gnomon_types, gnomon_types.plural, int | str, 3)
    )


def test_no_module_hides_a_public_name() -> None:
    """Importing a submodule sets its name on the package: `train.py` would stand in the place of `gnomon.train`."""
    modules = {path.stem for path in Path(gnomon.__file__).parent.iterdir()}
    assert not modules & set(gnomon.__all__)
