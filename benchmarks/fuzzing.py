"""Every parser that a stranger's bytes reach, given good files with damage in them, for so many minutes.

    python benchmarks/fuzzing.py --minutes 30 --seed 0

Only errors of Gnomon's own tree may come out. Each batch runs in a forked child, so that a crash of native code is seen
and named too. What broke is printed with the target's name and written to `--keep`.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

BATCH = 200
WORDS = (
    *(b"\x00", b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", b"99999999999999999999", b"-1", b"1e999", b"nan"),
    *(b"[" * 2000, b'{"a":' * 2000, b'"', b"'", b"\\", b"\n", b"\r", b",", b";", b"\t", b":", b"../", b"\x1b[2J"),
    *("\u202e".encode(), "\ufdfa".encode(), "²".encode(), "٣".encode(), b"@data\n", b"@dimensions 9", b"null", b"true"),
)
Target = tuple[list[bytes], Callable[[bytes], object]]


def targets(folder: Path) -> Mapping[str, Target]:
    """Good inputs, and what reads them, by name."""
    from gnomon.commands import understood
    from gnomon.deadline import parse_deadline
    from gnomon.predicting.modelfile import load
    from gnomon.sources import SourceSpec
    from gnomon.spine.recipe import Recipe, parse_recipe
    from gnomon.torture.strangers.models import GOOD, good_model

    line = (
        b'{"event":"step","step":1,"steps":9,"epoch":0.1,"loss":0.5,"learning_rate":0.1,"rows_per_s":9,"elapsed_s":1}\n'
    )
    recipes = [Recipe(source=SourceSpec(location="photos")).to_toml().encode()]
    recipes += [path.read_bytes() for path in (Path(__file__).parents[1] / "recipes").glob("*.toml")]
    words = [b"train photos --by 5m --augment shift=3,cutout --widths 8-16", b"predict m a.png --top 3"]
    return {
        "model file": ([good_model(name) for name in GOOD], partial(_in_file, folder / "m.safetensors", load)),
        "recipe": (recipes, lambda content: parse_recipe(_word(content))),
        **_sources(folder),
        **_rows(),
        "deadline": ([b"5m", b"1h30m", b"18:30", b"90s"], lambda content: parse_deadline(_word(content), start_s=0.0)),
        "events": ([line * 3], partial(_events, folder)),
        "command line": (words, lambda content: understood(_word(content).split())),
    }


def _sources(folder: Path) -> Mapping[str, Target]:
    """Tables, arrays, archives."""
    found = _tables()
    found["tsv"] = [content.replace(b",", b"\t") for content in found["csv"]]
    options: dict[str, dict[str, Any]] = {name: {} for name in found} | {"long": {"series_id": "id", "target": "label"}}
    return {
        f"source {name}": (
            found[name],
            partial(_in_file, folder / f"{name}.{_EXTENSION.get(name, name)}", partial(_opened, more)),
        )
        for name, more in options.items()
    }


_EXTENSION = {"long": "csv"}


def _rows() -> Mapping[str, Target]:
    """Pictures, recordings, series, texts."""
    from gnomon.torture.strangers.material import picture, recording
    from gnomon.torture.strangers.models import GOOD

    image, text, sound, series = (GOOD[name][0] for name in ("cnn", "textcnn", "crnn", "rnn"))
    pictures = [picture("a", form=form) for form in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP")]
    texts = ["a text with ü, 猫 and 👨\u200d👩".encode(), "a".encode("utf-16")]
    return {
        "picture": (pictures, image.encode),
        "recording": ([recording("a", 800), *_recordings()], sound.encode),
        "series": ([b"x,y\n" + b"1,2\n" * 20, b"x;y\n1;2\n", b'x,y\n"1",2\n'], series.encode),
        "text": (texts, text.encode),
    }


def _in_file(path: Path, reads: Callable[[Path], object], content: bytes) -> None:
    path.write_bytes(content)
    reads(path)


def _opened(options: Mapping[str, Any], path: Path) -> None:
    from gnomon.errors import RowError
    from gnomon.sources import SourceSpec, open_source

    opened = open_source(SourceSpec(location=str(path), **options))
    try:
        for index in range(min(5, len(opened.rows))):
            with suppress(RowError):
                opened.read(index)
    finally:
        opened.close()


def _events(folder: Path, content: bytes) -> None:
    from gnomon.report.files import read_run
    from gnomon.rundir.run import METRICS, Run

    (folder / METRICS).write_bytes(content)
    list(Run(folder).events())
    read_run(folder)


def _word(content: bytes) -> str:
    return content.decode(errors="replace")


def _recordings() -> list[bytes]:
    import io

    import numpy as np
    import soundfile

    found = []
    for form in ("FLAC", "OGG", "MP3"):
        sink = io.BytesIO()
        soundfile.write(sink, np.random.default_rng(0).uniform(-0.5, 0.5, 2000), 8000, format=form)
        found.append(sink.getvalue())
    return found


def _tables() -> dict[str, list[bytes]]:
    import io
    import tarfile
    import zipfile

    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    from gnomon.torture.strangers.material import good_photos

    rows = [(f"a text number {number} of few words", "cat" if number % 2 else "dog") for number in range(20)]
    sinks = [io.BytesIO() for _ in range(4)]
    parquet.write_table(pa.table({"text": [row[0] for row in rows], "label": [row[1] for row in rows]}), sinks[0])
    np.savez(sinks[1], X=np.arange(640, dtype=np.uint8).reshape(10, 8, 8), y=np.arange(10) % 2)
    with (
        zipfile.ZipFile(sinks[2], "w", zipfile.ZIP_DEFLATED) as archive,
        tarfile.open(fileobj=sinks[3], mode="w") as tar,
    ):
        for name, content in list(good_photos().items())[:4] + list(good_photos().items())[-4:]:
            archive.writestr(name, content[:60])
            member = tarfile.TarInfo(name)
            member.size = 60
            tar.addfile(member, io.BytesIO(content[:60]))
    long = "id,time,x,label\n" + "".join(f"s{n},{t},{t / 3},{'ab'[n % 2]}\n" for n in range(6) for t in range(5))
    ts = "@univariate true\n@classLabel true a b\n@data\n" + "".join(f"1,2,{n}:{'ab'[n % 2]}\n" for n in range(8))
    return {
        "csv": ["".join(f"{text},{label}\n" for text, label in [("text", "label"), *rows]).encode()],
        "jsonl": ["".join(f'{{"text":"{text}","label":"{label}"}}\n' for text, label in rows).encode()],
        "parquet": [sinks[0].getvalue()],
        "npz": [sinks[1].getvalue()],
        "zip": [sinks[2].getvalue()],
        "tar": [sinks[3].getvalue()],
        "long": [long.encode()],
        "ts": [ts.encode(), ts.replace("@univariate true\n", "@dimensions 1\n@timeStamps true\n").encode()],
    }


def damaged(content: bytes, draw: random.Random) -> bytes:
    """The content after some damage: bits, words, cuts, repeats, pieces in other places."""
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 5, 20))):
        place = draw.randrange(len(data) + 1)
        kind = draw.randrange(7)
        if kind == 0 and place < len(data):
            data[place] ^= 1 << draw.randrange(8)
        elif kind == 1 and place < len(data):
            data[place] = draw.randrange(256)
        elif kind == 2:
            data[place:place] = draw.choice(WORDS)
        elif kind == 3:
            del data[place : place + draw.choice((1, 4, 100))]
        elif kind == 4:
            data[place:place] = data[place : place + draw.choice((4, 50))] * draw.choice((1, 3, 100))
        elif kind == 5:
            word = draw.choice(WORDS)
            data[place : place + len(word)] = word
        elif data:
            other = draw.randrange(len(data))
            data[place : place + 8] = data[other : other + 8]
    return bytes(data)


def batch(name: str, target: Target, seed: str, keep: Path) -> int:
    """Tries some inputs in a forked child. Returns how many broke it."""
    child = os.fork()
    if child:
        _, status, _ = os.wait4(child, 0)
        if os.WIFSIGNALED(status):
            sys.stdout.write(f"CRASH {name}: signal {os.WTERMSIG(status)}, seed {seed!r}\n")
            return 1
        return os.WEXITSTATUS(status)
    os._exit(min(100, _try(name, target, seed, keep)))


def _try(name: str, target: Target, seed: str, keep: Path) -> int:
    from gnomon.errors import GnomonError

    resource.setrlimit(resource.RLIMIT_CPU, (120, 120))
    corpus, does = target
    draw, broken = random.Random(seed), 0
    warnings.simplefilter("ignore")
    for _ in range(BATCH):
        content = damaged(draw.choice(corpus), draw)
        began = time.process_time()
        try:
            does(content)
        except (GnomonError, SystemExit):
            pass
        except BaseException as error:
            broken += 1
            sys.stdout.write(f"BROKEN {name}: {type(error).__name__}: {error}\n")
            sys.stdout.write("".join(traceback.format_tb(error.__traceback__)[-3:]))
            (keep / f"{name.replace(' ', '-')}-{abs(hash(str(error))) % 10**8}").write_bytes(content)
        if time.process_time() - began > 5:
            broken += 1
            sys.stdout.write(f"SLOW {name}: {time.process_time() - began:.1f} s\n")
            (keep / f"{name.replace(' ', '-')}-slow").write_bytes(content)
    sys.stdout.flush()
    return broken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "fuzzed")
    chosen = parser.parse_args()
    os.environ.update(OPENBLAS_NUM_THREADS="1", ARROW_DEFAULT_MEMORY_POOL="system")
    from gnomon.torture.preload import preload

    preload()
    chosen.keep.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        all_targets = targets(Path(made))
        spent, number, broken = 0.0, 0, 0
        counts: Counter[str] = Counter()
        while spent < 60 * chosen.minutes:
            name = list(all_targets)[number % len(all_targets)]
            broken += batch(name, all_targets[name], f"{chosen.seed}/{name}/{number}", chosen.keep)
            counts[name] += BATCH
            number += 1
            sys.stdout.flush()
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = used.ru_utime + used.ru_stime
    for name, count in counts.items():
        sys.stdout.write(f"{name:<14} {count:>9,}\n")
    sys.stdout.write(f"{sum(counts.values()):,} inputs, {spent / 60:.1f} minutes of a processor, {broken:,} broken\n")


if __name__ == "__main__":
    main()
