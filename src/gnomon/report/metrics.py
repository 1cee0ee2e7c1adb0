"""The table of metrics: what each is called, what it means, and its figures beside those of the baselines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .shapes import Evaluation, Measured
from .words import Foreign, Said, say

SHARES: Final[dict[str, Said]] = {
    "accuracy": say("Accuracy"),
    "balanced_accuracy": say("Balanced accuracy"),
    "macro_precision": say("Precision, mean of classes"),
    "macro_recall": say("Recall, mean of classes"),
    "macro_f1": say("F1, mean of classes"),
    "micro_f1": say("F1, all labels together"),
    "micro_precision": say("Precision, all labels together"),
    "micro_recall": say("Recall, all labels together"),
    "mean_average_precision": say("Average precision, mean of labels"),
    "average_precision": say("Average precision, mean of classes"),
    "subset_accuracy": say("All labels of a row right"),
    "hamming_loss": say("Wrong labels"),
    "roc_area": say("Area under ROC, mean of classes"),
    "macro_roc_area": say("Area under ROC, mean of classes"),
    "macro_average_precision": say("Average precision, mean of classes"),
    "top_3_accuracy": say("Right class among the first three"),
    "top_5_accuracy": say("Right class among the first five"),
    "calibration_error": say("Calibration error"),
    "weighted_precision": say("Precision, classes weighed by their rows"),
    "weighted_recall": say("Recall, classes weighed by their rows"),
    "weighted_f1": say("F1, classes weighed by their rows"),
    "coverage_90": say("Within the bounds of 90 %"),
    "r2": say("R², variance explained"),
}
"""Metrics that are shares from 0 to 1; any other is shown as it stands."""
OTHERS: Final[dict[str, Said]] = {
    "log_loss": say("Log loss"),
    "brier": say("Brier score"),
    "rmse": say("Root mean squared error"),
    "mae": say("Mean absolute error"),
    "median_absolute_error": say("Median absolute error"),
    "max_error": say("Greatest error"),
    "cohen_kappa": say("Cohen’s kappa"),
    "matthews": say("Matthews’ correlation"),
    "loss": say("Loss"),
}
MEANINGS: Final[dict[str, Said]] = {
    "accuracy": say("share of all rows told rightly"),
    "balanced_accuracy": say("the same, each class counting alike"),
    "macro_precision": say("when it names a class, how often that is right"),
    "macro_recall": say("of a class, how much it finds"),
    "macro_f1": say("precision and recall in one number"),
    "log_loss": say("lower is better; punishes being wrong and sure of it; in nats"),
    "brier": say("lower is better; squared distance of the probabilities from the truth"),
    "calibration_error": say("lower is better; how far confidence is from being right, on the mean"),
    "micro_f1": say("precision and recall of every label of every row in one number"),
    "micro_precision": say("of the labels that it gives, how many are right"),
    "micro_recall": say("of the labels that are right, how many it gives"),
    "mean_average_precision": say("how well the rows with a label stand before those without, at any threshold"),
    "macro_average_precision": say("how well the rows of a class stand before the others, at any threshold"),
    "average_precision": say("how well the rows of a class stand before the others, at any threshold"),
    "roc_area": say("how often a row of a class is held likelier to be one than another row"),
    "macro_roc_area": say("how often a row of a class is held likelier to be one than another row"),
    "hamming_loss": say("share of all yes-or-no answers that are wrong; lower is better"),
    "r2": say("0 for always answering the mean, 100 % for no error"),
    "rmse": say("root of the mean squared error, in the value’s unit; lower is better"),
    "mae": say("in the value’s unit; lower is better"),
    "median_absolute_error": say("half of all answers are off by less"),
    "max_error": say("of the worst answer, in the value’s unit"),
    "coverage_90": say("how often the truth lies within the bounds that are given for 90 % of cases"),
    "cohen_kappa": say("agreement beyond what chance alone would give; 1 is perfect, 0 is chance"),
    "matthews": say("correlation of answers and truth; 1 is perfect, 0 is chance"),
    "subset_accuracy": say("share of rows of which no label is missing and none is too many"),
    "top_3_accuracy": say("how often the truth is among the three likeliest classes"),
    "top_5_accuracy": say("how often the truth is among the five likeliest classes"),
}
_MAIN: Final = frozenset(
    {
        *("accuracy", "balanced_accuracy", "macro_f1", "macro_roc_area", "log_loss", "calibration_error"),
        *("hamming_loss", "subset_accuracy", "macro_average_precision", "mean_average_precision"),
        *("r2", "mae", "rmse", "median_absolute_error", "coverage_90"),
    }
)
"""Metrics that are shown at once; the others are folded away. The headline is always shown."""
NOTHING: Final = Evaluation(rows=0, metrics={})


@dataclass(frozen=True, slots=True)
class MetricLine:
    """A line of the metrics table; None where a part has no such number. `main`: to be seen at once."""

    label: Said | Foreign
    meaning: Said | str
    share: bool
    main: bool
    test: Measured | None
    validation: Measured | None


def named(metric: str) -> Said | Foreign:
    """What a metric is called."""
    return SHARES.get(metric) or OTHERS.get(metric) or Foreign(metric.replace("_", " ").capitalize())


def metric_lines(test: Evaluation | None, validation: Evaluation | None) -> tuple[MetricLine, ...]:
    """The headline first, then shares, then the rest; those of single views behind the headline."""
    test, validation = test or NOTHING, validation or NOTHING
    headline = test.headline if test.metrics else validation.headline
    names = dict.fromkeys((headline, *SHARES, *OTHERS, *test.metrics, *validation.metrics))
    lines = [
        MetricLine(
            label=named(name),
            meaning=MEANINGS.get(name, ""),
            share=name in SHARES,
            main=name in _MAIN or name == headline,
            test=test.metrics.get(name),
            validation=validation.metrics.get(name),
        )
        for name in names
        if name in test.metrics or name in validation.metrics
    ]
    return (*lines[:1], *_without_views(test, validation), *lines[1:])


def _without_views(test: Evaluation, validation: Evaluation) -> tuple[MetricLine, ...]:
    on_test = test.without_views.measured if test.without_views else None
    on_validation = validation.without_views.measured if validation.without_views else None
    if on_test is None and on_validation is None:
        return ()
    label, meaning = say("Accuracy, one view"), say("each row looked at once only, as it is")
    return (MetricLine(label, meaning, True, True, on_test, on_validation),)
