"""A training step's share of the machine's matrix-product peak, and where the rest of its time goes.

    python benchmarks/engine.py [--rungs 2,3,4] [--batch 256] [--device cuda]

The peak is the rate of a product of two 2048×2048 matrices in bfloat16 (8192×8192 on a GPU), measured in turns with
the steps. The operations of a step are the multiplications and additions of its convolutions: forward, and twice that
backward; the stem has no backward pass. Everything else that a step does counts as time alone. Both sizes of pictures
are measured, and weighted as a plan does.
"""

import argparse
import statistics
import time

import torch
from torch.profiler import ProfilerActivity, profile

from gnomon.models import Cnn, channels_last
from gnomon.optim import OptimizerSpec, build_optimizer
from gnomon.planning.hardware import kept_memory, usable_cores
from gnomon.planning.ladder import networks_for_pictures
from gnomon.tasks import Classify
from gnomon.training.stepping import train_step
from gnomon.types import Batch

SIDES, SHARES = (24, 32), (0.6, 0.4)
STEPS = 12
KINDS = {
    "convolution": ("convolution",),
    "activation": ("gelu",),
    "max-pooling": ("max_pool", "amax"),
    "batch norm": ("batch_norm",),
    "optimizer and products": ("mm", "mul", "add", "norm", "stack", "cat"),
    "copies and conversions": ("copy", "to", "fill", "zero", "clone"),
}


def wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def peak(device: str) -> float:
    """Operations a second."""
    size = 8192 if device.startswith("cuda") else 2048
    matrix = torch.randn(size, size, device=device).bfloat16()
    wait(device)
    began = time.perf_counter()
    matrix @ matrix
    wait(device)
    return 2 * size**3 / (time.perf_counter() - began)


def operations(spec: Cnn, side: int, batch: int) -> float:
    whole = spec.products((3, side, side))
    stem = 3 * spec.stem_width * (spec.stem_stride + 2) ** 2 * (side // spec.stem_stride) ** 2
    return 2.0 * batch * (3 * (whole - stem) + stem)


def measure(spec: Cnn, side: int, batch: int, device: str) -> tuple[float, float, dict[str, float]]:
    """Seconds of a step, the peak beside it, and shares of the time by kind of operation."""
    task = Classify(classes=tuple("abcdefghij"))
    model = channels_last(spec.build((3, side, side), 10).to(device)).train()
    optimizer = build_optimizer(model, OptimizerSpec(), products=torch.bfloat16)
    inputs = torch.randn(batch, 3, side, side, device=device).contiguous(memory_format=torch.channels_last)
    made = Batch(
        inputs=inputs, targets=task.targets(torch.arange(batch, device=device) % 10), rows=torch.arange(batch).numpy()
    )

    def step() -> None:
        train_step(model, task, optimizer, made, learning_rate=1e-4, number_format="bfloat16")

    times, peaks = [], []
    for _ in range(STEPS):
        began = time.perf_counter()
        step()
        wait(device)
        times.append(time.perf_counter() - began)
        peaks.append(peak(device))
    with profile(activities=[ProfilerActivity.CPU]) as seen:  # on a GPU: what the processor takes to ask for it
        for _ in range(3):
            step()
    return statistics.median(times[2:]), statistics.median(peaks[2:]), _shares(seen)


def _shares(seen: profile) -> dict[str, float]:
    spent = dict.fromkeys((*KINDS, "rest"), 0.0)
    for event in seen.key_averages():
        kind = next((kind for kind, words in KINDS.items() if any(word in event.key for word in words)), "rest")
        spent[kind] += event.self_cpu_time_total
    total = sum(spent.values())
    return {kind: value / total for kind, value in spent.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rungs", default="2,3,4,5")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args()
    torch.set_num_threads(usable_cores())
    print("| network | side | ms | GFLOP/s | peak | share | " + " | ".join((*KINDS, "rest")) + " |")
    print("|---" * (7 + len(KINDS)) + "|")
    rungs = networks_for_pictures((3, 32, 32))
    with kept_memory():
        for spec in (rungs[int(number)] for number in chosen.rungs.split(",")):
            whole = []
            for side in SIDES:
                seconds, best, shares = measure(spec, side, chosen.batch, chosen.device)
                rate = operations(spec, side, chosen.batch) / seconds
                whole.append((seconds, rate / best))
                spent = " | ".join(f"{share:.0%}" for share in shares.values())
                name = "-".join(map(str, spec.widths))
                print(
                    f"| {name} | {side} | {1000 * seconds:.0f} | {rate / 1e9:.0f} | {best / 1e9:.0f} "
                    f"| {rate / best:.0%} | {spent} |",
                    flush=True,
                )
            weights = [share * seconds for share, (seconds, _) in zip(SHARES, whole, strict=True)]
            mean = sum(weight * share for weight, (_, share) in zip(weights, whole, strict=True)) / sum(weights)
            print(f"| {name} | both | | | | {mean:.0%} |" + " |" * (len(KINDS) + 1), flush=True)


if __name__ == "__main__":
    main()
