"""Gnomon: your labelled data and a deadline in; by then, the best network this machine can train.

    run = gnomon.train("photos/", by="5m")
    run.metrics["accuracy"].value
    run.predict("new.jpg")
    gnomon.load("model.safetensors").predict(["new.jpg"])

Names are loaded when they are first used, so that `import gnomon` and `gnomon --help` do not wait for PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from .version import VERSION

if TYPE_CHECKING:
    from .api import TrainedRun as TrainedRun
    from .api import train as train
    from .errors import GnomonError as GnomonError
    from .errors import InputError as InputError
    from .estimator import Classifier as Classifier
    from .models import Cnn as Cnn
    from .models import Plain as Plain
    from .optim import OptimizerSpec as OptimizerSpec
    from .planning.asked import TrainingSpec as TrainingSpec
    from .predicting.modelfile import Model as Model
    from .predicting.modelfile import load as load
    from .spine.recipe import Recipe as Recipe
    from .tasks import Answer as Answer
    from .tuning import tune as tune
    from .types import Metric as Metric

__version__ = VERSION

_HOMES: Final = {
    "Answer": "tasks",
    "Classifier": "estimator",
    "Cnn": "models",
    "GnomonError": "errors",
    "InputError": "errors",
    "Metric": "types",
    "Model": "predicting.modelfile",
    "OptimizerSpec": "optim",
    "Plain": "models",
    "Recipe": "spine.recipe",
    "TrainedRun": "api",
    "TrainingSpec": "planning.asked",
    "load": "predicting.modelfile",
    "train": "api",
    "tune": "tuning",
}

__all__ = [
    "Answer",
    "Classifier",
    "Cnn",
    "GnomonError",
    "InputError",
    "Metric",
    "Model",
    "OptimizerSpec",
    "Plain",
    "Recipe",
    "TrainedRun",
    "TrainingSpec",
    "__version__",
    "load",
    "train",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gnomon' has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
