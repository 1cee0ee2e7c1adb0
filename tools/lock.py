"""Writes constraints.txt and requirements.lock from pyproject.toml: `make lock`.

constraints.txt pins the version of everything that Gnomon, its tests and its build need. requirements.lock holds the
same without PyTorch, with the SHA-256 of the wheels for each Python and system in `TARGETS`. Versions are chosen by
pip for the running Python, which must be the oldest that Gnomon supports, so that they exist for the newer ones too.
PyTorch is left out of the lock because its builds (CPU, CUDA, ROCm) share a version and differ in their hashes.
"""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
PYTHONS: Final = ("3.11", "3.12", "3.13", "3.14")
TARGETS: Final = tuple(product(PYTHONS, ("linux x86_64", "linux aarch64", "macos arm64")))

# The extras that are not installed for development: heavy, and rarely used.
_APART: Final = frozenset({"cluster"})

# What a CUDA build of PyTorch brings along; it names exact versions itself.
_OF_TORCH = re.compile(r"(nvidia|cuda)-.*|triton")
_HEADER = "# Written by `make lock` from pyproject.toml, not by hand.\n{}\n\n"
_CONSTRAINTS = "# The version of everything, PyTorch's too: pip install -c constraints.txt ..."
_LOCK = """# Wheels for Python {pythons} on {systems}. PyTorch stands in constraints.txt
# alone, as its builds (CPU, CUDA, ROCm) share a version and differ in their hashes."""


def main() -> None:
    """Resolves, gathers hashes and writes both files.

    Raises:
        subprocess.CalledProcessError: pip found no solution, or no wheel for one of the targets.
    """
    if ".".join(map(str, sys.version_info[:2])) != PYTHONS[0]:
        sys.exit(f"the lock is made with Python {PYTHONS[0]}, this is {sys.version.split()[0]}: make lock PYTHON=...")
    pins = resolved(requirements(ROOT / "pyproject.toml"))
    hashes = gathered_hashes({name: version for name, version in pins.items() if name != "torch"})
    (ROOT / "constraints.txt").write_text(_HEADER.format(_CONSTRAINTS) + "\n".join(_pinned(pins)) + "\n")
    (ROOT / "requirements.lock").write_text(lock_text(pins, hashes))


def requirements(pyproject: Path) -> list[str]:
    """What the package, its development and its build need, as written in pyproject.toml."""
    project = tomllib.loads(pyproject.read_text())
    extras = project["project"]["optional-dependencies"].items()
    beside = [requirement for name, extra in extras if name not in _APART for requirement in extra]
    return [*project["project"]["dependencies"], *project["build-system"]["requires"], *beside]


def resolved(wanted: Sequence[str]) -> dict[str, str]:
    """Name to version of everything that `wanted` needs on the running Python, sorted; local version parts cut off."""
    installs = _report(*wanted)
    pins = {_normalised(i["metadata"]["name"]): i["metadata"]["version"].partition("+")[0] for i in installs}
    return {name: pins[name] for name in sorted(pins) if not _OF_TORCH.fullmatch(name)}


def gathered_hashes(pins: Mapping[str, str]) -> dict[str, set[str]]:
    """Name to the SHA-256 of the wheel for each of the targets."""
    hashes: dict[str, set[str]] = defaultdict(set)
    for python, system in TARGETS:
        print(f"hashes for Python {python} on {system}", flush=True)
        options = ("--no-deps", "--only-binary=:all:", "--target=unused", f"--python-version={python}")
        for install in _report(*options, *_platforms(system), *_pinned(pins)):
            hashes[_normalised(install["metadata"]["name"])].add(
                install["download_info"]["archive_info"]["hashes"]["sha256"]
            )
    return hashes


def lock_text(pins: Mapping[str, str], hashes: Mapping[str, Iterable[str]]) -> str:
    """A requirements file for `pip install --require-hashes --no-deps`."""
    systems = ", ".join(dict.fromkeys(system for _, system in TARGETS))
    entries = [
        " \\\n".join([f"{name}=={pins[name]}", *(f"    --hash=sha256:{digest}" for digest in sorted(digests))])
        for name, digests in sorted(hashes.items())
    ]
    return _HEADER.format(_LOCK.format(pythons=" ".join(PYTHONS), systems=systems)) + "\n".join(entries) + "\n"


def _pinned(pins: Mapping[str, str]) -> list[str]:
    return [f"{name}=={version}" for name, version in pins.items()]


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _platforms(system: str) -> list[str]:
    """pip's options for one system. It expands macOS versions downwards by itself, glibc versions it does not."""
    kind, machine = system.split()
    if kind == "macos":
        return [f"--platform=macosx_14_0_{machine}"]
    return [f"--platform=manylinux_2_{minor}_{machine}" for minor in range(28, 16, -1)] + [
        f"--platform=manylinux2014_{machine}"
    ]


def _report(*arguments: str) -> list[dict[str, Any]]:
    """What `pip install` with these arguments would install; downloads and installs nothing that it can avoid."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "-qq", "install", "--dry-run", "--ignore-installed", "--no-cache-dir"]
        subprocess.run([*command, f"--report={report}", *arguments], check=True)
        installs: list[dict[str, Any]] = json.loads(report.read_text())["install"]
        return installs


if __name__ == "__main__":
    main()
