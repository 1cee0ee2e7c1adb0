"""What the files of a folder or an archive are: told by their names, or by how they begin where names tell nothing."""

from __future__ import annotations

from collections import Counter
from typing import Final

from ..errors import RowError
from ..types import NOUNS, Kind, plural
from .files import Files
from .forms import EXTENSIONS, FORMS, HEAD_BYTES, extension_of
from .pairs import pair_among
from .ts import EXTENSION as TS

_LOOKED_AT: Final = 20


def kind_of_files(files: Files) -> tuple[Kind, str]:
    """The kind of most files, and a sentence about it; nothing is said of pictures, which are the usual case.

    Tables count as series only inside of folders: one beside them describes the others.
    """
    named = _named(files)
    counts = named or _begun(files)
    if pair_among(files.names, (TS,)) is not None or (
        not counts and any(extension_of(name) == TS for name in files.names)
    ):
        return "series", ""
    kind, most = counts.most_common(1)[0] if counts else ("image", 0)
    if kind == "image":
        return kind, ""
    if not named:
        return kind, f"the files hold {NOUNS[kind][1]}, by how the first ones begin: --kind says otherwise"
    what = f"{plural(most, 'file')} of {len(files.names):,} hold {NOUNS[kind][1]}"
    return kind, f"{what}, by their names: --kind says otherwise"


def _named(files: Files) -> Counter[Kind]:
    counts: Counter[Kind] = Counter()
    for name in files.names:
        extension = extension_of(name)
        for kind, extensions in EXTENSIONS.items():
            if extension in extensions and (kind != "series" or "/" in name):
                counts[kind] += 1
    return counts


def _begun(files: Files) -> Counter[Kind]:
    """Of the first files without an extension."""
    counts: Counter[Kind] = Counter()
    for name in [name for name in files.names if not extension_of(name)][:_LOOKED_AT]:
        try:
            head = files.read(name, at_most=HEAD_BYTES)
        except RowError:
            continue
        counts.update(kind for kind, form in FORMS.items() if form.begins(head))
    return counts
