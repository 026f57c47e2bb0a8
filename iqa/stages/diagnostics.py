"""What pretraining measured each epoch, as one figure and the numbers behind it."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NAME = "pretraining"
ACCURACY = "val/ordering/"
DASHES = ("-", "--", "-.", ":")
SIZE, DPI = (11.0, 3.4), 140  # inches


def write(folder: Path, curve: Sequence[dict[str, float]]) -> Path:
    """pretraining.png and pretraining.csv of {"epoch": …, metric: value} an epoch, into a folder of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{NAME}.csv").open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, list(curve[0]))
        writer.writeheader()
        writer.writerows(curve)
    draw(folder / f"{NAME}.png", curve)
    return folder


def draw(file: Path, curve: Sequence[dict[str, float]]) -> None:
    """Three panels: the loss and its terms, ordering accuracy for each family, spread and cosine (collapse)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    loss, accuracy, spread = figure.subplots(1, 3)
    names = [name for name in curve[0] if name != "epoch"]
    lines(loss, curve, {name.removeprefix("train/"): name for name in names if name.startswith("train/")})
    loss.set(title="Loss and its terms, training", ylim=(0, None))
    families = {name.removeprefix(ACCURACY): name for name in names if name.startswith(ACCURACY)}
    lines(accuracy, curve, families | {"mean": "val/ordering"})
    accuracy.set(title="Pairs of levels in order, held out", ylim=(-0.03, 1.03))
    lines(spread, curve, {"spread of the scores": "val/score_spread", "cosine of prototypes": "val/prototype_cosine"})
    spread.set(title="Collapse?")
    figure.savefig(file, format="png", metadata={"Software": None})


def lines(axes: Any, curve: Sequence[dict[str, float]], names: dict[str, str]) -> None:
    """A line for each metric; dashes go on where the colours come round."""
    from matplotlib.ticker import MaxNLocator

    for index, (label, name) in enumerate(names.items()):
        look = {
            "color": f"C{index % 10}",
            "linestyle": DASHES[index // 10 % len(DASHES)],
            "marker": ".",
            "label": label,
        }
        axes.plot([row["epoch"] for row in curve], [row[name] for row in curve], **look)
    axes.set_xlabel("Epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=6, ncols=1 if len(names) <= 8 else 3)
