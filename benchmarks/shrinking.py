"""What eight bits, pruning and a teacher cost: size of the file, accuracy on the test part.

    python benchmarks/shrinking.py RUN RUN…
    python benchmarks/shrinking.py --teach cifar10 --widths 8-16-32 --by 60s [--teacher-by 2m] [--seeds 3]

The first form needs judged runs. Eight bits are what `gnomon shrink` writes. Pruning sets the smallest numbers of all
matrices and filters together to zero, without training again; it makes a file smaller only once it is packed, so sizes
are those of the whole file packed by deflate. The second form trains a teacher by one deadline, and by another one a
small network with and without it, in turns.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import torch
from runs import SHARED, data_sets, sequence_sets, train

from gnomon.evaluate.answers import outputs_of
from gnomon.predicting.modelfile import Model, load
from gnomon.rows.dataset import Dataset
from gnomon.rundir.run import open_run
from gnomon.spine.reopening import dataset_of

SHARES = (0.3, 0.5, 0.7, 0.8, 0.9)


def accuracy(dataset: Dataset, model: Model) -> float:
    """On the test part."""
    rows = dataset.parts["test"]
    said = model.answers_of_outputs(outputs_of(dataset, model, rows).averaged)
    return float((said.argmax(axis=1) == dataset.labels[rows]).mean())


@torch.no_grad()
def pruned(path: Path, share: float) -> Model:
    """The model with this share of the numbers of its matrices and filters, those nearest to zero, set to zero."""
    model = load(path)
    weights = [tensor for tensor in model.network.parameters() if tensor.ndim > 1]
    every = torch.cat([tensor.abs().flatten() for tensor in weights])
    least = every.kthvalue(max(1, int(share * len(every)))).values
    for tensor in weights:
        tensor[tensor.abs() <= least] = 0
    return Model(model.header, model.network, model._memory)


def of_run(name: str) -> None:
    """Lines of the table for one run."""
    run = open_run(name)
    dataset, path = dataset_of(run), run.model_file()
    whole = load(path)
    content = path.read_bytes()
    small = whole.to_bytes(numbers="int8")
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder, "small.safetensors")
        other.write_bytes(small)
        found = [("float32", content, accuracy(dataset, whole)), ("int8", small, accuracy(dataset, load(other)))]
    for share in SHARES:
        model = pruned(path, share)
        found.append((f"{share:.0%} pruned", model.to_bytes(), accuracy(dataset, model)))
    for what, data, score in found:
        packed = len(zlib.compress(data, 6))
        print(
            f"| {run.path.name} | {what} | {len(data) / 1e6:.2f} | {len(data) / len(content):.0%} "
            f"| {packed / len(content):.0%} | {score:.2%} | {100 * (score - found[0][2]):+.2f} |",
            flush=True,
        )


def teach(name: str, widths: str, by: str, teacher_by: str, seeds: int) -> None:
    """A small network with and without a teacher."""
    print("| data | teacher | network | by | alone | taught |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        cache = folder / "cache"
        data = {**data_sets(folder, SHARED), **sequence_sets(SHARED)}[name]
        for seed in range(seeds):
            usual = ("--seed", str(seed))
            teacher = str(folder / f"teacher-{seed}")
            command = [sys.executable, "-m", "gnomon", "train", data, *usual, "--by", teacher_by, "--out", teacher]
            environment = {**os.environ, "GNOMON_CACHE": str(cache)}
            subprocess.run([*command, "--quiet"], env=environment, check=True)
            known = json.loads(Path(teacher, "evaluation", "test.json").read_text())["metrics"]["accuracy"]["value"]
            words = ("--model", "cnn", "--widths", widths, "--by", by, *usual)
            alone = train(data, *words, cache=cache)
            taught = train(data, *words, "--teacher", teacher, cache=cache)
            print(
                f"| {name} | {known:.2%} | {widths} | {by} | {alone.accuracy:.2%} | {taught.accuracy:.2%} |", flush=True
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", metavar="RUN")
    parser.add_argument("--teach", metavar="DATA")
    parser.add_argument("--teacher-by", default="2m")
    parser.add_argument("--widths", default="8-16-32")
    parser.add_argument("--by", default="60s")
    parser.add_argument("--seeds", type=int, default=3)
    chosen = parser.parse_args()
    if chosen.teach:
        teach(chosen.teach, chosen.widths, chosen.by, chosen.teacher_by, chosen.seeds)
        return
    print("| run | weights | MB | of the file | packed | accuracy | points |\n|---|---|---|---|---|---|---|")
    for name in chosen.runs:
        of_run(name)


if __name__ == "__main__":
    main()
