"""A recurrent layer's forward and backward pass in another library, timed on request: for `benchmarks/sequences.py`.

    python benchmarks/peers/steps.py tensorflow|jax

Each line of the input names a cell and sizes as JSON; the answer is the shortest of some passes, in seconds. The layer
is written as its library's guide writes it, compiled, and asked for the gradients of inputs and weights.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def of_tensorflow(cell: str, rows: int, steps: int, inputs: int, width: int) -> Callable[[], None]:
    import keras
    import tensorflow as tf

    classes = {"rnn": keras.layers.SimpleRNN, "gru": keras.layers.GRU, "lstm": keras.layers.LSTM}
    layer = classes[cell](width, return_sequences=True)
    given = tf.random.normal((rows, steps, inputs))
    layer(given)

    @tf.function(jit_compile=False)
    def passes(given: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(given)
            total = tf.reduce_sum(layer(given))
        return tape.gradient(total, [given, *layer.trainable_variables])

    def run() -> None:
        passes(given)[-1].numpy()

    return run


def of_jax(cell: str, rows: int, steps: int, inputs: int, width: int) -> Callable[[], None]:
    import jax
    from jax import numpy as jnp

    gates = {"rnn": 1, "gru": 3, "lstm": 4}[cell]
    keys = jax.random.split(jax.random.key(0), 3)
    weights = {
        "inward": 0.1 * jax.random.normal(keys[0], (inputs, gates * width)),
        "across": 0.1 * jax.random.normal(keys[1], (width, gates * width)),
        "bias": jnp.zeros(gates * width),
    }
    given = jax.random.normal(keys[2], (steps, rows, inputs))

    def step(weights: Any, carry: Any, own: Any) -> Any:
        state, memory = carry
        if cell == "rnn":
            state = jnp.tanh(own + state @ weights["across"])
        elif cell == "gru":
            x_r, x_z, x_n = jnp.split(own, 3, axis=1)
            h_r, h_z, h_n = jnp.split(state @ weights["across"], 3, axis=1)
            keep = jax.nn.sigmoid(x_z + h_z)
            state = (1 - keep) * jnp.tanh(x_n + jax.nn.sigmoid(x_r + h_r) * h_n) + keep * state
        else:
            entry, forget, new, out = jnp.split(own + state @ weights["across"], 4, axis=1)
            memory = jax.nn.sigmoid(forget) * memory + jax.nn.sigmoid(entry) * jnp.tanh(new)
            state = jax.nn.sigmoid(out) * jnp.tanh(memory)
        return (state, memory), state

    def total(weights: Any, given: Any) -> Any:
        projected = given @ weights["inward"] + weights["bias"]
        begin = (jnp.zeros((rows, width)), jnp.zeros((rows, width)))
        return jax.lax.scan(lambda carry, own: step(weights, carry, own), begin, projected)[1].sum()

    passes = jax.jit(jax.grad(total, argnums=(0, 1)))

    def run() -> None:
        jax.block_until_ready(passes(weights, given))

    return run


def main(library: str) -> None:
    make = {"tensorflow": of_tensorflow, "jax": of_jax}[library]
    known: dict[str, Callable[[], None]] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        times = []
        if line not in known:
            known[line] = make(asked["cell"], asked["rows"], asked["steps"], asked["inputs"], asked["width"])
            known[line]()
            known[line]()
        for _ in range(3):
            began = time.perf_counter()
            known[line]()
            times.append(time.perf_counter() - began)
        print(json.dumps(min(times)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
