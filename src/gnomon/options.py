"""What can be said on the command line, and the recipe that it makes. Imports neither torch nor numpy to say so."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from .errors import RecipeError, nearest
from .version import VERSION

if TYPE_CHECKING:
    from .recipe import Recipe

Commands: TypeAlias = Mapping[str, Callable[[argparse.Namespace], int]]
"""What each word does with its options; returns the exit code."""

_EXAMPLES = """\
examples:
  gnomon train photos/ --by 5m             one folder per class; done in five minutes, report and model included
  gnomon train digits --by 30s             the built-in handwritten digits
  gnomon train photos.zip --epochs 20      as long as it takes; the same result on every run
  gnomon train reviews.csv --by 1m         texts and labels
  gnomon train words/ --by 2m              a folder of recordings per class
  gnomon predict runs/latest new.jpg       what is in the picture
"""
_TRAIN_EPILOG = """\
DATA is a folder or a .zip, .tar, .tar.gz with one folder per class (train/val/test above it are respected) of pictures,
.txt, .wav, .flac, .ogg, .mp3, or .csv files; a .csv, .tsv, .jsonl or .parquet with a column of texts or files and one
of labels, or with a row for each step of a series (--series-id); a .ts; an .npz; or one of: digits, cifar10, mnist.
"""

_WIDEST = 4096
_RECIPE_REMEDY = "Give a recipe.toml, such as any run directory holds."


def understood(words: Sequence[str], does: Commands) -> argparse.Namespace:
    """The words by their meaning. Raises RecipeError, in place of a page of usage, where one has none."""
    try:
        chosen, left = _parser(does).parse_known_args(words)
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


def recipe_of(chosen: argparse.Namespace) -> Recipe:
    """The recipe file, if any, with everything that was said on the command line laid over it."""
    import msgspec

    from .dataset import DatasetSpec
    from .models import Cnn, model_named
    from .recipe import Recipe, parse_recipe
    from .sources import SourceSpec

    base = (
        parse_recipe(_read(chosen.recipe)) if chosen.recipe else Recipe(source=SourceSpec(location=chosen.data or ""))
    )
    if not (chosen.data or base.source.location):
        raise RecipeError("no data given", remedy="gnomon train DATA --by 5m")
    if chosen.widths and chosen.model not in (None, "auto", "cnn"):
        raise RecipeError(
            f"--widths means nothing for the model {chosen.model!r}", remedy="Leave it out, or give --model cnn."
        )
    model = Cnn(widths=chosen.widths) if chosen.widths else model_named(chosen.model) if chosen.model else base.model
    split = _laid_over(base.dataset.split, chosen, _same("test", "validation"))
    if not (split.test and split.validation):
        raise RecipeError(
            "a share of 0 for the test or validation part leaves nothing to judge the network on",
            remedy="Give --test and --validation more than 0; usual are 0.15 and 0.1.",
        )
    dataset: DatasetSpec = msgspec.structs.replace(_laid_over(base.dataset, chosen, _same("size", "fit")), split=split)
    return msgspec.structs.replace(
        base,
        source=_laid_over(base.source, chosen, {"location": "data", **_same(*_SOURCE_OPTIONS)}),
        dataset=dataset,
        model=model,
        optimizer=_laid_over(base.optimizer, chosen, {"name": "optimizer", **_same(*_OPTIMIZER_OPTIONS)}),
        training=_laid_over(base.training, chosen, _same(*_TRAINING_OPTIONS)),
        seed=base.seed if chosen.seed is None else chosen.seed,
    )


_SOURCE_OPTIONS = ("input", "target", "group", "test_files", "kind", "task", "separator", "series_id", "time")
_OPTIMIZER_OPTIONS = ("learning_rate", "weight_decay", "momentum", "schedule", "warmup", "average")
_TRAINING_OPTIONS = (
    *("epochs", "steps", "batch", "format", "augment", "dropout", "label_smoothing", "balance", "views"),
    *("skip_easy", "small_until"),
    *("early_stopping", "threads", "device"),
)


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


def _laid_over(spec: Any, chosen: argparse.Namespace, options: dict[str, str]) -> Any:
    """The spec with each field replaced whose option was given."""
    import msgspec

    given = {field: getattr(chosen, option) for field, option in options.items() if getattr(chosen, option) is not None}
    return msgspec.structs.replace(spec, **given)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise RecipeError(f"the recipe {path!r} can't be read: {error.strerror}", remedy=_RECIPE_REMEDY) from None
    except UnicodeDecodeError:
        raise RecipeError(f"the recipe {path!r} is no UTF-8 text", remedy=_RECIPE_REMEDY) from None


# --- What can be said ------------------------------------------------------------------------------------------------


def _parser(does: Commands) -> argparse.ArgumentParser:
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
    _add_train(commands, does["train"])
    _add_plan(commands, does["plan"])
    _add_predict(commands, does["predict"])
    _add_resume(commands, does["resume"])
    _add_report(commands, does["report"])
    return parser


def _add_train(commands: Any, does: Callable[[argparse.Namespace], int]) -> None:
    parser = commands.add_parser(
        "train",
        help="train a network on your data",
        description="Train, judge, and write a report and one model file, all by the deadline.",
        epilog=_TRAIN_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        exit_on_error=False,
    )
    parser.set_defaults(run=does, parser=parser)
    parser.add_argument("data", metavar="DATA", nargs="?", help="your data, see below")
    _add_length(parser)
    _add_data_options(parser.add_argument_group("data"))
    _add_network_options(parser.add_argument_group("network and training"))
    _add_output(parser)


def _add_plan(commands: Any, does: Callable[[argparse.Namespace], int]) -> None:
    parser = commands.add_parser(
        "plan",
        help="say what train would do, and what to expect of it",
        description="Read the data, measure the machine, and say what train would do by the deadline: the network and "
        "why, the accuracy to expect, memory, disk, energy, and what more time would buy. Trains nothing.",
        epilog=_TRAIN_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        exit_on_error=False,
    )
    parser.set_defaults(run=does, parser=parser, epochs=None, steps=None)
    parser.add_argument("data", metavar="DATA", nargs="?", help="your data, see below")
    parser.add_argument("--by", metavar="TIME", help="deadline: 90s, 5m, 1h30m, or a time of day, 18:30")
    _add_data_options(parser.add_argument_group("data"))
    _add_network_options(parser.add_argument_group("network and training"))
    _add_output(parser)


def _add_length(parser: argparse.ArgumentParser) -> None:
    length = parser.add_argument_group("how long (one of them; 20 epochs if none)").add_mutually_exclusive_group()
    length.add_argument("--by", metavar="TIME", help="deadline for everything: 90s, 5m, 1h30m, or a time of day, 18:30")
    length.add_argument("--epochs", type=_positive_float, help="passes over the training part")
    length.add_argument("--steps", type=_positive, help="steps of the optimizer")


def _add_data_options(group: Any) -> None:
    group.add_argument("--kind", choices=("image", "text", "sound", "series"), help="what a row is [told by the data]")
    group.add_argument("--task", choices=("classify", "tag", "regress"), help="one class, several labels, or a number")
    group.add_argument("--separator", metavar="SIGN", help="between the labels of a row, where it has several")
    group.add_argument("--input", metavar="COLUMN", help="table: column of texts or file names; guessed when obvious")
    group.add_argument("--target", metavar="COLUMN", help="table: column of labels; guessed when obvious")
    group.add_argument("--series-id", metavar="COLUMN", help="table: rows of one value are one series, a row a step")
    group.add_argument("--time", metavar="COLUMN", help="table of series: orders the rows of one [by name]")
    group.add_argument(
        "--group",
        metavar="COLUMN|REGEX",
        help="rows of one group stay in one part: a column, or a pattern on file names",
    )
    group.add_argument("--test-files", metavar="REGEX", help="rows whose file name matches are the test part")
    group.add_argument("--size", type=_positive, metavar="PIXELS", help="longer side of what the network sees")
    group.add_argument("--fit", choices=("letterbox", "crop", "stretch"), help="pictures of another shape [letterbox]")
    group.add_argument("--test", type=_share, metavar="SHARE", help="share drawn for the test part [0.15]")
    group.add_argument("--validation", type=_share, metavar="SHARE", help="share drawn for validation [0.1]")


def _add_network_options(group: Any) -> None:
    group.add_argument(
        "--model",
        help="auto; for pictures cnn, plain (the textbook's); for texts wide, wide-deep, textcnn; for recordings and "
        "series seqcnn, crnn, ensemble, linear-deep; for all but pictures rnn, gru, lstm; or package.module:Name",
    )
    group.add_argument("--widths", type=_widths, metavar="A-B-C", help="cnn: filters of each stage, such as 32-64-128")
    group.add_argument(
        "--optimizer",
        choices=("gradient-descent", "sgd", "adam", "adamw", "muon"),
        help="[muon; for texts and series adam]",
    )
    group.add_argument("--learning-rate", type=_positive_float, metavar="RATE", help="the highest of the schedule")
    group.add_argument("--momentum", type=_share, help="of sgd [0.9]")
    group.add_argument("--weight-decay", type=_not_negative, help="not on norms and biases [0]")
    group.add_argument("--schedule", choices=("constant", "linear", "cosine"), help="[linear; plain: constant]")
    group.add_argument("--warmup", type=_share, metavar="SHARE", help="share of the steps in which the rate rises [0]")
    group.add_argument("--average", choices=("none", "ema"), help="of the weights [ema; plain: none]")
    group.add_argument("--batch", type=_positive, help="rows of a step")
    group.add_argument("--augment", metavar="NAMES", help="none, or names with strengths: shift=3,cutout [by the data]")
    group.add_argument("--dropout", type=_share, help="[0]")
    group.add_argument("--label-smoothing", type=_share, help="[0.1; plain: 0]")
    group.add_argument("--balance", choices=("auto", "none", "weights"), help="weigh classes in the loss [auto]")
    group.add_argument("--views", choices=("auto", "none", "mirror", "mirror+shift"), help="averaged in predictions")
    group.add_argument(
        "--skip-easy", type=_share, metavar="SHARE", help="of the rows, in late passes [0.6 by a deadline]"
    )
    group.add_argument(
        "--small-until", type=_share, metavar="SHARE", help="shrunk pictures so long [0.6 by a deadline]"
    )
    group.add_argument("--early-stopping", type=_positive, metavar="N", help="stop after N validations without a best")
    group.add_argument("--format", choices=("auto", "float32", "bfloat16"), help="of products in training [measured]")
    group.add_argument("--threads", type=_positive, help="[all cores]")
    group.add_argument("--device", help="cpu or cuda [cuda where there is one]")
    group.add_argument("--seed", type=_whole, help="of everything random [0]")
    group.add_argument("--recipe", metavar="FILE", help="a recipe.toml; options stand over it")


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    if "train" in parser.prog:
        group.add_argument("--out", metavar="DIR", help="the run directory [runs/<date-time>-<data>-<model>]")
    group.add_argument("--json", action="store_true", help="events as JSON lines; the last one has the scores")
    group.add_argument("--quiet", action="store_true", help="nothing but errors")


def _add_predict(commands: Any, does: Callable[[argparse.Namespace], int]) -> None:
    parser = commands.add_parser(
        "predict",
        help="say what is in files",
        description="Say what is in pictures, texts, recordings or series: whatever the model was trained on.",
        allow_abbrev=False,
        exit_on_error=False,
    )
    parser.set_defaults(run=does, parser=parser)
    parser.add_argument("model", metavar="MODEL", help="a model file, or a run directory")
    parser.add_argument(
        "files", metavar="FILES", nargs="*", help="files, folders or archives of them; - reads texts, one a line"
    )
    parser.add_argument("--text", dest="texts", nargs="+", default=(), metavar="TEXT", help="texts given here")
    parser.add_argument("--top", type=_positive, default=1, metavar="N", help="name the N most probable classes [1]")
    parser.add_argument("--csv", action="store_true", help="as a table: file, label, confidence")


def _add_resume(commands: Any, does: Callable[[argparse.Namespace], int]) -> None:
    parser = commands.add_parser(
        "resume",
        help="go on with a run that was stopped",
        description="Go on from the last checkpoint.",
        allow_abbrev=False,
        exit_on_error=False,
    )
    parser.set_defaults(run=does, parser=parser)
    parser.add_argument("directory", metavar="RUN", help="the run directory")
    parser.add_argument("--by", metavar="TIME", help="a new deadline; without one, all planned steps are made")
    _add_output(parser)


def _add_report(commands: Any, does: Callable[[argparse.Namespace], int]) -> None:
    parser = commands.add_parser(
        "report",
        help="judge a run and write its report and model file",
        description="Judge the best checkpoint of a run, finished or not, and write its report and model file.",
        allow_abbrev=False,
        exit_on_error=False,
    )
    parser.set_defaults(run=does, parser=parser)
    parser.add_argument("directory", metavar="RUN", help="the run directory")
    _add_output(parser)


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def _positive(text: str) -> int:
    number = _whole(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not 1 or more")
    return number


def _finite(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return number


def _not_negative(text: str) -> float:
    number = _finite(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is less than 0")
    return number


def _positive_float(text: str) -> float:
    number = _finite(text)
    if number <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not more than 0")
    return number


def _share(text: str) -> float:
    number = _finite(text)
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share: 0 or more, less than 1, such as 0.15")
    return number


def _widths(text: str) -> tuple[int, ...]:
    widths = tuple(_whole(part) if part.isdecimal() else 0 for part in text.split("-"))
    if not all(1 <= width <= _WIDEST for width in widths):
        raise argparse.ArgumentTypeError(f"{text!r} are not numbers of filters, 1 to {_WIDEST:,}, such as 32-64-128")
    return widths
