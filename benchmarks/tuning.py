"""Searches against each other, against Optuna used plainly, and against no search at all, in equal time.

    python benchmarks/tuning.py [NAME …] [--by SECONDS] [--seeds N] [--first-seed N] [--ways WAY …] [--data FOLDER]
        [--threads N]

NAME: digits, reviews, spoken, cifar10 (5,000 pictures), cifar10-whole. WAY: bayes, random, grid (`gnomon tune`),
optuna, train. `optuna` is what a user would write: a study with TPE and Optuna's own defaults whose objective is
`gnomon.train` on the same data, with learning rate, dropout, label smoothing and optimizer drawn from the usual wide
ranges, the time divided by ten among nine trials and a last training with the best of them. `train` has all the time
for one training with the usual settings. The ways take turns, seed by seed. Each runs in a process of its own with a
cache that is filled before. Told are the score of the test part, that of the validation part of the final model,
whether the deadline held (within a second), and the best validation score of any network so far, of the search's
trainings and of the final one, at every tenth of the time.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from runs import SHARED, data_sets

GRID = ("rate_factor=0.5,1,2", "dropout=0.1,0.3,0.5", "batch_factor=0.5,1")
WAYS = ("bayes", "random", "grid", "optuna", "train")
PLAIN = """
import json, sys, time
import optuna
import gnomon
from gnomon.deadline import process_start_s
from gnomon.sources import SourceSpec
data, by, seed, threads = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
began = process_start_s()
share = by / 10

def trained(settings, seconds, out):
    spec = gnomon.OptimizerSpec(name=settings["optimizer"], learning_rate=settings["learning_rate"])
    training = gnomon.TrainingSpec(
        dropout=settings["dropout"], label_smoothing=settings["label_smoothing"], threads=threads
    )
    recipe = gnomon.Recipe(source=SourceSpec(location=data), optimizer=spec, training=training, seed=seed)
    return gnomon.train(data, by=seconds, recipe=recipe, out=out, progress=False)

def score(run):
    judged = json.loads((run.path / "evaluation/validation.json").read_text())
    return judged["metrics"][judged["headline"]]["value"]

def objective(trial):
    settings = {
        "optimizer": trial.suggest_categorical("optimizer", ["adam", "sgd", "muon"]),
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1.0, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.7),
        "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.3),
    }
    try:
        value = score(trained(settings, share, f"trial-{trial.number}"))
    except gnomon.InputError:
        value = 0.0
    print(json.dumps({"at": time.monotonic() - began, "score": value}), flush=True)
    return value

optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
while time.monotonic() - began < by - 2 * share:
    study.optimize(objective, n_trials=1)
left = by - (time.monotonic() - began)
print(json.dumps({"final_from": by - left}), flush=True)
trained(study.best_params, left, "final")
"""


@dataclass(frozen=True)
class Came:
    """What one way came to. `course`: (seconds, validation score) of each training of the search, then of the final."""

    test: float
    validation: float
    seconds: float
    course: list[tuple[float, float]]
    said: str = ""


def run(way: str, data: str, *, by: float, seed: int, threads: int, cache: Path) -> Came:
    with tempfile.TemporaryDirectory() as folder:
        final, command = _command(way, data, by=by, seed=seed, threads=threads)
        environment = {**os.environ, "GNOMON_CACHE": str(cache)}
        began = time.monotonic()
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - began
        if done.returncode:
            print(f"    {way}, seed {seed}: ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
            return Came(float("nan"), float("nan"), seconds, [])
        test, validation = (
            _headline(Path(folder, final, f"evaluation/{part}.json")) for part in ("test", "validation")
        )
        course, said = _course(way, done.stdout, Path(folder, final, "metrics.jsonl"))
        return Came(test, validation, seconds, course, said)


def _command(way: str, data: str, *, by: float, seed: int, threads: int) -> tuple[str, list[str]]:
    """The run directory of the final model, and the words."""
    if way == "optuna":
        return "final", [sys.executable, "-c", PLAIN, data, str(by), str(seed), str(threads)]
    words = [sys.executable, "-m", "gnomon", "train" if way == "train" else "tune", data]
    words += ["--by", f"{by:g}s", "--seed", str(seed), "--threads", str(threads), "--out", "run", "--json"]
    if way == "grid":
        words += ["--grid", *GRID]
    elif way != "train":
        words += ["--method", way]
    return "run" if way == "train" else "run/best", words


def _headline(path: Path) -> float:
    judged = json.loads(path.read_text())
    value: float = judged["metrics"][judged["headline"]]["value"]
    return value


def _course(way: str, out: str, final: Path) -> tuple[list[tuple[float, float]], str]:
    lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    from_s = next((line["final_from"] for line in lines if "final_from" in line), 0.0)
    events = [json.loads(line) for line in final.read_text().splitlines()]
    last = [(from_s + event["elapsed_s"], event["score"]) for event in events if event["event"] == "validation"]
    if way == "optuna":
        return [(line["at"], line["score"]) for line in lines if "at" in line] + last, ""
    ended = [line["record"] for line in lines if line.get("event") == "trial"]
    said = [line["result"]["said"][0] for line in lines if line.get("event") == "found"]
    finished = [made for made in ended if made["state"] == "finished"]
    return [(made["elapsed_s"], made["score"]) for made in finished] + last, "".join(said)


def over_time(course: list[tuple[float, float]], by: float) -> str:
    """The best so far at every tenth of the time."""
    best = [max((score for at, score in course if at <= by * tenth / 10), default=None) for tenth in range(1, 11)]
    return " ".join("   –" if score is None else f"{100 * score:4.1f}" for score in best)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["reviews", "spoken", "cifar10"])
    parser.add_argument("--by", type=float, default=300.0)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder, "cache")
        places = {
            "digits": "digits",
            "reviews": str(asked.data / "movie-reviews.csv"),
            "spoken": str(asked.data / "spoken-digits.zip"),
            "cifar10": data_sets(Path(folder), asked.data).get("cifar10, 5,000 rows", ""),
            "cifar10-whole": str(asked.data / "cifar10-jpeg.zip"),
        }
        for name in asked.names:
            print(f"\n{name}, {asked.by:g} s, {asked.seeds} seeds, {asked.threads} threads", flush=True)
            run("train", places[name], by=max(30.0, asked.by / 5), seed=0, threads=asked.threads, cache=cache)
            over = {way: list[Came]() for way in asked.ways}
            seeds = range(asked.first_seed, asked.first_seed + asked.seeds)
            for seed, way in itertools.product(seeds, asked.ways):
                came = run(way, places[name], by=asked.by, seed=seed, threads=asked.threads, cache=cache)
                over[way].append(came)
                print(f"    seed {seed}, {way:<7} test {100 * came.test:.1f}, {came.seconds:.1f} s", flush=True)
            for way, all_of_it in over.items():
                ended = [each for each in all_of_it if each.test == each.test]  # those refused are told already
                if not ended:
                    continue
                tests = [100 * each.test for each in ended]
                spread = statistics.stdev(tests) if len(tests) > 1 else 0.0
                late = sum(each.seconds > asked.by + 1 for each in ended)
                print(
                    f"  {way:<7} test {statistics.mean(tests):5.1f} ± {spread:.1f}   "
                    f"validation {100 * statistics.mean(each.validation for each in ended):5.1f}   "
                    f"late {late} of {len(ended)}   longest {max(each.seconds for each in ended):.1f} s",
                    flush=True,
                )
                for each in ended:
                    if each.course:
                        print(f"          {over_time(each.course, asked.by)}   {each.said}", flush=True)


if __name__ == "__main__":
    main()
