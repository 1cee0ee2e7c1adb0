"""What the files of a folder or an archive are: told by their names, which most of them bear."""

from __future__ import annotations

from collections import Counter

from ..types import NOUNS, Kind, plural
from .archives import open_files
from .layout import EXTENSIONS, extension_of
from .pairs import pair_among
from .ts import EXTENSION as TS


def kind_of_files(location: str) -> tuple[Kind, str]:
    """The kind of most files, and a sentence about it; nothing is said of pictures, which are the usual case.

    Tables count as series only inside of folders: one beside them describes the others.

    Raises:
        DataError: not readable.
    """
    files = open_files(location)
    try:
        names = files.names
    finally:
        files.close()
    if pair_among(names, (TS,)) is not None:
        return "series", ""
    counts: Counter[Kind] = Counter()
    for name in names:
        extension = extension_of(name)
        for kind, extensions in EXTENSIONS.items():
            if extension in extensions and (kind != "series" or "/" in name):
                counts[kind] += 1
    if not counts:
        return "series" if any(extension_of(name) == TS for name in names) else "image", ""
    kind, most = counts.most_common(1)[0]
    if kind == "image":
        return kind, ""
    return (
        kind,
        f"{plural(most, 'file')} of {len(names):,} hold {NOUNS[kind][1]}, by their names: --kind says otherwise",
    )
