"""Numbers → PNG bytes, in one style. Same numbers, same bytes: no metadata, bundled fonts, no global state."""

import io
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from iqa.report.kept import kept

# Okabe & Ito (2008): distinct in every common form of colour blindness; dashes and markers tell them apart in grey.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.labelcolor": "#333333",
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.8,
    "svg.hashsalt": "iqa",
}
SIZE, DPI = (4.3, 3.1), 160  # inches; one panel fills a phone's width with letters of about 11 px


@contextmanager
def canvas(size: tuple[float, float] = SIZE, rows: int = 0, columns: int = 0) -> Iterator[tuple[Any, list[bytes]]]:
    """Axes to draw on, one or an array of rows × columns; after the block the list holds the PNG."""
    import matplotlib.style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    png: list[bytes] = []
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=size, dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure.subplots(rows, columns, squeeze=False) if rows else figure.add_subplot(), png
        out = io.BytesIO()
        figure.savefig(out, format="png", metadata={"Software": None})
        png.append(out.getvalue())


def words(text: str, width: int = 42) -> str:
    """Text for a picture: wrapped, and without matplotlib's mathematics, which a `$` would start."""
    return "\n".join(textwrap.wrap(text, width)).replace("$", r"\$")


def label(text: str) -> str:
    """The name of a line of a picture, its middle left out where it is long."""
    return words(text if len(text) <= 26 else f"{text[:12]}…{text[-12:]}")


@kept
def lines(
    curves: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]], title: str, titles: Mapping[str, str]
) -> bytes:
    """Mean over runs per epoch with the band between the lowest and the highest.

    titles: of every arm, also of those without a curve; their order fixes the colours.
    """
    from matplotlib.ticker import MaxNLocator

    with canvas() as (axes, png):
        for name, runs in curves.items():
            index = list(titles).index(name) % len(PALETTE)
            epochs = sorted({epoch for line in runs.values() for epoch, _ in line})
            values = [[value for line in runs.values() for at, value in line if at == epoch] for epoch in epochs]
            colour, mark = PALETTE[index], MARKERS[index] if len(epochs) <= 15 else None
            means = [float(np.mean(at)) for at in values]
            look = {"color": colour, "linestyle": DASHES[index], "marker": mark, "markersize": 4}
            axes.plot(epochs, means, **look, label=label(titles[name]))
            axes.fill_between(
                epochs, [min(at) for at in values], [max(at) for at in values], color=colour, alpha=0.16, lw=0
            )
        axes.set(xlabel="Epoch", title=words(title))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        axes.margins(x=0.03)
        if len(curves) > 1:
            axes.legend(loc="best")
    return png[0]


@kept
def scatter(
    scores: np.ndarray, predictions: np.ndarray, fit: np.ndarray, title: str, colour: int, span: tuple[float, float]
) -> bytes:
    """Prediction over given score, both (n,), with the line of equality and a curve of (score, prediction) (2, m).

    span: lowest and highest prediction on the axis, the same for pictures that are compared.
    """
    with canvas((4.3, 4.1)) as (axes, png):
        index = colour % len(PALETTE)
        few = len(scores) < 500
        look = {"s": 18, "alpha": 0.6} if few else {"s": 5, "alpha": 0.3}
        axes.plot([0, 1], [0, 1], color="#777777", linestyle="--", linewidth=1, zorder=1)
        axes.scatter(scores, predictions, color=PALETTE[index], marker=MARKERS[index], lw=0, zorder=2, **look)
        axes.plot(*fit, color="#222222", linewidth=1.4, zorder=3)
        axes.set(xlabel="Given score", ylabel="Predicted score", title=words(title), xlim=(-0.02, 1.02))
        axes.set_ylim(min(0.0, span[0]) - 0.02, max(1.0, span[1]) + 0.02)
    return png[0]


@kept
def dots(
    values: Mapping[str, Mapping[str, Sequence[float]]],
    families: Sequence[str],
    title: str,
    titles: Mapping[str, str],
    axis: str = "Share of pairs in the right order",
) -> bytes:
    """A line for each family, a dot for each seed of each arm, on the scale from one half (or the lowest) to 1.

    titles: as `lines` takes them.
    """
    with canvas((4.3, 1.3 + 0.36 * len(families))) as (axes, png):
        lowest = 0.5
        for index, (name, by_family) in enumerate(values.items()):
            shift = (index - (len(values) - 1) / 2) * 0.22
            points = [
                (value, row + shift) for row, family in enumerate(families) for value in by_family.get(family, ())
            ]
            lowest = min([lowest, *(x for x, _ in points)])
            x, y = zip(*points, strict=True)
            at = list(titles).index(name) % len(PALETTE)
            look = {"color": PALETTE[at], "marker": MARKERS[at]}
            axes.scatter(x, y, s=26, alpha=0.75, lw=0, label=label(titles[name]), **look, zorder=3, clip_on=False)
        axes.set_yticks(range(len(families)), [label(family) for family in families])
        axes.set(xlabel=axis, title=words(title), xlim=(lowest - 0.02, 1.005))
        axes.set_ylim(len(families) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
        if len(values) > 1:
            axes.legend(loc="lower left")
    return png[0]


@kept
def forest(
    labels: Sequence[str],
    deltas: Sequence[float],
    ends: Sequence[tuple[float, float]],
    seeds: Sequence[Sequence[float]],
) -> bytes:
    """A line for each comparison: interval, mean, and a small dot for each seed pair; zero is marked."""
    with canvas((4.3, 1.2 + 0.45 * len(labels))) as (axes, png):
        axes.axvline(0, color="#777777", linewidth=1, linestyle="--", zorder=1)
        for row, (delta, (low, high), pairs) in enumerate(zip(deltas, ends, seeds, strict=True)):
            axes.plot([low, high], [row, row], color=PALETTE[0], linewidth=2, zorder=2)
            axes.scatter([delta], [row], s=42, marker="D", color=PALETTE[0], zorder=4, lw=0)
            axes.scatter(pairs, [row + 0.22] * len(pairs), s=12, color=PALETTE[1], alpha=0.8, zorder=3, lw=0)
        axes.set_yticks(range(len(labels)), [label(one) for one in labels])
        axes.set(xlabel="ΔSRCC", title="Difference between the arms")
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
    return png[0]
