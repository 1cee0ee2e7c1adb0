"""What a plan promises: arithmetic over a trial, and the command that tells it."""

import json
import time
from pathlib import Path

import msgspec
import pytest
import torch

from gnomon.cli import main
from gnomon.models import Cnn, describe_network
from gnomon.models.describe import NetworkSummary
from gnomon.planning.ladder import networks_for_pictures, wanted_epochs
from gnomon.planning.memory import Kept
from gnomon.training.forecast import Trial, expected_accuracy, forecast
from test_plan import NOW, SPEC, planned


def summary(model: Cnn) -> NetworkSummary:
    return describe_network(model.build(SPEC.input_shape, 3), torch.zeros(2, *SPEC.input_shape), name="cnn")


def test_more_time_never_promises_less() -> None:
    trial = Trial(error=0.5, seconds=2.0)
    ranges = [expected_accuracy(trial, seconds) for seconds in (0.1, 2, 10, 60, 600, 6000)]
    assert ranges == sorted(ranges)
    assert ranges[0] == ranges[1] == (0.5, 0.5)  # no more than the trial itself in no more time
    assert all(0.5 <= low <= high <= 1 for low, high in ranges)
    assert expected_accuracy(Trial(error=0.0, seconds=1.0), 100) == (1.0, 1.0)


def test_alternatives_are_dearer_networks_seen_often_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: NOW)
    plan = planned(60, speed=0.05)
    assert isinstance(plan.model, Cnn)
    said = forecast(
        plan,
        SPEC,
        summary(plan.model),
        Kept(0.0, 1e5, 1e4),
        Trial(error=0.4, seconds=2.0),
        train_s=50,
        total_s=60,
        cache_bytes=10**7,
    )
    assert said.outlook.epochs == pytest.approx(plan.steps * plan.batch / SPEC.num_train)
    lows = [said.outlook.accuracy_low, *(outlook.accuracy_low for outlook in said.more_time)]
    assert lows == sorted(lows)
    names = [f"cnn {'-'.join(map(str, rung.widths))}" for rung in networks_for_pictures(SPEC.input_shape)]
    for outlook in said.more_time:
        assert outlook.epochs >= wanted_epochs(names.index(outlook.network), SPEC.num_train)
    places = [names.index(outlook.network) for outlook in (said.outlook, *said.more_time)]
    assert places == sorted(places)
    assert places[-1] > places[0]
    assert said.energy_wh == pytest.approx(said.watts / 60)
    assert msgspec.json.decode(msgspec.json.encode(said), type=type(said)) == said


@pytest.mark.parametrize("side", [8, 16, 32, 64, 128, 224])
def test_products_are_those_of_the_layers(side: int) -> None:
    """Counted from the shapes that the layers give: outputs times the weights that each of them takes."""
    for rung in networks_for_pictures((3, side, side))[:3]:
        network = rung.build((3, side, side), 4)
        shapes = {
            layer.name: layer.output_shape
            for layer in describe_network(network, torch.zeros(2, 3, side, side), name="").layers
        }
        counted = 0
        for name, weight in network.named_parameters():
            if weight.ndim == 4:
                _, height, width = shapes[name.removesuffix(".weight")]
                counted += weight.numel() * height * width
        assert rung.products((3, side, side)) == counted


def test_fewer_rows_must_be_seen_more_often() -> None:
    wanted = [
        [wanted_epochs(rung, rows) for rung in range(len(networks_for_pictures((3, 32, 32))))]
        for rows in (10**6, 47_500, 5000)
    ]
    for few, more in zip(wanted[1:], wanted, strict=False):
        assert all(a >= b for a, b in zip(few, more, strict=True))
    assert all(row == sorted(row) for row in wanted)


def test_the_command_tells_it_and_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GNOMON_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        "gnomon.commands.plan.process_start_s", time.monotonic
    )  # the tests' own process is older than a minute
    assert main(["plan", "digits", "--by", "60s", "--threads", "1"]) == 0
    said = capsys.readouterr().out
    for word in ("network", "expected", "memory", "disk", "energy", "2× the time", "20× the time"):
        assert word in said
    assert main(["plan", "digits", "--by", "60s", "--threads", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert 0.3 < told["outlook"]["accuracy_low"] <= told["outlook"]["accuracy_high"] <= 1
    assert not (tmp_path / "runs").exists()


def test_without_a_deadline_there_is_nothing_to_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "digits"]) == 2
    assert "--by" in capsys.readouterr().err
