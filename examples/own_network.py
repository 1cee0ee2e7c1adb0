"""Train a network of your own: any `torch.nn.Module` that maps `(N, C, H, W)` to one number a class."""

from torch import Tensor, nn

import gnomon


class Residual(nn.Module):
    """Two convolutions beside a short cut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, maps: Tensor) -> Tensor:
        return (maps + self.body(maps)).relu()


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        Residual(32),
        nn.MaxPool2d(2),
        Residual(32),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


if __name__ == "__main__":
    run = gnomon.train("digits", epochs=10, model=network(), optimizer="adamw", progress=False)
    accuracy = run.metrics["accuracy"]
    print(f"{accuracy.value:.1%} right, 95 % interval {accuracy.low:.1%} to {accuracy.high:.1%}")

    # The model file names the module, and loading never imports code: hand the module over.
    model = gnomon.load(run.path / "model.safetensors", module=network())
    print(model.header.model)
