"""A data set as a table: which picture, which score, which part, which source."""

import dataclasses
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iqa import images

if TYPE_CHECKING:
    import pandas
    from torch import Tensor

    from iqa.datasets import pixels

PARTS = ("train", "validation", "test")
COLUMNS = {  # name → dtype
    "path": "str",  # posix, relative to the root
    "score": "float64",  # [0, 1], higher is better; NaN: unlabelled
    "opinion": "float64",  # as published, in `score_range`
    "split": "str",  # one of PARTS
    "group": "str",  # what an interval counts as one unit: source photograph, chart, else the content
    "family": "str",  # degradation; "" unknown, "reference" pristine
    "level": "int64",  # 0 mildest; -1 unknown
    "digest": "str",  # sha256 of the file, hex
    "width": "int64",  # of the upright picture; -1 unknown
    "height": "int64",
    "votes": "str",  # how many people gave each grade, the worst first: "0 3 25 70 7"; "" unknown
    "size": "str",  # input size, as images.target reads it; "" native
}
FAULTS_SHOWN = 20  # a folder of the wrong name would otherwise print thousands


class DataError(ValueError):
    """A data set that cannot be used as asked; the sentence says what to change."""


@dataclass(frozen=True, eq=False)
class Manifest:
    """The rows of one data set and what is said about them wherever its numbers appear."""

    name: str
    root: Path
    table: "pandas.DataFrame"  # COLUMNS, rows in a fixed order, index 0…n−1
    score_range: tuple[float, float]  # of `opinion`: the worst and the best, mapped to 0 and 1
    scores_are: str  # "synthetic (HaarPSI + noise)", "opinion scores"
    protocol: str  # how the parts were made
    notes: tuple[str, ...] = ()  # lines for a stage to print: guesses, split, licence
    resample: str = "bicubic"  # filter of the resizing to the column `size`
    deviations: tuple[str, ...] = ()  # from how the set is published, for a result's reader

    def __len__(self) -> int:
        return len(self.table)

    def file(self, i: int) -> Path:
        """Where row i's picture lies."""
        return self.root / self.table["path"].iloc[i]

    def read(self, i: int) -> "Tensor":
        """Row i's picture at its input size: (3, H, W) uint8, from the cache where that has it."""
        size, content = self.table["size"].iat[i] or images.NATIVE, self.table["digest"].iat[i]
        cached = self._cached(size, content)
        return images.read(self.file(i), size=size, resample=self.resample) if cached is None else cached

    def _cached(self, size: str, content: str) -> "Tensor | None":
        """A content's pixels in the cache, looked through when they are first read; None where there are none."""
        from iqa.datasets import pixels

        place = self._places[size].get(content)
        if place is None:
            return None
        found = place.read_sound(known=place in self._sound)
        if found is None:
            pixels.tell_damaged(place.file)
            del self._places[size][content]
        self._sound.add(place)
        return found

    @functools.cached_property
    def _sound(self) -> "set[pixels.Place]":
        """Places that were looked through: once is enough, since a checksum reads whole pictures, a crop a part."""
        return set()

    @functools.cached_property
    def _places(self) -> "dict[str, dict[str, pixels.Place]]":
        """Input size → digest → place in the cache."""
        from iqa.datasets import pixels

        sizes = {size or images.NATIVE for size in self.table["size"]}
        return {size: pixels.places(size, self.resample) for size in sizes}

    @functools.cached_property
    def digest(self) -> str:
        """32 hex digits of contents, scores and parts: equal wherever and in whatever order the files lie."""
        columns = (self.table[name] for name in ("digest", "score", "split"))
        rows = sorted(f"{content}\t{float(score)!r}\t{part}" for content, score, part in zip(*columns, strict=True))
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:32]

    def part(self, name: str) -> "Manifest":
        """The rows of train, validation or test; maybe none."""
        if name not in PARTS:
            raise DataError(f"there is no part {name!r} of a data set: the parts are {', '.join(PARTS)}")
        return self.where(self.table["split"] == name)

    def references(self) -> "Manifest":
        """The pristine rows where the set marks them, else all."""
        pristine = self.table["family"] == "reference"
        return self.where(pristine) if pristine.any() else self

    def labelled(self) -> "Manifest":
        """Itself, if every row has a score."""
        bare = int(self.table["score"].isna().sum())
        if bare:
            raise DataError(
                f"{self.name} has no score for {bare} of its {len(self)} images: "
                "give a csv with a score for each, or use the folder for pretraining only"
            )
        return self

    def comparable(self) -> "Manifest":
        """Itself, if the scores of each part differ: elsewhere no correlation is defined."""
        faults = constant(list(self.table["split"]), list(self.table["opinion"]))
        if faults:
            raise DataError(f"{self.name}: {'; '.join(faults)}")
        return self

    def varied(self) -> "Manifest":
        """Itself, unless all of its scores are equal, with which nothing correlates."""
        fault = equal(list(self.table["opinion"]))
        if fault:
            raise DataError(f"{self.name}: {fault}")
        return self

    def fitting(self, crop: int, on_bad: str = "error") -> "Manifest":
        """Itself, if a square of `crop` pixels fits into every picture at its input size; else as `on_bad` says.

        Raises DataError too where that would leave nothing.
        """
        columns = (self.table[name] for name in ("path", "width", "height", "size"))
        faults = {}
        for row, (path, width, height, size) in enumerate(zip(*columns, strict=True)):
            wide, high = images.target(width, height, size or images.NATIVE)
            if width > 0 and min(wide, high) < crop:
                faults[row] = f"{path!r} is {wide}×{high} at its input size"
        if not faults:
            return self
        told = f"{len(faults)} of {len(self)} pictures of {self.name} are smaller than a crop of {crop}"
        shown = listed(list(faults.values()))
        if len(faults) == len(self):
            raise DataError(f"{told}, and nothing would be left (lower the crop size, or raise input_size):\n{shown}")
        if on_bad == "error":
            raise DataError(
                f"{told} (lower the crop size, raise input_size, or pass on_bad=skip to leave them out):\n{shown}"
            )
        kept = [row not in faults for row in range(len(self))]
        return self.where(kept).with_notes(f"{told}: left out\n{shown}")

    def with_notes(self, *lines: str) -> "Manifest":
        """The same rows, more to say."""
        return dataclasses.replace(self, notes=(*self.notes, *lines))

    def where(self, rows: Any) -> "Manifest":
        """The rows that a mask keeps."""
        return dataclasses.replace(self, table=self.table[rows].reset_index(drop=True))


def constant(parts: Sequence[str], opinions: Sequence[float]) -> list[str]:
    """A sentence for each part whose scores are fewer than two different ones, or for all parts together."""
    told = [(part, opinion) for part, opinion in zip(parts, opinions, strict=True) if opinion == opinion]
    if fault := equal([opinion for _, opinion in told]):
        return [fault]
    found = []
    for name in PARTS:
        own = [opinion for part, opinion in told if part == name]
        if own and len(set(own)) == 1:
            has = f"{len(own):,} pictures, all with the score {own[0]:g}" if len(own) > 1 else "1 picture"
            found.append(
                f"the {name} part has {has}, and a correlation needs two different scores: "
                "add pictures, or choose another protocol or split_seed"
            )
    return found


def equal(opinions: Sequence[float]) -> str:
    """A sentence for several scores that are all the same, else ""."""
    if len(opinions) < 2 or len(set(opinions)) > 1:
        return ""
    return f"all {len(opinions):,} scores are {opinions[0]:g}: give scores that differ"


def listed(faults: list[str]) -> str:
    """One indented line each, the first FAULTS_SHOWN of them."""
    rest = len(faults) - FAULTS_SHOWN
    return "\n".join([f"  {fault}" for fault in faults[:FAULTS_SHOWN]] + ([f"  … and {rest} more"] if rest > 0 else []))


def table_of(columns: dict[str, Any]) -> "pandas.DataFrame":
    """Columns as sequences → a table with COLUMNS' order and types; what is left out is unknown."""
    import pandas as pd

    count = len(columns["path"])
    unknown: dict[str, Any] = {"score": float("nan"), "opinion": float("nan"), "level": -1, "width": -1, "height": -1}
    full = {name: columns.get(name, [unknown.get(name, "")] * count) for name in COLUMNS}
    return pd.DataFrame({name: pd.Series(full[name], dtype=kind) for name, kind in COLUMNS.items()})
