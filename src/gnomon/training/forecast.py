"""What a plan promises, before it is carried out: accuracy, memory, disk, energy, and what more time would buy.

The accuracy is a range from a trial on the data itself: the smallest network is trained for a few seconds, and its
error e₀ is carried on by a power law, e = e₀ · (T / t₀)^−β. On CIFAR-10 β fell from 0.39 to 0.10 between half a minute
and fifteen, and was 0.25 over all of it (RESULTS.md); the bounds lie around that, and are not calibrated on other data.
A trial that makes no mistake promises nothing more.
"""

from __future__ import annotations

import sys
from typing import Final

from ..models import NetworkSummary
from ..planning.energy import watts_of
from ..planning.estimate import Cluster, Estimate, Work, estimate
from ..planning.ladder import describe_model, ladder, products_of
from ..planning.memory import Kept, moments_of
from ..planning.plan import Plan
from ..rundir.run import KEPT_CHECKPOINTS
from ..types import DataSpec, Decision, Value

TIMES_MORE: Final = (2, 5, 20)
"""Multiples of the training time that are told as alternatives."""

_SLOWEST, _FASTEST = 0.12, 0.5
_BESIDE_BYTES = 4 * 10**6


class Trial(Value, frozen=True):
    """The smallest network of the ladder, trained for some seconds: its error on validation rows."""

    error: float
    seconds: float


class Outlook(Value, frozen=True):
    """What so much time for training is expected to give.

    Attributes:
        train_s: seconds of training.
        network: as people write it.
        epochs: passes' worth of rows.
        accuracy_low, accuracy_high: of the test part.
    """

    train_s: float
    network: str
    epochs: float
    accuracy_low: float
    accuracy_high: float


class Forecast(Value, frozen=True):
    """`gnomon plan --json`.

    Attributes:
        decisions: the plan's.
        steps: of the training.
        outlook: of the plan itself.
        more_time: of `TIMES_MORE` as much training time.
        memory_bytes: peak of the process so far, in which steps of the networks were made already.
        cache_bytes, run_bytes: on disk.
        energy_wh: of the whole command, at `watts`, which is assumed, not measured.
        elsewhere: what the same training takes on other machines, where that was asked.
    """

    decisions: tuple[Decision, ...]
    steps: int
    outlook: Outlook
    more_time: tuple[Outlook, ...]
    memory_bytes: int
    cache_bytes: int
    run_bytes: int
    energy_wh: float
    watts: float
    elsewhere: Estimate | None = None


def forecast(
    plan: Plan,
    spec: DataSpec,
    network: NetworkSummary,
    kept: Kept | None,
    trial: Trial,
    *,
    train_s: float,
    total_s: float,
    cache_bytes: int,
    cluster: Cluster | None = None,
) -> Forecast:
    """Everything that a plan promises.

    Args:
        plan: as made by a deadline.
        spec: the data.
        network: of the plan.
        kept: for its backward pass; None where no other machines are asked for.
        trial: on the data.
        train_s, total_s: seconds of training, and of the whole command.
        cache_bytes: encoded rows on disk.
        cluster: other machines, to say what the same training takes there.
    """
    watts = watts_of(plan.device, plan.threads)
    epochs = plan.steps * plan.batch / spec.num_train
    now = _outlook(plan.value_of("network"), train_s, epochs, trial)
    elsewhere = None
    if cluster is not None and kept is not None:
        elsewhere = estimate(_work_of(plan, spec, network, kept, epochs), cluster)
    return Forecast(
        decisions=plan.decisions,
        steps=plan.steps,
        outlook=now,
        more_time=tuple(_with_more_time(plan, spec, trial, train_s, times) for times in TIMES_MORE),
        memory_bytes=peak_memory(),
        cache_bytes=cache_bytes,
        run_bytes=run_bytes(plan, network.bytes),
        energy_wh=watts * total_s / 3600,
        watts=watts,
        elsewhere=elsewhere,
    )


def _work_of(plan: Plan, spec: DataSpec, network: NetworkSummary, kept: Kept, epochs: float) -> Work:
    """The planned training as an estimate wants it."""
    return Work(
        parameters=network.parameters,
        products=max(1, products_of(plan.model, spec)) * (4 / 3 if plan.recompute else 1),  # one more forward pass
        kept_bytes=max(1.0, kept.of_row),
        rows=spec.num_train,
        passes=max(epochs, 1e-9),
        batch=plan.batch,
        number_format=plan.format,
        moments=moments_of(plan.optimizer),
        averaged=plan.optimizer.averaged,
        sharded=plan.fsdp,
        layers=len(network.layers),
    )


def run_bytes(plan: Plan, network_bytes: int) -> int:
    """What a run directory takes at most: the checkpoints that are kept and the one being written, model, report.

    Args:
        plan: whose optimizer and average a checkpoint holds beside the weights and the best ones.
        network_bytes: of weights and buffers.
    """
    copies = 3 + moments_of(plan.optimizer) + plan.optimizer.averaged
    return ((KEPT_CHECKPOINTS + 1) * copies + 1) * network_bytes + _BESIDE_BYTES


def expected_accuracy(trial: Trial, train_s: float) -> tuple[float, float]:
    """The range that a trial promises for so much training."""
    ratio = max(1.0, train_s / trial.seconds)
    return 1 - trial.error * ratio**-_SLOWEST, 1 - trial.error * ratio**-_FASTEST


def peak_memory() -> int:
    """Bytes that this process has taken at most so far; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _outlook(network: str, train_s: float, epochs: float, trial: Trial) -> Outlook:
    low, high = expected_accuracy(trial, train_s)
    return Outlook(train_s=train_s, network=network, epochs=epochs, accuracy_low=low, accuracy_high=high)


def _with_more_time(plan: Plan, spec: DataSpec, trial: Trial, train_s: float, times: int) -> Outlook:
    """The rung that the planner would take, if the cost of a step goes with the network's products."""
    seconds, name = train_s * times, plan.value_of("network")
    epochs = chosen = plan.steps * times * plan.batch / spec.num_train
    products = epochs * products_of(plan.model, spec)
    if products:
        for rung in ladder(spec):
            affordable = products / products_of(rung.model, spec)
            if affordable < epochs and affordable >= rung.wanted(plan.batch, spec.num_train):
                name, chosen = describe_model(rung.model), affordable
    return _outlook(name, seconds, chosen, trial)
