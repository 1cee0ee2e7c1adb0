"""The vanishing gradient seen: how much the last state still feels of each step before it.

An Elman network multiplies by its matrix and by tanh's slope at every step back, so what it feels shrinks like a power;
an LSTM carries its memory on by a gate near 1. This is why LSTM and GRU were invented.
"""

import torch

from gnomon.models.recurrence import Cell, Recurrent

STEPS, SHOWN = 60, (1, 5, 10, 20, 40, 59)


def felt(cell: Cell) -> list[float]:
    """The norm of the gradient of the last state with respect to each step's input, the last one's as 1."""
    torch.manual_seed(0)
    layer = Recurrent(cell, inputs=8, width=32)
    steps = torch.randn(64, STEPS, 8, requires_grad=True)
    layer(steps, torch.full((64,), STEPS))[:, -1].sum().backward()
    assert steps.grad is not None
    norms = steps.grad.norm(dim=(0, 2))
    return [float(norms[STEPS - 1 - back] / norms[-1]) for back in SHOWN]


if __name__ == "__main__":
    print("steps back  " + "".join(f"{back:>11}" for back in SHOWN))
    for cell in ("rnn", "gru", "lstm"):
        print(f"{cell:<12}" + "".join(f"{share:>11.1e}" for share in felt(cell)))
