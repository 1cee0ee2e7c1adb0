"""Options that several commands share, and the recipe that they make. Imports neither torch nor numpy to say so."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any

from .errors import RecipeError

if TYPE_CHECKING:
    from .models import ModelSpec
    from .spine.recipe import Recipe

DATA_EPILOG = """\
DATA is a folder or a .zip, .tar, .tar.gz with one folder per class (train/val/test above it are respected) of pictures,
.txt, .wav, .flac, .ogg, .mp3, or .csv files; a .csv, .tsv, .jsonl or .parquet with a column of texts or files and one
of labels, or with a row for each step of a series (--series-id); a .ts; an .npz; or one of: digits, cifar10, mnist.
"""
"""What DATA may be, for the end of a command's help."""

_WIDEST = 4096
_RECIPE_REMEDY = "Give a recipe.toml, such as any run directory holds."


def recipe_of(chosen: argparse.Namespace) -> Recipe:
    """The recipe file, if any, with everything that was said on the command line laid over it."""
    import msgspec

    from .models import Imported, model_named, sized
    from .rows.dataset import DatasetSpec
    from .sources import SourceSpec
    from .spine.recipe import Recipe, parse_recipe

    base = (
        parse_recipe(_read(chosen.recipe)) if chosen.recipe else Recipe(source=SourceSpec(location=chosen.data or ""))
    )
    _require_named(base.model, chosen.model)
    if not (chosen.data or base.source.location):
        raise RecipeError("no data given", remedy="gnomon train DATA --by 5m")
    if chosen.widths and chosen.model not in (None, "auto", "cnn"):
        raise RecipeError(
            f"--widths means nothing for the model {chosen.model!r}", remedy="Leave it out, or give --model cnn."
        )
    model = sized(chosen.widths) if chosen.widths else model_named(chosen.model) if chosen.model else base.model
    if isinstance(base.model, Imported) and model == Imported(name=base.model.name):
        model = base.model  # with its arguments
    split = _laid_over(base.dataset.split, chosen, _same("test", "validation"))
    if not (split.test and split.validation):
        raise RecipeError(
            "a share of 0 for the test or validation part leaves nothing to judge the network on",
            remedy="Give --test and --validation more than 0; usual are 0.15 and 0.1.",
        )
    dataset: DatasetSpec = msgspec.structs.replace(
        _laid_over(base.dataset, chosen, _same("size", "fit", "rows")), split=split
    )
    return msgspec.structs.replace(
        base,
        source=_laid_over(base.source, chosen, {"location": "data", **_same(*_SOURCE_OPTIONS)}),
        dataset=dataset,
        model=model,
        optimizer=_laid_over(base.optimizer, chosen, {"name": "optimizer", **_same(*_OPTIMIZER_OPTIONS)}),
        training=_laid_over(base.training, chosen, _same(*_TRAINING_OPTIONS)),
        seed=base.seed if chosen.seed is None else chosen.seed,
    )


def _require_named(model: ModelSpec | None, named: str | None) -> None:
    """A recipe from elsewhere may name code: it is imported only where the user names it too, or another network."""
    name = getattr(model, "name", None)
    if name is not None and named is None:
        raise RecipeError(
            f"the recipe names code of its maker's own ({name!r}), which is not run unasked",
            remedy=f"If it is yours, or you trust it: --model {name}",
        )


_SOURCE_OPTIONS = ("input", "target", "group", "test_files", "kind", "task", "separator", "series_id", "time")
_OPTIMIZER_OPTIONS = ("learning_rate", "weight_decay", "momentum", "schedule", "warmup", "average", "sharpness")
_TRAINING_OPTIONS = (
    *("epochs", "steps", "batch", "format", "augment", "dropout", "label_smoothing", "balance", "views"),
    *("skip_easy", "small_until"),
    *("early_stopping", "threads", "device", "teacher", "processes", "shards", "fsdp", "recompute"),
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


# --- Groups of options ------------------------------------------------------------------------------------------------


def add_length(parser: argparse.ArgumentParser) -> None:
    """How long a training may take."""
    length = parser.add_argument_group("how long (one of them; 20 epochs if none)").add_mutually_exclusive_group()
    length.add_argument("--by", metavar="TIME", help="deadline for everything: 90s, 5m, 1h30m, or a time of day, 18:30")
    length.add_argument("--epochs", type=positive_float, help="passes over the training part")
    length.add_argument("--steps", type=positive, help="steps of the optimizer")


def add_data_options(group: Any) -> None:
    """What the data are."""
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
    group.add_argument("--rows", type=positive, metavar="N", help="use so many, drawn by chance [as time allows]")
    group.add_argument("--size", type=positive, metavar="PIXELS", help="longer side of what the network sees")
    group.add_argument("--fit", choices=("letterbox", "crop", "stretch"), help="pictures of another shape [letterbox]")
    group.add_argument("--test", type=share, metavar="SHARE", help="share drawn for the test part [0.15]")
    group.add_argument("--validation", type=share, metavar="SHARE", help="share drawn for validation [0.1]")


def add_network_options(group: Any) -> None:
    """What is trained, and how."""
    group.add_argument(
        "--model",
        help="auto; for pictures cnn, plain (the textbook's); for texts wide, wide-deep, textcnn; for recordings and "
        "series seqcnn, crnn, ensemble, linear-deep; for all but pictures rnn, gru, lstm; or package.module:Name",
    )
    group.add_argument("--widths", type=widths, metavar="A-B-C", help="cnn: filters of each stage, such as 32-64-128")
    group.add_argument(
        "--optimizer",
        choices=("gradient-descent", "sgd", "adam", "adamw", "muon", "schedule-free-sgd", "schedule-free-adamw"),
        help="[muon; for texts and series adam]",
    )
    group.add_argument("--learning-rate", type=positive_float, metavar="RATE", help="the highest of the schedule")
    group.add_argument("--momentum", type=share, help="of sgd [0.9]")
    group.add_argument("--weight-decay", type=not_negative, help="not on norms and biases [0]")
    group.add_argument("--schedule", choices=("constant", "linear", "cosine"), help="[linear; plain: constant]")
    group.add_argument("--warmup", type=share, metavar="SHARE", help="share of the steps in which the rate rises [0]")
    group.add_argument("--average", choices=("none", "ema", "lookahead"), help="of the weights [ema; plain: none]")
    group.add_argument(
        "--sharpness", type=not_negative, metavar="RADIUS", help="sharpness-aware: gradients from so far up, 0.05 [0]"
    )
    group.add_argument("--batch", type=positive, help="rows of a step")
    group.add_argument("--augment", metavar="NAMES", help="none, or names with strengths: shift=3,cutout [by the data]")
    group.add_argument("--dropout", type=share, help="[0]")
    group.add_argument("--label-smoothing", type=share, help="[0.1; plain: 0]")
    group.add_argument("--balance", choices=("auto", "none", "weights"), help="weigh classes in the loss [auto]")
    group.add_argument(
        "--views", choices=("auto", "none", "mirror", "four", "mirror+shift", "pitch"), help="averaged in predictions"
    )
    group.add_argument(
        "--skip-easy", type=share, metavar="SHARE", help="of the rows, in late passes [0.6 by a deadline]"
    )
    group.add_argument("--small-until", type=share, metavar="SHARE", help="shrunk pictures so long [0.6 by a deadline]")
    group.add_argument("--teacher", metavar="RUN", help="a larger network's run or model file, which is learnt from")
    group.add_argument("--early-stopping", type=positive, metavar="N", help="stop after N validations without a best")
    group.add_argument("--format", choices=("auto", "float32", "bfloat16"), help="of products in training [measured]")
    group.add_argument("--threads", type=positive, help="[all cores]")
    group.add_argument("--processes", type=positive, metavar="N", help="to train together, if one is no quicker [1]")
    group.add_argument(
        "--shards", type=positive, metavar="N", help="of a batch, for up to as many processes; the bits hang on it"
    )
    group.add_argument(
        "--fsdp",
        action="store_const",
        const=True,
        help="divide weights, gradients, optimizer over the processes (FSDP2)",
    )
    group.add_argument(
        "--recompute", action="store_const", const=True, help="cnn: less memory, and a third more time for a step"
    )
    group.add_argument("--device", help="cpu or cuda [cuda where there is one]")
    group.add_argument("--seed", type=whole, help="of everything random [0]")
    group.add_argument("--recipe", metavar="FILE", help="a recipe.toml; options stand over it")


def add_output(parser: argparse.ArgumentParser, *, out: bool = False) -> None:
    """What is shown and, where a run is made (`out`), where it goes."""
    group = parser.add_argument_group("output")
    if out:
        group.add_argument("--out", metavar="DIR", help="the run directory [runs/<date-time>-<data>-<model>]")
    group.add_argument("--json", action="store_true", help="events as JSON lines; the last one has the scores")
    group.add_argument("--quiet", action="store_true", help="nothing but errors")


def add_records(parser: argparse.ArgumentParser, *, training: bool) -> None:
    """What is written of a run beside its model."""
    group = parser.add_argument_group("report")
    group.add_argument(
        "--lang", choices=("en", "zh"), default="en", help="of report and model card: English or Chinese"
    )
    if training:
        group.add_argument(
            "--tensorboard", action="store_true", help="event files for TensorBoard, in the run directory"
        )


# --- Numbers as they are written --------------------------------------------------------------------------------------


def whole(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def positive(text: str) -> int:
    """A whole number of 1 or more."""
    number = whole(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not 1 or more")
    return number


def finite(text: str) -> float:
    """A number."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return number


def not_negative(text: str) -> float:
    """A number of 0 or more."""
    number = finite(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is less than 0")
    return number


def positive_float(text: str) -> float:
    """A number of more than 0."""
    number = finite(text)
    if number <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not more than 0")
    return number


def share(text: str) -> float:
    """A number of 0 or more, less than 1."""
    number = finite(text)
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share: 0 or more, less than 1, such as 0.15")
    return number


def widths(text: str) -> tuple[int, ...]:
    """Filters of each stage, `32-64-128`."""
    numbers = tuple(whole(part) if part.isdecimal() else 0 for part in text.split("-"))
    if not all(1 <= number <= _WIDEST for number in numbers):
        raise argparse.ArgumentTypeError(f"{text!r} are not numbers of filters, 1 to {_WIDEST:,}, such as 32-64-128")
    return numbers
