"""Look inside a CNN of your own: what it looks at in a picture, and every number on the way, as a page."""

from pathlib import Path

import gnomon
from gnomon.datasets import digits

if __name__ == "__main__":
    run = gnomon.train("digits", epochs=4, model="cnn", progress=False)
