"""A training and its judging, shown as they go, and stopped by signals."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ..deadline import Deadline
from ..display import Show, choose_mode, open_display, summary
from ..errors import Interrupted
from ..judgement import Evaluation
from ..rundir.run import TEST, Run
from ..spine.finish import finish
from ..tensorboard import open_tensorboard
from ..types import Event, Finished, Noted, Phased


def work(run: Run, deadline: Deadline, chosen: argparse.Namespace, training: Any, *, title: str) -> int:
    """Train where there is something to train, then judge; a first Ctrl-C goes over from one to the other.

    Args:
        run: the run directory.
        deadline: the clock.
        chosen: the options of `add_output` and `add_records`.
        training: events of `fit` or `resume`, or None to judge alone.
        title: over the panel.

    Returns:
        The exit code.
    """
    mode = choose_mode(json=chosen.json, quiet=chosen.quiet, stream=sys.stdout)
    finished = None
    with (
        open_tensorboard(run, wanted=getattr(chosen, "tensorboard", False)) as log,
        signals_noted(run) as signals,
        open_display(mode, title, deadline) as display,
    ):

        def show(event: Event) -> None:
            display(event)
            log(event)

        dataset = _trained(training, show, signals)
        for event in finish(run, deadline, dataset=dataset, language=chosen.lang):
            show(event)
            finished = event if isinstance(event, Finished) else finished
    if finished is not None and mode in ("panel", "lines"):
        judged = run.read_json(TEST, Evaluation)
        baselines = {name: baseline.score for name, baseline in judged.baselines.items()}
        sys.stdout.write(summary(finished, judged.headline, baselines) + "\n")
    return 128 + signals.number if signals.number else 0


def _trained(training: Any, show: Show, signals: Signals) -> Any:
    """The data set that was trained on; None where there was nothing to train, or Ctrl-C ended it.

    Raises:
        Interrupted: a signal calls for the end. A checkpoint is saved.
    """
    dataset = None
    while training is not None:
        try:
            event = next(training)
        except StopIteration as stop:
            dataset = stop.value.dataset
            break
        show(event)
        signals.patient = signals.patient or (isinstance(event, Phased) and event.name == "training")
        if signals.number:
            training.close()
            break
    signals.patient = False
    if signals.number not in (0, signal.SIGINT):
        raise Interrupted(signals.number)
    if signals.number:
        show(Noted(text="stopped; judging what there is (Ctrl-C again leaves at once)"))
    return dataset


@dataclass(slots=True)
class Signals:
    """What has been received. While `patient`, a first signal is only noted: training stops at its next event."""

    terminals: tuple[int, ...]
    number: int = 0
    patient: bool = False

    def receive(self, number: int, _frame: object) -> None:
        again, self.number = bool(self.number), number
        if number == getattr(signal, "SIGHUP", None):
            for terminal in self.terminals:  # nothing can be shown there any more, and trying to would be an error
                os.dup2(os.open(os.devnull, os.O_WRONLY), terminal)
        if again or not self.patient:
            raise KeyboardInterrupt if number == signal.SIGINT else Interrupted(number)


@contextmanager
def signals_noted(run: Run) -> Iterator[Signals]:
    """Listens to Ctrl-C, to the wish to end and to a closed terminal; says how a run that they end goes on."""
    state = Signals(terminals=tuple(number for number in (1, 2) if os.isatty(number)))
    before = {number: signal.signal(number, state.receive) for number in _listened_to()}
    try:
        yield state
    except (KeyboardInterrupt, Interrupted):
        with suppress(OSError):
            sys.stderr.write(f"gnomon: stopped; gnomon resume {run.path} goes on\n")
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listened_to() -> list[signal.Signals]:
    """What is not ignored already: nohup means that a closed terminal ends nothing."""
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    numbers = [signal.Signals[name] for name in names if name in signal.Signals.__members__]
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
