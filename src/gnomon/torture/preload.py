"""All that any command imports late, imported once: forks then begin with it, and what they do is the command alone."""

from __future__ import annotations

import importlib
import platform
from typing import Final

_LATE: Final = (
    *("torch._dynamo", "scipy.signal", "scipy.sparse", "soundfile", "jinja2", "rich.live"),
    *("pyarrow.csv", "pyarrow.parquet", "pyarrow.compute", "PIL.ImageFile", "concurrent.futures.thread"),
    *("lzma", "bz2", "tarfile", "zipfile", "xml.etree.ElementTree", "importlib.resources", "numpy.random"),
)

_OWN: Final = (
    *(
        "spine.fit",
        "spine.finish",
        "predicting.predict",
        "commands.train",
        "commands.predict",
        "commands.resume",
        "commands.report",
    ),
    *("commands.working", "report", "sources.download", "sources.long_table", "sources.table", "sources.texts"),
    *("sources.series", "sources.folders", "sources.arrays"),
)


def preload() -> None:
    """Import, and start no thread: a fork would be without it."""
    import torch
    from PIL import Image

    torch.set_num_threads(1)
    for name in _LATE:
        importlib.import_module(name)
    for name in _OWN:
        importlib.import_module(f"..{name}", __package__)
    Image.init()
    platform.platform()  # asks a program, once
