"""Search for better settings of a network of your own: any function at the top of a module that makes one will do."""

import torch
from torch import nn

import gnomon


def network(width: int, depth: int) -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(1, width, 3, padding=1), nn.ReLU()]
    for _ in range(depth - 1):
        layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * width, 10))


if __name__ == "__main__":
    torch.set_num_threads(1)
    # So many trials of so many epochs: the same result on every run. With by="10m" the time is divided by itself.
    search = gnomon.tune(
        "digits",
        epochs=1,
        trials=3,
        model=network,
        space={"width": (4, 16), "depth": [1, 2], "optimizer": ["adam", "sgd"], "rate_factor": (0.3, 10.0)},
        progress=False,
    )
    for trial in search.trials:
        print(f"{trial.score:.1%}  {trial.settings}")
    print(search.result.said[0])
    print(f"Used: {search.settings}; {search.best.metrics['accuracy'].value:.1%} right on the test part")
