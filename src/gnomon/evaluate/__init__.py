"""Run → scores with intervals and baselines, predictions, and what is wrong with answers and data.

answers      a part of the data set through the network
temperature  by what outputs are divided so that confidences mean what they say
scores       scores of a part, with `rivals`: the baselines on the same rows
predictions  a table of all that was said
table        the same, read back
mistakes     the worst wrong answers, with what they look like
slices       how parts of the test rows fare, by their `attributes`
suspects     rows whose label is likely wrong
duplicates   rows that are nearly the same, found by `alike`
operating    thresholds for a wanted precision, recall or accuracy
compare      two runs on the same rows
elsewhere    new labelled data
told         a judgement as lines for people
"""

from __future__ import annotations

import time

from ..judgement import Evaluation
from ..predicting.modelfile import Model
from ..rows.dataset import Dataset
from ..rundir.run import DUPLICATES, MISTAKES, PREDICTIONS, SLICES, SUSPECTS, TEST, VALIDATION, Run
from ..types import Split
from .answers import Judged, Outputs, judged_by, outputs_of
from .duplicates import near_duplicates
from .mistakes import mistakes
from .predictions import predictions
from .rivals import baselines_of, fit_baseline
from .scores import HEADLINES, evaluation_of
from .slices import slices_of
from .suspects import suspects_of

__all__ = ["HEADLINES", "Outputs", "evaluate", "outputs_of", "search"]


def evaluate(
    run: Run, dataset: Dataset, model: Model, *, seed: int, validation: Outputs | None = None
) -> tuple[Evaluation, dict[Split, Judged]]:
    """Judge on validation and test, and write scores, predictions, mistakes and slices.

    Args:
        run: that is written to.
        dataset, model: as the run has them.
        seed: of the baselines.
        validation: the network's outputs for the validation part, where they are known.

    Returns:
        The test part's evaluation, and what was said of both parts.
    """
    linear = fit_baseline(dataset, seed)
    results: dict[Split, Evaluation] = {}
    judged: dict[Split, Judged] = {}
    files: dict[Split, str] = {"validation": VALIDATION, "test": TEST}
    for part, name in files.items():
        rows = dataset.parts[part]
        known = validation if part == "validation" else None
        judged[part] = judged_by(dataset, model, rows, known or outputs_of(dataset, model, rows))
        results[part] = evaluation_of(model, judged[part], baselines_of(dataset, judged[part], linear))
        run.write_json(name, results[part])
    run.write(PREDICTIONS, predictions(dataset, model, judged))
    run.write_json(MISTAKES, mistakes(dataset, model, judged["test"]))
    run.write_json(SLICES, slices_of(dataset, model, judged["test"]))
    return results["test"], judged


def search(
    run: Run, dataset: Dataset, model: Model, judged: dict[Split, Judged], *, seed: int, seconds: float | None
) -> None:
    """Look for wrong labels and near-duplicates in all parts, and write what is found.

    Args:
        run, dataset, model, judged: as for `evaluate`, and from it.
        seed: of the choice of rows where time is short.
        seconds: that may be spent; what is left out is said. None for as many as it takes.
    """
    began = time.monotonic()
    half = None if seconds is None else seconds / 2
    run.write_json(SUSPECTS, suspects_of(dataset, model, judged, seed=seed, seconds=half))
    left = None if seconds is None else seconds - time.monotonic() + began
    run.write_json(DUPLICATES, near_duplicates(dataset, seed=seed, seconds=left))
