"""Optimizers, schedules and weight averaging.

gradient-descent   w ← w − η ∇L over the whole training part at each step
sgd                the same on a batch, with Nesterov momentum
adam, adamw        per-weight steps from running means of the gradient and its square
muon               for convolution filters and matrices: the momentum is orthogonalised; the rest takes SGD
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Protocol, TypeAlias

import msgspec
import torch
from torch import Tensor, nn

from .types import Kind, Positive, Share, Value

OptimizerName: TypeAlias = Literal["gradient-descent", "sgd", "adam", "adamw", "muon"]
Schedule: TypeAlias = Literal["constant", "linear", "cosine"]
Average: TypeAlias = Literal["none", "ema"]

LEARNING_RATES: dict[OptimizerName, float] = {
    "gradient-descent": 0.1,
    "sgd": 0.05,
    "adam": 1e-3,
    "adamw": 2e-3,
    "muon": 0.24,
}
"""Learning rate where none is given, the highest of the schedule; of muon for 400 batches of 512 rows."""

USUAL: dict[Kind, OptimizerName] = {"image": "muon", "text": "adam", "sound": "muon", "series": "adam"}
"""The optimizer where none is asked for."""

_MUON_MOMENTUM = 0.6
_MUON_SGD_RATE = 0.25
_MUON_STEPS, _MUON_LONG = 400, (0.6, 1.4)
_NEWTON_SCHULZ_STEPS = 3


class OptimizerSpec(Value, frozen=True):
    """How weights are changed.

    Attributes:
        name: the method. None: muon for pictures and recordings, adam for texts and series.
        learning_rate: the highest of the schedule; None takes the method's own.
        weight_decay: decoupled for adamw, an L2 term else; never on biases and norms, nor on filters under muon,
            whose norm is held.
        momentum: of sgd.
        schedule: how the learning rate goes on after the warm-up; linear and cosine end at 0. None: linear, or
            constant for the textbook's network.
        warmup: share of the steps in which it rises from 0.
        average: `ema` judges and keeps an exponential moving average of the weights. None: ema, or none for the
            textbook's network.
    """

    name: OptimizerName | None = None
    learning_rate: Positive | None = None
    weight_decay: Annotated[float, msgspec.Meta(ge=0, le=1e3)] = 0.0
    momentum: Share = 0.9
    schedule: Schedule | None = None
    warmup: Share = 0.0
    average: Average | None = None

    @property
    def peak(self) -> float:
        """The highest learning rate."""
        return LEARNING_RATES[self.name or USUAL["image"]] if self.learning_rate is None else self.learning_rate

    def completed(self, kind: Kind, *, batch: int, steps: int, textbook: bool, factor: float = 1.0) -> OptimizerSpec:
        """With every field decided.

        Args:
            kind: of the rows.
            batch: rows of a step; Muon's rate follows its root, since the noise of a step does.
            steps: of the training; Muon's rate falls with their root, between bounds: more steps reach as far.
            textbook: train as the textbook does: constant rate, no averaging.
            factor: of the learning rate.
        """
        name, scale = self.name or USUAL[kind], 1.0
        if name == "muon":
            least, most = _MUON_LONG
            scale = min(1.0, (batch / 512) ** 0.5) * min(most, max(least, (_MUON_STEPS / steps) ** 0.5))
        return msgspec.structs.replace(
            self,
            name=name,
            learning_rate=factor * (self.learning_rate or scale * LEARNING_RATES[name]),
            schedule=self.schedule or ("constant" if textbook else "linear"),
            average=self.average or ("none" if textbook else "ema"),
        )

    def rate(self, progress: float) -> float:
        """The learning rate after this share of the training, 0 to 1."""
        if progress < self.warmup:
            return self.peak * progress / self.warmup
        rest = (progress - self.warmup) / max(1e-9, 1 - self.warmup)
        if self.schedule == "constant":
            return self.peak
        if self.schedule == "cosine":
            return self.peak * 0.5 * (1 + math.cos(math.pi * min(1.0, rest)))
        return self.peak * max(0.0, 1 - rest)


class Steps(Protocol):
    """What a training step needs of an optimizer."""

    def step(self, learning_rate: float) -> None:
        """Change the weights by their gradients, and drop the gradients."""
        ...


class Optimizer:
    """One or two PyTorch optimizers under one learning rate, and a flat state that can be saved."""

    def __init__(self, parts: list[tuple[torch.optim.Optimizer, float]]) -> None:
        self._parts = parts

    def step(self, learning_rate: float) -> None:
        """Change the weights by their gradients, and drop the gradients."""
        for part, share in self._parts:
            for group in part.param_groups:
                group["lr"] = learning_rate * share
            part.step()
            part.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """All tensors of the state by name; empty before the first step."""
        return {
            f"{number}.{index}.{name}": value if isinstance(value, Tensor) else torch.tensor(value)
            for number, (part, _) in enumerate(self._parts)
            for index, parameter in enumerate(_parameters(part))
            for name, value in part.state.get(parameter, {}).items()
        }

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take a state that `state` gave."""
        for key, value in state.items():
            number, index, name = key.split(".", 2)
            part = self._parts[int(number)][0]
            parameter = _parameters(part)[int(index)]
            # On its weight's device and in its memory format: fused steps pair numbers by their place in memory.
            like = torch.empty_like(parameter if value.shape == parameter.shape else value, device=parameter.device)
            part.state[parameter][name] = like.copy_(value)


class Muon(torch.optim.Optimizer):
    """Momentum whose matrix is brought near the closest orthogonal one (K. Jordan et al. 2024).

    A convolution's filters `(out, in, k, k)` count as a matrix `(out, in·k·k)`. Each weight is held at the norm
    √out, so that a learning rate means the same turn for every layer and no weight decay is needed.

    Args:
        parameters: filters and matrices.
        momentum: share of the momentum that stays at each step.
        products: number format of the iteration's products. The iteration is rough by design, and loses nothing in
            bfloat16.
    """

    def __init__(
        self,
        parameters: list[nn.Parameter],
        *,
        momentum: float = _MUON_MOMENTUM,
        products: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(parameters, {"lr": 0.0, "momentum": momentum})
        self._products = products

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            by_shape: dict[tuple[int, int], list[tuple[nn.Parameter, Tensor]]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(parameter)
                state["momentum"].mul_(group["momentum"]).add_(parameter.grad)
                ahead = parameter.grad.add(state["momentum"], alpha=group["momentum"])
                matrix = ahead.reshape(len(parameter), -1)
                by_shape[tuple(matrix.shape)].append((parameter, matrix))
            for pairs in by_shape.values():
                together = torch.stack([matrix / (matrix.norm() + 1e-7) for _, matrix in pairs])
                turned = orthogonalise(together.to(self._products))
                for (parameter, _), update in zip(pairs, turned, strict=True):
                    parameter.mul_(len(parameter) ** 0.5 / parameter.norm().clamp_min(1e-7))
                    parameter.add_(update.view(parameter.shape).to(parameter.dtype), alpha=-group["lr"])


def orthogonalise(matrices: Tensor, steps: int = _NEWTON_SCHULZ_STEPS) -> Tensor:
    """`(B, m, n)` → about U Vᵀ of each: its singular values are brought near 1, its directions kept.

    Newton-Schulz iteration of fifth order, X ← aX + (bA + cA²)X with A = XXᵀ and the coefficients of Muon
    (K. Jordan 2024), which trade exactness for a steep slope at 0: singular values end between about 0.7 and 1.2.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    turned: Tensor = x.mT if tall else x
    return turned


def build_optimizer(model: nn.Module, spec: OptimizerSpec, *, products: torch.dtype = torch.float32) -> Optimizer:
    """An optimizer for the trainable weights. Biases, norms and other vectors have no weight decay.

    Args:
        model: whose weights are changed.
        spec: how.
        products: number format of the products that an optimizer makes of its own; weights stay as they are.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = _groups(trained, spec.weight_decay)
    match spec.name:
        case "gradient-descent":
            return Optimizer([(torch.optim.SGD(groups, lr=spec.peak), 1.0)])
        case "sgd":
            momentum = spec.momentum
            return Optimizer([(torch.optim.SGD(groups, lr=spec.peak, momentum=momentum, nesterov=momentum > 0), 1.0)])
        case "adam":
            return Optimizer([(torch.optim.Adam(groups, lr=spec.peak, fused=True), 1.0)])
        case "adamw":
            return Optimizer([(torch.optim.AdamW(groups, lr=spec.peak, fused=True), 1.0)])
        case _:
            return _with_muon(trained, spec, products)


def _groups(parameters: list[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Weights with decay, and biases, norms and other vectors without."""
    groups = [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _with_muon(trained: list[nn.Parameter], spec: OptimizerSpec, products: torch.dtype) -> Optimizer:
    """Muon for convolution filters; Nesterov SGD for the head, biases and norms."""
    filters = [parameter for parameter in trained if parameter.ndim == 4]
    rest = [parameter for parameter in trained if parameter.ndim != 4]
    parts: list[tuple[torch.optim.Optimizer, float]] = []
    if filters:
        parts.append((Muon(filters, products=products), 1.0))
    if rest:
        sgd = torch.optim.SGD(_groups(rest, spec.weight_decay), lr=0.0, momentum=0.85, nesterov=True)
        parts.append((sgd, _MUON_SGD_RATE))
    return Optimizer(parts)


class MovingAverage:
    """Exponential moving average of a model's weights and buffers, itself a model that can be judged.

    Args:
        module: a copy of the model; it is changed.
        decay: share of the average that stays at each update.
    """

    def __init__(self, module: nn.Module, *, decay: float) -> None:
        self.module = module.requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards the model."""
        pairs = list(zip(self.module.state_dict().values(), model.state_dict().values(), strict=True))
        averages = [average for average, _ in pairs if average.is_floating_point()]
        currents = [current for _, current in pairs if current.is_floating_point()]
        torch._foreach_lerp_(averages, currents, 1 - self.decay)
        for average, current in pairs:
            if not average.is_floating_point():
                average.copy_(current)


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return list(_each(optimizer))


def _each(optimizer: torch.optim.Optimizer) -> Iterator[Tensor]:
    for group in optimizer.param_groups:
        yield from group["params"]
