"""Several processes that train one network: the bits of one, whoever is lost, and whoever goes on."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import gnomon
from gnomon.errors import RecipeError
from gnomon.fsdp import tree_sum
from gnomon.planning.asked import TrainingSpec
from gnomon.rundir.run import MODEL, open_run
from gnomon.training.launch import Meeting, meeting, require_sharing, shards_of
from gnomon.training.team import Shards, Team, can_share
from together import OPTIONS, command_of, ended, others_of, outcome, train_together, wait_for


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run by one process, in four shards."""
    out = tmp_path_factory.mktemp("alone") / "run"
    ended(train_together(out, 1))
    return out


# --- Sums -------------------------------------------------------------------------------------------------------------


def test_a_branch_of_the_tree_is_a_sum_of_its_own() -> None:
    """Two processes that add half of the shards each come to the bits of one that adds all."""
    parts = list(torch.randn(8, 1000, generator=torch.Generator().manual_seed(0)) * 1e3)
    whole = tree_sum(parts)
    for processes in (1, 2, 4, 8):
        count = 8 // processes
        branches = [tree_sum(parts[start : start + count]) for start in range(0, 8, count)]
        assert torch.equal(tree_sum(branches), whole)
    in_a_row = torch.stack(parts).cumsum(0)[-1]
    assert not torch.equal(in_a_row, whole)
    np.testing.assert_allclose(whole.numpy(), torch.stack(parts).double().sum(0).numpy(), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("shards", "processes", "possible"),
    [(4, 1, True), (4, 2, True), (4, 4, True), (4, 3, False), (3, 3, True), (6, 2, False), (2, 4, False), (6, 1, True)],
)
def test_which_processes_can_share(shards: int, processes: int, possible: bool) -> None:
    assert can_share(shards, processes) is possible
    if possible:
        require_sharing(shards, processes)
    else:
        with pytest.raises(RecipeError, match=f"{shards} shards can't be shared by {processes} processes"):
            require_sharing(shards, processes)


class _Small(nn.Module):
    """With a norm over the batch, whose running mean the shards move."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Linear(7, 3)
        self.unused = nn.Linear(2, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        out: Tensor = self.last(self.norm(self.first(inputs)))
        return out


def test_shards_give_the_mean_gradient_and_the_mean_of_the_running_means() -> None:
    """Against each shard by itself, added in float64."""
    torch.manual_seed(0)
    model, inputs, labels = _Small().double(), torch.randn(12, 5).double(), torch.randint(0, 3, (12,))
    wheres = [slice(0, 4), slice(4, 8), slice(8, 12)]

    def computed(shard: int, parts: int) -> tuple[Tensor, slice, int]:
        losses = nn.functional.cross_entropy(model(inputs[wheres[shard]]), labels[wheres[shard]], reduction="none")
        (losses.sum() / 12).backward()  # type: ignore[no-untyped-call]
        return losses.detach(), wheres[shard], parts

    start = model.norm.running_mean.clone()  # type: ignore[union-attr]
    losses, parts = Shards(model, 3, 12).gradients(Team(), computed, 1)
    found = [None if weight.grad is None else weight.grad.clone() for weight in model.parameters()]
    moved = model.norm.running_mean.clone() - start  # type: ignore[union-attr]

    by_hand, changes, wanted = [], [], []
    for shard in range(3):
        other = _Small().double()
        other.load_state_dict(model.state_dict())
        other.norm.running_mean.copy_(start)  # type: ignore[union-attr]
        each = nn.functional.cross_entropy(other(inputs[wheres[shard]]), labels[wheres[shard]], reduction="none")
        (each.sum() / 12).backward()  # type: ignore[no-untyped-call]
        wanted.append(each.detach())
        by_hand.append([weight.grad for weight in other.parameters()])
        changes.append(other.norm.running_mean - start)  # type: ignore[operator]
    assert parts == 1
    np.testing.assert_allclose(losses, torch.cat(wanted), rtol=1e-6)
    for number, slope in enumerate(found):
        grads = [grads[number] for grads in by_hand]
        if grads[0] is None:
            assert slope is None  # no gradient is not a gradient of zero: an optimizer would decay the weight
        else:
            np.testing.assert_allclose(slope, sum(grads), rtol=1e-4, atol=1e-7)  # type: ignore[arg-type]
    np.testing.assert_allclose(moved, sum(changes) / 3, rtol=1e-5)
    assert int(model.norm.num_batches_tracked) == 1  # type: ignore[arg-type]


def test_a_shard_that_does_not_fit_into_memory_is_cut_for_all() -> None:
    model = nn.Linear(2, 1)
    asked: list[tuple[int, int]] = []

    def computed(shard: int, parts: int) -> tuple[Tensor, slice, int]:
        asked.append((shard, parts))
        model(torch.ones(2, 2)).sum().backward()
        return torch.ones(2), slice(2 * shard, 2 * shard + 2), 2 if shard == 1 else parts

    _, parts = Shards(model, 2, 4).gradients(Team(), computed, 1)
    assert parts == 2
    assert asked == [(0, 1), (1, 1), (0, 2), (1, 2)]
    assert model.weight.grad is not None
    assert model.weight.grad.tolist() == [[4.0, 4.0]]


# --- What is asked ----------------------------------------------------------------------------------------------------


def test_what_can_not_be_shared_is_refused() -> None:
    with pytest.raises(RecipeError, match="a batch of 3 rows has no 4 shards"):
        shards_of(TrainingSpec(processes=4), 3, None)
    with pytest.raises(RecipeError, match="can't be handed"):
        shards_of(TrainingSpec(processes=2), 64, nn.Linear(1, 1))
    with pytest.raises(RecipeError, match="nobody to divide the weights with"):
        shards_of(TrainingSpec(fsdp=True), 64, None)
    assert shards_of(TrainingSpec(), 64, None) == (1, ())
    assert shards_of(TrainingSpec(processes=2), 64, None)[0] == 2
    assert shards_of(TrainingSpec(shards=4), 64, None)[0] == 4


def test_one_process_meets_nobody() -> None:
    with meeting(TrainingSpec()) as others:
        assert isinstance(others, Meeting)
        assert others.size == 1


# --- Whole commands ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("processes", [2, 4])
def test_any_number_of_processes_gives_the_same_bits(tmp_path: Path, alone: Path, processes: int) -> None:
    events = ended(train_together(tmp_path / "run", processes))
    assert not [event for event in events if "alone" in str(event.get("text"))]
    assert outcome(tmp_path / "run") == outcome(alone)
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert plan["shards"] == 4


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_when_a_process_is_lost_the_first_goes_on_to_the_same_bits(tmp_path: Path, alone: Path) -> None:
    command = train_together(tmp_path / "run", 2)
    wait_for(command, "validation")
    (other,) = others_of(command)
    os.kill(other, signal.SIGKILL)
    events = ended(command)
    assert [event for event in events if "this one goes on alone" in str(event.get("text"))]
    assert outcome(tmp_path / "run") == outcome(alone)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_when_the_first_is_ended_all_end_and_another_number_goes_on(
    tmp_path: Path, alone: Path, number: signal.Signals, code: int
) -> None:
    command = train_together(tmp_path / "run", 2)
    wait_for(command, "validation")
    others = others_of(command)
    assert len(others) == 1
    command.send_signal(number)
    command.communicate(timeout=60)
    assert command.returncode == code
    _wait_until_gone(others)
    resumed = command_of("resume", str(tmp_path / "run"), "--processes", "1" if code > 0 else "4")
    ended(resumed)
    assert outcome(tmp_path / "run") == outcome(alone)


def test_under_torchrun_what_can_not_share_is_spare(tmp_path: Path, alone: Path) -> None:
    """Three processes and four shards: two share them. Begun again in the same directory, it goes on."""
    out = tmp_path / "run"
    words = f"-m torch.distributed.run --nproc-per-node 3 -m gnomon train digits {OPTIONS} --out {out} --json"
    for _ in range(2):
        done = subprocess.run([sys.executable, *words.split()], capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stderr
    assert '"going on from step 120 of 120"' in done.stdout
    assert outcome(out) == outcome(alone)


def _wait_until_gone(processes: Sequence[int]) -> None:
    for process in processes:
        try:
            handle = os.pidfd_open(process)
        except ProcessLookupError:
            continue
        with open(handle, "rb") as file:
            import select

            assert select.select([file], [], [], 60)[0], "it outlives the first process"


@pytest.mark.parametrize("leader", ["there", "gone"])
def test_another_process_ends_quietly_by_itself_and_at_once_with_the_leader(leader: str) -> None:
    code = """
import os, sys, threading
from gnomon.training.launch import _end_with_the_leader as listen
thread = threading.Thread(target=listen, daemon=True)
thread.start()
while getattr(sys._current_frames().get(thread.ident), "f_code", None) is not listen.__code__:
    os.sched_yield()
for _ in range(10_000):
    os.sched_yield()
print("listening", flush=True)
if sys.argv[1] == "gone":
    threading.Event().wait()
"""
    words, pipe = [sys.executable, "-c", code, leader], subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stderr is not None
        assert other.stdout.readline() == "listening\n"
        if leader == "gone":
            other.stdin.close()
        assert other.wait(60) == (1 if leader == "gone" else 0)
        assert other.stderr.read() == ""


def test_other_data_are_noticed(tmp_path: Path) -> None:
    """A process that finds other rows under the same name than the first one can't take part, and says why."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    rows = [f"{'good' if row % 2 else 'bad'} thing {row},{row % 2}" for row in range(80)]
    (tmp_path / "t.csv").write_text("\n".join(("text,label", *rows)))
    (elsewhere / "t.csv").write_text("\n".join(("text,label", *rows, "one more thing,1")))
    (tmp_path / "sitecustomize.py").write_text(
        f"import os, sys\nif 'gnomon.spine.following' in sys.orig_argv:\n    os.chdir({str(elsewhere)!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "gnomon", "train", "t.csv", "--steps", "5", "--processes", "2", "--quiet"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert "process 2 of 2 can't take part: its data are not those of the first process" in done.stderr


def test_the_shared_run_predicts(tmp_path: Path, alone: Path) -> None:
    assert gnomon.load(alone / MODEL).classes == tuple("0123456789")
    assert open_run(alone).has("report.html")
