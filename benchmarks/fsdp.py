"""Weights divided over processes: what each holds, what a step takes, and whether the losses are those of one.

    python benchmarks/fsdp.py [--layers 24] [--width 1024] [--optimizer adamw] [--steps 12] [--processes 1,2,4]

Dense layers, in float32; each process has one thread. "Held" are its weights, gradients and the optimizer's numbers;
"own" is its resident memory once all of them are there, less what it was before the network. Memory that is let go goes
back to the system at once.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.multiprocessing.spawn import spawn

from gnomon.fsdp import divide, held
from gnomon.optim import OptimizerSpec, build_optimizer

ROWS = 64


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def one(rank: int, size: int, store: str, chosen: argparse.Namespace, found: Any) -> None:
    """What one process does; its figures go into `found`."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size)
    dist.barrier()
    before_mb = resident_mb()
    torch.manual_seed(0)
    layers = [nn.Sequential(nn.Linear(chosen.width, chosen.width), nn.GELU()) for _ in range(chosen.layers)]
    network = nn.Sequential(*layers, nn.Linear(chosen.width, 10))
    if size > 1:
        divide(network, size, "cpu")
    optimizer = build_optimizer(network, OptimizerSpec(name=chosen.optimizer))
    chance, losses, times = torch.Generator().manual_seed(1), [], []
    own = slice(rank * ROWS // size, (rank + 1) * ROWS // size)
    for number in range(chosen.steps):
        inputs = torch.randn(ROWS, chosen.width, generator=chance)
        labels = torch.randint(0, 10, (ROWS,), generator=chance)
        began_s = time.perf_counter()
        loss = nn.functional.cross_entropy(network(inputs[own]), labels[own], reduction="sum") / ROWS
        loss.backward()
        if number == chosen.steps - 1:
            slopes = [weight.grad for weight in network.parameters() if weight.grad is not None]
            tensors = (*network.parameters(), *slopes, *optimizer.state().values())
            found[rank, "own"] = resident_mb() - before_mb
            found[rank, "held"] = sum(held(tensor).nbytes for tensor in tensors) / 1e6
        optimizer.step(1e-4)
        times.append(time.perf_counter() - began_s)
        losses.append(loss.detach())
    total = torch.stack(losses)
    dist.all_reduce(total)
    found[rank, "losses"], found[rank, "step"] = total.tolist(), 1e3 * statistics.median(times[2:])
    dist.barrier()
    dist.destroy_process_group()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--optimizer", default="adamw")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--processes", default="1,2,4")
    chosen = parser.parse_args()
    os.environ["MALLOC_MMAP_THRESHOLD_"] = "65536"
    print("| processes | held by one, MB | own, MB | step, ms | losses differ by |\n|---|---|---|---|---|")
    alone: list[float] = []
    for size in map(int, chosen.processes.split(",")):
        with tempfile.TemporaryDirectory() as folder, torch.multiprocessing.Manager() as manager:
            found = manager.dict()
            spawn(one, (size, f"{folder}/store", chosen, found), nprocs=size)
            held_mb, own_mb, step_ms = (
                max(found[rank, name] for rank in range(size)) for name in ("held", "own", "step")
            )
            losses = found[0, "losses"]
        alone = alone or losses
        apart = max(abs(one - other) / abs(other) for one, other in zip(losses, alone, strict=True))
        print(f"| {size} | {held_mb:.0f} | {own_mb:.0f} | {step_ms:.0f} | {apart:.1e} |", flush=True)


if __name__ == "__main__":
    main()
