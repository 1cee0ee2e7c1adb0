"""A ResNet-18 for CIFAR-10 (He et al. 2016), trained as is usual for it: one cycle over the epochs asked for."""

import torch
import torch.nn.functional as F
from setting import Clock, arguments, read_archive
from torch import Tensor, nn

BATCH = 128
PAD = 4
MEAN = torch.tensor([0.4914, 0.4822, 0.4465]).view(3, 1, 1)
DEVIATION = torch.tensor([0.2470, 0.2435, 0.2616]).view(3, 1, 1)


class Block(nn.Module):
    """Two 3×3 convolutions and the shortcut around them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


def build_model() -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    for inputs, outputs, stride in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)):
        layers += [Block(inputs, outputs, stride), Block(outputs, outputs, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


def normalised(images: Tensor) -> Tensor:
    """`(N, 32, 32, 3)` uint8 as `(N, 3, 32, 32)` float32."""
    return (images.permute(0, 3, 1, 2).float() / 255 - MEAN) / DEVIATION


def augmented(images: Tensor) -> Tensor:
    """A random crop after zero padding, and a random mirroring, of each picture."""
    size = images.shape[-1]
    padded = F.pad(images, (PAD, PAD, PAD, PAD))
    corners = torch.randint(0, 2 * PAD + 1, (len(images), 2)).tolist()
    crops = [picture[:, y : y + size, x : x + size] for picture, (y, x) in zip(padded, corners, strict=True)]
    cropped = torch.stack(crops)
    mirrored = (torch.rand(len(images)) < 0.5).view(-1, 1, 1, 1)
    return torch.where(mirrored, cropped.flip(3), cropped)


@torch.no_grad()
def accuracy_of(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    model.eval()
    batches = zip(images.split(BATCH), labels.split(BATCH), strict=True)
    return sum(int((model(normalised(x)).argmax(1) == y).sum()) for x, y in batches) / len(labels)


def main() -> None:
    asked = arguments(__doc__ or "", epochs=30).parse_args()
    clock = Clock()
    torch.manual_seed(asked.seed)
    train_part, test_part = read_archive(asked.data)
    images, labels = map(torch.from_numpy, train_part)
    test_images, test_labels = map(torch.from_numpy, test_part)

    model = build_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    steps = asked.epochs * -(-len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=steps, cycle_momentum=False)
    clock.first_step()
    for epoch in range(1, asked.epochs + 1):
        model.train()
        for rows in torch.randperm(len(images)).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(model(augmented(normalised(images[rows]))), labels[rows]).backward()
            optimizer.step()
            schedule.step()
        with clock.paused():
            accuracy = accuracy_of(model, test_images, test_labels)
        clock.epoch_done(epoch, accuracy)
        if clock.train_s >= asked.seconds:
            break


if __name__ == "__main__":
    main()
