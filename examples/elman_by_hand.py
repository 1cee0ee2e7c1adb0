"""The textbook's recurrent network by hand: h_t = tanh(W_xh·x_t + W_hh·h_{t−1} + b), step by step, beside `rnn`."""

import numpy as np
import torch

from gnomon.models.recurrence import Recurrent


def by_hand(steps: np.ndarray, inward: np.ndarray, across: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Steps `(T, D)` → states `(T, H)`."""
    state, states = np.zeros(len(across)), []
    for step in steps:
        state = np.tanh(inward @ step + across @ state + bias)
        states.append(state)
    return np.array(states)


if __name__ == "__main__":
    torch.manual_seed(0)
    layer = Recurrent("rnn", inputs=3, width=4).double()
    steps = torch.randn(6, 3, dtype=torch.float64)
    states = layer(steps[None], torch.tensor([6]))[0].detach().numpy()

    weights = layer.parts()[0][0]
    bias = (weights.bias_ih + weights.bias_hh).detach().numpy()
    hand = by_hand(steps.numpy(), weights.weight_ih.detach().numpy(), weights.weight_hh.detach().numpy(), bias)
    print("the last state, by the layer:", np.round(states[-1], 4))
    print("the last state, by hand:     ", np.round(hand[-1], 4))
    print(f"largest difference over all steps: {np.abs(states - hand).max():.1e}")
