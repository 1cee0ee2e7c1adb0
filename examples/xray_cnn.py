"""See through a CNN of your own: what an answer rests on, and every number on the way to it, as a page."""

import gnomon
from gnomon.models import Cnn

if __name__ == "__main__":
    run = gnomon.train("digits", epochs=8, model=Cnn(widths=(16, 32), stem_width=16), progress=False)
    print(f"{run.metrics['accuracy'].value:.1%} right")

    # Six digits of the test part, told rightly, wrongly and with doubt, followed through the network.
    page = run.xray()
    print(f"{page.name}: {page.stat().st_size / 1e6:.1f} MB, to be opened in a browser")
