"""Events → event files for TensorBoard, in the run directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .errors import RecipeError
from .rundir.run import TENSORBOARD, Run
from .types import Event, Finished, Stepped, Validated

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter

Log = Callable[[Event], None]


@contextmanager
def open_tensorboard(run: Run, *, wanted: bool) -> Iterator[Log]:
    """Write the figures of each event: loss, learning rate and speed over steps, validation, scores of the test part.

    A run that goes on from a checkpoint takes back what an earlier file says of later steps.

    Args:
        run: into whose directory `tensorboard/` it goes.
        wanted: whether to write anything at all.

    Raises:
        RecipeError: tensorboardX is not installed.
    """
    if not wanted:
        yield lambda event: None
        return
    make = _writer_class()
    writer: SummaryWriter | None = None

    def log(event: Event) -> None:
        nonlocal writer
        figures = _figures(event)
        if figures and writer is None:
            writer = make(str(run.path / TENSORBOARD), purge_step=getattr(event, "step", None))
        for name, (value, step) in figures.items():
            assert writer is not None
            writer.add_scalar(name, value, step)

    try:
        yield log
    finally:
        if writer is not None:
            writer.close()


def _writer_class() -> type[SummaryWriter]:
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise RecipeError(
            "--tensorboard needs the package tensorboardX, which is not installed",
            remedy="pip install 'gnomon[tensorboard]', or leave the option out: metrics.jsonl holds the same figures.",
        ) from None
    made: type[SummaryWriter] = SummaryWriter
    return made


def _figures(event: Event) -> dict[str, tuple[float, int]]:
    """Name → value and step, as TensorBoard groups them."""
    match event:
        case Stepped():
            return {
                "train/loss": (event.loss, event.step),
                "train/learning_rate": (event.learning_rate, event.step),
                "train/rows_per_s": (event.rows_per_s, event.step),
                "train/epoch": (event.epoch, event.step),
            }
        case Validated():
            return {
                "validation/loss": (event.loss, event.step),
                f"validation/{event.measure}": (event.score, event.step),
            }
        case Finished():
            return {f"test/{name}": (metric.value, 0) for name, metric in event.metrics.items()}
        case _:
            return {}
