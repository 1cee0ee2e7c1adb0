"""The network of the Keras tutorial on CIFAR-10, as a PyTorch tutorial writes it."""

import torch
from setting import Clock, Part, arguments, read_archive
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def build_model() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def as_dataset(part: Part) -> TensorDataset:
    images, labels = part
    return TensorDataset(
        torch.from_numpy(images).permute(0, 3, 1, 2).float().div(255).contiguous(), torch.tensor(labels)
    )


def train(
    model: nn.Module, loader: DataLoader, loss_of: nn.Module, optimizer: torch.optim.Optimizer, device: str
) -> None:
    model.train()
    for images, labels in loader:
        images, labels = images.to(device), labels.to(device)
        optimizer.zero_grad()
        loss = loss_of(model(images), labels)
        loss.backward()
        optimizer.step()


@torch.no_grad()
def accuracy_of(model: nn.Module, loader: DataLoader, device: str) -> float:
    model.eval()
    right = sum((model(images.to(device)).argmax(1) == labels.to(device)).sum().item() for images, labels in loader)
    return right / len(loader.dataset)


def main() -> None:
    parser = arguments(__doc__ or "", epochs=10)
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    clock = Clock()
    torch.manual_seed(asked.seed)
    train_part, test_part = read_archive(asked.data)
    train_loader = DataLoader(as_dataset(train_part), batch_size=32, shuffle=True)
    test_loader = DataLoader(as_dataset(test_part), batch_size=32)

    model = build_model().to(asked.device)
    loss_of = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    clock.first_step()
    for epoch in range(1, asked.epochs + 1):
        train(model, train_loader, loss_of, optimizer, asked.device)
        with clock.paused():
            accuracy = accuracy_of(model, test_loader, asked.device)
        clock.epoch_done(epoch, accuracy)
        if clock.train_s >= asked.seconds:
            break


if __name__ == "__main__":
    main()
