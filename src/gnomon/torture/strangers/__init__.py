"""Files that a stranger may have made to do harm, each wrong in one way: built from a seed, in a folder of their own.

models     headers, descriptions and tensors of model files
runs       run directories, whose plan, recipe and checkpoints say what they should not
archives   zip and tar: bombs, links, names that lead elsewhere, lies about sizes
tables     CSV, TSV, JSONL, Parquet, long tables, `.ts`; names of files that lead elsewhere
arrays     `.npz`: objects, headers that lie, bombs
media      pictures and recordings: bombs, headers that lie, what damage makes of good ones
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

Ends: TypeAlias = Literal["refused", "aside", "any"]


@dataclass(frozen=True, slots=True)
class Case:
    """One attempt.

    Attributes:
        kind: of the file, under which it is counted.
        what: is wrong with it.
        words: the command, in the folder where `make` has put the file.
        make: puts it there. Beside that folder lies `outside`, which nothing may read or write.
        ends: "refused": the command must end with exit code 2. "aside": it must end well, and say what it left out.
            "any": it may do either, since the file is possible, or the damage of chance may have made it so.
    """

    kind: str
    what: str
    words: tuple[str, ...]
    make: Callable[[Path], object]
    ends: Ends = "refused"


OUTSIDE: Final = "outside"
"""The folder beside the case's own; `secret.png`, `secret.csv` and `secret.txt` in it are good files of their kinds."""


def train_words(data: str, *more: str) -> tuple[str, ...]:
    """The shortest training on this."""
    quick = ("--steps", "1", "--threads", "1", "--format", "float32", "--quiet", "--out", "run")
    return "train", data, *quick, *more


def predict_words(data: str, kind: str = "image") -> tuple[str, ...]:
    """A prediction of this by a good model of the kind."""
    return "predict", f"{kind}.safetensors", data
