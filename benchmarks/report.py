"""How large a run's report is, how quickly it is written, and how quickly it opens in Chromium.

    python benchmarks/report.py RUN [RUN …] [--picture docs/report.png]

A line for each run: megabytes of the page, seconds to write it, and from the start of the navigation, by the browser's
own clock, until the first paint and until the whole page is loaded: the median of five fresh windows. Wanted: at most
5 MB for ten classes, and less than a second until it is loaded. The exit code says whether that holds.
`--picture` draws the README's picture from the first run: its verdict, and what one cell of the matrix leads to.
"""

from __future__ import annotations

import argparse
import io
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from PIL import Image
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


def draw(browser: Browser, page: Path, path: Path) -> None:
    """The top of the page in light; beside it in dark the matrix, with the rows behind its greatest confusion."""
    left = _window(browser, page, "light", "scrollTo(0, 0)")
    right = _window(
        browser,
        page,
        "dark",
        """() => {
          const wrong = [...document.querySelectorAll('.matrix td:not(.right) a')];
          wrong.sort((a, b) => b.textContent - a.textContent)[0].click();
          document.activeElement.blur();
          document.querySelector('#confusion h3').scrollIntoView();
          scrollBy(0, -24);
        }""",
    )
    both = Image.new("RGB", (left.width + right.width, left.height))
    both.paste(left, (0, 0))
    both.paste(right, (left.width, 0))
    both.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {both.width} × {both.height}, {path.stat().st_size / 1000:.0f} kB")


def _window(browser: Browser, page: Path, scheme: Any, script: str) -> Image.Image:
    window = browser.new_page(viewport={"width": 960, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
    window.goto(page.resolve().as_uri())
    window.evaluate(script)
    window.wait_for_timeout(300)
    return Image.open(io.BytesIO(window.screenshot()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--picture", type=Path, metavar="PNG")
    chosen = parser.parse_args()
    program = shutil.which("chromium") or shutil.which("google-chrome")
    good = True
    print(f"{'run':32} {'MB':>6} {'written s':>10} {'painted s':>10} {'loaded s':>9}")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for run in chosen.runs:
            write_report(run)  # templates are compiled once a process
            began = time.perf_counter()
            page = write_report(run)
            written_s = time.perf_counter() - began
            painted_s, loaded_s = opened(browser, page)
            size = page.stat().st_size
            good = good and size <= MOST_BYTES and loaded_s < MOST_S
            print(f"{run.name:32} {size / 1e6:6.2f} {written_s:10.2f} {painted_s:10.2f} {loaded_s:9.2f}")
        if chosen.picture:
            draw(browser, chosen.runs[0] / "report.html", chosen.picture)
        browser.close()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
