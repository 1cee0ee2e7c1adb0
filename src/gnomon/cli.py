"""Words → one call each. `--help` imports neither torch nor numpy."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .deadline import Deadline, parse_deadline, process_start_s
from .errors import EXIT_FAULT, EXIT_INPUT, GnomonError, InputError, Interrupted, RecipeError, RowError
from .options import recipe_of, understood

if TYPE_CHECKING:
    from .run import Run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0 done, 1 fault of ours, 2 the user's input, 130 and 143 for signals."""
    # Threads that wait for each other by spinning are starved, many times over, as soon as another process takes a
    # core. Read when torch loads its threads, hence here.
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    try:
        does = {"train": _train, "plan": _plan, "predict": _predict, "resume": _resume, "report": _report}
        chosen = understood(sys.argv[1:] if arguments is None else arguments, does)
        run: Callable[[argparse.Namespace], int] = chosen.run
        return run(chosen)
    except (InputError, RowError) as error:
        return _complain(error)
    except Interrupted as error:
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("gnomon: interrupted\n")
        return 128 + signal.SIGINT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAULT


def _complain(error: GnomonError) -> int:
    problems = error.problems if isinstance(error, InputError) else (str(error),)
    for problem in problems:
        sys.stderr.write(f"gnomon: {problem}\n")
    if isinstance(error, InputError) and error.remedy:
        sys.stderr.write(f"        {error.remedy}\n")
    return EXIT_INPUT


def _train(chosen: argparse.Namespace) -> int:
    deadline = parse_deadline(chosen.by, start_s=process_start_s())
    from .recipe import fit
    from .run import create_run

    recipe = recipe_of(chosen)
    run = create_run(chosen.out, data=_stem(recipe.source.location), model=chosen.model or "cnn")
    try:
        return _work(run, deadline, chosen, fit(recipe, run, deadline), title=recipe.source.location)
    except InputError:
        run.remove_unplanned()
        raise


def _plan(chosen: argparse.Namespace) -> int:
    deadline = parse_deadline(chosen.by, start_s=process_start_s())
    import msgspec

    from .display import choose_mode, foretell, open_display
    from .recipe import look_ahead

    recipe = recipe_of(chosen)
    events = look_ahead(recipe, deadline)
    shown = "quiet" if chosen.json else choose_mode(json=False, quiet=chosen.quiet, stream=sys.stdout)
    with open_display(shown, recipe.source.location, deadline) as show:
        while True:
            try:
                show(next(events))
            except StopIteration as stop:
                forecast = stop.value
                break
    sys.stdout.write((msgspec.json.encode(forecast).decode() if chosen.json else foretell(forecast)) + "\n")
    return 0


def _resume(chosen: argparse.Namespace) -> int:
    deadline = parse_deadline(chosen.by, start_s=process_start_s())
    from .recipe import resume
    from .run import open_run

    run = open_run(chosen.directory)
    return _work(run, deadline, chosen, resume(run, deadline), title=chosen.directory)


def _report(chosen: argparse.Namespace) -> int:
    deadline = Deadline(process_start_s())
    from .run import open_run

    return _work(open_run(chosen.directory), deadline, chosen, None, title=chosen.directory)


def _predict(chosen: argparse.Namespace) -> int:
    from .predict import print_predictions

    if not chosen.files and not chosen.texts:
        raise RecipeError("there is nothing to predict", remedy="gnomon predict MODEL FILES, or --text TEXT.")
    return print_predictions(chosen.model, chosen.files, texts=chosen.texts, top=chosen.top, as_csv=chosen.csv)


def _work(run: Run, deadline: Deadline, chosen: argparse.Namespace, training: Any, *, title: str) -> int:
    """Train where there is something to train, then judge; a first Ctrl-C goes over from one to the other."""
    from .display import choose_mode, open_display, summary
    from .evaluate import Evaluation
    from .recipe import finish
    from .run import TEST
    from .types import Finished, Noted, Phased

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
        baselines = run.read_json(TEST, Evaluation).baselines
        sys.stdout.write(summary(finished, {name: baseline.accuracy for name, baseline in baselines.items()}) + "\n")
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


def _stem(location: str) -> str:
    return os.path.splitext(os.path.basename(os.path.normpath(location)))[0] or "data"
