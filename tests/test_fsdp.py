"""Weights divided over processes: the bits of one process, half of the memory, and checkpoints for any number."""

import os
import shutil
import signal
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

from gnomon.fsdp import Branches, all_laid_like, divide, held, laid_like, length, tree_sum, whole
from gnomon.models import Cnn
from gnomon.optim import OptimizerSpec, build_optimizer, climbed
from gnomon.optim.spec import OptimizerName
from gnomon.training.team import Shards, Team
from together import command_of, ended, others_of, outcome, train_together, wait_for

DIVIDED = ("--fsdp", "--optimizer", "adamw", "--average", "ema", "--steps", "300")
WIDTHS, ROWS, SHARDS = (16, 32), 24, 8
OPTIMIZERS: Final[tuple[OptimizerName, ...]] = ("sgd", "adamw", "muon", "schedule-free-adamw")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run by one process that holds everything, in four shards."""
    out = tmp_path_factory.mktemp("alone") / "run"
    ended(train_together(out, 1, *DIVIDED))
    return out


def _same(run: Path, other: Path) -> None:
    """Model, predictions, and the losses on the way: to the bit, so far below the 1e-5 that was asked for."""
    ours, theirs = outcome(run), outcome(other)
    assert ours[2] == theirs[2]
    assert ours[:2] == theirs[:2]


# --- One process of several, in the smallest --------------------------------------------------------------------------


def _network() -> nn.Module:
    torch.manual_seed(0)
    return Cnn(widths=WIDTHS).build((3, 16, 16), 10)


def _steps(network: nn.Module, optimizer: Any, team: Team) -> list[Tensor]:
    """Four sharpness-aware steps on 24 rows in eight shards; each row's loss."""
    chance, losses = torch.Generator().manual_seed(1), []
    shards = Shards(network, SHARDS, ROWS, divided=team.divided)
    for _ in range(4):
        inputs = torch.randn(ROWS, 3, 16, 16, generator=chance)
        labels = torch.randint(0, 10, (ROWS,), generator=chance)

        def computed(shard: int, parts: int, inputs: Tensor = inputs, labels: Tensor = labels) -> Any:
            where = slice(shard * ROWS // SHARDS, (shard + 1) * ROWS // SHARDS)
            found = nn.functional.cross_entropy(network(inputs[where]), labels[where], reduction="none")
            (found.sum() / ROWS).backward()  # type: ignore[no-untyped-call]
            return found.detach(), where, parts

        shards.gradients(team, computed, 1)
        with climbed(network, 0.05):
            found, _ = shards.gradients(team, computed, 1)
        optimizer.step(0.05)
        losses.append(found)
    return losses


def _is_divided(network: nn.Module) -> bool:
    return any(held(weight) is not weight for weight in network.parameters())


def _bytes_held(network: nn.Module, optimizer: Any) -> list[int]:
    """Of weights, and of the optimizer's numbers for them."""
    weights, moments = list(network.parameters()), list(optimizer.state().values())
    return [sum(held(tensor).nbytes for tensor in tensors) for tensors in (weights, moments)]


def _one_of_two(rank: int, store: str, found: Any) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    team = Team(rank, sums=dist.group.WORLD)
    team.size, team.divided = 2, True  # one that gives no orders
    for name in OPTIMIZERS:
        network = _network()
        divide(network, 2, "cpu")
        optimizer = build_optimizer(network, OptimizerSpec(name=name), alike=True)
        losses = [rows.numpy() for rows in _steps(network, optimizer, team)]
        state = network.state_dict()
        weights = {key: whole(value).numpy() for key, value in state.items()}
        again = all_laid_like({key: torch.from_numpy(value) for key, value in weights.items()}, state)
        same = all(torch.equal(held(again[key]), held(value)) for key, value in state.items())
        found[rank, name] = (losses, weights, _bytes_held(network, optimizer), _is_divided(network) and same)
    dist.barrier()
    dist.destroy_process_group()


def test_two_processes_hold_half_each_and_come_to_the_same_bits(tmp_path: Path) -> None:
    with torch.multiprocessing.Manager() as manager:
        shared = manager.dict()
        spawn(_one_of_two, (str(tmp_path / "store"), shared), nprocs=2)  # type: ignore[no-untyped-call]
        found = dict(shared)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for name in OPTIMIZERS:
        network, first, second = _network(), found[0, name], found[1, name]
        optimizer = build_optimizer(network, OptimizerSpec(name=name), alike=True)
        losses = _steps(network, optimizer, Team())
        for ours, theirs, wanted in zip(first[0], second[0], losses, strict=True):
            assert np.array_equal(ours, wanted)
            assert np.array_equal(theirs, wanted)
        for key, value in network.state_dict().items():
            assert np.array_equal(first[1][key], value), (name, key)
            assert np.array_equal(second[1][key], value), (name, key)
        for ours, theirs, all_of_it in zip(first[2], second[2], _bytes_held(network, optimizer), strict=True):
            assert ours + theirs <= all_of_it * 1.01  # a step's number is no share
            assert max(ours, theirs) <= all_of_it * 0.55
        assert first[3]
        assert second[3]
    torch.set_num_threads(threads)


def test_branches_add_shards_in_the_order_of_the_tree() -> None:
    """And hold no more than one of each size."""
    slopes = list(torch.randn(8, 1000, generator=torch.Generator().manual_seed(0)) * 1e3)
    for count in (1, 2, 4, 8):
        weight, silent = nn.Parameter(torch.zeros(1000)), nn.Parameter(torch.zeros(1))
        branches = Branches([weight, silent])
        for slope in slopes[:count]:
            weight.grad = slope.clone() if weight.grad is None else weight.grad + slope
            branches.grow()
        branches.end()
        assert weight.grad is not None
        assert torch.equal(weight.grad, tree_sum(slopes[:count]))
        assert silent.grad is None


def test_a_length_is_that_of_all_numbers() -> None:
    for shape in ((), (3,), (4, 5), (4, 3, 2, 2)):
        tensor = torch.randn(shape)
        np.testing.assert_allclose(length(tensor), np.linalg.norm(tensor.double().numpy()), rtol=1e-6)


def test_what_is_not_divided_stays_as_it_is() -> None:
    tensor = torch.arange(4.0)
    assert whole(tensor) is held(tensor) is laid_like(tensor, torch.zeros(4)) is tensor
    assert not _is_divided(_network())


# --- Whole commands ---------------------------------------------------------------------------------------------------


def test_saved_by_two_it_goes_on_with_one_and_with_four(alone: Path, tmp_path: Path) -> None:
    command = train_together(tmp_path / "run", 2, *DIVIDED)
    wait_for(command, "validation")
    command.send_signal(signal.SIGTERM)
    command.communicate(timeout=120)
    assert command.returncode == 143
    for processes in ("1", "4"):
        run = shutil.copytree(tmp_path / "run", tmp_path / processes)
        ended(command_of("resume", str(run), "--processes", processes))
        _same(run, alone)


def test_a_lost_share_ends_it_and_the_last_checkpoint_stands(alone: Path, tmp_path: Path) -> None:
    recipe = (alone / "recipe.toml").read_text().replace("[training]", "[training]\ncheckpoint_steps = 20")
    (tmp_path / "often.toml").write_text(recipe)
    command = train_together(tmp_path / "run", 2, *DIVIDED, "--recipe", str(tmp_path / "often.toml"))
    wait_for(command, "checkpoint")
    for process in others_of(command):
        os.kill(process, signal.SIGKILL)
    _, complaints = command.communicate(timeout=120)
    assert command.returncode == 1
    assert "another process is lost, and its share of the weights with it" in complaints
    assert "gnomon resume" in complaints
    assert "Traceback" not in complaints
    ended(command_of("resume", str(tmp_path / "run"), "--processes", "2"))
    _same(tmp_path / "run", alone)
