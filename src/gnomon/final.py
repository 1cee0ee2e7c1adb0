"""Run directory → the model that it came to."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from .deadline import Deadline
from .errors import RunError
from .evaluate.answers import Outputs, outputs_of, with_other_views
from .evaluate.temperature import log_loss, tempered
from .models import LinearDeep, LinearNetwork, WideDeep, WideNetwork, channels_last
from .planning.plan import DOUBTFUL_SHARE, REMEMBERED_ROWS, RESERVE_FIXED_S, Plan, passes_of
from .predicting.modelfile import Header, Model
from .rows.dataset import Dataset
from .rundir.checkpoints import final_weights, require_fitting
from .rundir.run import Run
from .tasks import Classify, Regress, Tag, Task, Views, bind, replaced
from .tasks.regress import margins
from .tasks.tag import best_thresholds
from .version import VERSION

_VIEWS: Final[tuple[Views, ...]] = ("mirror+shift", "four", "mirror")
_NO_HELP: Final = "other views of the validation rows help nothing"
_SURE: Final = 0.98
_SHARES: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
_TINY: Final = 1e-30


def task_of(dataset: Dataset, plan: Plan) -> Task:
    """What the data ask, as the plan answers it."""
    return bind(dataset.spec, class_weights=plan.class_weights, label_smoothing=plan.label_smoothing, views=plan.views)


def final_model(
    run: Run, dataset: Dataset, plan: Plan, deadline: Deadline, *, module: nn.Module | None = None
) -> tuple[Model, Outputs]:
    """The network with the best validated weights, in the form in which a model file gives it back.

    Where the machine has become so slow that the planned views of pictures would miss the deadline, it has fewer.

    Returns:
        The model, and its outputs for the validation part.

    Raises:
        RunError: the run has no whole checkpoint.
    """
    checkpoint = run.latest_checkpoint()
    if checkpoint is None:
        raise RunError(f"{str(run.path)!r} has no whole checkpoint", remedy="Train it first: gnomon resume.")
    task = task_of(dataset, plan)
    made = {"gnomon": VERSION, "data": dataset.summary.name}
    header = Header(encoder=dataset.encoder, model=plan.model, task=task, made=made)
    if module is None:
        require_fitting(checkpoint, plan.model, dataset.spec.input_shape, task.num_outputs)
    network = plan.model.build(dataset.spec.input_shape, task.num_outputs) if module is None else module
    network.load_state_dict(final_weights(checkpoint))
    network = channels_last(network.requires_grad_(False).to(plan.device))
    return _validated(_with_share(Model(header, network.eval()), dataset), dataset, deadline)


def unplanned(header: Header, plan: Plan) -> Iterator[str]:
    """What a judged model has otherwise than planned."""
    if isinstance(header.task, Classify) and header.task.views != plan.views:
        reason = header.made.get("views", "the machine has become slow")
        yield f"{reason}: views {header.task.views} instead of {plan.views}"
    if isinstance(header.model, WideDeep | LinearDeep) and header.model.deep is not None and not header.model.share:
        yield "the networks add nothing to the linear part on the validation rows: they count 0"


def _with_share(model: Model, dataset: Dataset) -> Model:
    """Where a network stands beside a linear part: it counts as much as makes the validation loss least.

    What was trained on few rows, or is asked about rows unlike them, may add less than nothing.
    """
    spec, network = model.header.model, model.network
    if not isinstance(network, WideNetwork | LinearNetwork) or not isinstance(spec, WideDeep | LinearDeep):
        return model
    if spec.deep is None:
        return model
    rows, outputs = dataset.parts["validation"], []
    for share in (0.0, 1.0):
        network.share = share
        answers = [model.probabilities_of_encoded(block) for _, block in dataset.encoded.blocks(rows)]
        outputs.append(_outputs(model.header.task, torch.from_numpy(np.concatenate(answers)).double()))
    alone, both = outputs
    labels = torch.from_numpy(dataset.labels[rows])
    losses = [model.header.task.judged(alone + share * (both - alone), labels)[0] for share in _SHARES]
    network.share = _SHARES[int(np.argmin(losses))]
    made = model.header.made | {"share": f"the networks count {network.share:g}, the linear part 1"}
    return Model(
        msgspec.structs.replace(model.header, model=msgspec.structs.replace(spec, share=network.share), made=made),
        network,
    )


def _outputs(task: Task, answers: torch.Tensor) -> torch.Tensor:
    """A network's outputs, but for what is the same in a row, from what people read."""
    if isinstance(task, Classify):
        return answers.clamp_min(_TINY).log()
    return answers.clamp(_TINY, 1 - 1e-7).logit() if isinstance(task, Tag) else task.targets(answers).double()


def _validated(model: Model, dataset: Dataset, deadline: Deadline) -> tuple[Model, Outputs]:
    """With what the validation part tells of the task; and the network's outputs there.

    Of classes: which rows are doubtful, those of least confidence, since other views are for them alone; whether these
    help; and the temperature. Of labels: the temperature, and from which probability on each is given. Of values: how
    far they are off.
    """
    task, rows = model.header.task, dataset.parts["validation"]
    labels = dataset.labels[rows]
    began = time.monotonic()
    # By single views: nothing is doubtful where everything is sure.
    found = outputs_of(dataset, _asking(model, replaced(task, {"sure": 0.0})), rows)
    if isinstance(task, Classify) and task.views != "none":
        row_s = (time.monotonic() - began) / max(1, len(rows))
        task = replaced(task, {"views": _affordable(task.views, row_s, dataset, deadline)})
    if isinstance(task, Classify) and task.views != "none":
        confidence = model.answers_of_outputs(found.single).max(axis=1)
        task = replaced(task, {"sure": min(_SURE, float(np.quantile(confidence, DOUBTFUL_SHARE)))})
        found = with_other_views(dataset, _asking(model, task), rows, found)
    model, found = _tempered(_asking(model, task), found, labels)
    task = model.header.task
    answers = model.answers_of_outputs(found.averaged)
    if isinstance(task, Tag):
        model = _asking(model, replaced(task, {"thresholds": tuple(best_thresholds(answers, labels))}))
    elif isinstance(task, Regress):
        model = _asking(model, replaced(task, {"margin": tuple(margins(answers, labels))}))
    return model, found


def _tempered(model: Model, found: Outputs, labels: NDArray[Any]) -> tuple[Model, Outputs]:
    """At its temperature; without other views where by one of each row the log loss is less, each at its own."""
    several = tempered(model.header.task, found.averaged, labels)
    if isinstance(several, Classify) and several.views != "none":
        one = tempered(replaced(several, {"views": "none", "temperature": 1.0, "softening": 0.0}), found.single, labels)
        if log_loss(one, found.single, labels) < log_loss(several, found.averaged, labels):
            header = msgspec.structs.replace(model.header, task=one, made=model.header.made | {"views": _NO_HELP})
            return Model(header, model.network), replace(found, averaged=found.single)
    return _asking(model, several), found


def _affordable(views: Views, row_s: float, dataset: Dataset, deadline: Deadline) -> Views:
    """The planned views of a row, or as many as there is time for where a row takes so many seconds."""
    validation, test = len(dataset.parts["validation"]), len(dataset.parts["test"])
    left_s = deadline.remaining_s() - RESERVE_FIXED_S
    for fewer in _VIEWS[_VIEWS.index(views) :] if views in _VIEWS else (views,):
        passes = passes_of(fewer)
        if row_s * ((passes - 1) * validation + passes * test + 2 * REMEMBERED_ROWS) <= left_s:
            return fewer
    return "none"


def _asking(model: Model, task: Task) -> Model:
    return Model(msgspec.structs.replace(model.header, task=task), model.network)
