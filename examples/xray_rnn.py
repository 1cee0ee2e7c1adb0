"""See through an LSTM of your own: which steps of a series decide, and what is remembered of them on the way."""

import numpy as np

import gnomon
from gnomon.models import Rnn


def series_with_a_cause(count: int, *, seed: int) -> tuple[list[np.ndarray], list[str]]:
    """Noise `(T, 2)` in which one step of the first channel, somewhere, goes up or down."""
    draw = np.random.default_rng(seed)
    rows, labels = [], []
    for number in range(count):
        row = draw.normal(0, 0.3, (int(draw.integers(20, 30)), 2))
        row[draw.integers(len(row)), 0] = (4, -4)[number % 2]
        rows.append(row)
        labels.append(("up", "down")[number % 2])
    return rows, labels


if __name__ == "__main__":
    rows, labels = series_with_a_cause(200, seed=0)
    run = gnomon.train((rows, labels), kind="series", epochs=20, model=Rnn(cell="lstm", width=16), progress=False)
    print(f"{run.metrics['accuracy'].value:.1%} right")

    found = run.explain(rows[0], methods=["integrated-gradients"])[0][0]
    cause, said = int(np.abs(rows[0][:, 0]).argmax()), int(np.abs(found.steps).argmax())
    print(f"the cause is step {cause + 1}; what counts most is step {said + 1}: {found.findings[0].en}")

    page = run.xray(rows[:4])
    print(f"{page.name}: gates, states and similar moments, {page.stat().st_size / 1e6:.1f} MB")
