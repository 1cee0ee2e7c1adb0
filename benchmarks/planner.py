"""Is the network that the planner takes the best one? It, and its neighbours on the ladder, by the same deadline.

    python benchmarks/planner.py [--pairs DATA:TIME …] [--reach N] [--data FOLDER] [--out FILE]

For each data set and deadline: what the planner chooses by itself, then that rung and those up to N below and above it
by force, each as a whole command from what the first has remembered. The regret is what the best of them had more than
the chosen one; the test parts have a few hundred to 10,000 rows, so that differences below their noise say nothing.
Each run is one line in FILE.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from runs import SHARED, Done, data_sets, train

from gnomon.models import Cnn
from gnomon.planning.ladder import describe_model, networks_for_pictures
from gnomon.sources import SourceSpec
from gnomon.spine.recipe import Recipe

PAIRS = (
    *("digits:10s", "digits:20s", "hands:20s", "hands:40s", "hands:80s"),
    *("cifar10:30s", "cifar10:60s", "cifar10:100s"),
    *("cifar10, 5,000 rows:15s", "cifar10, 5,000 rows:40s", "cifar10, grey, 16×16:15s", "cifar10, grey, 16×16:40s"),
)


def try_rungs(name: str, data: str, by: str, reach: int, folder: Path, out: Path) -> None:
    chosen = train(data, "--by", by, cache=folder / "cache")
    channels, height, width = chosen.data["input_shape"]
    rungs = networks_for_pictures((channels, height, width))
    taken = next(place for place, rung in enumerate(rungs) if describe_model(rung) == chosen.decided("network"))
    _note(out, name, by, taken, chosen, forced=False)
    results = dict[int, Done]()
    for place in range(max(0, taken - reach), min(len(rungs), taken + reach + 1)):
        results[place] = _forced(data, by, rungs[place], max(height, width), folder)
        _note(out, name, by, place, results[place], forced=True)
    best = max(results, key=lambda place: results[place].accuracy)
    regret = results[best].accuracy - results[taken].accuracy
    tried = ", ".join(f"{describe_model(rungs[place])[4:]} {results[place].accuracy:.1%}" for place in sorted(results))
    own = f"{chosen.decided('network')[4:]} ({chosen.accuracy:.1%})"
    print(f"| {name} | {by} | {own} | {tried} | {100 * regret:.1f} |", flush=True)


def _forced(data: str, by: str, rung: Cnn, side: int, folder: Path) -> Done:
    path = folder / "recipe.toml"
    path.write_text(Recipe(source=SourceSpec(location=data), model=rung).to_toml())
    return train(data, "--recipe", str(path), "--by", by, "--size", str(side), cache=folder / "cache")


def _note(out: Path, name: str, by: str, rung: int, done: Done, *, forced: bool) -> None:
    stop = next(event for event in done.events if event["event"] == "stop")
    line: dict[str, Any] = {
        "data": name,
        "by": by,
        "rung": rung,
        "network": done.decided("network"),
        "forced": forced,
        "accuracy": done.accuracy,
        "seconds": done.seconds,
        "last_rate": done.last_rate,
        "peak_rate": done.plan["optimizer"]["learning_rate"],
        "length": done.decided("length"),
        "rows_seen": stop["step"] * done.plan["batch"],
    }
    with out.open("a") as file:
        file.write(json.dumps(line) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", nargs="*", default=PAIRS, metavar="DATA:TIME")
    parser.add_argument("--reach", type=int, default=1)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--out", type=Path, default=Path("planner.jsonl"))
    chosen = parser.parse_args()
    print("| data | by | chosen, by itself | by force | regret, points |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        sets = data_sets(folder, chosen.data)
        for pair in chosen.pairs:
            name, _, by = pair.rpartition(":")
            if name in sets:
                try_rungs(name, sets[name], by, chosen.reach, folder, chosen.out)
            else:
                print(f"| {name} | {by} | skipped: no such data in {chosen.data} | | |")


if __name__ == "__main__":
    main()
