"""What a forward and backward pass of a recurrent layer costs: Gnomon's, PyTorch's own, TensorFlow's and JAX's.

    python benchmarks/sequences.py [--rounds 5] [--lengths 32,128,1000]

Milliseconds, the least of all rounds; in each, all programs take turns at all layers, so that a disturbance meets them
all, and a minute in which the host slows down threads that wait for each other meets one round. `padded` and
`packed` are `torch.nn.RNN`, `GRU` and `LSTM` as usually written. `equal` rows all have the full length; of `mixed` rows
the lengths are spread evenly from a quarter to the whole, which only Gnomon and the packed
module leave out correctly. The nearest other is the quickest program that is correct on such rows. Of the peak: what
the layer's matrix products, forward and backward, would take by themselves at the rate of a product of 2,048 × 2,048 in
float32 by the quicker of PyTorch's two libraries, as a share of what the float32 layer took; padding counts as well.
TensorFlow and JAX run where `make bench-peers` has installed them, each in a process of its own, on equal rows.
"""

import argparse
import itertools
import json
import math
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gnomon.models.recurrence import GATES, Cell, Recurrent
from gnomon.planning.hardware import kept_memory, measure_hardware

HERE = Path(__file__).resolve().parent
PEERS_PYTHON = HERE.parent / ".venv-peers" / "bin" / "python"
CLASSES: dict[Cell, Any] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
NAMES = {"rnn": "Elman", "gru": "GRU", "lstm": "LSTM"}
SIZES = {32: (64, 64, 128), 128: (64, 64, 128), 1000: (16, 64, 128)}


def sizes_of(steps: int) -> tuple[int, int, int]:
    """Rows, numbers of a step, units."""
    return SIZES.get(steps, (64, 64, 128))


class Peer:
    """Another library in a process of its own."""

    def __init__(self, stack: ExitStack, library: str) -> None:
        command = [str(PEERS_PYTHON), str(HERE / "peers" / "steps.py"), library]
        pipe = subprocess.PIPE
        self.process = stack.enter_context(
            subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
        )

    def seconds(self, asked: dict[str, Any]) -> float:
        assert self.process.stdin is not None, "started with pipes"
        assert self.process.stdout is not None, "started with pipes"
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        return float(json.loads(self.process.stdout.readline()))


def peak() -> float:
    """Operations a second of a large product in float32."""
    left, right = torch.randn(2, 2048, 2048).unbind()
    ways: list[Callable[[], object]] = [lambda: left @ right]
    if hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        ways.append(lambda: torch.ops.mkldnn._linear_pointwise(left, right, None, "none", [], ""))
    times = []
    for way in ways * 4:
        began = time.perf_counter()
        way()
        times.append(time.perf_counter() - began)
    return 2 * 2048**3 / min(times)


def operations(cell: Cell, rows: int, steps: int, inputs: int, width: int) -> int:
    """Of the products of a step with its inputs and its state; backward there are twice as many."""
    return 3 * 2 * rows * steps * GATES[cell] * width * (inputs + width)


def timed(work: Callable[[], torch.Tensor]) -> float:
    times = []
    for _ in range(3):
        began = time.perf_counter()
        work().sum().backward()  # type: ignore[no-untyped-call]
        times.append(time.perf_counter() - began)
    return min(times)


def programs(cell: Cell, rows: int, steps: int, inputs: int, width: int, mixed: bool) -> dict[str, Callable[[], float]]:
    torch.manual_seed(0)
    given = torch.randn(rows, steps, inputs, requires_grad=True)
    lengths = torch.linspace(steps // 4, steps, rows).long() if mixed else torch.full((rows,), steps)
    own, theirs = Recurrent(cell, inputs, width), CLASSES[cell](inputs, width, batch_first=True)

    def packed() -> torch.Tensor:
        pack = pack_padded_sequence(given, lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(theirs(pack)[0], batch_first=True)[0]

    def shortened() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return own(given, lengths)

    return {
        "gnomon": lambda: timed(lambda: own(given, lengths)),
        "gnomon bf16": lambda: timed(shortened),
        "padded": lambda: timed(lambda: theirs(given)[0]),
        "packed": lambda: timed(packed),
    }


def compared(
    lengths: list[int], rounds: int, peers: dict[str, Peer]
) -> Iterator[tuple[Cell, int, str, dict[str, float]]]:
    cases: dict[tuple[Cell, int, str], dict[str, Callable[[], float]]] = {}
    for steps, cell, mixed in itertools.product(lengths, CLASSES, (False, True)):
        rows, inputs, width = sizes_of(steps)
        asked = {"cell": cell, "rows": rows, "steps": steps, "inputs": inputs, "width": width}
        work = programs(cell, rows, steps, inputs, width, mixed)
        if not mixed:
            work |= {name: partial(peer.seconds, asked) for name, peer in peers.items()}
        cases[cell, steps, "mixed" if mixed else "equal"] = work
    times: dict[tuple[Cell, int, str], dict[str, float]] = {}
    for _, (case, work) in itertools.product(range(rounds), cases.items()):
        before = times.get(case, {})
        times[case] = {name: min(measure(), before.get(name, math.inf)) for name, measure in work.items()}
    for case, found in times.items():
        yield *case, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lengths", default="32,128,1000")
    chosen = parser.parse_args()
    hardware = measure_hardware(device="cpu", threads=None)
    print(f"{hardware.threads} threads, PyTorch {torch.__version__}")
    with ExitStack() as stack:
        stack.enter_context(kept_memory())
        peers = {name: Peer(stack, name) for name in ("tensorflow", "jax")} if PEERS_PYTHON.exists() else {}
        columns = ["gnomon", "gnomon bf16", "padded", "packed", *peers]
        ends = "padded / gnomon | nearest other / gnomon | nearest other / quicker format | gnomon of the peak"
        print(f"| layer | steps | rows | {' | '.join(columns)} | {ends} |")
        print("|" + "---|" * (7 + len(columns)))
        for cell, steps, kind, times in compared(
            [int(part) for part in chosen.lengths.split(",")], chosen.rounds, peers
        ):
            told = [f"{1000 * times[name]:.1f}" if name in times else "" for name in columns]
            right = [name for name in times if "gnomon" not in name and (name != "padded" or kind == "equal")]
            others = min(times[name] for name in right)
            own, quicker = times["gnomon"], min(times["gnomon"], times["gnomon bf16"])
            ratios = f"{times['padded'] / own:.2f} | {others / own:.2f} | {others / quicker:.2f}"
            rows, inputs, width = sizes_of(steps)
            alone_s = operations(cell, rows, steps, inputs, width) / peak()
            ratios += f" | {alone_s / own:.0%}"
            print(f"| {NAMES[cell]} | {steps} | {kind} | {' | '.join(told)} | {ratios} |", flush=True)
        for peer in peers.values():
            peer.process.kill()


if __name__ == "__main__":
    main()
