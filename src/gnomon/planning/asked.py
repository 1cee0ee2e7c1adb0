"""What is asked of a training; what is left open, the plan decides."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from ..tasks import Views
from ..types import Count, Positive, Share, Value
from .hardware import Format


class Relative(Value, frozen=True):
    """What is asked relative to what the plan decides by itself, so that it means the same however long is trained.

    Attributes:
        learning_rate: times the rate.
        batch: times the rows of a step.
        rungs: up the ladder from the network that the time calls for; negative for down.
    """

    learning_rate: Annotated[float, msgspec.Meta(gt=0, le=1e3)] = 1.0
    batch: Annotated[float, msgspec.Meta(ge=1 / 64, le=64)] = 1.0
    rungs: Annotated[int, msgspec.Meta(ge=-16, le=16)] = 0


class TrainingSpec(Value, frozen=True):
    """What the user asks of the training; None and `auto` leave it to the plan.

    Attributes:
        epochs, steps: how long, instead of a deadline.
        batch: rows of a step.
        format: of the products in training; weights and predictions are float32.
        augment: `auto`, `none`, or names: `flip,shift=3,cutout,mixup=0.4`.
        label_smoothing: share of each target spread over all classes; None: 0.1, or 0 for the textbook's network.
        dropout: share of features dropped before the last layers, for the built-in networks.
        balance: `weights` weighs each class by the inverse of its rows.
        views: of a picture or recording that a prediction averages.
        skip_easy: share of the rows that late passes leave out, those that cost least when last seen.
        small_until: share of the training in which pictures are shrunk to 3/4 of their sides; built-in cnn only.
        early_stopping: validations without improvement after which training stops; 0 for never.
        threads, device: of the training.
        checkpoint_steps: steps between checkpoints; None saves by time.
        processes: that train together, where one alone is no quicker.
        shards: that a batch is computed in, by as many processes as are asked for, quicker or not; None: one for each.
        fsdp: whether processes divide the weights, and what belongs to them.
        recompute: whether stages of the built-in cnn are computed anew in the backward pass, to save memory.
        teacher: a model file, or a run directory with one, whose answers are most of the targets.
        relative: what shall be more or less than by itself.
    """

    epochs: Positive | None = None
    steps: Count | None = None
    batch: Annotated[int, msgspec.Meta(ge=1, le=2**20)] | None = None
    format: Format | Literal["auto"] = "auto"
    augment: str = "auto"
    label_smoothing: Share | None = None
    dropout: Share = 0.0
    balance: Literal["auto", "none", "weights"] = "auto"
    views: Views | Literal["auto"] = "auto"
    skip_easy: Share | None = None
    small_until: Share | None = None
    early_stopping: Annotated[int, msgspec.Meta(ge=0)] = 0
    threads: Annotated[int, msgspec.Meta(ge=1, le=1024)] | None = None
    device: str = "auto"
    checkpoint_steps: Count | None = None
    processes: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 1
    shards: Annotated[int, msgspec.Meta(ge=1, le=1024)] | None = None
    fsdp: bool = False
    recompute: bool = False
    teacher: str | None = None
    relative: Relative = Relative()
