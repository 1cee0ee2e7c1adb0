"""`Classifier`: Gnomon as an estimator of scikit-learn, for images given as arrays."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, unique_labels
from sklearn.utils.validation import check_is_fitted, check_random_state, validate_data

from .deadline import parse_deadline
from .errors import InputError
from .final import final_model
from .models import ModelSpec, model_named
from .optim import OptimizerName, OptimizerSpec
from .planning.asked import TrainingSpec
from .rows.dataset import DatasetSpec
from .rows.splits import SplitSpec
from .rundir.run import create_run
from .sources import SourceSpec
from .sources.arrays import array_source
from .sources.labels import CLASSES
from .spine.fit import fit
from .spine.opening import InMemory
from .spine.recipe import Recipe

_LEAST_SIDE = 3


class Classifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A convolutional network behind `fit`, `predict` and `predict_proba`.

    `X` is `(N, H, W)`, `(N, H, W, C)`, or `(N, F)`: flat rows are taken as `image_shape`, or else as pictures of one
    line, which is repeated to the height that a network needs.
    A tenth of the rows is held out for validation; no test part is drawn, since the caller has one.

    Args:
        by: time for `fit`, such as `"30s"`; the result then depends on the machine's speed.
        epochs: instead of `by`; the result is then the same at every fit. 20 where neither is given.
        model: `"cnn"`, `"plain"`, `"package.module:Name"`, or a spec.
        optimizer: its name; None: by the data.
        image_shape: `(H, W)` or `(H, W, C)` of flat rows.
        augment: `"auto"`, `"none"`, or names.
        random_state: of everything random; an integer, or a generator that one is drawn from.

    Attributes:
        classes_: the classes, sorted.
        model_: the trained `gnomon.Model`.
        n_features_in_: numbers in one row.
    """

    def __init__(
        self,
        by: str | None = None,
        *,
        epochs: float | None = None,
        model: str | ModelSpec = "cnn",
        optimizer: OptimizerName | None = None,
        image_shape: tuple[int, ...] | None = None,
        augment: str = "auto",
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.by = by
        self.epochs = epochs
        self.model = model
        self.optimizer = optimizer
        self.image_shape = image_shape
        self.augment = augment
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:  # noqa: N803
        """Train on pictures `X` with classes `y`.

        Raises:
            ValueError: arrays that can't be used, too few rows of a class, an option that does not exist.
        """
        pictures, labels = self._checked(X, y, fitting=True)
        self.classes_ = unique_labels(labels)
        if len(self.classes_) < 2:
            raise ValueError(f"Classifier can't fit when only one class is present: {self.classes_[0]!r}")
        numbers = np.searchsorted(self.classes_, labels)
        try:
            self.model_ = self._trained(array_source(pictures, numbers, asked=CLASSES))
        except InputError as error:
            raise ValueError(str(error)) from error
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:  # noqa: N803
        """The most probable class of each row, `(N,)`."""
        best = self.predict_proba(X).argmax(axis=1)
        found: NDArray[Any] = self.classes_[best]
        return found

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:  # noqa: N803
        """`(N, K)` probabilities, in the order of `classes_`."""
        check_is_fitted(self)
        pictures, _ = self._checked(X, None, fitting=False)
        probabilities = np.zeros((len(pictures), len(self.classes_)), np.float32)
        known = [int(name) for name in self.model_.classes]
        probabilities[:, known] = self.model_.probabilities(list(pictures))
        return probabilities

    def _trained(self, source: Any) -> Any:
        deadline = parse_deadline(self.by, start_s=time.monotonic())
        recipe = Recipe(
            source=SourceSpec(location="(in memory)"),
            dataset=DatasetSpec(split=SplitSpec(test=0.0)),
            model=model_named(self.model) if isinstance(self.model, str) else self.model,
            optimizer=OptimizerSpec(name=self.optimizer),
            training=TrainingSpec(epochs=self.epochs, augment=self.augment),
            seed=_seed(self.random_state),
        )
        with TemporaryDirectory() as folder:
            run = create_run(Path(folder) / "run", data="arrays", model="network")
            events = fit(recipe, run, deadline, given=InMemory(source=source))
            while True:
                try:
                    next(events)
                except StopIteration as stop:
                    return final_model(run, stop.value.dataset, stop.value.plan, deadline)[0]

    def _checked(
        self, inputs: ArrayLike, targets: ArrayLike | None, *, fitting: bool
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Arrays as scikit-learn wants them checked, and pictures `(N, H, W, C)` out of them."""
        array = np.asarray(inputs)
        rules: dict[str, Any] = {"dtype": None if array.dtype == np.uint8 else "numeric", "allow_nd": True}
        if not fitting:
            return self._as_pictures(validate_data(self, inputs, reset=False, **rules)), np.zeros(0)
        array, labels = validate_data(self, inputs, targets, **rules)
        check_classification_targets(labels)
        return self._as_pictures(array), labels

    def _as_pictures(self, array: NDArray[Any]) -> NDArray[Any]:
        if array.ndim == 2:
            array = _lines(array) if self.image_shape is None else _shaped(array, self.image_shape)
        if array.ndim not in (3, 4):
            raise ValueError(f"X has {array.ndim} dimensions; pictures have 3 or 4, flat rows 2")
        array = array[..., None] if array.ndim == 3 else array
        return array if array.dtype == np.uint8 else array.astype(np.float32)


def _shaped(array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if int(np.prod(shape)) != array.shape[1]:
        raise ValueError(f"rows of {array.shape[1]} numbers are not pictures of image_shape {shape}")
    return array.reshape(len(array), *shape)


def _lines(array: NDArray[Any]) -> NDArray[Any]:
    """`(N, F)` → `(N, 3, F)`, each line three times; the width is filled up with zeros to 3."""
    missing = max(0, _LEAST_SIDE - array.shape[1])
    return np.repeat(np.pad(array, ((0, 0), (0, missing)))[:, None, :], _LEAST_SIDE, axis=1)


def _seed(random_state: int | np.random.RandomState | None) -> int:
    if isinstance(random_state, (int, np.integer)):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))
