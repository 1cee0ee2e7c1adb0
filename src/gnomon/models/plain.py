"""The network of the textbooks, exactly: Conv 32-64-64 (3×3, no padding, ReLU), two 2×2 max-poolings, dense 64.

A convolution layer here, as in every deep-learning library, is a cross-correlation: the filter is not flipped.

    textbook's convolution      y[i, j] = Σ_m Σ_n x[i − m, j − n] · w[m, n]
    what this layer computes    y[i, j] = Σ_m Σ_n x[i + m, j + n] · w[m, n] + b

The two differ by a flip of the filter in both directions; since filters are learnt, nothing is lost.
"""

from collections import OrderedDict
from typing import Final

from torch import nn

from ..errors import DataError
from ..space import Dimension
from ..types import Value

SPACE: Final = (
    Dimension(name="dropout", usual=0.0, low=0.0, high=0.5),
    Dimension(name="dense", usual=64, low=32, high=256, log=True, whole=True),
)
"""What a search may vary of it."""


class Plain(Value, tag="plain", tag_field="model", frozen=True):
    """Spec of the textbook network. For 32×32×3 and 10 classes it has 122,570 parameters.

    Attributes:
        widths: filters of the three convolutions.
        dense: units of the hidden dense layer.
        dropout: share of hidden units dropped in training.
    """

    widths: tuple[int, int, int] = (32, 64, 64)
    dense: int = 64
    dropout: float = 0.0

    def build(self, input_shape: tuple[int, ...], num_outputs: int) -> nn.Module:
        """`(N, C, H, W)` → `(N, num_outputs)` logits.

        Raises:
            DataError: the pictures are smaller than 18×18, and nothing would be left after the poolings.
        """
        channels, height, width = input_shape
        rows, columns = (((side - 2) // 2 - 2) // 2 - 2 for side in (height, width))
        if min(rows, columns) < 1:
            raise DataError(
                f"the model 'plain' needs pictures of at least 18×18, and these are {width}×{height}",
                remedy="Use --size 32, or --model cnn.",
            )
        first, second, third = self.widths
        return nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(channels, first, 3),
                relu1=nn.ReLU(),
                pool1=nn.MaxPool2d(2),
                conv2=nn.Conv2d(first, second, 3),
                relu2=nn.ReLU(),
                pool2=nn.MaxPool2d(2),
                conv3=nn.Conv2d(second, third, 3),
                relu3=nn.ReLU(),
                flatten=nn.Flatten(),
                dense1=nn.Linear(third * rows * columns, self.dense),
                relu4=nn.ReLU(),
                dropout=nn.Dropout(self.dropout),
                dense2=nn.Linear(self.dense, num_outputs),
            )
        )
