"""Manifest → seeded, resumable, endless iterator of crops.

The order of an epoch is a function of (seed, epoch), a sample's draws of (seed, epoch, index): an iterator
that starts in the middle costs no replay, and gives what the uninterrupted one would have given. Where several
processes train, each reads its share of every batch.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar, cast

import torch
from torch import Tensor

from iqa import degradations, distributed, images, machine
from iqa.datasets import Manifest
from iqa.randomness import generator, sub_seed

FORWARD = 16  # crops at once where nothing is kept for a backward pass: on a CPU 96 are no faster, and take gigabytes

T = TypeVar("T")
Read = Callable[[int], Tensor]  # row → (3, H, W) uint8


@dataclass(frozen=True)
class CropPair:
    """Two overlapping crops of one image (or one of them alone), to be degraded by one family or composition.

    regions: (3, h, w) uint8 each, the crop with what surrounds it where the codec's grid asks for it;
    corners: where the crop begins inside each region; seeds: of the degradation's draws, one a crop.
    """

    index: int
    family: str
    regions: tuple[Tensor, ...]
    corners: tuple[tuple[int, int], ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Crops:
    """Labelled crops: pixels (N, 3, C, C) uint8, scores (N,), rows (N,) of the manifest, seeds of each sample."""

    pixels: Tensor
    scores: Tensor
    rows: Tensor
    seeds: list[int]

    def split(self, size: int) -> Iterator["Crops"]:
        """Micro-batches of at most `size` crops (0 = all)."""
        step = size or len(self.seeds)
        for at in range(0, len(self.seeds), step):
            cut = slice(at, at + step)
            yield Crops(self.pixels[cut], self.scores[cut], self.rows[cut], self.seeds[cut])


def order(count: int, seed: int, epoch: int) -> list[int]:
    """The rows in this epoch's order."""
    return torch.randperm(count, generator=generator(seed, "order", epoch)).tolist()


def steps_per_epoch(count: int, batch: int, what: str = "images") -> int:
    """How many batches an epoch has, the last perhaps smaller. Raises ValueError if a batch exceeds the data."""
    if batch > count:
        raise ValueError(f"A batch of {batch} {what} is larger than the data, {count}: lower batch_size.")
    return -(-count // batch)


def rows_at(step: int, count: int, batch: int, seed: int) -> tuple[int, list[int]]:
    """The epoch of a step, and this process's rows of the step's batch of `batch` rows; `count`: rows of the data.

    A last batch with fewer rows than there are processes is computed whole by each: weighed by the number of rows that
    all have, every row then counts as it does in one process.
    """
    epoch, position = divmod(step, steps_per_epoch(count, batch))
    rows = order(count, seed, epoch)[position * batch : (position + 1) * batch]
    own = [rows[n] for n in distributed.share(len(rows))]
    return epoch, own if len(rows) >= distributed.world() else rows


def reader(manifest: Manifest, crop: int) -> Read:
    """row → its image at its input size; raises ImageError where a crop does not fit into it."""

    def read(row: int) -> Tensor:
        pixels = manifest.read(row)
        if min(pixels.shape[1:]) < crop:
            height, width = pixels.shape[1:]
            raise images.ImageError(
                f"{manifest.file(row)} is {width}x{height}, smaller than a crop of {crop}: "
                "lower the crop size or leave the image out."
            )
        return pixels

    return read


def pretraining(
    manifest: Manifest,
    *,
    batch: int,
    seed: int,
    start: int,
    families: tuple[str, ...],
    crop: int,
    overlap: float,
    compose: int = 1,
) -> Iterator[list[CropPair]]:
    """Endless batches of crop pairs from step `start` on; a family, or a composition, is drawn for each image."""
    draws = degradations.draws(families)
    read = reader(manifest, crop)
    step = start
    while True:
        epoch, rows = rows_at(step, len(manifest), batch, seed)
        yield [crop_pair(read(row), row, draws, crop, overlap, seed, epoch, compose) for row in rows]
        step += 1


def crop_pair(
    pixels: Tensor,
    index: int,
    draws: tuple[tuple[str, ...], ...],
    crop: int,
    overlap: float,
    seed: int,
    epoch: int,
    compose: int = 1,
) -> CropPair:
    """The two crops of one image (3, H, W) uint8, and the family, drawn by (seed, epoch, index)."""
    chance = generator(seed, "crops", epoch, index)
    family = degradations.drawn(draws, compose, chance)
    height, width = pixels.shape[1:]
    first = (_below(height - crop + 1, chance), _below(width - crop + 1, chance))
    second = _overlapping(first, (height, width), crop, overlap, chance)
    margin = degradations.margin(family)
    cut = [_region(pixels, corner, crop, margin, chance) for corner in (first, second)]
    return CropPair(
        index,
        family,
        regions=(cut[0][0], cut[1][0]),
        corners=(cut[0][1], cut[1][1]),
        seeds=(sub_seed(seed, "degrade", epoch, index, 0), sub_seed(seed, "degrade", epoch, index, 1)),
    )


def degraded(pairs: list[CropPair], levels: int, crop: int, device: torch.device) -> Tensor:
    """Crop pairs → their degraded views (N, 2, L, 3, C, C) in [0, 1], each family of the batch at once."""
    views = torch.empty(len(pairs), len(pairs[0].regions), levels, 3, crop, crop, device=device)
    groups: dict[tuple[str, torch.Size], list[tuple[int, int]]] = {}
    for n, pair in enumerate(pairs):
        for c, region in enumerate(pair.regions):
            groups.setdefault((pair.family, region.shape), []).append((n, c))
    for (family, _), members in groups.items():
        regions = images.unit(torch.stack([pairs[n].regions[c] for n, c in members]).to(device))
        chances = [torch.Generator().manual_seed(pairs[n].seeds[c]) for n, c in members]
        worse = degradations.degrade(regions, family, levels, chances)
        for (n, c), view in zip(members, worse, strict=True):
            top, left = pairs[n].corners[c]
            views[n, c] = view[..., top : top + crop, left : left + crop]
    return views


def held_out(manifest: Manifest, family: str, crop: int, most: int, which: range | None = None) -> list[CropPair]:
    """One fixed crop of each of the first `most` images by content, or of `which` of them, for one family."""
    read = reader(manifest, crop)
    rows = sorted(range(len(manifest)), key=lambda row: manifest.table["digest"].iat[row])[:most]
    chosen = rows if which is None else rows[which.start : which.stop]
    pairs = [crop_pair(read(row), row, ((family,),), crop, 1.0, 0, 0) for row in chosen]
    return [replace(p, regions=p.regions[:1], corners=p.corners[:1], seeds=p.seeds[:1]) for p in pairs]


def finetuning(
    manifest: Manifest, *, batch: int, per_image: int, seed: int, start: int, crop: int, flip: bool
) -> Iterator[Crops]:
    """Endless batches of `batch` labelled random crops from step `start` on; an image is decoded once an epoch."""
    if batch % per_image:
        raise ValueError(f"batch_size {batch} is no multiple of crops.per_image {per_image}: change one of them.")
    in_batch = batch // per_image
    scores = torch.tensor(manifest.table["score"].to_numpy(), dtype=torch.float32)
    read = reader(manifest, crop)
    step = start
    while True:
        epoch, rows = rows_at(step, len(manifest), in_batch, seed)
        crops = [one for row in rows for one in random_crops(read(row), row, per_image, crop, flip, seed, epoch)]
        repeated = torch.tensor([row for row in rows for _ in range(per_image)])
        seeds = [sub_seed(seed, "masks", epoch, row, k) for row in rows for k in range(per_image)]
        yield Crops(torch.stack(crops), scores[repeated], repeated, seeds)
        step += 1


def random_crops(pixels: Tensor, index: int, count: int, crop: int, flip: bool, seed: int, epoch: int) -> list[Tensor]:
    """`count` random crops (3, C, C) of one image, mirrored half of the time, drawn by (seed, epoch, index)."""
    chance = generator(seed, "crops", epoch, index)
    height, width = pixels.shape[1:]
    crops = []
    for _ in range(count):
        top, left = _below(height - crop + 1, chance), _below(width - crop + 1, chance)
        view = pixels[:, top : top + crop, left : left + crop]
        crops.append(view.flip(2) if flip and _below(2, chance) else view)
    return crops


def corners(height: int, width: int, crop: int, count: int) -> list[tuple[int, int]]:
    """Top left corners of a fixed pattern of crops: 1 the centre, 5 centre and corners, g² a g × g grid."""
    bottom, right = height - crop, width - crop
    centre = (bottom // 2, right // 2)
    if count == 1:
        return [centre]
    if count == 5:
        return [(0, 0), (0, right), centre, (bottom, 0), (bottom, right)]
    grid = round(count**0.5)
    if grid * grid != count:
        raise ValueError(f"{count} crops make no fixed pattern: 1, 5 or a square number does.")
    line = [i / (grid - 1) for i in range(grid)]
    return [(round(y * bottom), round(x * right)) for y in line for x in line]


def evaluation(
    manifest: Manifest, *, crop: int, count: int, batch: int, which: range | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Every image's fixed crops in order, or those of `which`: (pixels (n, 3, C, C) uint8, rows (n,)), n ≤ batch.

    Rows are counted from the first of them.
    """
    chosen = range(len(manifest)) if which is None else which
    return fixed(map(reader(manifest, crop), chosen), crop=crop, count=count, batch=batch)


def fixed(pictures: Iterable[Tensor], *, crop: int, count: int, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The fixed crops of pictures (3, H, W) uint8, none smaller than a crop, as `evaluation` yields them."""
    waiting: list[Tensor] = []
    rows: list[int] = []
    for row, pixels in enumerate(pictures):
        for top, left in corners(pixels.shape[1], pixels.shape[2], crop, count):
            waiting.append(pixels[:, top : top + crop, left : left + crop].clone())  # a view would keep the picture
            rows.append(row)
        while len(rows) >= batch:
            yield torch.stack(waiting[:batch]), torch.tensor(rows[:batch])
            waiting, rows = waiting[batch:], rows[batch:]
    if rows:
        yield torch.stack(waiting), torch.tensor(rows)


def pixels_to(pixels: Tensor, device: torch.device) -> Tensor:
    """uint8 crops (N, 3, C, C) → float images in [0, 1] on the device, in the memory layout that is fast there."""
    return images.unit(pixels.to(device)).contiguous(memory_format=torch.channels_last)


def ahead(items: Iterable[T], depth: int = 2) -> Generator[T]:
    """The same items, made by a thread up to `depth` ahead; its errors are raised here, closing it ends the thread."""
    source = iter(items)
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="batches", initializer=machine.alone) as maker:
        waiting = deque(maker.submit(next, source, end) for _ in range(depth))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(maker.submit(next, source, end))
            yield cast(T, item)


def _below(limit: int, chance: torch.Generator) -> int:
    return int(torch.randint(limit, (), generator=chance))


def _overlapping(
    first: tuple[int, int], size: tuple[int, int], crop: int, overlap: float, chance: torch.Generator
) -> tuple[int, int]:
    """A second corner so that the two crops share at least `overlap` of their area."""
    row_reach = int(crop * (1 - overlap))
    top = _near(first[0], row_reach, size[0] - crop, chance)
    shared_rows = crop - abs(top - first[0])
    column_reach = int(crop - overlap * crop * crop / shared_rows)
    return top, _near(first[1], column_reach, size[1] - crop, chance)


def _near(at: int, reach: int, last: int, chance: torch.Generator) -> int:
    low, high = max(0, at - reach), min(last, at + reach)
    return low + _below(high - low + 1, chance)


def _region(
    pixels: Tensor, corner: tuple[int, int], crop: int, margin: int, chance: torch.Generator
) -> tuple[Tensor, tuple[int, int]]:
    """A crop with `margin` pixels more in height and width, and where inside the crop begins (at random)."""
    span, inside = [], []
    for at, size in zip(corner, pixels.shape[1:], strict=True):
        more = min(margin, size - crop)
        low, high = max(0, at + crop + more - size), min(more, at)
        offset = low + _below(high - low + 1, chance)
        span.append(slice(at - offset, at - offset + crop + more))
        inside.append(offset)
    return pixels[:, span[0], span[1]], (inside[0], inside[1])
