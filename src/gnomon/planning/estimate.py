"""What a training takes on machines that are not here: memory of a device by part, time, storage, energy, cost.

Arithmetic over published figures. A row costs 2 operations for each multiplication of its forward pass, and twice that
again backward; where activations are computed anew instead of kept, once more forward: 6·P or 8·P operations a token
for a language model of P weights. Devices reach a share of what their data sheet says, the `utilisation`. Gradients are
summed over all devices by a ring, 2 (n − 1)/n of their bytes through each link, behind two thirds of the compute that
goes on meanwhile. What comes out is compared with published trainings in RESULTS.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec

from ..types import Value

Count = Annotated[int, msgspec.Meta(ge=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Limit = Literal["compute", "network", "host", "memory"]

UTILISATION: Final = 0.45
"""Of the data sheet's operations, by large matrix products; small networks reach less."""
HOST_STEP_S: Final = 7e-3
"""A step takes no less, measured on an H200: the host has to ask for each of its operations."""

_BEHIND: Final = 2 / 3
_FIXED_BYTES: Final = 10**9
"""The library's own code and workspace on a device."""


class Device(Value, frozen=True):
    """An accelerator by its data sheet.

    Attributes:
        float32, bfloat16: operations a second of dense products; of V100, P100 and T4 float16 in place of bfloat16.
        memory_bytes: that it has.
        watts: that it draws at most.
    """

    float32: Positive
    bfloat16: Positive
    memory_bytes: Count
    watts: Positive


DEVICES: Final[Mapping[str, Device]] = {
    "t4": Device(8.1e12, 65e12, 16 * 10**9, 70),
    "p100": Device(10.6e12, 21.2e12, 16 * 10**9, 300),
    "v100": Device(15.7e12, 125e12, 32 * 10**9, 300),
    "l4": Device(30.3e12, 121e12, 24 * 10**9, 72),
    "a100": Device(19.5e12, 312e12, 80 * 10**9, 400),
    "h100": Device(67e12, 989e12, 80 * 10**9, 700),
    "h200": Device(67e12, 989e12, 141 * 10**9, 700),
}


class Cluster(Value, frozen=True):
    """Machines that work on one training.

    Attributes:
        gpus: a name of `DEVICES`.
        machines, per_machine: how many, and devices in each.
        link: bytes a second between a device and the next, in one direction.
        utilisation: share of the data sheet's operations that is reached.
        price: of a device for an hour, in any currency; 0 where nobody asks.
    """

    gpus: str
    machines: Count = 1
    per_machine: Count = 8
    link: Positive = 12.5e9
    utilisation: Annotated[float, msgspec.Meta(gt=0, le=1)] = UTILISATION
    price: Annotated[float, msgspec.Meta(ge=0)] = 0.0

    @property
    def devices(self) -> int:
        """In all machines."""
        return self.machines * self.per_machine


class Work(Value, frozen=True):
    """A training.

    Attributes:
        parameters: weights.
        products: multiplications of one row's forward pass.
        kept_bytes: of a row, that the backward pass needs.
        rows, passes: of the training part, and how often it is seen.
        batch: rows of a step, over all devices.
        number_format: of products and activations; weights, gradients and moments are float32.
        moments: numbers that the optimizer keeps for each weight.
        averaged: whether an average of the weights is kept too.
        recompute: whether activations are computed anew in the backward pass, but for one in each √layers.
        sharded: whether weights, gradients and moments are divided over the devices.
        layers: of the network, for `recompute`.
    """

    parameters: Count
    products: Positive
    kept_bytes: Positive
    rows: Positive
    passes: Positive
    batch: Count
    number_format: Literal["float32", "bfloat16"] = "bfloat16"
    moments: Annotated[int, msgspec.Meta(ge=0, le=4)] = 2
    averaged: bool = False
    recompute: bool = False
    sharded: bool = False
    layers: Count = 1


class Estimate(Value, frozen=True):
    """What it takes.

    Attributes:
        devices: in all.
        memory: bytes on one device, by part: weights, gradients, optimizer, average, activations, fixed.
        compute_s, network_s, step_s: of one step: alone, and together.
        steps, total_s: of the training.
        device_hours, cost, energy_wh: of all devices; energy at three quarters of what they draw at most.
        checkpoint_bytes: on disk.
        limit: what decides the time; `memory` where a device does not hold its part.
    """

    devices: int
    memory: dict[str, float]
    compute_s: float
    network_s: float
    step_s: float
    steps: float
    total_s: float
    device_hours: float
    cost: float
    energy_wh: float
    checkpoint_bytes: float
    limit: Limit


def estimate(work: Work, cluster: Cluster) -> Estimate:
    """By the arithmetic above."""
    device, devices = DEVICES[cluster.gpus], cluster.devices
    speed = getattr(device, work.number_format) * cluster.utilisation
    operations = 2 * work.products * (4 if work.recompute else 3)
    compute_s = work.batch * operations / (speed * devices)
    network_s = 2 * (devices - 1) / devices * 4 * work.parameters / cluster.link
    network_s *= 1.5 if work.sharded else 1.0  # weights are gathered forward and backward, gradients scattered
    step_s = max(compute_s + max(0.0, network_s - _BEHIND * compute_s), HOST_STEP_S)
    steps = work.rows * work.passes / work.batch
    total_s = steps * step_s
    hours = total_s / 3600 * devices
    memory = _memory(work, devices)
    limit: Limit = "compute" if network_s <= _BEHIND * compute_s else "network"
    if step_s == HOST_STEP_S:
        limit = "host"
    if sum(memory.values()) > device.memory_bytes:
        limit = "memory"
    return Estimate(
        devices=devices,
        memory=memory,
        compute_s=compute_s,
        network_s=network_s,
        step_s=step_s,
        steps=steps,
        total_s=total_s,
        device_hours=hours,
        cost=hours * cluster.price,
        energy_wh=hours * device.watts * 0.75,
        checkpoint_bytes=4.0 * work.parameters * (1 + work.moments + work.averaged),
        limit=limit,
    )


def _memory(work: Work, devices: int) -> dict[str, float]:
    held = 4.0 * work.parameters / (devices if work.sharded else 1)
    rows = math.ceil(work.batch / devices)
    kept = work.kept_bytes
    if work.recompute:
        kept *= min(1.0, 2 / math.sqrt(work.layers))
    return {
        "weights": held,
        "gradients": held,
        "optimizer": held * work.moments,
        "average": held * work.averaged,
        "activations": rows * kept,
        "fixed": float(_FIXED_BYTES),
    }


def told(found: Estimate, cluster: Cluster) -> list[tuple[str, str, str]]:
    """For people: name, value, remark."""
    memory, device = sum(found.memory.values()), DEVICES[cluster.gpus]
    parts = ", ".join(f"{name} {_gigabytes(size)}" for name, size in found.memory.items() if size)
    rows = [
        (
            "time there",
            _duration(found.total_s),
            f"{found.steps:,.0f} steps of {1e3 * found.step_s:.3g} ms: "
            f"{1e3 * found.compute_s:.3g} ms compute, {1e3 * found.network_s:.3g} ms network, partly at once",
        ),
        ("limit", found.limit, f"at {cluster.utilisation:.0%} of what {cluster.gpus} can do by its data sheet"),
        ("memory there", f"{_gigabytes(memory)} of {_gigabytes(device.memory_bytes)} a device", parts),
        ("checkpoint", _gigabytes(found.checkpoint_bytes), "weights, optimizer, average"),
        ("energy there", f"{found.energy_wh / 1e3:,.3g} kWh", f"{found.device_hours:,.3g} device hours"),
    ]
    if cluster.price:
        rows.append(("cost", f"{found.cost:,.2f}", f"at {cluster.price:g} a device and hour"))
    return rows


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:,.3g} GB"


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.2g} s"
