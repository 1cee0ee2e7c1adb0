"""Folders, archives and tables of made-up image files, and the sources that tests open over them.

The files begin as images do, which is all that a source looks at.
"""

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from gnomon.sources import Source, SourceSpec, open_source
from gnomon.sources.labels import Listing
from gnomon.types import Kind, Question

JPEG: Final = b"\xff\xd8\xff\xe0"
PNG: Final = b"\x89PNG\r\n\x1a\n"
ONE_EACH: Final[Mapping[str, bytes]] = {"cat/1.jpg": JPEG + b"c", "dog/1.jpg": JPEG + b"dd"}

_OPEN: Final[list[Source]] = []


def opened(
    location: Path | str,
    *,
    input: str | None = None,
    target: str | None = None,
    group: str | None = None,
    kind: Kind | None = None,
    task: Literal["auto"] | Question = "auto",
    series_id: str | None = None,
    time: str | None = None,
    test_files: str | None = None,
) -> Source:
    """The source; `close_all` closes it."""
    spec = SourceSpec(
        location=str(location),
        input=input,
        target=target,
        group=group,
        kind=kind,
        task=task,
        series_id=series_id,
        time=time,
        test_files=test_files,
    )
    source = open_source(spec)
    _OPEN.append(source)
    return source


def close_all() -> None:
    while _OPEN:
        _OPEN.pop().close()


def labels(listing: Listing | Source) -> dict[str, str]:
    return {row.key: row.label for row in listing.rows}


def reasons(listing: Listing | Source) -> dict[str, str]:
    return {refused.key: refused.reason for refused in listing.set_aside}


def arrays_of(source: Source) -> list[NDArray[Any]]:
    """The rows that are arrays, in their order."""
    rows = [source.read(index) for index in range(len(source.rows))]
    return [row for row in rows if isinstance(row, np.ndarray)]


def write_text(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def write_folder(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def write_zip(path: Path, files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, files: Mapping[str, bytes], mode: Literal["w", "w:gz", "w:bz2", "w:xz"] = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path
