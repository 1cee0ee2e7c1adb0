"""Pictures predicted a second: Gnomon's `Model` and the same network in plain PyTorch, at batch 1 and at the best one.

    python benchmarks/prediction.py

Both get decoded pictures and give probabilities, without views, with the same threads, in turns in one process. Plain
PyTorch is what one writes by hand: `model.eval()`, `torch.inference_mode()`, pictures as `(N, C, H, W)` floats.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from gnomon.encoders import ImageEncoder
from gnomon.models import channels_last
from gnomon.planning.ladder import networks_for_pictures
from gnomon.predicting.modelfile import Header, Model
from gnomon.tasks import Classify

BATCHES = (1, 16, 64, 128, 256, 512)
CLASSES = tuple("abcdefghij")


def rate(way: Callable[[], object], rows: int) -> float:
    way()
    times = []
    while len(times) < 5 or (sum(times) < 0.5 and len(times) < 200):
        began = time.perf_counter()
        way()
        times.append(time.perf_counter() - began)
    return rows / statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    print("| network | batch | Gnomon, pictures/s | plain PyTorch | ratio |\n|---|---|---|---|---|")
    encoder = ImageEncoder(height=32, width=32, channels=3, mean=(120.0,) * 3, std=(60.0,) * 3)
    for spec in networks_for_pictures((3, 32, 32))[2:5]:
        network = spec.build((3, 32, 32), len(CLASSES)).eval().requires_grad_(False)
        plain = spec.build((3, 32, 32), len(CLASSES)).eval()
        plain.load_state_dict(network.state_dict())
        model = Model(Header(encoder=encoder, model=spec, task=Classify(classes=CLASSES)), channels_last(network))
        rates: dict[int, tuple[float, float]] = {}
        for batch in BATCHES:
            pictures = np.random.default_rng(0).integers(0, 256, (batch, 32, 32, 3), dtype=np.uint8)

            @torch.inference_mode()
            def by_hand(pictures: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]" = pictures) -> torch.Tensor:
                inputs = (torch.from_numpy(pictures).permute(0, 3, 1, 2).float().contiguous() - 120) / 60
                return plain(inputs).softmax(1)  # noqa: B023

            def by_gnomon(pictures: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]" = pictures) -> object:
                return model.probabilities_of_encoded(pictures)  # noqa: B023

            assert np.allclose(by_hand().numpy(), by_gnomon(), atol=1e-4), "the same network"
            rates[batch] = rate(by_gnomon, batch), rate(by_hand, batch)
        best = [max(pair[way] for pair in rates.values()) for way in range(2)]
        name = "-".join(map(str, spec.widths))
        for label, (ours, theirs) in {"1": rates[1], "best": (best[0], best[1])}.items():
            print(f"| {name} | {label} | {ours:,.0f} | {theirs:,.0f} | {ours / theirs:.2f} |", flush=True)


if __name__ == "__main__":
    main()
