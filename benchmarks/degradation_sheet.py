"""Every degradation family at every level on one photograph: what `docs/degradations.md` shows.

    python -m benchmarks.degradation_sheet            # about half a minute

Writes docs/degradations.md and a picture for each group into docs/degradations/; the same code, the same pixels. The
table gives each level's mean squared error against the photograph, ×10⁴: it has to rise, and the command fails where
it does not.
"""

import argparse
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from iqa import degradations
from iqa.degradations import FAMILIES
from iqa.randomness import generator

DOCS = Path(__file__).resolve().parents[1] / "docs"
SIDE, GAP, LEFT, TOP = 160, 6, 150, 26  # pixels
LEVELS, DPI, QUALITY = 5, 100, 90
CORNER = (28, 140)  # of the crop: a face, cloth, a flag behind it
HEAD = """# Every family at every level

Made by `python -m benchmarks.degradation_sheet`; the photograph is the astronaut of scikit-image (NASA, public
domain), a crop of {side} pixels. The first column is the photograph; level 1 is the mildest. Under each picture stands
the severity in the family's own unit (`iqa/degradations/`). The pictures are JPEG files of quality {quality}, which
adds a little of its own.

"""


def photograph() -> Tensor:
    """(1, 3, SIDE, SIDE) in [0, 1]."""
    from skimage import data

    top, left = CORNER
    pixels = data.astronaut()[top : top + SIDE, left : left + SIDE]
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


def views(image: Tensor, family: str) -> Tensor:
    """The photograph and its levels: (1 + LEVELS, 3, SIDE, SIDE)."""
    return torch.cat([image, degradations.degrade(image, family, LEVELS, [generator("sheet", family)])[0]])


def draw(file: Path, rows: dict[str, Tensor]) -> None:
    """A row for each family, pixel by pixel."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    step = SIDE + TOP
    width, height = LEFT + (LEVELS + 1) * (SIDE + GAP), GAP + len(rows) * step
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    FigureCanvasAgg(figure)
    for row, (family, shown) in enumerate(rows.items()):
        bottom = height - GAP - (row + 1) * step
        put(figure, family.replace("_", "\n"), 8, bottom + TOP + SIDE / 2, height, width)
        labels = ["photograph", *(f"{severity:g}" for severity in degradations.severities(family, LEVELS))]
        for column, (view, label) in enumerate(zip(shown, labels, strict=True)):
            left = LEFT + column * (SIDE + GAP)
            figure.figimage(pixels(view), left, bottom + TOP)
            put(figure, label, left + 4, bottom + TOP / 2, height, width)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, format="jpeg", pil_kwargs={"quality": QUALITY, "subsampling": 0})


def put(figure: Any, text: str, x: float, y: float, height: int, width: int) -> None:
    """Text at a place in pixels from the lower left."""
    figure.text(x / width, y / height, text, fontsize=9, va="center", family="DejaVu Sans")


def pixels(view: Tensor) -> np.ndarray:
    """(3, H, W) in [0, 1] → (H, W, 3) bytes."""
    return (view * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()


def errors(shown: Tensor) -> list[float]:
    """Each level's mean squared error against the photograph, ×10⁴. Raises AssertionError where it does not rise."""
    found = [1e4 * float((view - shown[0]).square().mean()) for view in shown[1:]]
    assert all(low < high for low, high in pairwise(found)), found
    return found


def page(image: Tensor) -> str:
    """The Markdown page; its pictures are written beside it."""
    parts = [HEAD.format(side=SIDE, quality=QUALITY)]
    for group in dict.fromkeys(family.group for family in FAMILIES.values()):
        rows = {name: views(image, name) for name, family in FAMILIES.items() if family.group == group}
        draw(DOCS / "degradations" / f"{group}.jpg", rows)
        parts.append(f"## {group.capitalize()}\n\n![{group}](degradations/{group}.jpg)\n\n")
        parts.append("| error ×10⁴ at level | 1 | 2 | 3 | 4 | 5 |\n|---|---|---|---|---|---|\n")
        parts += [
            f"| {name} | {' | '.join(f'{value if value > 1e-3 else 0:.3g}' for value in errors(shown))} |\n"
            for name, shown in rows.items()
        ]
        parts.append("\n")
    return "".join(parts).rstrip() + "\n"


def main() -> None:
    """Write the page and its pictures, and say how large they are."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    file = DOCS / "degradations.md"
    file.write_text(page(photograph()), encoding="utf-8")
    sizes = {picture.name: picture.stat().st_size for picture in sorted((DOCS / "degradations").glob("*.jpg"))}
    print(f"{file} and {len(sizes)} pictures, {sum(sizes.values()) / 1e6:.1f} MB in all")


if __name__ == "__main__":
    main()
