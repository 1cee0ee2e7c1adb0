"""Labels that are likely wrong: some are changed on purpose, and looked for."""

import msgspec
import numpy as np
from sklearn.datasets import load_digits

import gnomon
from gnomon.judgement import Suspects

EPOCHS = 6
CHANGED = 0.05

if __name__ == "__main__":
    digits, chance = load_digits(), np.random.default_rng(0)
    labels = digits.target.copy()
    changed = chance.random(len(labels)) < CHANGED
    labels[changed] = (labels[changed] + chance.integers(1, 10, changed.sum())) % 10

    run = gnomon.train((digits.images, labels), epochs=EPOCHS, progress=False)
    suspects = msgspec.json.decode((run.path / "evaluation/suspects.json").read_bytes(), type=Suspects)

    for row in suspects.rows[:10]:
        was = "changed on purpose" if changed[int(row.key)] else "as it was"
        print(f"row {row.key}: labelled {row.label}, looks like {row.suggested} ({row.doubt:.0%} sure: wrong); {was}")
    right = sum(changed[int(row.key)] for row in suspects.rows)
    print(f"{suspects.found} suspects, {right} of them changed; {changed.sum()} labels were changed in all")
