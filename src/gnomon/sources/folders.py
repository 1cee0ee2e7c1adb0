"""Files in class folders, from a folder or an archive, as a source of rows: pictures, texts or recordings."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from ..errors import DataError, RowError
from ..types import Kind, Question, Row, SetAside, plural
from .files import Files, FolderFiles, digest, link_notes, rows_digest, short_name
from .forms import FORMS, HEAD_BYTES
from .layout import read_layout
from .patterns import compile_group, group_by_key


@dataclass(frozen=True, slots=True)
class FileSource:
    """Rows that are files, read by their keys."""

    name: str
    kind: Kind
    rows: Sequence[Row]
    set_aside: Sequence[SetAside]
    notes: Sequence[str]
    fingerprint: str
    content_hints: Sequence[Hashable]
    files: Files
    question: Question = "classify"

    def read(self, index: int) -> bytes:
        """The bytes of the row's file."""
        return self.files.read(self.rows[index].key)

    def close(self) -> None:
        self.files.close()


def file_folder(
    files: Files,
    location: str,
    *,
    kind: Kind,
    group: str | None = None,
    test_files: str | None = None,
    notes: Sequence[str] = (),
) -> FileSource:
    """The files of one kind in a folder, a zip or a tar archive, whose folders name the classes.

    Args:
        files: of the folder or archive; closed with the source.
        location: where they are.
        kind: of the files; others are set aside.
        group: a regular expression on the row's key, whose first group names the row's group.
        test_files: a regular expression on the row's key, which tells the rows of the test part.
        notes: sentences to begin with.

    Raises:
        DataError: no such files, no class folders, fewer than two classes.
        RecipeError: an expression can't be used.
    """
    pattern = None if group is None else compile_group(group)
    try:
        listing = read_layout(
            files.names,
            files.sizes,
            where=location,
            kind=kind,
            is_kind=lambda name: _begins_as(kind, files, name),
            test_files=test_files,
        )
        grouped = listing if pattern is None else group_by_key(listing, pattern)
    except DataError as error:
        raise DataError([*error.problems, *_refusal_notes(files.set_aside)], remedy=error.remedy) from None
    hint_of = dict(zip(files.names, files.hints, strict=True))
    return FileSource(
        name=short_name(location),
        kind=kind,
        rows=grouped.rows,
        set_aside=[*files.set_aside, *grouped.set_aside],
        notes=[*notes, *grouped.notes, *_links_out(files), *_refusal_notes(files.set_aside)],
        fingerprint=digest([files.fingerprint, rows_digest(grouped.rows)]),
        content_hints=[hint_of[row.key] for row in grouped.rows],
        files=files,
    )


def _begins_as(kind: Kind, files: Files, name: str) -> bool:
    try:
        return FORMS[kind].begins(files.read(name, at_most=HEAD_BYTES))
    except RowError:
        return False


def _links_out(files: Files) -> list[str]:
    return link_notes(files.led_out) if isinstance(files, FolderFiles) else []


def _refusal_notes(refused: Sequence[SetAside]) -> list[str]:
    if not refused:
        return []
    first = refused[0]
    return [f"{plural(len(refused), 'file')} could not be read; the first: {first.key}: {first.reason}"]
