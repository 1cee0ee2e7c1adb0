"""Eight bits: how far numbers are off, how small the file is, what it answers, and that a damaged one is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gnomon import cli, load
from gnomon.errors import ModelFileError
from gnomon.predicting.quantise import SCALE, kinds_stored, restored, stored
from source_files import write_text


@pytest.mark.parametrize("shape", [(8, 40), (3, 16, 3, 3), (500, 2), (1000, 64)])
def test_a_number_is_off_by_half_a_step_at_most(shape: tuple[int, ...]) -> None:
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * torch.logspace(-3, 3, shape[0]).view(
        -1, *[1] * (len(shape) - 1)
    )
    small = stored({"w": tensor})
    assert small["w"].dtype == torch.int8
    back = restored(small, {"w": (shape, torch.float32)})["w"]
    axes = tuple(range(1, len(shape))) if small["w" + SCALE].numel() == shape[0] else (0,)
    step = np.abs(tensor.numpy()).max(axis=axes, keepdims=True) / 127
    assert (np.abs(back.numpy() - tensor.numpy()) <= 0.5001 * step).all()


def test_what_is_little_or_no_number_stays_as_it_is() -> None:
    tensors = {
        "bias": torch.randn(300),
        "few": torch.randn(3, 5),
        "count": torch.arange(400).view(20, 20),
        "nothing": torch.zeros(20, 20),
        "rows": torch.randn(40, 32).half(),
    }
    small = stored(tensors)
    wanted = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()}
    assert {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in small.items()} == kinds_stored(wanted)
    back = restored(small, wanted)
    assert all(torch.equal(back[name], tensors[name]) for name in ("bias", "few", "count", "nothing"))
    assert back["rows"].dtype == torch.float16


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shrunk") / "run"
    assert cli.main(["train", "digits", "--epochs", "4", "--out", str(folder), "--quiet"]) == 0
    return folder


def test_the_file_is_a_third_and_answers_alike(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["shrink", str(run), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    small, whole = run / "model-int8.safetensors", run / "model.safetensors"
    assert said["path"] == str(small)
    assert (said["bytes_before"], said["bytes_after"]) == (whole.stat().st_size, small.stat().st_size)
    assert said["bytes_after"] < 0.34 * said["bytes_before"]
    assert abs(said["compared"]["difference"]["value"]) <= 0.01
    pictures = [np.random.default_rng(0).integers(0, 17, (8, 8)).astype(np.float32) for _ in range(20)]
    answers = [load(path).probabilities(pictures) for path in (whole, small)]
    assert np.abs(answers[0] - answers[1]).max() < 0.1
    assert not np.array_equal(answers[0], answers[1])
    assert cli.main(["shrink", str(run), "--out", str(run / "other.safetensors")]) == 0
    assert "float32" in (told := capsys.readouterr().out)
    assert "Size" in told
    assert (run / "other.safetensors").read_bytes() == small.read_bytes()


def test_too_few_rows_are_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"{'a few words' if number % 2 else 'of two classes'} {number},{number % 2}" for number in range(16)]
    table = write_text(tmp_path, "few.csv", "\n".join(("text,label", *lines)))
    run = str(tmp_path / "run")
    assert cli.main(["train", str(table), "--epochs", "1", "--out", run, "--quiet"]) == 0
    assert cli.main(["shrink", run]) == 0
    assert "Too few test rows" in capsys.readouterr().out
    assert cli.main(["compare", run, run]) == 2
    assert "--test" in capsys.readouterr().err


def test_several_labels_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(f"a {word} film about {number}", word) for word in ("good", "bad") for number in range(60)]
    write_text(tmp_path, "tags.csv", "text,label\n" + "".join(f"{text},{label};film\n" for text, label in rows))
    words = ["train", str(tmp_path / "tags.csv"), "--separator", ";", "--steps", "20", "--quiet"]
    assert cli.main([*words, "--out", str(tmp_path / "run")]) == 0
    assert cli.main(["shrink", str(tmp_path / "run"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["compared"]["measure"] == "share of labels right"


def test_damage_is_seen(run: Path, tmp_path: Path) -> None:
    assert cli.main(["shrink", str(run), "--out", str(tmp_path / "small.safetensors")]) == 0
    content = (tmp_path / "small.safetensors").read_bytes()
    for name, spoilt in {
        "flipped": content[:-500] + bytes([content[-500] ^ 1]) + content[-499:],
        "older": content.replace(b'"version\\":4', b'"version\\":3'),
        "numbers": content.replace(b'"numbers\\":\\"int8', b'"numbers\\":\\"int9'),
    }.items():
        assert spoilt != content, name
        (tmp_path / f"{name}.safetensors").write_bytes(spoilt)
        with pytest.raises(ModelFileError):
            load(tmp_path / f"{name}.safetensors")
