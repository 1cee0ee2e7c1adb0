"""A judgement as lines for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..judgement import ClassScores, Comparison, Evaluation, Slices
from ..types import Metric, plural
from .operating import OperatingPoint

MOST_CLASSES: Final = 20

_SHARES: Final = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "macro_roc_area": "area under ROC",
    "macro_average_precision": "average precision",
    "mean_average_precision": "average precision",
    "subset_accuracy": "all labels right",
    "r2": "R²",
    "coverage_90": "within bounds",
    "calibration_error": "calibration error",
}
_NUMBERS: Final = {
    "rmse": "RMSE",
    "mae": "mean abs. error",
    "median_absolute_error": "median abs. error",
    "log_loss": "log loss",
    "brier": "Brier score",
    "matthews": "Matthews",
}
_KEPT: Final = (1.0, 0.9, 0.75, 0.5)


def told_evaluation(evaluation: Evaluation, slices: Slices | None = None) -> str:
    """Scores, baselines, classes, what withholding doubtful answers gains, and slices that fare worse."""
    lines = [f"{plural(evaluation.rows, 'row')} judged{_grouped(evaluation)}; 95 % intervals behind the values", ""]
    for name, metric in evaluation.metrics.items():
        if name == "micro_f1" and "accuracy" in evaluation.metrics:
            continue  # of a single class for each row it is the accuracy
        if name == "macro_f1" and not all(each.support for each in evaluation.classes):
            continue  # classes without rows count as 0 in it, which is no fault of the answers
        if name in _SHARES:
            lines.append(f"  {_SHARES[name]:<20} {share(metric)}")
        elif name in _NUMBERS:
            lines.append(f"  {_NUMBERS[name]:<20} {number(metric)}")
    lines += [
        f"  {f'{name} baseline':<20} {share(each.score)}   {each.what}" for name, each in evaluation.baselines.items()
    ]
    if evaluation.unlike is not None:
        lines.append(
            f"  {'unlike training':<20} {share(evaluation.unlike.share)}   of the rows; 1 % are so in any case"
        )
    lines += _calibrated(evaluation) + _classes(evaluation.classes) + _kept(evaluation)
    if slices is not None and slices.worst:
        lines += ["", f"Worse than the rest ({slices.measure.replace('_', ' ')}):"]
        for place in slices.worst:
            part = slices.slices[place]
            lines.append(f"  {part.name:<32.32} {plural(part.rows, 'row'):>12}  {share(part.score)}")
    return "\n".join(lines)


def told_points(points: Sequence[OperatingPoint]) -> str:
    """Each threshold with what it comes to on the test part."""
    lines = []
    for point in points:
        if point.threshold is None or point.precision is None or point.recall is None:
            lines.append(
                f"{point.label or 'all'}: no threshold has {point.aim} {point.least:.1%}; best {point.best:.1%}"
            )
        elif not point.label:
            lines.append(
                f"answers with a confidence of {point.threshold:.3f} or more: {share(point.precision)} right, "
                f"{share(point.recall)} of the rows answered"
            )
        else:
            lines.append(
                f"{point.label}: from a probability of {point.threshold:.3f} on: precision {share(point.precision)}, "
                f"recall {share(point.recall)}"
            )
    return "\n".join([*lines, "Thresholds are from the validation part, figures from the test part."])


def told_comparison(compared: Comparison) -> str:
    """The scores, the verdict, and how it was found."""
    shown = number if compared.measure == "mean absolute error" else share
    wide = max(map(len, compared.runs))
    lines = [
        f"  {name:<{wide}}  {shown(score)}   {compared.measure}"
        for name, score in zip(compared.runs, compared.scores, strict=True)
    ]
    how = f"  {compared.test}, p = {compared.p:.2g}, on the same {plural(compared.rows, 'test row')}"
    return "\n".join([*lines, f"{compared.verdict}", how])


def share(metric: Metric) -> str:
    """`87.3 % (86.6–87.9)`."""
    return f"{100 * metric.value:.1f} % ({100 * metric.low:.1f}–{100 * metric.high:.1f})"


def number(metric: Metric) -> str:
    """`0.412 (0.38–0.45)`."""
    return f"{metric.value:.4g} ({metric.low:.4g}–{metric.high:.4g})"


def _grouped(evaluation: Evaluation) -> str:
    if evaluation.groups == 1:
        return ", all of one group: how others would fare, no interval tells"
    return f" in {plural(evaluation.groups, 'group')}, which are the units of chance" if evaluation.groups else ""


def _calibrated(evaluation: Evaluation) -> list[str]:
    found = evaluation.calibration
    if found is None:
        return []
    told = (
        f"  calibrated by a temperature of {found.temperature:.3g}; before it the error was {share(found.error_before)}"
    )
    if found.temperature == 1:
        told = "  calibrated without a temperature"
    if found.error_by_chance is not None:
        told += f"; chance alone makes {found.error_by_chance:.1%} of so many rows"
    return [told]


def _classes(classes: Sequence[ClassScores]) -> list[str]:
    classes = [each for each in classes if each.support or each.precision.low]
    if not classes:
        return []
    listed = sorted(classes, key=lambda each: each.f1.value)[:MOST_CLASSES]
    wide = min(24, max(len(each.name) for each in listed))
    head = "class" if len(listed) == len(classes) else f"class (the {MOST_CLASSES} with the least F1)"
    lines = ["", f"  {head:<{wide}}  {'rows':>6}  {'precision':<20} {'recall':<20} F1"]
    for each in listed:
        cells = f"{share(each.precision):<20} {share(each.recall):<20} {share(each.f1)}"
        lines.append(f"  {each.name:<{wide}.{wide}}  {each.support:>6,}  {cells}")
    return lines


def _kept(evaluation: Evaluation) -> list[str]:
    """Accuracy where less is answered: the points nearest to some shares."""
    if len(evaluation.kept) < 2:
        return []
    chosen = [min(evaluation.kept, key=lambda kept: abs(kept.share - wanted)) for wanted in _KEPT]
    lines = [
        f"  {kept.share:>6.0%} answered, from a confidence of {kept.confidence:.3f} on: {share(kept.accuracy)} right"
        for kept in dict.fromkeys(chosen)
    ]
    return ["", "If doubtful answers are withheld:", *lines]
