"""The picture of the results: accuracy on the test part over the seconds that it took."""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from results import NAMES, Run, grouped, median_points

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

Line = tuple[list[float], list[float]]
Place = tuple[float, float]

LEFT = 0.025
WIDTH, HEIGHT = 675, 360  # points: 900 × 480 pixels
TITLE = "CIFAR-10 as JPEG files: right answers on the test part, and the seconds that they took"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans'"
INK, SOFT, FAINT = "#1a1c20", "#595f69", "#e6e6e1"
COLOURS = {
    "gnomon": "#1b5cb3",
    "keras-tensorflow": "#b8500b",
    "keras-jax": "#8a6d00",
    "torch-cnn": "#9a3d78",
    "torch-resnet18": "#3b7a57",
}
TICKS = {
    4: "4 s",
    8: "8 s",
    15: "15 s",
    30: "30 s",
    60: "1 min",
    120: "2 min",
    300: "5 min",
    900: "15 min",
    3600: "1 h",
}
# Where a name may stand beside the end of its line: offset in points and alignment, best first.
PLACES = (
    *(((9, 0), "left", "center"), ((9, 8), "left", "center"), ((9, -8), "left", "center")),
    *(((0, 9), "center", "bottom"), ((0, -9), "center", "top"), ((4, 9), "right", "bottom"), ((4, -9), "right", "top")),
    *(((0, 22), "center", "bottom"), ((0, -22), "center", "top"), ((4, 22), "right", "bottom")),
)


def draw(runs: Iterable[Run], path: Path) -> bool:
    """Writes an SVG file: medians over seeds. Whether there was anything to draw."""
    runs = list(runs)
    lines = _lines(runs)
    if not lines:
        return False
    import matplotlib as mpl
    from matplotlib.figure import Figure

    look: dict[Any, Any] = {
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 10,
        "svg.fonttype": "none",
        "svg.hashsalt": "peers",
    }
    with mpl.rc_context(look):
        figure = Figure((WIDTH / 72, HEIGHT / 72), dpi=72)
        axes = figure.add_axes((0.07, 0.1, 0.9, 0.74))
        _dress(axes, lines)
        _frame(figure, _subtitle(runs))
        for program, line in lines.items():
            strong = program == "gnomon"
            width, size = (3, 6.5) if strong else (1.3, 3)
            axes.plot(*line, color=COLOURS[program], lw=width, marker="o", ms=size, zorder=4 if strong else 3)
        _write_beside(axes, lines)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Title": TITLE})
    text = path.read_text(encoding="utf-8").replace("'DejaVu Sans'", FONT)
    path.write_text("".join(f"{line.rstrip()}\n" for line in text.splitlines()), encoding="utf-8")
    return True


def _lines(runs: Iterable[Run]) -> dict[str, Line]:
    """Seconds and percentages of each program that has any; Gnomon's are those of its deadlines."""
    lines: dict[str, Line] = {}
    for (program, _), group in grouped(runs).items():
        for point in median_points(group):
            seconds, shares = lines.setdefault(program, ([], []))
            seconds.append(point.whole_s)
            shares.append(100 * point.accuracy)
    return lines


def _subtitle(runs: Iterable[Run]) -> str:
    machines = (str(run.first("started").get("machine", "")) for run in runs)
    cores = next((machine.partition(",")[0] for machine in machines if machine), "")
    how = "Gnomon: the whole command, once for each deadline · others: after each epoch, evaluation not counted"
    return " · ".join(filter(None, (cores, how)))


def _frame(figure: "Figure", subtitle: str) -> None:
    """A white panel, so that the picture reads on any ground, and what it shows."""
    from matplotlib.patches import FancyBboxPatch
    from matplotlib.transforms import IdentityTransform

    look: dict[str, Any] = {"facecolor": "white", "edgecolor": FAINT, "linewidth": 1, "zorder": -2}
    shape = "round,pad=0,rounding_size=8"
    figure.add_artist(FancyBboxPatch((1, 1), WIDTH - 2, HEIGHT - 2, shape, transform=IdentityTransform(), **look))
    figure.text(LEFT, 1 - 28 / HEIGHT, TITLE, color=INK, size=11.5, weight="bold")
    figure.text(LEFT, 1 - 44 / HEIGHT, subtitle, color=SOFT, size=9)


def _dress(axes: "Axes", lines: dict[str, Line]) -> None:
    """The scales."""
    from matplotlib.ticker import NullLocator, PercentFormatter

    seconds = [value for line in lines.values() for value in line[0]]
    shares = [value for line in lines.values() for value in line[1]]
    axes.set(xscale="log", xlim=(min(seconds) / 1.15, max(seconds) * 1.5), ylim=(min(shares) - 4, max(shares) + 5))
    axes.set_xticks([at for at in TICKS if axes.get_xlim()[0] <= at <= axes.get_xlim()[1]])
    axes.xaxis.set_major_formatter(lambda at, _: TICKS.get(round(at), ""))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(PercentFormatter(decimals=0, symbol=" %"))
    axes.tick_params(length=0, colors=SOFT, pad=7)
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)


def _write_beside(axes: "Axes", lines: dict[str, Line]) -> None:
    """The name of each line where it ends, and Gnomon's percentages above its points."""
    taken = [place for line in lines.values() for place in _along(axes, line)]
    for seconds, share in zip(*lines.get("gnomon", ([], [])), strict=True):
        look: dict[str, Any] = {"color": COLOURS["gnomon"], "size": 9.5, "ha": "center"}
        text = axes.annotate(f"{share:.0f}", (seconds, share), (0, 9), textcoords="offset points", **look)
        taken += _inside(text)
    for program, (seconds_of_line, shares) in sorted(lines.items(), key=lambda item: -item[1][0][-1]):
        look = {"color": COLOURS[program], "weight": "bold" if program == "gnomon" else "normal"}
        taken += _inside(_name(axes, NAMES[program], (seconds_of_line[-1], shares[-1]), taken, look))


def _name(axes: "Axes", name: str, end: Place, taken: list[Place], look: dict[str, Any]) -> "Text":
    """The name at the first of the PLACES that covers least of what is there."""
    choices = [
        axes.annotate(name, end, offset, textcoords="offset points", ha=across, va=up, **look)
        for offset, across, up in PLACES
    ]

    def fault(choice: "Text") -> int:
        box = choice.get_window_extent()
        hidden = sum(bool(box.padded(2).contains(*place)) for place in taken)
        return hidden + 100 * bool(box.x1 > WIDTH - 8)

    best = min(choices, key=fault)
    for choice in choices:
        if choice is not best:
            choice.remove()
    return best


def _inside(text: "Text") -> list[Place]:
    """Places on the page that a text covers."""
    box = text.get_window_extent()
    return [(box.x0 + box.width * x / 20, box.y0 + box.height * y / 4) for x in range(21) for y in range(5)]


def _along(axes: "Axes", line: Line) -> list[Place]:
    """Places on the page along a line, at most 3 points apart."""
    corners = [(float(x), float(y)) for x, y in map(axes.transData.transform, zip(*line, strict=True))]
    places = corners[-1:]
    for (x0, y0), (x1, y1) in pairwise(corners):
        count = int(max(abs(x1 - x0), abs(y1 - y0)) / 3) + 1
        places += [(x0 + (x1 - x0) * part / count, y0 + (y1 - y0) * part / count) for part in range(count)]
    return places
