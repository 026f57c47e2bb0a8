"""Pictures that somebody names, by the file or by the folder: which those are, and their scores one by one."""

import csv
import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from torch import Tensor

from iqa import disk, images, tracking
from iqa.datasets.tree import Tree, is_utf8
from iqa.scorer import Scorer

SHOWN = 1000  # pictures that a sheet shows: the best and the worst half of them
SIDE = 240  # pixels of a thumbnail's longer side
COLUMNS = ("image", "score", "opinion", "model")
ALIKE = 2.0  # how many times larger or smaller than the training's pictures others may be without a word


@dataclass(frozen=True)
class Picture:
    """A scored picture: its path as it was named, score (0 to 1), opinion, thumbnail (JPEG; empty without a sheet)."""

    name: str
    score: float
    opinion: float
    thumbnail: bytes


@dataclass
class Album:
    """The pictures of a command: files in order, each once; a sentence for each that is skipped; what was seen."""

    files: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    again: int = 0  # files that were named more than once
    count: int = 0  # pictures that were scored
    sides: list[int] = field(default_factory=list)  # their short sides at the input size
    shown: list[Picture] = field(default_factory=list)  # best first; the ends alone where there are many

    @property
    def left_out(self) -> int:
        """How many scored pictures the sheet does not show."""
        return self.count - len(self.shown)


def named(paths: Sequence[str]) -> Album:
    """The files that paths mean: a file itself, of a folder every picture below it, in the order of their names."""
    made, seen = Album(), set[str]()
    for path in paths:
        for file in _files(path, made.skipped):
            real = os.path.realpath(file)
            made.again += real in seen
            if real not in seen:
                made.files.append(file)
            seen.add(real)
    return made


def _files(path: str, skipped: list[str]) -> list[str]:
    if not os.path.isdir(path):
        if is_utf8(path):
            return [path]
        skipped.append(f"{path!r} has a name that is not UTF-8: rename it")
        return []
    tree = Tree(Path(path))
    if tree.unnameable:
        skipped.append(f"{path!r} holds {tree.unnameable} pictures whose names are not UTF-8: rename them")
    elif not tree.files:
        skipped.append(f"{path!r} holds no pictures: put JPEG, PNG, BMP, TIFF or WebP files there")
    return [os.path.join(path, name) for name in tree.files]


def write(album: Album, scorer: Scorer, model: str, out: TextIO, thumbnails: bool) -> None:
    """Score the album: a line a picture into `out`, in order; what the sheet shows and what was skipped stay in it.

    Raises ValueError where nothing can be scored, Stopped when asked to stop.
    """
    lines = csv.writer(out)
    lines.writerow(COLUMNS)
    for picture in scored(album, scorer, thumbnails):
        tracking.stop_if_asked()
        lines.writerow((picture.name, repr(picture.score), f"{picture.opinion:.6g}", model))
        album.count += 1
        album.shown.append(picture)
        if len(album.shown) >= 2 * SHOWN:
            album.shown = ends(album.shown)
    album.shown = ends(album.shown)
    if not album.count:
        reasons = "".join(f"\n  {reason}" for reason in album.skipped) or " none was named"
        raise ValueError(f"There is no picture to score:{reasons}")


def scored(album: Album, scorer: Scorer, thumbnails: bool) -> Iterator[Picture]:
    """Each picture that can be read, in order; few are held at once. With a bar on a terminal."""
    from tqdm import tqdm

    waiting: deque[tuple[str, bytes]] = deque()

    def pictures() -> Iterator[Tensor]:  # in a thread that is a few batches ahead
        for file in tqdm(album.files, "scoring", unit="picture", leave=False, disable=None):
            try:
                pixels = scorer.read(file)
            except images.ImageError as error:
                album.skipped.append(str(error))
                continue
            album.sides.append(min(pixels.shape[1:]))
            waiting.append((file, images.thumbnail(pixels, SIDE) if thumbnails else b""))
            yield pixels

    for score in scorer.score(pictures()):
        name, thumbnail = waiting.popleft()
        yield Picture(name, score, scorer.scale.opinion(score), thumbnail)


def ends(pictures: list[Picture]) -> list[Picture]:
    """Best first; of more than SHOWN the best and the worst half."""
    ordered = sorted(pictures, key=lambda one: (-one.score, one.name))
    half = SHOWN // 2
    return ordered if len(ordered) <= SHOWN else ordered[:half] + ordered[-half:]


def unlike_training(album: Album, scorer: Scorer) -> str:
    """A sentence where the pictures are of another size than the model has learnt from, else nothing."""
    median, theirs = sorted(album.sides)[len(album.sides) // 2], scorer.preprocessing.short_side
    if theirs / ALIKE <= median <= theirs * ALIKE:
        return ""
    return (
        f"The short side of these pictures is {median:,} pixels (median), of those that the model learnt from "
        f"{theirs:,}: what it takes for blur or noise depends on that; --input_size={theirs} scales them alike."
    )


@contextmanager
def output(file: Path) -> Iterator[TextIO]:
    """A text file that takes an older one's place when it is whole, or does not appear at all."""
    if file.is_dir():
        raise ValueError(f"{file} is a folder: give the name of a file.")
    if file.suffix.lower() in images.SUFFIXES:
        raise ValueError(f"{file} is named like a picture, and would be replaced: give another name.")
    with disk.whole(file) as out:
        yield out
