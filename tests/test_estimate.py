"""Estimates against arithmetic by hand, and against trainings whose time was published."""

from __future__ import annotations

import json
import time

import msgspec
import pytest

from gnomon import cli
from gnomon.commands.plan import GPUS
from gnomon.planning.estimate import DEVICES, HOST_STEP_S, Cluster, Work, estimate

# 10⁹ weights and products, 10⁶ rows seen twice, a thousand rows a step.
WORK = Work(parameters=10**9, products=1e9, kept_bytes=2e6, rows=1e6, passes=2, batch=1000)
EIGHT = Cluster(gpus="a100", machines=1, per_machine=8, link=100e9, utilisation=0.5, price=2.0)


def test_time_memory_and_cost_are_those_by_hand() -> None:
    found = estimate(WORK, EIGHT)
    compute_s = 1000 * 6e9 / (312e12 * 0.5 * 8)
    network_s = 2 * 7 / 8 * 4e9 / 100e9
    assert found.compute_s == pytest.approx(compute_s)
    assert found.network_s == pytest.approx(network_s)
    assert found.step_s == pytest.approx(compute_s + network_s - 2 / 3 * compute_s)
    assert (found.steps, found.limit) == (2000, "network")
    assert found.total_s == pytest.approx(2000 * found.step_s)
    assert found.cost == pytest.approx(found.total_s / 3600 * 8 * 2)
    assert found.memory == {
        "weights": 4e9,
        "gradients": 4e9,
        "optimizer": 8e9,
        "average": 0,
        "activations": 125 * 2e6,
        "fixed": 1e9,
    }
    assert found.checkpoint_bytes == 12e9


def test_dividing_weights_saves_memory_and_costs_network() -> None:
    whole, divided = estimate(WORK, EIGHT), estimate(msgspec.structs.replace(WORK, sharded=True), EIGHT)
    assert divided.memory["optimizer"] == whole.memory["optimizer"] / 8
    assert divided.network_s == pytest.approx(1.5 * whole.network_s)


def test_what_limits_is_told() -> None:
    quick = msgspec.structs.replace(EIGHT, link=1e15)
    assert estimate(msgspec.structs.replace(WORK, products=1e10), quick).limit == "compute"
    assert estimate(msgspec.structs.replace(WORK, parameters=10**10), quick).limit == "memory"
    little = msgspec.structs.replace(WORK, parameters=10**5, products=1e5)
    assert estimate(little, quick).limit == "host"
    assert estimate(little, quick).step_s == HOST_STEP_S


@pytest.mark.parametrize(
    ("published_h", "work", "cluster"),
    [
        # Goyal et al. 2017: ResNet-50 on ImageNet, 90 epochs, 256 P100 in float32.
        (
            1.0,
            Work(25_600_000, 4.09e9, 44.4e6, 1_281_167, 90, 8192, number_format="float32", moments=1),
            Cluster(gpus="p100", machines=32, link=6.25e9),
        ),
        # Narayanan et al. 2021: 175 · 10⁹ weights, 300 · 10⁹ tokens, 1,024 A100, activations computed anew.
        (
            34 * 24,
            Work(175 * 10**9, 175e9 * 2048, 2e9, 300e9 / 2048, 1, 1536, recompute=True, sharded=True, layers=96),
            Cluster(gpus="a100", machines=128, link=1e15),
        ),
        # Touvron et al. 2023: 65.2 · 10⁹ weights, 1.4 · 10¹² tokens, 2,048 A100.
        (
            21 * 24,
            Work(65_200_000_000, 65.2e9 * 2048, 2e9, 1.4e12 / 2048, 1, 2048, sharded=True, layers=80),
            Cluster(gpus="a100", machines=256, link=1e15),
        ),
    ],
    ids=["ResNet-50", "GPT-3", "LLaMA-65B"],
)
def test_published_trainings_are_estimated_within_two_fifths(published_h: float, work: Work, cluster: Cluster) -> None:
    assert estimate(work, cluster).total_s / 3600 == pytest.approx(published_h, rel=0.4)


def test_the_names_are_those_that_help_shows() -> None:
    assert tuple(DEVICES) == GPUS


def test_a_plan_tells_what_it_takes_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gnomon.commands.plan.process_start_s", time.monotonic)  # that of the tests is long ago
    words = ["plan", "digits", "--by", "60s"]
    assert cli.main([*words, "--machines", "2"]) == 2
    assert "--machines means nothing without --gpus" in capsys.readouterr().err
    assert cli.main([*words, "--gpus", "h100", "--machines", "2", "--link", "50", "--price", "3", "--quiet"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in ("time there", "limit", "memory there", "energy there", "cost"))
    assert cli.main([*words, "--gpus", "h100", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["elsewhere"]["devices"] == 8
