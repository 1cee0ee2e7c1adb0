"""Tables, and files of series: lengths, widths and nesting without end, names of files that lead elsewhere, lies."""

from __future__ import annotations

import io
import json
import os
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pyarrow as pa
from pyarrow import parquet

from . import OUTSIDE, Case, Ends, predict_words, train_words
from .material import good_photos, photos, picture

_NAMES: Final = (
    *("../outside/secret.png", "photos/../../outside/secret.png", "{outside}/secret.png", "/etc/passwd", "/dev/zero"),
    *(
        "/dev/stdin",
        "photos/link.png",
        "photos/away/secret.png",
        "photos/pipe.png",
        "photos",
        ".",
        "",
        "\x00",
        "a\x00.png",
    ),
    *("..\\outside\\secret.png", "C:\\a.png", "file:///etc/passwd", "http://localhost/a.png", "~/a.png", "$HOME/a.png"),
    *(
        "x" * 100_000,
        "photos/" * 3000 + "a.png",
        "\u202e.png",
        "\x1b[2J.png",
        "=cmd|' /C calc'!A0",
        "photos/cat/00.png\n",
    ),
)
_Made = tuple[str, str, str, Callable[[Path], object], Ends, tuple[str, ...]]


def table_cases(seed: int) -> Iterator[Case]:
    """All of them, in an order that the seed decides."""
    draw = random.Random(f"{seed}/tables")
    made = [*_of_files(), *_of_texts(), *_parquets(draw), *_of_series(), *_ts()]
    cases = [Case(kind, what, train_words(name, *more), make, ends) for kind, what, name, make, ends, more in made]
    cases += [
        Case("series file", what, predict_words("a.csv", "series"), partial(_write, "a.csv", content), "any")
        for what, content in _CELLS.items()
    ]
    cases += [
        Case("text file", what, predict_words("a.txt", "text"), partial(_write, "a.txt", content), "any")
        for what, content in _TEXTS.items()
    ]
    draw.shuffle(cases)
    yield from cases


def _write(name: str, content: bytes | Callable[[], bytes], folder: Path) -> None:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content())


# --- Names of files --------------------------------------------------------------------------------------------------


def _of_files() -> Iterator[_Made]:
    for name in _NAMES:
        yield "table of files", f"names {name!r:.60}", "a.csv", partial(_naming, name), "any", ()
        yield "table of files", f"JSON names {name!r:.60}", "a.jsonl", partial(_naming_in_json, name), "any", ()
    yield "table of files", "names nothing but secrets", "a.csv", _only_secrets, "refused", ()


def _naming(name: str, folder: Path) -> None:
    named = name.replace("{outside}", str(folder.parent / OUTSIDE)).replace('"', '""')
    lines = [f"photos/{file},{file[:3]}" for file in good_photos()]
    _with_links(folder)
    text = "\n".join(["file,label", *lines, f'"{named}",cat']) + "\n"
    (folder / "a.csv").write_bytes(text.encode())


def _naming_in_json(name: str, folder: Path) -> None:
    named = name.replace("{outside}", str(folder.parent / OUTSIDE))
    rows = [{"file": f"photos/{file}", "label": file[:3]} for file in good_photos()]
    _with_links(folder)
    lines = [json.dumps(row) for row in (*rows, {"file": named, "label": "cat"})]
    (folder / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")


def _with_links(folder: Path) -> None:
    photos(folder)
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "secret.png").write_bytes(picture("elsewhere"))
    (folder / "photos" / "link.png").symlink_to("../elsewhere/secret.png")  # links are followed, and that is said
    (folder / "photos" / "away").symlink_to("../elsewhere")
    os.mkfifo(folder / "photos" / "pipe.png")


def _only_secrets(folder: Path) -> None:
    secret = folder.parent / OUTSIDE / "secret.png"
    (folder / "a.csv").write_text("file,label\n" + f"{secret},cat\n../outside/secret.png,dog\n" * 10, encoding="utf-8")


# --- Texts -----------------------------------------------------------------------------------------------------------


def _good_texts() -> list[str]:
    return [f"a text number {number} with word{number % 7},{'cat' if number % 2 else 'dog'}" for number in range(40)]


def _text_table(extra: bytes | Callable[[], bytes]) -> bytes:
    head = "\n".join(["text,label", *_good_texts()]).encode() + b"\n"
    return head + (extra if isinstance(extra, bytes) else extra())


def _of_texts() -> Iterator[_Made]:
    for what, extra in _LINES.items():
        yield "table of texts", what, "a.csv", partial(_csv, extra), "any", ()
    whole: dict[str, bytes | Callable[[], bytes]] = {
        "a million columns": lambda: b",".join(b"c%d" % n for n in range(10**6)) + b"\n" + b"," * (10**6 - 1) + b"\n",
        "100,000 columns named alike": lambda: b"a," * 99_999 + b"a\n" + b"1," * 99_999 + b"1\n",
        "a header alone": b"text,label\n",
        "no line end": b"text,label",
        "nothing": b"",
        "zeros": bytes(10**7),
        "one line of 100 MB": lambda: b"x" * 10**8,
        "a quote that never ends": lambda: b'text,label\n"' + b"a,b\n" * 10**6,
        "line ends alone": lambda: b"\n" * 10**7,
        "commas alone": lambda: b"text,label\n" + b",\n" * 3 * 10**5,
        "UTF-16": "text,label\na,b\n".encode("utf-16"),
        "UTF-32": "text,label\na,b\n".encode("utf-32"),
        "marks alone": b"\xef\xbb\xbf" * 1000,
        "a million quotes": lambda: b"text,label\n" + b'"' * 10**6,
        "column names of 1 MB": lambda: b"x" * 10**6 + b",label\n" + b"a,b\n" * 40,
        "a column named with control signs": b"\x1b[31mtext\x1b[0m,\x07label\n"
        + b"some text,cat\nother text,dog\n" * 20,
    }
    for what, content in whole.items():
        yield "table of texts", what, "a.csv", partial(_write, "a.csv", content), "any", ()
        yield "table of texts", f"{what}, as TSV", "a.tsv", partial(_write, "a.tsv", content), "any", ()
    for what, content in _JSON_LINES.items():
        yield "table in JSON", what, "a.jsonl", partial(_jsonl, content), "any", ()


def _csv(extra: bytes | Callable[[], bytes], folder: Path) -> None:
    _write("a.csv", _text_table(extra), folder)


_LINES: Final[dict[str, bytes | Callable[[], bytes]]] = {
    "a text of 50 MB": lambda: b"x" * 5 * 10**7 + b",cat\n",
    "a text of 50 MB of words": lambda: b"word " * 10**7 + b",cat\n",
    "a text of 3 MB in quotes, with line ends": lambda: b'"' + b"a\n" * 15 * 10**5 + b'",cat\n',
    "a label of 10 MB": lambda: b"text," + b"x" * 10**7 + b"\n",
    "10,000 labels": lambda: b"".join(b"text %d,label %d\n" % (n, n) for n in range(10_000)),
    "a line of 100,000 values": lambda: b"a," * 10**5 + b"\n",
    "100,000 lines of one value": lambda: b"a\n" * 10**5,
    "bytes that are no UTF-8": b"\xff\xfe\xfd,cat\n",
    "a zero": b"te\x00xt,cat\n",
    "a formula": b"=1+1,=cmd|' /C calc'!A0\n" * 3,
    "control signs": b"\x1b[2J\x1b]0;title\x07,\x1b[31mcat\n" * 3,
    "a million combining marks": lambda: ("a" + "\u0301" * 10**6).encode() + b",cat\n",
    "ligatures that unfold": lambda: ("\ufdfa" * 10**6).encode() + b",cat\n",
    "joined emoji": lambda: ("\U0001f468\u200d" * 10**6).encode() + b",cat\n",
    "apostrophes": lambda: b"a'" * 10**6 + b",cat\n",
    "a million signs": lambda: b"!?" * 10**6 + b",cat\n",
    "a quote in the middle": b'te"xt,cat\n"a"b"c,dog\n',
    "carriage returns": b"text\r,cat\r\r\ntext,dog\r",
}
_JSON_LINES: Final[dict[str, bytes | Callable[[], bytes]]] = {
    "deep lists": lambda: b'{"text":' + b"[" * 10**6 + b"\n",
    "deep objects": lambda: b'{"text":' * 10**6 + b"\n",
    "a text of 50 MB": lambda: b'{"text":"' + b"x" * 5 * 10**7 + b'","label":"cat"}\n',
    "an immense number": lambda: b'{"text":"a","label":' + b"9" * 10**6 + b"}\n",
    "an infinite number": b'{"text":"a","label":1e999}\n',
    "a label that is a list": b'{"text":"a","label":["cat","dog"]}\n',
    "a text that is an object": b'{"text":{"a":1},"label":"cat"}\n',
    "100,000 names": lambda: b"".join(b'{"n%d":1}\n' % number for number in range(10_000)),
    "a list of 5,000,000": lambda: b'{"text":[' + b"1," * 5 * 10**6 + b'1],"label":"cat"}\n',
    "lone surrogates": b'{"text":"\\ud800","label":"\\udfff"}\n',
    "a name twice": b'{"text":"a","text":"b","label":"cat"}\n',
    "no JSON": b"import os\n",
    "zeros": bytes(10**6),
}


def _jsonl(extra: bytes | Callable[[], bytes], folder: Path) -> None:
    rows = [json.dumps(dict(zip(("text", "label"), line.split(","), strict=True))) for line in _good_texts()]
    content = extra if isinstance(extra, bytes) else extra()
    (folder / "a.jsonl").write_bytes("\n".join(rows).encode() + b"\n" + content)


# --- Parquet ---------------------------------------------------------------------------------------------------------


def _parquets(draw: random.Random) -> Iterator[_Made]:
    for what, rows in {"2,000,000 rows of one text": 2 * 10**6, "200 rows of a text of 1 MB": 200}.items():
        text = "x" * (10**6 if rows == 200 else 1000)
        yield "Parquet", what, "a.parquet", partial(_repeating, text, rows), "any", ()
    yield "Parquet", "10,000 columns", "a.parquet", _wide, "any", ()
    yield "Parquet", "nested lists", "a.parquet", _nested_lists, "any", ()
    yield "Parquet", "labels that are bytes", "a.parquet", _of_bytes, "any", ()
    for number in range(80):
        yield "Parquet", f"spoilt, {number}", "a.parquet", partial(_spoilt_parquet, draw.random(), False), "any", ()
        yield (
            "Parquet",
            f"footer spoilt, {number}",
            "a.parquet",
            partial(_spoilt_parquet, draw.random(), True),
            "any",
            (),
        )
    for size in (0, 4, 12, 100):
        yield (
            "Parquet",
            f"{size} bytes",
            "a.parquet",
            partial(_write, "a.parquet", b"PAR1" + bytes(size)),
            "refused",
            (),
        )
    lies = {
        "a footer of 4 GB": b"PAR1" + bytes(100) + b"\xff\xff\xff\xff" + b"PAR1",
        "encrypted": b"PARE" + bytes(50) + b"PARE",
    }
    for what, content in lies.items():
        yield "Parquet", what, "a.parquet", partial(_write, "a.parquet", content), "refused", ()


def _repeating(text: str, rows: int, folder: Path) -> None:
    """Few bytes on disk: a dictionary of two texts, and rows that name them."""
    places = pa.array([number % 2 for number in range(rows)], pa.int32())
    texts = pa.DictionaryArray.from_arrays(places, pa.array([text + " a", text + " b"]))
    labels = pa.DictionaryArray.from_arrays(places, pa.array(["cat", "dog"]))
    parquet.write_table(pa.table({"text": texts, "label": labels}), folder / "a.parquet", compression="zstd")


def _wide(folder: Path) -> None:
    parquet.write_table(pa.table({f"c{number}": ["a", "b"] for number in range(10_000)}), folder / "a.parquet")


def _nested_lists(folder: Path) -> None:
    table = pa.table({"text": [[["a"] * 10] * 10] * 40, "label": ["cat", "dog"] * 20})
    parquet.write_table(table, folder / "a.parquet")


def _of_bytes(folder: Path) -> None:
    parquet.write_table(pa.table({"text": [b"\xff\x00"] * 40, "label": [b"cat", b"\xfe"] * 20}), folder / "a.parquet")


def _spoilt_parquet(seed: float, footer: bool, folder: Path) -> None:
    sink = io.BytesIO()
    table = pa.table({"text": [f"text {n} word{n % 7}" for n in range(200)], "label": ["cat", "dog"] * 100})
    parquet.write_table(table, sink)
    data, draw = bytearray(sink.getvalue()), random.Random(seed)
    (length,) = (int.from_bytes(data[-8:-4], "little"),)
    begin = len(data) - 8 - length if footer else 4
    for _ in range(draw.choice((1, 2, 10))):
        data[draw.randrange(begin, len(data))] = draw.randrange(256)
    (folder / "a.parquet").write_bytes(data)


# --- Series ----------------------------------------------------------------------------------------------------------


def _of_series() -> Iterator[_Made]:
    more = ("--series-id", "id", "--target", "label")
    for what, content in _LONG.items():
        yield "long table", what, "a.csv", partial(_long, content), "any", more


def _long(extra: bytes | Callable[[], bytes], folder: Path) -> None:
    lines = [f"s{n},{step},{n % 2 + step / 9},{'cat' if n % 2 else 'dog'}" for n in range(20) for step in range(9)]
    content = extra if isinstance(extra, bytes) else extra()
    (folder / "a.csv").write_bytes("\n".join(["id,time,x,label", *lines]).encode() + b"\n" + content)


_LONG: Final[dict[str, bytes | Callable[[], bytes]]] = {
    "a series of 200,000 steps": lambda: b"".join(b"z,%d,1,cat\n" % n for n in range(200_000)),
    "20,000 series": lambda: b"".join(b"z%d,0,1,cat\n" % n for n in range(20_000)),
    "immense values": b"z,0,1e308,cat\nz,1,-1e308,cat\n",
    "infinite times": b"z,inf,1,cat\nz,-inf,1,cat\n",
    "a number of 1 MB": lambda: b"z,0," + b"9" * 10**6 + b",cat\n",
    "underscores": b"z,0,1_0,cat\n",
    "dates out of range": b"z,99999-01-01,1,cat\nz,-1-1-1,2,cat\n",
    "other digits": "z,٣,٤,cat\n".encode(),
    "names with control signs": b"\x1b[2J,0,1,cat\n\x07,1,2,dog\n",
    "formulas": b"=1+1,0,@SUM(1),+cat\n",
}


def _ts() -> Iterator[_Made]:
    head = b"@problemName x\n@timeStamps false\n@univariate true\n@classLabel true cat dog\n@data\n"
    rows = b"".join(b"%d,%d,3,4:%s\n" % (n, n % 5, b"cat" if n % 2 else b"dog") for n in range(30))
    timed = head.replace(b"timeStamps false", b"timeStamps true")
    wrong: dict[str, bytes | Callable[[], bytes]] = {
        "a series of 300": lambda: head + rows + b"1," * 300 + b"1:cat\n",
        "a line of 50 MB without a colon": lambda: head + rows + b"1," * 25 * 10**6,
        "100,000 dimensions": lambda: head.replace(b"@univariate true\n", b"") + b"1:" * 10**5 + b"cat\n" + rows,
        "immense dimensions": head.replace(b"@univariate true", b"@dimensions " + b"9" * 5000) + rows,
        "dimensions in other digits": head.replace(b"@univariate true", "@dimensions ²".encode()) + rows,
        "times that open and never close": lambda: timed + b"(" * 10**6 + b":cat\n",
        "times of many blanks": lambda: timed + b"(1,2)" + b" " * 10**5 + b"x,(3,4):cat\n" + rows,
        "a header of 10 MB": lambda: b"@classLabel true " + b"a " * 5 * 10**6 + b"\n@data\n" + rows,
        "100,000 classes": lambda: (
            b"@classLabel true " + b" ".join(b"c%d" % n for n in range(10**5)) + b"\n@data\n" + rows
        ),
        "no data": head,
        "data before its header": rows + head,
        "header words without end": lambda: b"".join(b"@word%d x\n" % n for n in range(10**5)) + head + rows,
        "zeros": bytes(10**6),
        "bytes that are no text": head + b"\xff\xfe:cat\n" + rows,
        "infinite values": head + rows + b"inf,nan,-inf,1e400:cat\n",
        "a class with control signs": head.replace(b"cat dog", b"cat \x1b[31mdog")
        + rows.replace(b"dog", b"\x1b[31mdog"),
    }
    for what, content in wrong.items():
        yield ".ts", what, "a.ts", partial(_write, "a.ts", content), "any", ()


_CELLS: Final[dict[str, bytes | Callable[[], bytes]]] = {
    "a million columns": lambda: b",".join(b"c%d" % n for n in range(10**6)) + b"\n",
    "100,000 lines": lambda: b"x,y\n" + b"1,2\n" * 10**5,
    "a line of 10 MB": lambda: b"x,y\n" + b"1" * 10**7 + b",2\n",
    "immense values": b"x,y\n1e308,-1e308\n",
    "quotes": lambda: b"x,y\n" + b'"' * 10**6,
    "no channel": b"a,b\n1,2\n",
    "control signs": b"x,y\n\x1b[2J,\x07\n",
    "zeros": bytes(10**7),
    "blanks": lambda: b"x,y\n" + b" " * 10**7,
}
_TEXTS: Final[dict[str, bytes | Callable[[], bytes]]] = {
    "100 MB of one letter": lambda: b"x" * 10**8,
    "marks": lambda: ("a" + "\u0301" * 10**6).encode(),
    "ligatures": lambda: ("\ufdfa" * 10**6).encode(),
    "emoji": lambda: ("\U0001f468\u200d" * 10**6).encode(),
    "apostrophes": lambda: b"a'" * 10**6,
    "zeros": bytes(10**7),
    "UTF-16 cut": "a".encode("utf-16")[:-1],
    "no UTF-8": b"\xc3\x28" * 1000,
    "blanks": lambda: b" " * 10**7,
}
