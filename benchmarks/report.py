"""How large a run's report is, how quickly it is written, and how quickly it opens in Chromium.

    python benchmarks/report.py RUN [RUN …]

A line for each run: megabytes of the page, seconds to write it, and from the start of the navigation, by the browser's
own clock, until the first paint and until the whole page is loaded: the median of five fresh windows. Wanted: at most
5 MB for ten classes, and less than a second until it is loaded. The exit code says whether that holds.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from gnomon.report import write_report

WINDOWS = 5
MOST_BYTES, MOST_S = 5_000_000, 1.0
TIMES = """async () => {
  while (!performance.getEntriesByName('first-contentful-paint').length) await new Promise(requestAnimationFrame);
  return [
  performance.getEntriesByName('first-contentful-paint')[0].startTime,
  performance.getEntriesByType('navigation')[0].loadEventEnd,
  ];
}"""


def opened(browser: Browser, page: Path) -> tuple[float, float]:
    """Seconds to the first paint and to the end of loading."""
    found: list[Any] = []
    for _ in range(WINDOWS):
        window = browser.new_page(viewport={"width": 1400, "height": 900})
        window.goto(page.resolve().as_uri(), wait_until="load")
        found.append(window.evaluate(TIMES))
        window.close()
    return statistics.median(paint for paint, _ in found) / 1000, statistics.median(end for _, end in found) / 1000


def main(runs: list[str]) -> int:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    good = True
    print(f"{'run':32} {'MB':>6} {'written s':>10} {'painted s':>10} {'loaded s':>9}")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for name in runs:
            write_report(Path(name))  # templates are compiled once a process
            began = time.perf_counter()
            page = write_report(Path(name))
            written_s = time.perf_counter() - began
            painted_s, loaded_s = opened(browser, page)
            size = page.stat().st_size
            good = good and size <= MOST_BYTES and loaded_s < MOST_S
            print(f"{Path(name).name:32} {size / 1e6:6.2f} {written_s:10.2f} {painted_s:10.2f} {loaded_s:9.2f}")
        browser.close()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
