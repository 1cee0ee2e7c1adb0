"""The linear model of texts, against scikit-learn's TF-IDF; and rows as people see them."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from gnomon.encoders import SeriesEncoder, SoundEncoder, TextEncoder
from gnomon.previews import preview
from gnomon.rows.text_baseline import TextBaseline

RANDOM = np.random.default_rng(4)
ROWS, TOKENS = 300, 12
LABELS = RANDOM.integers(0, 2, ROWS)


def texts() -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
    """Token ids; those of the second class are larger on the mean."""
    ids = np.zeros((ROWS, TOKENS), np.int32)
    for row, length in enumerate(RANDOM.integers(2, TOKENS + 1, ROWS)):
        ids[row, :length] = 2 + RANDOM.poisson(6 + 3 * LABELS[row], length)
    return ids


IDS = texts()


def test_scores_are_those_of_scikit_learns_tf_idf() -> None:
    words = [" ".join(f"w{token}" for token in row if token) for row in IDS]
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    features = vectorizer.fit_transform(words[:200])
    model = LogisticRegression(C=10, solver="liblinear", dual=True, random_state=0)
    model.fit(features, LABELS[:200])
    expected = model.decision_function(vectorizer.transform(words[200:]))
    baseline = TextBaseline(IDS[:200], LABELS[:200], question="classify", num_outputs=2)
    said = baseline.outputs(IDS[200:])
    assert np.corrcoef(said[:, 1] - said[:, 0], expected)[0, 1] > 0.999
    assert np.array_equal(said.argmax(1), (expected > 0).astype(int))


@pytest.mark.parametrize("question", ["tag", "regress"])
def test_labels_and_numbers(question: str) -> None:
    marks = np.stack([LABELS, 1 - LABELS, np.zeros(ROWS)], axis=1).astype(np.float32)
    values = LABELS[:, None] * 5.0 + 1
    if question == "tag":
        said = TextBaseline(IDS, marks, question="tag", num_outputs=3).outputs(IDS)
        assert ((said > 0) == (marks > 0)).mean() > 0.95
        assert (said[:, 2] < 0).all()  # a label that no row has is never given
    else:
        said = TextBaseline(IDS, values, question="regress", num_outputs=1).outputs(IDS)
        assert np.corrcoef(said[:, 0], values[:, 0])[0, 1] > 0.9


def test_a_class_that_is_missing_is_never_said() -> None:
    said = TextBaseline(IDS, LABELS * 2, question="classify", num_outputs=3).outputs(IDS)
    assert said.shape == (ROWS, 3)
    assert set(said.argmax(1)) <= {0, 2}


def test_rows_as_people_see_them() -> None:
    words = TextEncoder(vocabulary=("good", "film"), length=8)
    assert preview(words, words.encode("Good unknown film")).text == "good ▢ film"
    sound = SoundEncoder(rate=8000, bands=8, length=16, window=64, hop=32)
    series = SeriesEncoder(channels=("x", "y"), length=16)
    steps = np.full((16, 2), np.nan, np.float32)
    steps[:5] = RANDOM.normal(size=(5, 2))
    for seen in (preview(sound, sound.encode(RANDOM.normal(size=300))), preview(series, steps)):
        with Image.open(io.BytesIO(base64.b64decode(seen.png))) as image:
            assert image.size == (256, 96)
            assert len(image.convert("RGB").getcolors(10**6) or ()) > 2
