"""Decoded pictures of one size in memory-mapped files: written once at the speed of decoding, read without it.

$IQA_CACHE/pixels/SIZE-FILTER/ holds two files a data set: NAME.pixels has (3, H, W) uint8 after one another,
NAME.index a line a picture: the digest of its file, where it begins, height, width, checksum (XXH3, 64 bits). A picture
is found by its file's digest, so that what has changed since is decoded instead; so is what fails its checksum.
"""

import functools
import logging
import mmap
import os
import re
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import xxhash
from torch import Tensor

from iqa import disk, images, machine

VERSION = 3  # of the two files' layout
AT_ONCE = 64  # pictures between two syncs: what a kill costs at most
LINE = re.compile(
    rb"(([0-9a-f]{64}) (0|[1-9]\d*) ([1-9]\d*) ([1-9]\d*)) ([0-9a-f]{16})\n"
)  # digest, offset, height, width, checksum

logger = logging.getLogger("iqa")


@dataclass(frozen=True)
class Place:
    """Where the pixels of one picture lie."""

    file: Path
    offset: int
    height: int
    width: int
    checksum: int
    key: bytes  # the line of the index up to the checksum, which covers it too

    @property
    def end(self) -> int:
        return self.offset + 3 * self.height * self.width

    def read(self) -> Tensor:
        """(3, H, W) uint8, mapped for as long as the tensor lives: nothing stays resident afterwards."""
        before = self.offset % mmap.ALLOCATIONGRANULARITY
        start, length = self.offset - before, self.end - self.offset
        with open(self.file, "rb") as handle:  # a private mapping may be written to, which is what torch asks for
            view = mmap.mmap(handle.fileno(), before + length, access=mmap.ACCESS_COPY, offset=start)
        return torch.frombuffer(view, dtype=torch.uint8, offset=before, count=length).view(3, self.height, self.width)

    def read_sound(self, known: bool = False) -> Tensor | None:
        """As `read`; None where line and pixels are not what was written, or `known` to be but gone since."""
        try:
            pixels = self.read()
        except (OSError, ValueError):  # ValueError: a mapping beyond the file's end
            return None
        return pixels if known or _checksum(self.key, pixels.numpy()) == self.checksum else None


@dataclass(frozen=True)
class Filled:
    """What a call of `fill` found and did."""

    file: Path
    present: int  # pictures that were there already
    written: int
    size: int  # bytes of the file now


def folder_of(size: str, resample: str) -> Path:
    """Where the pictures of one input size lie."""
    kind = size if size == images.NATIVE else f"{size}-{resample}"
    return disk.cache_folder() / "pixels" / f"v{VERSION}-{kind}"


def files_of(name: str) -> list[Path]:
    """The files of pixels that a data set has, of whatever size."""
    return sorted((disk.cache_folder() / "pixels").glob(f"v{VERSION}-*/{name}.pixels"))


def places(size: str, resample: str) -> dict[str, Place]:
    """digest → place of every picture that is there in this size."""
    found: dict[str, Place] = {}
    for index in sorted(folder_of(size, resample).glob("*.index")):
        found |= _entries(index)[0]
    return found


def fill(name: str, files: dict[str, Path], size: str, resample: str) -> Filled:
    """Append the pictures (digest → file) that are not there yet; an interrupted call goes on where it was.

    Raises CacheError where the disk takes no more, ImageError for a picture that cannot be used.
    """
    import filelock

    folder = folder_of(size, resample)
    data, index = folder / f"{name}.pixels", folder / f"{name}.index"
    with disk.cached(data):
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / f".{name}.lock"):
            end = _mended(data, index)
            there = places(size, resample)
            missing = {digest: file for digest, file in files.items() if digest not in there}
            end = _append(data, index, end, missing, size, resample)
    return Filled(data, len(files) - len(missing), len(missing), end)


def damaged(digests: list[str], size: str, resample: str) -> dict[str, Path]:
    """digest → index file of those pictures that are not any more what was written."""
    there = places(size, resample)
    found = {digest: there[digest] for digest in digests if digest in there}
    return {digest: place.file.with_suffix(".index") for digest, place in found.items() if place.read_sound() is None}


@functools.cache
def tell_damaged(file: Path) -> None:
    """Say once in a process that pictures of a file are decoded instead."""
    index = file.with_suffix(".index")
    logger.warning("pixels in %s are damaged, their pictures are decoded: delete %s and prepare again", file, index)


def _checksum(key: bytes, pixels: Any) -> int:
    """Of a picture's line and then its pixels; many times faster than a CRC-32, which took a third of the decoding."""
    found = xxhash.xxh3_64(key)
    found.update(pixels)
    return found.intdigest()


def _append(data: Path, index: Path, end: int, files: dict[str, Path], size: str, resample: str) -> int:
    """Write the pictures from offset `end` on; the new end. A line of the index follows its pixels to the disk."""
    lines: list[str] = []
    with data.open("ab", buffering=0) as out, index.open("a") as listing, ThreadPoolExecutor(1) as settler:

        def settle(written: list[str]) -> None:
            os.fsync(out.fileno())
            listing.writelines(written)
            listing.flush()

        settled = settler.submit(settle, [])  # while the disk is busy, decoding goes on
        for digest, pixels in _decoded(files, size, resample):
            body = pixels.numpy().data
            if out.write(body) != body.nbytes:
                raise OSError("no room for the whole picture")
            key = f"{digest} {end} {pixels.shape[1]} {pixels.shape[2]}"
            lines.append(f"{key} {_checksum(key.encode(), body):016x}\n")
            end += pixels.numel()
            if len(lines) == AT_ONCE:
                settled.result()
                settled, lines = settler.submit(settle, lines), []
        settled.result()
        settle(lines)
    return end


def _decoded(files: dict[str, Path], size: str, resample: str) -> Iterator[tuple[str, Tensor]]:
    """Each picture in order, decoded on all cores, only a few ahead; with a bar on a terminal."""
    from tqdm import tqdm

    cores = machine.cores()
    waiting: deque[tuple[str, Future[Tensor]]] = deque()
    with ThreadPoolExecutor(cores) as pool, tqdm(desc="writing pixels", total=len(files), disable=None) as shown:
        for digest, file in files.items():
            waiting.append((digest, pool.submit(images.read, file, size=size, resample=resample)))
            if len(waiting) > 2 * cores:
                yield waiting[0][0], waiting.popleft()[1].result()
                shown.update()
        while waiting:
            yield waiting[0][0], waiting.popleft()[1].result()
            shown.update()


def _mended(data: Path, index: Path) -> int:
    """Cut off what a kill left behind the last whole picture; where that ends."""
    found, whole = _entries(index)
    end = max((place.end for place in found.values()), default=0)
    for file, length in ((index, whole), (data, end)):
        if file.exists() and file.stat().st_size > length:
            os.truncate(file, length)
    return end


def _entries(index: Path) -> tuple[dict[str, Place], int]:
    """digest → place, and the length of the index in whole lines; pixels that are missing end it."""
    data = index.with_suffix(".pixels")
    size = data.stat().st_size if data.exists() else 0
    found: dict[str, Place] = {}
    length = 0
    for line in index.read_bytes().splitlines(keepends=True) if index.exists() else []:
        told = LINE.fullmatch(line)
        if told is None:
            break
        place = Place(data, int(told[3]), int(told[4]), int(told[5]), int(told[6], 16), told[1])
        if place.end > size:
            break
        found[told[2].decode()] = place
        length += len(line)
    return found, length
