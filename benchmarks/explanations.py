"""Whether explanations deserve trust: areas of deletion and insertion, sums, and what is left with shuffled weights.

    python benchmarks/explanations.py --rows 40 RUN RUN…

Of each run, test rows evenly over its test part are explained by every method that its network allows; of each row the
answered class. `random` is the mean of five random orders. Beside each method stands by how much it is better than
random and than plain gradients, row by row, with a 95 % interval (normal, of the paired differences). Better is a
smaller area of deletion and a greater one of insertion. `shuffled` is the mean of Spearman's correlation, its sign left
out, with the attributions of the same network with each of its tensors shuffled; `error` the share by which integrated
gradients miss their sum.
"""

import argparse
import math
from collections import defaultdict

import numpy as np

from gnomon.explain.attribution import attribute, methods_for
from gnomon.explain.checks import Areas, areas, random_areas, randomised_likeness
from gnomon.explain.inputs import subject_of
from gnomon.explain.rows import answered_outputs
from gnomon.predicting.modelfile import Model, load
from gnomon.rundir.run import MODEL, open_run
from gnomon.spine.reopening import dataset_of


def paired(values: list[float]) -> str:
    """Mean and 95 % interval."""
    mean, half = float(np.mean(values)), 1.96 * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return f"{mean:+.3f} ({mean - half:+.3f} to {mean + half:+.3f})"


def measured(model: Model, encoded: np.ndarray) -> tuple[dict[str, Areas], dict[str, float], float]:
    """Of one row: areas by method, likeness with shuffled weights by method, and the error of the sum."""
    subject = subject_of(model, encoded)
    output = answered_outputs(subject)[0]
    found = {method: attribute(subject, output, method) for method in methods_for(subject)}
    curves = {method: areas(subject, output, one.values) for method, one in found.items()}
    shape = next(iter(found.values())).values.shape
    alike = {method: abs(randomised_likeness(subject, one, seed=0)) for method, one in found.items()}
    error = found["integrated-gradients"].error if "integrated-gradients" in found else None
    return {"random": random_areas(subject, output, shape, seed=0), **curves}, alike, error or 0.0


def report(path: str, rows: int) -> None:
    """Lines of the table for one run."""
    run = open_run(path)
    model, dataset = load(run.path / MODEL), dataset_of(run)
    part = dataset.parts["test"]
    chosen = part[np.unique(np.linspace(0, len(part) - 1, min(rows, len(part))).astype(int))]
    by_method: dict[str, list[Areas]] = defaultdict(list)
    likeness: dict[str, list[float]] = defaultdict(list)
    errors = []
    for encoded in dataset.encoded.take(chosen):
        curves, alike, error = measured(model, encoded)
        errors.append(error)
        for method, one in curves.items():
            by_method[method].append(one)
        for method, one_likeness in alike.items():
            likeness[method].append(one_likeness)
    for method, found in by_method.items():
        cells = [run.path.name, method, f"{np.mean([one.deletion for one in found]):.3f}"]
        cells.append(f"{np.mean([one.insertion for one in found]):.3f}")
        for other in ("random", "gradients"):
            pairs = list(zip(found, by_method.get(other, []), strict=False))
            same = other == method or not pairs
            cells.append("" if same else paired([than.deletion - one.deletion for one, than in pairs]))
            cells.append("" if same else paired([one.insertion - than.insertion for one, than in pairs]))
        cells.append(f"{np.mean(likeness[method]):.2f}" if method in likeness else "")
        told = method == "integrated-gradients"
        cells.append(f"{np.median(errors):.1%}, at most {max(errors):.1%}" if told else "")
        print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--rows", type=int, default=40)
    chosen = parser.parse_args()
    heads = ["run", "method", "deletion", "insertion"]
    heads += [f"{what} against {other}" for other in ("random", "gradients") for what in ("deletion", "insertion")]
    heads += ["shuffled", "error"]
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    for path in chosen.runs:
        report(path, chosen.rows)


if __name__ == "__main__":
    main()
