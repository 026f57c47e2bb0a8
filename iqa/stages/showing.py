"""Pictures of a test set for the report, which opens none: those farthest off, and some along the predicted order."""

from typing import Any

import numpy as np

from iqa import images, metrics
from iqa.datasets import Manifest

STRIP = 8  # pictures
SIDE = 160  # pixels of a thumbnail's longer side


def show(predictions: np.ndarray, test: Manifest, run: Any) -> None:
    """Leave pictures/<set>.npz: paths (n,), the JPEG of each under its place ("0", "1", …), and two lists of places.

    worst: the largest errors first; strip: from the lowest prediction to the highest, at equal steps of the rank.
    """
    worst, strip = metrics.farthest_off(predictions, test.table["score"].to_numpy()), along(predictions)
    rows = list(dict.fromkeys([*worst, *strip]))
    found = {
        "paths": np.array([test.table["path"].iloc[row] for row in rows]),
        "worst": np.array([rows.index(row) for row in worst]),
        "strip": np.array([rows.index(row) for row in strip]),
    }
    jpegs = {str(at): np.frombuffer(images.thumbnail(test.read(row), SIDE), np.uint8) for at, row in enumerate(rows)}
    file = run.folder / "pictures" / f"{test.name}.npz"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as out:
        np.savez(out, allow_pickle=False, **found, **jpegs)
    run.artifact(file, "pictures")


def along(predictions: np.ndarray) -> list[int]:
    """Rows from the lowest prediction to the highest, at equal steps of the rank."""
    ranked = np.argsort(predictions, kind="stable")
    steps = np.linspace(0, len(ranked) - 1, min(STRIP, len(ranked))).round().astype(int)
    return ranked[steps].tolist()
