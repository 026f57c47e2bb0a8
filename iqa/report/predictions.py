"""A model's answers on one data set, as its run left them."""

import csv
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Predictions:
    """One model on one data set: image names, units, opinion scores and predictions, (n,) each, sorted by name.

    families, levels: of each image's degradation, "" and -1 where the set does not say.
    """

    paths: tuple[str, ...]
    units: np.ndarray
    scores: np.ndarray
    values: np.ndarray
    run: str
    families: np.ndarray = field(default_factory=lambda: np.array([]))
    levels: np.ndarray = field(default_factory=lambda: np.array([]))

    def without(self, families: Collection[str]) -> "Predictions":
        """The images of other families; all where the set names none."""
        kept = ~np.isin(self.families, list(families)) if len(self.families) else np.ones(len(self.scores), dtype=bool)
        paths = tuple(path for path, keep in zip(self.paths, kept, strict=True) if keep)
        families, levels = (part[kept] if len(part) else part for part in (self.families, self.levels))
        return Predictions(paths, self.units[kept], self.scores[kept], self.values[kept], self.run, families, levels)


def read_predictions(path: Path, run: str, ranked: bool = True) -> Predictions:
    """predictions/<dataset>.csv (path, group, score, prediction); an image without a group is its own unit.

    ranked: by name, so that runs can be paired; else in the file's order, which is that of the run's features.
    Raises ValueError for an empty file and for scores that are no finite numbers.
    """
    with open(path, encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    if ranked:
        lines.sort(key=lambda line: line["path"])
    numbers = np.array([(float(line["score"]), float(line["prediction"])) for line in lines]).reshape(-1, 2)
    if not len(lines) or not np.isfinite(numbers).all():
        bad = int((~np.isfinite(numbers)).any(axis=1).sum())
        raise ValueError(f"{bad} of its {len(lines)} images have a score or prediction that is no finite number")
    units = np.array([line.get("group") or line["path"] for line in lines])
    families = np.array([line.get("family") or "" for line in lines])
    levels = np.array([int(line.get("level") or -1) for line in lines])
    return Predictions(
        tuple(line["path"] for line in lines), units, numbers[:, 0], numbers[:, 1], run, families, levels
    )
