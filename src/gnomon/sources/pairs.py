"""Two files that belong together, told by their names: `titles-train.csv`, and `titles-test.csv` as the test part."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from ..errors import DataError
from ..types import Split
from . import TABLE_EXTENSIONS
from .forms import extension_of

_TRAIN_WORD: Final = re.compile(r"(?<![A-Za-z])(train|TRAIN|Train|training|Training)(?![A-Za-z])")
_TEST_WORDS: Final[Mapping[str, str]] = {
    "train": "test",
    "TRAIN": "TEST",
    "Train": "Test",
    "training": "test",
    "Training": "Test",
}


def paired(location: str) -> list[tuple[str, Split | None]]:
    """The file, with None; or the files for training and for testing, with the parts that they are.

    Args:
        location: a file, or a folder that holds one pair of tables and no other table.

    Raises:
        DataError: a folder that does not.
    """
    if os.path.isdir(location):
        pair = table_pair(location)
        if pair is None:
            raise DataError(
                f"the folder {location!r} does not hold one pair of tables such as titles-train.csv, titles-test.csv",
                remedy="Give the table itself.",
            )
        return [(pair[0], "train"), (pair[1], "test")]
    folder, name = os.path.split(location)
    other = _test_name(name)
    beside = os.path.join(folder, other) if other else ""
    if beside and os.path.isfile(beside):
        return [(location, "train"), (beside, "test")]
    return [(location, None)]


def table_pair(folder: str) -> tuple[str, str] | None:
    """The paths of the training and the test table, where the folder holds these two tables and no other."""
    pair = pair_among(os.listdir(folder), TABLE_EXTENSIONS)
    return (os.path.join(folder, pair[0]), os.path.join(folder, pair[1])) if pair else None


def pair_among(names: Sequence[str], extensions: Collection[str]) -> tuple[str, str] | None:
    """The names for training and for testing, where these two are all that have such an extension."""
    found = sorted(name for name in names if extension_of(name) in extensions)
    for name in found:
        other = _test_name(name)
        if other and len(found) == 2 and other in found:
            return name, other
    return None


def _test_name(path: str) -> str:
    """`a-test.csv` for `a-train.csv`; "" for a name without that word."""
    folder, slash, name = path.rpartition("/")
    match = list(_TRAIN_WORD.finditer(name))
    if not match:
        return ""
    last = match[-1]
    return folder + slash + name[: last.start()] + _TEST_WORDS[last[0]] + name[last.end() :]
