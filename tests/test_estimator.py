"""`Classifier` keeps scikit-learn's contract: its own checks, and the ways in which people put estimators together."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from gnomon import Classifier
from gnomon.models import Cnn
from gnomon.planning import hardware

SMALL: Final = Cnn(widths=(8,), convolutions=1, stem_width=8)
LEFT_OUT: Final[dict[str, str]] = {}
"""Checks of scikit-learn that are not made, and why. None so far."""


@pytest.fixture(autouse=True)
def _one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks this small are slower on several."""
    monkeypatch.setattr(hardware, "usable_cores", lambda: 1)


@pytest.fixture(scope="module")
def digits() -> tuple[NDArray[Any], NDArray[Any]]:
    """300 rows of 64 numbers, and names of their digits."""
    names = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
    rows, labels = load_digits(return_X_y=True)
    return rows[:300], names[labels[:300]]


def quick(**changed: Any) -> Classifier:
    made: Classifier = Classifier(epochs=5, model=Cnn(widths=(16, 32)), augment="none", image_shape=(8, 8)).set_params(
        **changed
    )
    return made


# --- scikit-learn's own checks ---------------------------------------------------------------------------------------


def _checks() -> Iterator[Any]:
    flat = Classifier(epochs=4, model=SMALL, augment="none")
    for estimator, check in estimator_checks_generator(flat, mark=None):
        name = getattr(check, "func", check).__name__
        yield pytest.param(estimator, check, id=name)


@pytest.mark.parametrize(("estimator", "check"), list(_checks()))
def test_scikit_learns_checks(
    request: pytest.FixtureRequest, estimator: Classifier, check: Callable[[Classifier], None]
) -> None:
    """Those that need a package which is not installed skip themselves."""
    name = getattr(check, "func", check).__name__
    if name in LEFT_OUT:
        pytest.skip(LEFT_OUT[name])
    check(estimator)


# --- Put together with others ----------------------------------------------------------------------------------------


def test_digits_in_a_pipeline_with_names_as_labels(digits: tuple[NDArray[Any], NDArray[Any]]) -> None:
    rows, labels = digits
    pipeline = make_pipeline(MinMaxScaler(), quick())
    pipeline.fit(rows[:240], labels[:240])
    assert pipeline.score(rows[240:], labels[240:]) > 0.7
    assert set(pipeline.predict(rows[240:])) <= set(labels)
    assert pipeline.classes_.tolist() == sorted(set(labels))
    assert pipeline[-1].n_features_in_ == 64
    probabilities = pipeline.predict_proba(rows[240:])
    assert probabilities.shape == (60, 10)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert np.array_equal(pipeline.classes_[probabilities.argmax(axis=1)], pipeline.predict(rows[240:]))


def test_cross_validation_is_repeatable(digits: tuple[NDArray[Any], NDArray[Any]]) -> None:
    scores = [cross_val_score(quick(), *digits, cv=2) for _ in range(2)]
    assert np.array_equal(scores[0], scores[1])
    assert scores[0].mean() > 0.7


def test_a_search_over_its_parameters(digits: tuple[NDArray[Any], NDArray[Any]]) -> None:
    search = GridSearchCV(quick(), {"epochs": [0.1, 5]}, cv=2).fit(*digits)
    assert search.best_params_ == {"epochs": 5}


def test_clones_fit_to_the_same_answers(digits: tuple[NDArray[Any], NDArray[Any]]) -> None:
    rows, labels = digits
    first = quick(random_state=7).fit(rows, labels)
    again, other = clone(first), clone(first).set_params(random_state=8)
    assert again.get_params() == first.get_params()
    with pytest.raises(NotFittedError):
        again.predict(rows)
    assert np.array_equal(again.fit(rows, labels).predict_proba(rows), first.predict_proba(rows))
    assert not np.array_equal(other.fit(rows, labels).predict_proba(rows), first.predict_proba(rows))


def test_pictures_may_have_any_of_their_shapes(digits: tuple[NDArray[Any], NDArray[Any]]) -> None:
    """Flat rows with a shape and `(N, H, W)` are the same pictures; whole numbers do as well."""
    rows, labels = digits
    flat = quick().fit(rows, labels).predict_proba(rows)
    pictures = rows.reshape(-1, 8, 8)
    assert np.array_equal(quick(image_shape=None).fit(pictures, labels).predict_proba(pictures), flat)
    whole = rows.astype(np.uint8).reshape(-1, 8, 8)
    assert quick(image_shape=None).fit(whole, labels).score(whole, labels) > 0.7


def test_what_can_not_be_used_is_said(digits: tuple[NDArray[Any], NDArray[Any]]) -> None:
    rows, labels = digits
    with pytest.raises(ValueError, match=r"rows of 64 numbers are not pictures of image_shape \(8, 9\)"):
        quick(image_shape=(8, 9)).fit(rows, labels)
    with pytest.raises(ValueError, match="only one class"):
        quick().fit(rows, np.zeros(300))
    with pytest.raises(ValueError, match="'resnet' is not known"):
        quick(model="resnet").fit(rows, labels)
    with pytest.raises(ValueError, match="the deadline 'soon' can't be read"):
        quick(by="soon").fit(rows, labels)
