"""Two networks judged: scores with their intervals, what doubt is worth, and whether one of them is better."""

import gnomon
from gnomon.evaluate.compare import compare
from gnomon.evaluate.operating import operating_points, wanted_of
from gnomon.evaluate.told import told_comparison, told_evaluation, told_points
from gnomon.judgement import Evaluation
from gnomon.models import Cnn
from gnomon.rundir.run import TEST, open_run

EPOCHS = 4

if __name__ == "__main__":
    first = gnomon.train("digits", epochs=EPOCHS, model=Cnn(widths=(8, 8, 8)), progress=False)
    second = gnomon.train("digits", epochs=EPOCHS, progress=False)
    judged = open_run(second.path).read_json(TEST, Evaluation)
    print(told_evaluation(judged), "\n")

    # From which probability on may it be called an 8, if 95 of 100 such answers shall be right?
    print(told_points(operating_points(open_run(second.path), wanted_of("precision=0.95:8"))), "\n")

    # On the same test rows, is the second better, or may that be chance?
    print(told_comparison(compare(open_run(first.path), open_run(second.path))))
