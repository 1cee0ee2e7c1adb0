"""What names mean: which files are of the kind, and which folder is a class or a part: train, validation, test.

All functions are pure: names in, rows and sentences out. The tables and arrays use the same words for parts and the
same rules for classes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from ..errors import DataError
from ..types import Kind, Row, SetAside, Split, listed, plural
from . import TABLE_EXTENSIONS
from .forms import EXTENSIONS, FORMS, Form, extension_of
from .labels import Listing, settle
from .patterns import GIVER_OF_TEST_FILES, with_test_files

SPLIT_WORDS: Final[Mapping[str, Split]] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}

_OTHER_EXTENSIONS: Final = re.compile(
    r"\.(txt|md|rst|html?|xml|jsonl?|csv|tsv|parquet|xlsx?|docx?|pdf|py|ipynb|sh|log|ini|cfg|toml|ya?ml|db|sqlite|npy"
    r"|npz|mat|h5|hdf5|pkl|pth?|safetensors|zip|tar|gz|tgz|bz2|xz|7z|rar|mp3|wav|flac|mp4|avi|mov|mkv|svg)"
)
_LEFTOVERS: Final = frozenset(("thumbs.db", "desktop.ini", "__macosx"))
_IN_NO_CLASS: Final = "lies in no class folder"

Folder: TypeAlias = tuple[str, ...]
"""A folder's name in parts; the root is ()."""


@dataclass(frozen=True, slots=True)
class _Place:
    """What a folder means for the files in it: a class and perhaps a part, or a reason to leave them out."""

    label: str = ""
    split: Split | None = None
    nested: bool = False
    problem: str | None = None


def read_layout(
    names: Sequence[str],
    sizes: Sequence[int],
    *,
    where: str,
    is_kind: Callable[[str], bool],
    kind: Kind = "image",
    test_files: str | None = None,
) -> Listing:
    """Rows from names such as `photos/train/cat/1.jpg`.

    Args:
        names: parts joined by `/`, in the order that the rows shall have.
        sizes: bytes.
        where: the location, for messages.
        is_kind: judges by content; asked only about files whose extension tells nothing.
        kind: of the files that are wanted.
        test_files: a regular expression on the names, which tells the rows of the test part.

    Raises:
        DataError: no such files, no class folders, fewer than two classes.
        RecipeError: the expression can't be used.
    """
    form = FORMS[kind]
    wanted, set_aside, notes = _wanted(names, sizes, kind, is_kind)
    if not wanted:
        raise DataError([f"there are no {form.nouns} in {where!r}", *notes], remedy=form.example)
    folder_of = {name: tuple(name.split("/")[:-1]) for name in wanted}
    places = _places(set(folder_of.values()))
    rows: list[Row] = []
    misplaced: list[SetAside] = []
    nested: Counter[Folder] = Counter()
    for name, folder in folder_of.items():
        place = places[folder]
        if place.problem is not None:
            misplaced.append(SetAside(key=name, reason=place.problem))
            continue
        rows.append(Row(name, place.label, place.split))
        if place.nested:
            nested[folder] += 1
    if not rows:
        raise DataError(
            f"no class folders in {where!r}: {_only_loose(wanted, form)}", remedy=_loose_remedy(names, form)
        )
    parted, told = with_test_files(rows, test_files)
    giver = GIVER_OF_TEST_FILES if test_files else "the folders give"
    settled = settle(parted, where=where, giver=giver, remedy=form.example)
    others = [*told, *notes, *_place_notes(misplaced, form), *_nested_notes(nested, places, form)]
    return Listing(settled.rows, [*set_aside, *misplaced, *settled.set_aside], [*settled.notes, *others])


# --- Which files are wanted ------------------------------------------------------------------------------------------


def _wanted(
    names: Sequence[str], sizes: Sequence[int], kind: Kind, is_kind: Callable[[str], bool]
) -> tuple[list[str], list[SetAside], list[str]]:
    form = FORMS[kind]
    wanted: list[str] = []
    set_aside: list[SetAside] = []
    others: Counter[str] = Counter()
    hidden = empty = 0
    for name, size in zip(names, sizes, strict=True):
        extension = extension_of(name)
        known = extension in EXTENSIONS[kind]
        if _is_hidden(name):
            hidden += known and not _is_leftover(name)
        elif size == 0:
            empty += 1
            set_aside.append(SetAside(key=name, reason="empty (0 bytes)"))
        elif known or (not _OTHER_EXTENSIONS.fullmatch(extension) and is_kind(name)):
            wanted.append(name)
        else:
            others[extension] += 1
            set_aside.append(SetAside(key=name, reason=f"not a {form.formats} {form.noun}"))
    return wanted, set_aside, _other_notes(others, hidden, empty, form)


def _is_hidden(name: str) -> bool:
    """Quick for the usual case: 60,000 names have few dots behind slashes."""
    if name[0] == "." or "/." in name:
        return True
    lower = name.lower()
    return any(part in lower for part in _LEFTOVERS) and any(part in _LEFTOVERS for part in lower.split("/"))


def _is_leftover(name: str) -> bool:
    """Files that a system makes by itself beside the user's: nobody misses them."""
    parts = name.lower().split("/")
    return parts[-1].startswith("._") or any(part in _LEFTOVERS for part in parts)


def _other_notes(others: Counter[str], hidden: int, empty: int, form: Form) -> list[str]:
    notes = []
    if others:
        counts = [f"{count:,} {extension or 'without extension'}" for extension, count in others.most_common()]
        total = sum(others.values())
        kinds = listed(counts, 6) if len(others) > 1 else counts[0].partition(" ")[2]
        subject = "1 file is no" if total == 1 else f"{total:,} files are no"
        notes.append(f"{subject} {form.formats} {form.noun if total == 1 else form.nouns} ({kinds}): left out")
    if empty:
        notes.append(f"{plural(empty, 'file')} left out: empty (0 bytes)")
    if hidden:
        what = plural(hidden, f"hidden {form.noun}", f"hidden {form.nouns}")
        notes.append(f"{what} left out (a name in the path begins with a dot)")
    return notes


# --- What the folders mean -------------------------------------------------------------------------------------------


def _places(folders: Collection[Folder]) -> dict[Folder, _Place]:
    """What each folder means, all folders that hold such files considered together."""
    depth = _common_depth(folders, 0)
    children = {folder[depth] for folder in folders if len(folder) > depth}
    parts = _parts_among(children, folders, depth)
    if parts:
        class_depth = _class_depth(folders, parts, depth)
        return {folder: _place_in_part(folder, parts, depth, class_depth) for folder in folders}
    if _classes_hold_parts(folders, depth):
        return {folder: _place_above_part(folder, depth) for folder in folders}
    return {folder: _place_in_class(folder, depth, None) for folder in folders}


def _common_depth(folders: Iterable[Folder], depth: int) -> int:
    """How many folders stand around everything (`archive/photos/`), so that the next level says something."""
    while True:
        deeper = [folder for folder in folders if len(folder) > depth]
        alone = len({folder[depth] for folder in deeper}) == 1
        if not alone or all(len(folder) == depth + 1 for folder in deeper):
            return depth
        depth += 1


def _word(name: str) -> Split | None:
    return SPLIT_WORDS.get(name.strip().lower())


def _parts_among(children: Collection[str], folders: Collection[Folder], depth: int) -> dict[str, Split]:
    """The folders of this level that name parts; none if it is a level of classes, as one may be named train."""
    parts = {child: split for child in children if (split := _word(child)) is not None}
    splits = set(parts.values())
    lone = len(splits) < 2 and not ("train" in splits and _train_holds_classes(parts, folders, depth))
    return {} if lone else parts


def _train_holds_classes(parts: Mapping[str, Split], folders: Collection[Folder], depth: int) -> bool:
    """Whether a lone train folder, with other folders beside it, is a part rather than the class of trains."""
    inside = [folder for folder in folders if len(folder) > depth and folder[depth] in parts]
    beside = [folder for folder in folders if len(folder) > depth and folder[depth] not in parts]
    classes = {folder[depth + 1] for folder in inside if len(folder) > depth + 1}
    if len(classes) < 2 or any(len(folder) == depth + 1 for folder in inside):
        return False
    below = {folder[depth + 1] for folder in beside if len(folder) > depth + 1}
    return bool(below & classes) or any(len(folder) == depth + 1 for folder in beside)


def _class_depth(folders: Collection[Folder], parts: Mapping[str, Split], depth: int) -> int:
    """The level of the classes: below the parts, and below folders that stand alone in them (`train/images/`)."""
    inside = [folder for folder in folders if len(folder) > depth and folder[depth] in parts]
    level = depth + 1
    while all(len(folder) > level + 1 for folder in inside):
        alone = all(len({folder[level] for folder in inside if folder[depth] == part}) == 1 for part in parts)
        if not alone:
            break
        level += 1
    return level


def _classes_hold_parts(folders: Collection[Folder], depth: int) -> bool:
    """Whether it is `cat/train/1.jpg`: every class holds nothing but parts."""
    inside = [folder for folder in folders if len(folder) > depth]
    if any(len(folder) == depth + 1 for folder in inside):
        return False
    splits = {_word(folder[depth + 1]) for folder in inside}
    return None not in splits and "train" in splits and len(splits) > 1


def _place_in_part(folder: Folder, parts: Mapping[str, Split], depth: int, class_depth: int) -> _Place:
    if len(folder) <= depth or folder[depth] not in parts:
        return _Place(problem=f"lies beside the folders {listed(sorted(parts), 6)}, in none of them")
    return _place_in_class(folder, class_depth, parts[folder[depth]])


def _place_in_class(folder: Folder, depth: int, split: Split | None) -> _Place:
    if len(folder) <= depth:
        return _Place(problem=_IN_NO_CLASS)
    return _Place(folder[depth], split, nested=len(folder) > depth + 1)


def _place_above_part(folder: Folder, depth: int) -> _Place:
    if len(folder) <= depth:
        return _Place(problem=_IN_NO_CLASS)
    return _Place(folder[depth], _word(folder[depth + 1]), nested=len(folder) > depth + 2)


def _place_notes(refused: Sequence[SetAside], form: Form) -> list[str]:
    counts = Counter(row.reason for row in refused)
    return [f"{plural(count, form.noun, form.nouns)} set aside: {reason}" for reason, count in counts.items()]


def _nested_notes(nested: Counter[Folder], places: Mapping[Folder, _Place], form: Form) -> list[str]:
    if not nested:
        return []
    total = sum(nested.values())
    first = next(iter(nested))
    verb, belong = ("lies", "belongs") if total == 1 else ("lie", "belong")
    example = f"{'/'.join(first)} counts as the class {places[first].label!r}"
    what = f"{plural(total, form.noun, form.nouns)} {verb} in folders inside a class folder"
    return [f"{what}, and {belong} to that class ({example})"]


def _only_loose(files: Sequence[str], form: Form) -> str:
    return f"all {plural(len(files), form.noun, form.nouns)} lie side by side ({listed(files)})"


def _loose_remedy(names: Sequence[str], form: Form) -> str:
    tables = [name for name in names if extension_of(name) in TABLE_EXTENSIONS]
    says = f" If {tables[0]!r} says the labels, give that file instead." if tables else ""
    return form.example + says
