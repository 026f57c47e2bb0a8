"""Numbers and small images → PNG bytes: maps of features, attention, rankings, bars. The style is `plots`'."""

from collections.abc import Mapping, Sequence

import numpy as np

from iqa.report.kept import kept
from iqa.report.plots import MARKERS, PALETTE, canvas, label, words


@kept
def embedding(places: np.ndarray, colour: np.ndarray, title: str, legend: Sequence[str] = ()) -> bytes:
    """Points (n, 2): coloured by a number each, or by the index of a category in `legend`."""
    with canvas((4.3, 3.7)) as (axes, png):
        if legend:
            for index, name in enumerate(legend):
                at = colour == index
                look = {"color": PALETTE[index % len(PALETTE)], "marker": MARKERS[index % len(MARKERS)]}
                axes.scatter(places[at, 0], places[at, 1], s=14, alpha=0.75, lw=0, label=label(name), **look)
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7)
        else:
            shown = axes.scatter(places[:, 0], places[:, 1], c=colour, cmap="cividis", s=14, alpha=0.85, lw=0)
            axes.figure.colorbar(shown, ax=axes)
        axes.set(title=words(title), xticks=[], yticks=[])
        axes.grid(visible=False)
    return png[0]


@kept
def attention(crops: np.ndarray, maps: np.ndarray, stages: np.ndarray, windows: np.ndarray) -> bytes:
    """A column for each image: the crop, its gradient map, its last window if there is one, its stage weights."""
    rows = 2 + bool(windows.size) + bool(stages.size)
    with canvas((1.5 * len(crops), 1.4 * rows), rows, len(crops)) as (axes, png):
        for column, crop in enumerate(crops):
            axes[0, column].imshow(crop)
            axes[1, column].imshow(crop.mean(axis=2), cmap="gray")
            extent = (-0.5, crop.shape[1] - 0.5, crop.shape[0] - 0.5, -0.5)
            axes[1, column].imshow(maps[column], cmap="cividis", alpha=0.6, extent=extent, interpolation="bilinear")
            if windows.size:
                axes[2, column].imshow(windows[column], cmap="cividis")
            if stages.size:
                bars = axes[-1, column]
                bars.bar(range(1, 5), stages[column], color=PALETTE[0])
                bars.set(ylim=(0, 1), xticks=range(1, 5))
        for at, name in enumerate(["image", "gradient map", *["window"] * bool(windows.size)]):
            axes[at, 0].set_ylabel(name)
            for one in axes[at]:
                one.set(xticks=[], yticks=[])
                one.grid(visible=False)
        if stages.size:
            axes[-1, 0].set_ylabel("stage weight")
    return png[0]


@kept
def ranking(scores: np.ndarray, predictions: np.ndarray, title: str) -> bytes:
    """Rank by prediction over rank by given score: a line of points where the order is right."""
    with canvas((4.3, 3.1)) as (axes, png):
        given, predicted = (np.argsort(np.argsort(one, kind="stable"), kind="stable") for one in (scores, predictions))
        shown = axes.scatter(given, predicted, c=np.abs(given - predicted), cmap="cividis_r", s=12, lw=0)
        axes.figure.colorbar(shown, ax=axes, label="ranks apart")
        axes.set(xlabel="Rank by given score", ylabel="Rank by prediction", title=words(title))
    return png[0]


@kept
def sheet(shown: Sequence[np.ndarray], labels: Sequence[str], columns: int = 4) -> bytes:
    """Small images (h, w, 3) in reading order, each under its label; columns: as many as a phone has room for."""
    rows = -(-len(shown) // columns)
    with canvas((4.3, 1.3 * rows), rows, columns) as (axes, png):
        for one in axes.flat:
            one.axis("off")
        for one, pixels, text in zip(axes.flat, shown, labels, strict=False):
            one.imshow(pixels)
            one.set_title(text, fontsize=6.5, fontweight="normal", loc="center", pad=2)
    return png[0]


@kept
def bars(values: Mapping[str, Sequence[float]], title: str, axis: str) -> bytes:
    """A bar for each row at the mean, every seed a dot."""
    with canvas((4.3, 1.2 + 0.42 * len(values))) as (axes, png):
        for row, (_, seeds) in enumerate(values.items()):
            axes.barh(row, float(np.mean(seeds)), color=PALETTE[5], height=0.6, zorder=2)
            axes.scatter(seeds, [row] * len(seeds), s=16, color=PALETTE[0], zorder=3, lw=0)
        every = [value for seeds in values.values() for value in seeds]
        room = max(0.01, (max(every) - min(every)) * 0.5)
        axes.set_xlim(min(every) - room, max(every) + room)
        axes.set_yticks(range(len(values)), [label(name) for name in values])
        axes.set(xlabel=axis, title=words(title))
        axes.set_ylim(len(values) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
    return png[0]
