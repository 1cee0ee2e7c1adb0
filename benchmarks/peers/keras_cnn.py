"""The network of the Keras tutorial on CIFAR-10, trained as the tutorial does; KERAS_BACKEND names the backend."""

from typing import Any

import keras
from keras import layers
from setting import Clock, arguments, read_archive


class Measure(keras.callbacks.Callback):
    """Evaluates after each epoch with the clock paused, and stops when the seconds are over."""

    def __init__(self, clock: Clock, test: tuple[Any, Any], seconds: float) -> None:
        super().__init__()
        self.clock = clock
        self.test = test
        self.seconds = seconds
        self.begun = False

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if not self.begun:
            self.begun = True
            self.clock.first_step()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        with self.clock.paused():
            _, accuracy = self.model.evaluate(*self.test, verbose=0)
        self.clock.epoch_done(epoch + 1, accuracy)
        self.model.stop_training = self.clock.train_s >= self.seconds


def build_model() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10),
        ]
    )


def main() -> None:
    asked = arguments(__doc__ or "", epochs=10).parse_args()
    clock = Clock()
    keras.utils.set_random_seed(asked.seed)
    (train_images, train_labels), (test_images, test_labels) = read_archive(asked.data)
    train_images, test_images = train_images.astype("float32") / 255, test_images.astype("float32") / 255

    model = build_model()
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    measure = Measure(clock, (test_images, test_labels), asked.seconds)
    model.fit(train_images, train_labels, batch_size=32, epochs=asked.epochs, verbose=0, callbacks=[measure])


if __name__ == "__main__":
    main()
