"""Good files that hostile ones are put beside, or made of."""

from __future__ import annotations

import io
import os
import random
import wave
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from PIL import Image

from . import OUTSIDE
from .models import good_model


def prepare(root: Path) -> Path:
    """A folder of good files, to be copied for each case, and beside it what nothing may read."""
    good, outside = root / "good", root / OUTSIDE
    for folder in (good, outside, root / "cache"):
        folder.mkdir()
    os.environ["GNOMON_CACHE"] = str(root / "cache")
    for folder, name in ((good, "good"), (outside, "secret")):
        (folder / f"{name}.png").write_bytes(picture(name))
        (folder / f"{name}.txt").write_text(f"a {name} text with word3", encoding="utf-8")
        (folder / f"{name}.csv").write_text("x,y\n" + "1,2\n" * 20, encoding="utf-8")
        (folder / f"{name}.wav").write_bytes(recording(name))
    for kind, name in (("image", "cnn"), ("text", "textcnn"), ("sound", "crnn"), ("series", "rnn")):
        (good / f"{kind}.safetensors").write_bytes(good_model(name))
    return good


def photos(folder: Path, extra: Mapping[str, bytes] | None = None) -> None:
    """`photos`: two classes of good pictures, and what is given beside them."""
    for name, content in {**good_photos(), **(extra or {})}.items():
        path = folder / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@cache
def good_photos() -> Mapping[str, bytes]:
    """By names such as `cat/07.png`."""
    return {
        f"{label}/{number:02d}.png": picture(f"{label} {number}") for label in ("cat", "dog") for number in range(12)
    }


def picture(seed: str, size: tuple[int, int] = (18, 18), form: str = "PNG") -> bytes:
    """A picture of noise."""
    sink = io.BytesIO()
    Image.frombytes("RGB", size, random.Random(seed).randbytes(3 * size[0] * size[1])).save(sink, form)
    return sink.getvalue()


def recording(seed: str, samples: int = 8000) -> bytes:
    """A second of noise, 8 kHz, 16 bits."""
    sink = io.BytesIO()
    with wave.open(sink, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(random.Random(seed).randbytes(2 * samples))
    return sink.getvalue()
