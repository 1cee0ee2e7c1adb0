"""Fewer filters: nothing is lost where filters say the same, little where they nearly do, and who has none is told."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gnomon import cli, load
from gnomon.errors import RecipeError
from gnomon.models import Cnn, Network
from gnomon.shrinking.thin import thinned


def _doubled(network: Network, spec: Cnn) -> Network:
    """The same function by twice as many filters, each of which stands there twice."""
    twice = spec.build((3, 16, 16), network.head.out_features).eval()
    state, changed = network.state_dict(), {}
    for name, value in twice.state_dict().items():
        old = state[name]
        for axis, (size, wanted) in enumerate(zip(old.shape, value.shape, strict=True)):
            if size != wanted:
                old = torch.cat((old, old), dim=axis) / (2 if axis == 1 else 1)
        changed[name] = old
    twice.load_state_dict(changed)
    return twice


@pytest.mark.parametrize(("widths", "convolutions"), [((6,), 3), ((4, 6), (1, 2)), ((4, 6, 8), (2, 3, 3))])
def test_filters_that_stand_there_twice_are_found_and_nothing_is_lost(
    widths: tuple[int, ...], convolutions: int | tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    spec = Cnn(widths=widths, convolutions=convolutions)
    network, inputs = spec.build((3, 16, 16), 5), torch.randn(200, 3, 16, 16)
    with torch.no_grad():
        network.train()(inputs)  # norms learn what comes
    more = Cnn(widths=tuple(2 * width for width in widths), convolutions=convolutions)
    doubled = _doubled(network.eval(), more)
    fresh = torch.randn(50, 3, 16, 16)
    with torch.no_grad():
        wanted = doubled(fresh)
        torch.testing.assert_close(wanted, network(fresh), rtol=1e-4, atol=1e-5)
        less, thin = thinned(more, doubled, inputs, 0.5)
        assert less == spec
        assert float((thin(fresh) - wanted).norm() / wanted.norm()) < 0.05


def test_all_of_the_filters_are_not_fewer() -> None:
    spec = Cnn(widths=(4,))
    with pytest.raises(RecipeError, match="of the filters are all of 4"):
        thinned(spec, spec.build((1, 8, 8), 3), torch.randn(20, 1, 8, 8), 0.95)


def test_a_run_becomes_a_narrower_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, small = tmp_path / "run", tmp_path / "small.safetensors"
    assert cli.main(["train", "digits", "--epochs", "5", "--widths", "16-32", "--out", str(run), "--quiet"]) == 0
    assert cli.main(["shrink", str(run), "--filters", "0.75", "--out", str(small), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    model, whole = load(small), load(run / "model.safetensors")
    assert isinstance(model.header.model, Cnn)
    assert model.header.model.widths == (12, 24)
    assert said["bytes_after"] < 0.4 * said["bytes_before"]
    after, before = (side["value"] for side in (said["compared"]["scores"][1], said["compared"]["scores"][0]))
    assert after > before - 0.1
    picture = np.zeros((8, 8), np.uint8)
    assert model.predict(picture)[0].label in whole.classes


def test_a_network_without_filters_is_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"a {'good' if row % 2 else 'bad'} thing {row},{row % 2}" for row in range(80)]
    (tmp_path / "t.csv").write_text("\n".join(("text,label", *rows)))
    run = tmp_path / "run"
    assert cli.main(["train", str(tmp_path / "t.csv"), "--steps", "3", "--out", str(run), "--quiet"]) == 0
    assert cli.main(["shrink", str(run), "--filters", "0.5"]) == 2
    assert "no filters that could be left out" in capsys.readouterr().err
