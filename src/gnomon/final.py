"""Run directory → the model that it came to."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
from torch import nn

from .dataset import Dataset
from .errors import RunError
from .modelfile import Header, Model
from .models import channels_last
from .plan import DOUBTFUL_SHARE, Plan
from .run import Run
from .tasks import Classify, Tag, Task, bind
from .tasks.regress import margins
from .tasks.tag import best_thresholds
from .training import final_weights
from .version import VERSION

_SURE: Final = 0.98


def task_of(dataset: Dataset, plan: Plan) -> Task:
    """What the data ask, as the plan answers it."""
    return bind(dataset.spec, class_weights=plan.class_weights, label_smoothing=plan.label_smoothing, views=plan.views)


def final_model(run: Run, dataset: Dataset, plan: Plan, *, module: nn.Module | None = None) -> Model:
    """The network with the best validated weights, in the form in which a model file gives it back.

    Raises:
        RunError: the run has no whole checkpoint.
    """
    checkpoint = run.latest_checkpoint()
    if checkpoint is None:
        raise RunError(f"{str(run.path)!r} has no whole checkpoint", remedy="Train it first: gnomon resume.")
    task = task_of(dataset, plan)
    made = {"gnomon": VERSION, "data": dataset.summary.name}
    header = Header(encoder=dataset.encoder, model=plan.model, task=task, made=made)
    network = plan.model.build(dataset.spec.input_shape, task.num_outputs) if module is None else module
    network.load_state_dict(final_weights(checkpoint))
    network = channels_last(network.requires_grad_(False).to(plan.device))
    return _with_validated(Model(header, network.eval()), dataset)


def _with_validated(model: Model, dataset: Dataset) -> Model:
    """With what the validation part tells of the task.

    Of classes: which rows are doubtful, the fifth of least confidence, since other views are for them alone. Of labels:
    from which probability on each is given. Of values: how far they are off.
    """
    task, rows = model.header.task, dataset.parts["validation"]
    if isinstance(task, Classify) and task.views == "none":
        return model
    # By single views: nothing is doubtful where everything is sure.
    header = (
        msgspec.structs.replace(model.header, task=msgspec.structs.replace(task, sure=0.0))
        if isinstance(task, Classify)
        else model.header
    )
    alone = Model(header, model.network)
    answers = np.concatenate([alone.probabilities_of_encoded(block) for _, block in dataset.encoded.blocks(rows)])
    if isinstance(task, Classify):
        sure = min(_SURE, float(np.quantile(answers.max(axis=1), DOUBTFUL_SHARE)))
        task = msgspec.structs.replace(task, sure=sure)
    elif isinstance(task, Tag):
        task = msgspec.structs.replace(task, thresholds=tuple(best_thresholds(answers, dataset.labels[rows])))
    else:
        task = msgspec.structs.replace(task, margin=tuple(margins(answers, dataset.labels[rows])))
    return Model(msgspec.structs.replace(model.header, task=task), model.network)
