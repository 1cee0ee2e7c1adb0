"""From a run directory to scores, report and model file: `finish`, which works on any run, after any crash."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

import msgspec

from ..answer_speed import write_answer_speed
from ..deadline import Deadline
from ..evaluate import evaluate, search
from ..evaluate.remembering import what_is_forgotten, with_memory
from ..explain.examples import explain_examples
from ..final import final_model, unplanned
from ..planning.hardware import measure_hardware
from ..planning.plan import Plan
from ..report import Language, write_model_card, write_report
from ..rows.dataset import Dataset
from ..rows.sample import sampled
from ..rundir.run import MODEL, PLAN, Run
from ..sources import open_source
from ..specimens import write_specimens
from ..types import Event, Finished, Noted, Phased
from .opening import NOTHING, InMemory
from .recording import recorded
from .reopening import on_this_machine, recipe_of, reopen_dataset

_REPORTING_S: Final = 1.5


def finish(
    run: Run,
    deadline: Deadline,
    *,
    dataset: Dataset | None = None,
    given: InMemory = NOTHING,
    language: Language = "en",
) -> Generator[Event, None, None]:
    """Run directory to scores, report and model file.

    Args:
        run: with at least one checkpoint.
        deadline: the clock for the figures.
        dataset: as training had it; built again where it is not given.
        given: as for `fit`.
        language: that the report opens in, and of the model card.

    Raises:
        RunError: the run has no whole checkpoint.
    """
    yield from recorded(run, _finish(run, deadline, dataset, given, language))


def _finish(
    run: Run, deadline: Deadline, dataset: Dataset | None, given: InMemory, language: Language
) -> Generator[Event, None, None]:
    run.require_seals()
    plan, recipe = on_this_machine(run.read_json(PLAN, Plan)), recipe_of(run)
    if dataset is None:
        yield Phased(name="reading", elapsed_s=deadline.elapsed_s())
        dataset = yield from reopen_dataset(run, recipe, deadline, given=given)
        measure_hardware(device=plan.device, threads=plan.threads)
    yield Phased(name="judging", elapsed_s=deadline.elapsed_s())
    model, validation = final_model(run, dataset, plan, deadline, module=given.module)
    for text in unplanned(model.header, plan):
        yield Noted(text=text)
    scored = _before(deadline, plan.judging_least_s)
    model = with_memory(dataset, model, validation, seed=recipe.seed, seconds=_searching_s(scored))
    if forgotten := what_is_forgotten(dataset, model):
        yield Noted(text=forgotten)
    run.seal_judgement(begun=True)
    evaluation, judged = evaluate(run, dataset, model, seed=recipe.seed, validation=validation)
    model.header = msgspec.structs.replace(model.header, metrics=evaluation.metrics)
    run.write(MODEL, model.to_bytes())
    write_answer_speed(run, dataset, model, seconds=_searching_s(deadline))
    search(run, dataset, model, judged, seed=recipe.seed, seconds=_searching_s(deadline))
    heard_s, drawn = _searching_s(deadline), dataset.summary.drawn
    write_specimens(run, dataset, lambda: sampled(given.source or open_source(recipe.source), drawn), seconds=heard_s)
    explain_examples(run, dataset, model, _before(deadline, _REPORTING_S))
    run.seal_judgement()
    yield Phased(name="reporting", elapsed_s=deadline.elapsed_s())
    write_report(run.path, language=language)
    write_model_card(run.path, language=language)
    yield Finished(run=str(run.path), metrics=evaluation.metrics, planned_s=plan.planned_s, used_s=deadline.elapsed_s())


def _before(deadline: Deadline, seconds: float) -> Deadline:
    """The deadline of what can be left out, where so many seconds are needed behind it."""
    return Deadline(deadline.start_s, deadline.end_s - seconds)


def _searching_s(deadline: Deadline) -> float | None:
    """Seconds for what can be left out: half of those that are left, the report's not counted."""
    if not deadline.is_set:
        return None
    return max(0.0, min(deadline.remaining_s() / 2, deadline.remaining_s() - _REPORTING_S))
