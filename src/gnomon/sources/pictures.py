"""Image files in class folders, from a folder or an archive, as a source of rows."""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from ..errors import DataError, RecipeError, RowError
from ..types import Question, Row, SetAside, plural
from .archives import open_files
from .files import Files, digest
from .labels import Listing
from .layout import looks_like_image, read_layout

_SUFFIX: Final = re.compile(r"(\.tar)?\.[A-Za-z0-9]{1,7}$")
_LONGEST_NAME: Final = 40


@dataclass(frozen=True, slots=True)
class PictureSource:
    """Rows that are image files, read by their keys."""

    name: str
    rows: Sequence[Row]
    set_aside: Sequence[SetAside]
    notes: Sequence[str]
    fingerprint: str
    content_hints: Sequence[Hashable]
    files: Files
    kind: Literal["image"] = "image"
    question: Question = "classify"

    def read(self, index: int) -> bytes:
        """The bytes of the row's file."""
        return self.files.read(self.rows[index].key)

    def close(self) -> None:
        self.files.close()


def open_pictures(location: str, *, group: str | None = None, notes: Sequence[str] = ()) -> PictureSource:
    """The images of a folder, a zip or a tar archive, whose folders name the classes.

    Args:
        group: a regular expression on the row's key, whose first group names the row's group.
        notes: sentences to begin with.

    Raises:
        DataError: not readable, no images, no class folders, fewer than two classes.
        RecipeError: the expression can't be used.
    """
    pattern = None if group is None else compile_group(group)
    files = open_files(location)
    try:
        listing = read_layout(
            files.names, files.sizes, where=location, is_image=lambda name: _has_image_content(files, name)
        )
        grouped = listing if pattern is None else group_by_key(listing, pattern)
    except DataError as error:
        files.close()
        raise DataError([*error.problems, *_refusal_notes(files.set_aside)], remedy=error.remedy) from None
    except RecipeError:
        files.close()
        raise
    hint_of = dict(zip(files.names, files.hints, strict=True))
    return PictureSource(
        name=short_name(location),
        rows=grouped.rows,
        set_aside=[*files.set_aside, *grouped.set_aside],
        notes=[*notes, *grouped.notes, *_refusal_notes(files.set_aside)],
        fingerprint=digest([files.fingerprint, rows_digest(grouped.rows)]),
        content_hints=[hint_of[row.key] for row in grouped.rows],
        files=files,
    )


def short_name(location: str) -> str:
    """A word for the run directory's name: letters, digits and hyphens of the location's last part."""
    last = os.path.basename(os.path.abspath(location))
    stem = last if os.path.isdir(location) else _SUFFIX.sub("", last)
    word = "-".join(re.findall(r"[^\W_]+", stem))[:_LONGEST_NAME].strip("-")
    return word or "data"


def rows_digest(rows: Sequence[Row]) -> str:
    """A hash of the rows' keys, labels, parts and groups."""
    return digest(f"{row.key}\x00{row.label}\x00{row.split}\x00{row.group}" for row in rows)


def compile_group(group: str) -> re.Pattern[str]:
    """The expression that finds a row's group in its key.

    Raises:
        RecipeError: not valid, or without a group in brackets.
    """
    remedy = "Example: --group '/(person[0-9]+)_' puts all images of one person into the same part."
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise RecipeError(f"the group {group!r} is no regular expression: {error}", remedy=remedy) from error
    if pattern.groups == 0:
        raise RecipeError(f"the group {group!r} has no part in brackets that would name a group", remedy=remedy)
    return pattern


def group_by_key(listing: Listing, pattern: re.Pattern[str]) -> Listing:
    """The rows with their groups; a row that the pattern does not match is a group by itself.

    Raises:
        RecipeError: it matches no row at all.
    """
    found = [pattern.search(row.key) for row in listing.rows]
    names = [match[1] if match else None for match in found]
    alone = names.count(None)
    if alone == len(names):
        raise RecipeError(
            f"the group {pattern.pattern!r} matches none of {plural(alone, 'row')}, such as {listing.rows[0].key!r}",
            remedy="Write an expression that matches somewhere in such a name.",
        )
    # A key can't be the name that a pattern found in another key, unless it is prefixed.
    groups = [f"alone: {row.key}" if name is None else name for row, name in zip(listing.rows, names, strict=True)]
    rows = [replace(row, group=name) for row, name in zip(listing.rows, groups, strict=True)]
    return replace(listing, rows=rows, notes=[*listing.notes, *_group_notes(len(set(groups)) - alone, alone)])


def _group_notes(count: int, alone: int) -> list[str]:
    note = f"{plural(count, 'group')}: rows of one group never stand in different parts"
    if not alone:
        return [note]
    return [f"{note}; {plural(alone, 'row')} matched no group and {'stands' if alone == 1 else 'stand'} alone"]


def _has_image_content(files: Files, name: str) -> bool:
    try:
        return looks_like_image(files.read(name, at_most=16))
    except RowError:
        return False


def _refusal_notes(refused: Sequence[SetAside]) -> list[str]:
    if not refused:
        return []
    first = refused[0]
    return [f"{plural(len(refused), 'file')} could not be read; the first: {first.key}: {first.reason}"]
