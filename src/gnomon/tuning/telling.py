"""A search in sentences, and settings as a person reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ..space import Setting
from ..types import plural
from .records import Gain, Record, Result, SearchSpec
from .settings import usual_settings

_MATTERS: Final = 0.1
_NAMES: Final = {
    "rate_factor": "learning rate ×",
    "batch_factor": "batch ×",
    "rungs": "network, rungs up",
    "label_smoothing": "label smoothing",
    "weight_decay": "weight decay",
    "learning_rate": "learning rate",
    "skip_easy": "easy rows skipped",
    "small_until": "small pictures until",
    "embedding_dropout": "embedding dropout",
}


def named(name: str) -> str:
    """What people call a quantity."""
    return _NAMES.get(name, name.replace("_", " "))


def shown(setting: Setting) -> str:
    """A value, short."""
    return f"{setting:.3g}" if isinstance(setting, float) else str(setting)


def described(settings: Mapping[str, Setting], usual: Mapping[str, Setting] | None = None) -> str:
    """`learning rate × 0.5, dropout 0.2`; of `usual` ones only what differs from them."""
    usual = usual or {}
    different = {name: value for name, value in settings.items() if name not in usual or usual[name] != value}
    said = (f"{named(name)} {shown(value)}".replace("× ", "×") for name, value in different.items())
    return ", ".join(said) or "as usual"


def points(gain: Gain) -> str:
    """`+0.8 points (−0.3 to +1.9)`; of the score times 100."""
    value, low, high = map(_signed, (gain.value, gain.low, gain.high))
    return f"{value} points ({low} to {high}, 95 % interval)"


def _signed(value: float) -> str:
    """A difference of scores times 100, with its sign; what rounds to nothing is `+0.0`."""
    return f"{100 * value:+z.1f}".replace("-", "−")


def told(result: Result, spec: SearchSpec, explored: Sequence[Record]) -> tuple[str, ...]:
    """The result: first what was gained, then what the settings are, how much was tried, and what mattered."""
    usual = usual_settings(spec.dimensions)
    pruned = sum(done.state == "pruned" for done in explored)
    failed = sum(done.state == "failed" for done in explored)
    ends = [f"{pruned} stopped early"] * bool(pruned) + [f"{failed} failed"] * bool(failed)
    tried = plural(len(explored), "trial") + (f", {' and '.join(ends)}" if ends else "")
    return (_gained(result), *_found(result, usual), f"{tried}.", *_mattered(result))


def _gained(result: Result) -> str:
    gain, gained = result.gain, f"{result.measure} {points(result.gain)} over the usual ones"
    if gain.verdict == "usual":
        return "Nothing better than the usual settings was found, and these are used."
    if not gain.pairs:
        return "The best settings that were found could not be confirmed, and the usual ones are used."
    if gain.measured:
        gained += " in the final training"
    if gain.verdict == "better":
        return f"Better settings were found: {gained}."
    if gain.verdict == "likely":
        return f"Settings were found that are likely better, though not beyond doubt: {gained}."
    return f"That what was found is better can't be told from chance: {gained}. The usual settings are used."


def _found(result: Result, usual: Mapping[str, Setting]) -> tuple[str, ...]:
    gain = result.gain
    if gain.verdict == "usual":
        return ()
    said = f"The best that was found, trial {result.trial}: {described(result.found, usual)}."
    if not gain.pairs:
        return (said,)
    told = (
        f"{said} It was trained {plural(gain.pairs, 'time')} with fresh seeds beside the usual settings, and judged on "
        f"{plural(gain.rows, 'validation row')} that chose nothing."
    )
    if not gain.measured:
        return (told,)
    course = ", ".join(f"{_signed(value)} in {seconds:.2g} s" for seconds, value in gain.measured)
    return (told, f"Its gain with the time of a training: {course}. What is left of it in the end follows from that.")


def _mattered(result: Result) -> tuple[str, ...]:
    most = [f"{named(item.name).removesuffix(' ×')} ({item.share:.0%})" for item in result.influences]
    count = sum(item.share >= _MATTERS for item in result.influences) or 1
    return (f"What mattered, as shares of the differences between trials: {', '.join(most[:count])}.",) if most else ()
