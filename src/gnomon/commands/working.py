"""A training and its judging, shown as they go, and stopped by signals."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..deadline import Deadline
from ..display import choose_mode, open_display, summary
from ..errors import Interrupted
from ..judgement import Evaluation
from ..recipe import finish
from ..run import TEST, Run
from ..types import Finished, Noted, Phased


def work(run: Run, deadline: Deadline, chosen: argparse.Namespace, training: Any, *, title: str) -> int:
    """Train where there is something to train, then judge; a first Ctrl-C goes over from one to the other.

    Args:
        run: the run directory.
        deadline: the clock.
        chosen: the options of `add_output`.
        training: events of `fit` or `resume`, or None to judge alone.
        title: over the panel.

    Returns:
        The exit code.
    """
    mode = choose_mode(json=chosen.json, quiet=chosen.quiet, stream=sys.stdout)
    finished = None
    with _signals() as signals, open_display(mode, title, deadline) as show:
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
                if signals.number == signal.SIGTERM:
                    raise Interrupted(signals.number)
                show(Noted(text="stopped; judging what there is (Ctrl-C again leaves at once)"))
                break
        signals.patient = False
        for event in finish(run, deadline, dataset=dataset):
            show(event)
            finished = event if isinstance(event, Finished) else finished
    if finished is not None and mode in ("panel", "lines"):
        judged = run.read_json(TEST, Evaluation)
        baselines = {name: baseline.score for name, baseline in judged.baselines.items()}
        sys.stdout.write(summary(finished, judged.headline, baselines) + "\n")
    return 128 + signals.number if signals.number else 0


@dataclass(slots=True)
class _Signals:
    """What has been received. While `patient`, a first signal is only noted: training stops at its next event."""

    number: int = 0
    patient: bool = False

    def receive(self, number: int, _frame: object) -> None:
        again, self.number = bool(self.number), number
        if again or not self.patient:
            raise KeyboardInterrupt if number == signal.SIGINT else Interrupted(number)


@contextmanager
def _signals() -> Iterator[_Signals]:
    state = _Signals()
    before = {number: signal.signal(number, state.receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield state
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
