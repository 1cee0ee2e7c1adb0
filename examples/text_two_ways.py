"""A convolutional and a recurrent network on the same texts: a table `text,label` as the first word of the command.

python examples/text_two_ways.py reviews.csv
"""

import sys

import gnomon

if __name__ == "__main__":
    for name in ("textcnn", "gru", "wide-deep"):
        run = gnomon.train(sys.argv[1], epochs=6, model=name, progress=False)
        accuracy = run.metrics["accuracy"]
        print(f"{name:<10} {accuracy.value:.1%} right ({accuracy.low:.1%} to {accuracy.high:.1%})")
