"""What can be said on the command line: one module a command, and the parser of them all.

Each module has `add`, which describes the command and its options, and `run`, which does it and returns the exit code.
What a command needs is imported by `run`, so that help is there at once.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

from ..errors import RecipeError, nearest
from ..version import VERSION
from . import compare, evaluate, explain, plan, predict, report, resume, shrink, torture, train, tune, xray

_EXAMPLES = """\
examples:
  gnomon train photos/ --by 5m             one folder per class; done in five minutes, report and model included
  gnomon train digits --by 30s             the built-in handwritten digits
  gnomon train photos.zip --epochs 20      as long as it takes; the same result on every run
  gnomon train reviews.csv --by 1m         texts and labels
  gnomon train words/ --by 2m              a folder of recordings per class
  gnomon tune photos/ --by 1h              better settings are searched first, and used if they really are better
  gnomon predict runs/latest new.jpg       what is in the picture
"""


def understood(words: Sequence[str]) -> argparse.Namespace:
    """The words by their meaning; `run` of the value does them.

    Raises:
        RecipeError: in place of a page of usage, where a word has no meaning.
    """
    try:
        chosen, left = _parser().parse_known_args(words)
    except argparse.ArgumentError as error:
        command = f"{words[0]} " if error.argument_name != "COMMAND" else ""
        raise RecipeError(
            f"{error.argument_name}: {error.message}", remedy=f"gnomon {command}--help says what can be given."
        ) from None
    if left:
        option = next((word for word in left if word.startswith("-")), left[0]).partition("=")[0]
        known = set(re.findall(r"--([a-z][a-z-]+)", chosen.parser.format_help()))
        remedy = nearest(option.strip("-"), known) if option.startswith("-") else f"See gnomon {words[0]} --help."
        raise RecipeError(f"{option!r} is nothing that gnomon {words[0]} takes", remedy=remedy)
    return chosen


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gnomon",
        description="Your labelled data and a deadline in; by then, the best network this machine can train.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        exit_on_error=False,
    )
    parser.add_argument("--version", action="version", version=f"gnomon {VERSION}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (train, plan, predict, evaluate, compare, explain, xray, resume, report, shrink, tune, torture):
        command.add(commands)
    return parser
