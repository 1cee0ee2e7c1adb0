"""Where rows come from. `open_source(SourceSpec(location=...))` gives a `Source`; everything after it sees only that.

location                                          module
a folder, a .zip, a .tar(.gz) of files of a kind  folders   (names read through `files`, their meaning in `layout`)
.csv .tsv .jsonl .parquet naming files            table     (read by `columns`)
the same with a column of texts                   texts
the same with a column that tells series apart    long_table
.ts; the same of .csv, .tsv files as the folders  series    (`.ts` files read by `ts`)
.npz, arrays in memory, `digits`                  arrays, series
`cifar10`, `mnist`                                download, then arrays

`forms` and `kinds` tell what files are, `pairs` which two belong together; `labels` and `questions` what labels mean;
`patterns` groups and test parts. `unlabelled` gives the rows of a table that is to be answered, without labels.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from typing import Final, Literal, Protocol

from ..errors import DataError, RecipeError, nearest
from ..types import Kind, Question, Raw, Row, SetAside, Value
from .questions import Asked

TABLE_EXTENSIONS: Final = (".csv", ".tsv", ".jsonl", ".parquet")
BUILT_IN: Final = ("cifar10", "digits", "mnist")
"""Names that mean a set of data where no file or folder has that name."""


class Source(Protocol):
    """Labelled rows in a fixed order.

    Attributes:
        name: a short word for the run directory's name (`photos`), made of letters, digits and hyphens.
        kind: what a row is.
        rows: all rows that listing found usable, in storage order: reading them in this order is the fast way.
        set_aside: what listing refused, with the reason.
        notes: sentences that say what was understood, for the user.
        question: what is asked of each row.
        fingerprint: changes whenever a row, a label or a file's content may have changed.
        content_hints: one value per row; rows of the same content have equal hints (the converse need not hold);
            None where that is impossible (arrays in memory).
    """

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def question(self) -> Question: ...
    @property
    def rows(self) -> Sequence[Row]: ...
    @property
    def set_aside(self) -> Sequence[SetAside]: ...
    @property
    def notes(self) -> Sequence[str]: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def content_hints(self) -> Sequence[Hashable] | None: ...

    def read(self, index: int) -> Raw:
        """One row as stored: a file's bytes, a text, or an array: `(H, W)`, `(H, W, C)`; of a series
        `(T,)`, `(T, C)`, or `(T,)` with named fields.

        Called from one thread at a time, mostly in ascending order.

        Raises:
            RowError: unreadable, too large, gone.
        """
        ...

    def close(self) -> None: ...


class SourceSpec(Value, frozen=True):
    """What the user said of the data.

    Attributes:
        location: a path, or the name of a built-in set.
        input: the column that names the files, for tables; guessed and said when obvious.
        target: the column of labels.
        task: what is asked of each row; auto tells numbers from classes by the labels.
        separator: between the labels of a row, where it has several.
        group: the column of groups, for tables; or a regular expression on the row's key, whose first group counts.
        test_files: a regular expression on the row's key; the rows that it matches are the test part.
        kind: what a row is; None tells it from the data.
        series_id: the column whose equal values make rows of a table one series.
        time: the column that orders the rows of a series.
    """

    location: str
    input: str | None = None
    target: str | None = None
    group: str | None = None
    task: Literal["auto"] | Question = "auto"
    separator: str | None = None
    kind: Kind | None = None
    series_id: str | None = None
    time: str | None = None
    test_files: str | None = None

    @property
    def asked(self) -> Asked:
        """What the user says of the labels."""
        return Asked(task=self.task, separator=self.separator)


def open_source(spec: SourceSpec) -> Source:
    """The rows that the user named. A path wins over a built-in name.

    Raises:
        DataError: not there, not readable, or not usable as labelled rows.
        RecipeError: an option that does not fit the data.
        DownloadError: a built-in set that could not be fetched.
    """
    path = os.path.expanduser(spec.location)
    if spec.time is not None and spec.series_id is None:
        raise RecipeError(
            f"--time {spec.time!r} means nothing without --series-id",
            remedy="It orders the rows of a series; --series-id names the column that says which rows are one.",
        )
    if not os.path.exists(path):
        return _open_built_in(spec) if spec.location in BUILT_IN else _refuse_missing(spec.location, path)
    notes = [f"{path!r} is read from this folder, not the built-in set of that name"] if path in BUILT_IN else []
    extension = os.path.splitext(path)[1].lower()
    is_folder = os.path.isdir(path)
    if not is_folder and not os.path.isfile(path):
        raise DataError(f"{path!r} is neither a file nor a folder", remedy="A pipe or a device can't be read as data.")
    if extension in TABLE_EXTENSIONS and not is_folder:
        return _open_table(spec, path, notes) if spec.series_id is None else _open_series_table(spec, path, notes)
    _refuse(spec, "series_id")
    if is_folder:
        return _open_folder(spec, path, notes)
    if extension == ".npz":
        return _open_npz(spec, path, notes)
    if extension == ".ts" and spec.kind in (None, "series"):
        from .series import open_ts

        _refuse(spec, "input", "target", "group", "test_files")
        return open_ts(path, asked=spec.asked, notes=notes)
    return _open_files(spec, path, notes)


def _open_folder(spec: SourceSpec, path: str, notes: Sequence[str]) -> Source:
    """A folder that is nothing but a pair of tables of texts, or one of files."""
    from .pairs import table_pair
    from .texts import kind_of_table

    pair = table_pair(path) if spec.kind in (None, "text") else None
    if pair and (spec.kind or kind_of_table(pair[0], input=spec.input)[0]) == "text":
        return _open_table(spec, path, notes)
    return _open_files(spec, path, notes)


def _open_files(spec: SourceSpec, path: str, notes: Sequence[str]) -> Source:
    """A folder or an archive of files, whose folders name the classes."""
    from .archives import open_files
    from .folders import file_folder
    from .kinds import kind_of_files

    _refuse(spec, "input", "target")
    patterns = {"group": spec.group, "test_files": spec.test_files}
    files = open_files(path)
    try:
        kind, why = (spec.kind, "") if spec.kind else kind_of_files(files)
        told = [*notes, why] if why else notes
        if kind == "series":
            from .series import series_files

            return series_files(files, path, **patterns, asked=spec.asked, notes=told)
        return file_folder(files, path, kind=kind, **patterns, notes=told)
    except BaseException:
        files.close()
        raise


def _open_table(spec: SourceSpec, path: str, notes: Sequence[str]) -> Source:
    """A table that holds texts or names files."""
    from .pairs import table_pair
    from .table import open_table
    from .texts import kind_of_table, open_text_table

    first = ((os.path.isdir(path) and table_pair(path)) or (path,))[0]
    kind, why = (spec.kind, "") if spec.kind else kind_of_table(first, input=spec.input)
    told = [*notes, why] if why and kind != "image" else notes
    columns = {"input": spec.input, "target": spec.target, "group": spec.group, "test_files": spec.test_files}
    if kind == "text":
        return open_text_table(path, **columns, asked=spec.asked, notes=told)
    try:
        return open_table(path, **columns, kind=kind, asked=spec.asked, notes=told)
    except DataError as error:
        if kind != "series":
            raise
        remedy = "Where a row is one step of a series: --series-id COLUMN."
        raise DataError(error.problems, remedy=f"{error.remedy} {remedy}") from None


def _open_series_table(spec: SourceSpec, path: str, notes: Sequence[str]) -> Source:
    """A table with a row for each step."""
    from .long_table import open_series_table

    _refuse(spec, "input", "test_files")
    if spec.kind not in (None, "series") or spec.series_id is None:
        raise RecipeError(
            f"--series-id {spec.series_id!r} makes series of rows, and --kind says {spec.kind!r}",
            remedy="Leave one of them out.",
        )
    return open_series_table(
        path,
        series_id=spec.series_id,
        time=spec.time,
        target=spec.target,
        group=spec.group,
        asked=spec.asked,
        notes=notes,
    )


def _open_npz(spec: SourceSpec, path: str, notes: Sequence[str]) -> Source:
    _refuse(spec, "group", "test_files")
    given = {"input": spec.input, "target": spec.target}
    if spec.kind == "series":
        from .series import open_series_npz

        return open_series_npz(path, **given, asked=spec.asked, notes=notes)
    from .arrays import open_npz

    return open_npz(path, **given, asked=spec.asked, notes=notes)


def _open_built_in(spec: SourceSpec) -> Source:
    _refuse(spec, "input", "target", "group", "test_files", "series_id")
    if spec.location == "digits":
        from .arrays import digits_source

        return digits_source()
    from .download import open_builtin

    return open_builtin("cifar10" if spec.location == "cifar10" else "mnist")


def _refuse(spec: SourceSpec, *options: str) -> None:
    """An option that would do nothing is an error, not ignored."""
    given = {option: getattr(spec, option) for option in options}
    problems = [
        f"--{option.replace('_', '-')} {name!r} means nothing for {spec.location!r}"
        for option, name in given.items()
        if name
    ]
    if problems:
        raise RecipeError(problems, remedy="It names a column of a table, or tells files by their names. Leave it out.")


def _refuse_missing(location: str, path: str) -> Source:
    """Names what is there instead, in the deepest folder that exists."""
    if not location:
        raise DataError("the data's location is empty", remedy=f"Give a path, or one of {', '.join(BUILT_IN)}.")
    folder, missing = os.path.split(os.path.normpath(path))
    while folder and not os.path.isdir(folder):
        folder, missing = os.path.split(folder)
    try:
        beside = [name for name in os.listdir(folder or ".") if not name.startswith(".")]
    except OSError:
        beside = []
    candidates = [*beside, *(() if folder else BUILT_IN)]
    where = f" in {folder!r}" if folder else ""
    raise DataError(f"there is no {missing!r}{where} (asked for: {location!r})", remedy=nearest(missing, candidates))
