"""What the tests share: where real data lies, small pictures to train on, and a machine that looks the same to each.

A test module that names the types of these fixtures imports them: `from conftest import PictureFolder, SharedData`.
"""

import colorsys
import os
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

import pytest
from PIL import Image, ImageDraw

from gnomon.rounding import round_alike

THREADS: Final = 2
SHARED_DATA: Final = Path(__file__).parents[2] / "shared" / "data"

_SHAPES: Final = ("ellipse", "square", "triangle", "cross")


class SharedData(Protocol):
    def __call__(self, name: str) -> Path: ...


class PictureFolder(Protocol):
    def __call__(
        self,
        classes: Sequence[str] = ("circles", "squares", "triangles"),
        per_class: int = 12,
        size: int = 16,
        *,
        seed: int = 0,
        name: str = "pictures",
    ) -> Path: ...


def pytest_configure() -> None:
    """Before anything imports torch or numpy: their thread pools are made once, at import.

    Threads that wait by spinning starve each other where the machine has something else to do.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    round_alike()
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(THREADS)


@pytest.fixture(autouse=True)
def _threads() -> None:
    """Undoes what an earlier test set; the last bits of a result depend on the number of threads."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(THREADS)


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of the session's own, seen by its subprocesses too, so that nothing of the user's is read or written."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("GNOMON_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def shared_data() -> SharedData:
    """The path of a file in `shared/data` beside the checkout; the test is skipped where it is absent."""

    def find(name: str) -> Path:
        path = SHARED_DATA / name
        if not path.exists():
            pytest.skip(f"needs {name} in shared/data, beside the checkout")
        return path

    return find


@pytest.fixture
def picture_folder(tmp_path: Path) -> PictureFolder:
    """Makes `<name>/<class>/<number>.png`: `per_class` square RGB pictures a class, `size` pixels wide.

    A class has its own colour and shape; place, extent and background are each picture's own, and depend only on the
    seed, the class and the number. `name` tells several folders of one test apart.
    """

    def make(
        classes: Sequence[str] = ("circles", "squares", "triangles"),
        per_class: int = 12,
        size: int = 16,
        *,
        seed: int = 0,
        name: str = "pictures",
    ) -> Path:
        root = tmp_path / name
        for position, label in enumerate(classes):
            (root / label).mkdir(parents=True)
            for number in range(per_class):
                draw = random.Random(f"{seed}/{label}/{number}")
                picture = _picture(_SHAPES[position % len(_SHAPES)], position / len(classes), size, draw)
                picture.save(root / label / f"{number:03d}.png")
        return root

    return make


def _picture(shape: str, hue: float, size: int, draw: random.Random) -> Image.Image:
    shade = draw.randrange(40, 120)
    picture = Image.new("RGB", (size, size), (shade, shade, shade))
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.9, draw.uniform(0.7, 1.0)))
    extent = draw.uniform(0.5, 0.8) * size
    left, top = (draw.uniform(0, size - 1 - extent) for _ in range(2))
    canvas = ImageDraw.Draw(picture)
    for outline in _outlines(shape, left, top, extent):
        canvas.polygon(outline, fill=(red, green, blue))
    if shape == "ellipse":
        canvas.ellipse((left, top, left + extent, top + extent), fill=(red, green, blue))
    return picture


def _outlines(shape: str, left: float, top: float, extent: float) -> list[list[tuple[float, float]]]:
    """Polygons of the shape in a square box."""

    def box(x0: float, y0: float, x1: float, y1: float) -> list[tuple[float, float]]:
        corners = ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
        return [(left + x * extent, top + y * extent) for x, y in corners]

    if shape == "square":
        return [box(0, 0, 1, 1)]
    if shape == "triangle":
        return [[(left + extent / 2, top), (left + extent, top + extent), (left, top + extent)]]
    return [box(0.35, 0, 0.65, 1), box(0, 0.35, 1, 0.65)] if shape == "cross" else []
