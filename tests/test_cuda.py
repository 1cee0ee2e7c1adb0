"""On a GPU: the same outputs, gradients, augmentation and answers as on a processor. Skipped where there is none."""

import copy
import json
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow.parquet as parquet
import pytest
import torch
from torch import Tensor, nn

from gnomon.augment.image import ImageAugment
from gnomon.cli import main
from gnomon.models import Cnn, Crnn, Ensemble, ModelSpec, Plain, Rnn, TextCnn, channels_last

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

CLOSE: Final = 1e-4
PICTURES, STEPS, TOKENS = (3, 16, 16), (40, 6), (40, 100)
NETWORKS: Final[dict[str, tuple[ModelSpec, tuple[int, ...]]]] = {
    "cnn": (Cnn(widths=(16, 32), convolutions=3), PICTURES),
    "plain": (Plain(), (3, 32, 32)),
    "rnn": (Rnn(cell="rnn", width=16, tokens=False), STEPS),
    "gru": (Rnn(cell="gru", width=16, tokens=False, bidirectional=True), STEPS),
    "lstm": (Rnn(cell="lstm", width=16, tokens=False, layers=2), STEPS),
    "seqcnn": (Crnn(widths=(8, 16), cell="none", dimensions=1), STEPS),
    "crnn": (Crnn(widths=(8, 16), units=16, dimensions=2), (40, 16)),
    "ensemble": (Ensemble((Rnn(cell="lstm", width=8, tokens=False),), times=2), STEPS),
    "textcnn": (TextCnn(embedding=8, filters=8), TOKENS),
}


@pytest.fixture(autouse=True)
def _whole_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products of float32 numbers keep all their bits."""
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def _off(here: Tensor, there: Tensor) -> float:
    return float((here - there.cpu()).norm() / here.norm().clamp_min(1e-12))


def _inputs(shape: tuple[int, ...]) -> Tensor:
    made = torch.Generator().manual_seed(1)
    if shape == TOKENS:
        return torch.randint(2, TOKENS[1], (12, TOKENS[0]), generator=made)
    inputs = torch.randn(12, *shape, generator=made)
    if len(shape) == 2:  # the last channel tells steps from padding
        inputs[:, :, -1] = 1.0
        inputs[::2, 25:] = 0.0
    return inputs


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_and_gradients_are_those_of_a_processor(name: str) -> None:
    spec, shape = NETWORKS[name]
    torch.manual_seed(0)
    here = channels_last(spec.build(shape, 5))
    for part in here.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0  # drawn by each device for itself
    there = copy.deepcopy(here).cuda()
    outputs = []
    for model, inputs in ((here, _inputs(shape)), (there, _inputs(shape).cuda())):
        model.train()
        logits = model(inputs)
        nn.functional.cross_entropy(logits, torch.arange(12, device=logits.device) % 5).backward()  # type: ignore[no-untyped-call]
        outputs.append(logits.detach())
    assert _off(*outputs) < CLOSE
    pairs = zip(here.named_parameters(), there.parameters(), strict=True)
    off = {n: _off(p.grad, q.grad) for (n, p), q in pairs if p.grad is not None and q.grad is not None}
    assert off
    assert max(off.values()) < 20 * CLOSE, off


def test_pictures_are_augmented_alike() -> None:
    inputs, targets = torch.randn(64, 3, 32, 32), torch.eye(10)[torch.arange(64) % 10]
    augment = ImageAugment(flip=True, shift=2, cutout=8, mixup=0.2)
    rows, epochs = np.arange(64), np.arange(64) // 40
    here = augment.apply(inputs, targets, seed=3, epochs=epochs, rows=rows)
    there = augment.apply(inputs.cuda(), targets.cuda(), seed=3, epochs=epochs, rows=rows)
    assert all(_off(a, b) < 1e-6 for a, b in zip(here, there, strict=True))


@pytest.mark.parametrize("options", [("--model", "plain", "--size", "24"), ("--model", "cnn")], ids=str)
def test_a_run_on_a_gpu_predicts_alike_on_a_processor(tmp_path: Path, options: tuple[str, ...]) -> None:
    out = tmp_path / "run"
    words = ["train", "digits", "--steps", "60", "--device", "cuda", "--out", str(out), "--quiet", *options]
    assert main(words) == 0
    assert json.loads((out / "evaluation" / "test.json").read_text())["metrics"]["accuracy"]["value"] > 0.5
    before = parquet.read_table(out / "predictions.parquet")
    assert main(["report", str(out), "--quiet"]) == 0
    assert parquet.read_table(out / "predictions.parquet") == before


def test_a_run_on_a_gpu_is_repeated_to_the_same_bits(tmp_path: Path) -> None:
    files = []
    for name in ("first", "second"):
        words = ["train", "digits", "--steps", "60", "--device", "cuda", "--out", str(tmp_path / name), "--quiet"]
        assert main(words) == 0
        files.append((tmp_path / name / "model.safetensors").read_bytes())
    assert files[0] == files[1]
