"""A convolutional network among scikit-learn's estimators: cross-validated beside a linear model."""

from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import gnomon

EPOCHS = 8

if __name__ == "__main__":
    inputs, labels = load_digits(return_X_y=True)
    estimators = {
        "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
        "gnomon": gnomon.Classifier(epochs=EPOCHS, image_shape=(8, 8)),
    }
    for name, estimator in estimators.items():
        scores = cross_val_score(estimator, inputs, labels, cv=3)
        print(f"{name:<20} {scores.mean():.1%} ± {scores.std():.1%}")
