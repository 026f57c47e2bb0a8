"""Spatial distortions: jitter, displaced patches, pixelation, quantisation, colour blocks.

Each function: images (N, 3, H, W) in [0, 1], severities, one CPU generator per image → (N, L, 3, H, W) in [0, 1].
Positions, colours and displacement fields are drawn once per image; a milder level uses the first of them.
Operations: KADID-10k, ARNIQA.
"""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor
from torch.nn import functional

_ROUNDS = 5  # of jitter
_PATCH = 16  # pixels: a displaced patch's side, its distance from the border, the width of its range
_BLOCK = 32  # pixels: a colour block's side, a quarter of the image's where that is less


def jitter(images: Tensor, severities: Sequence[float], generators: Sequence[Generator]) -> Tensor:
    """Five rounds of displacing each pixel by a normal vector (standard deviation in pixels), bilinear."""
    count, _, height, width = images.shape
    fields = torch.stack([torch.randn(_ROUNDS, height, width, 2, generator=rng) for rng in generators])
    fields = fields.to(images.device) * torch.tensor([2 / width, 2 / height], device=images.device)  # x, y in [-1, 1]
    here = functional.affine_grid(torch.eye(2, 3, device=images.device)[None], [1, 3, height, width], False)
    moved = images[:, None].expand(-1, len(severities), -1, -1, -1).reshape(-1, 3, height, width)
    amounts = torch.tensor(severities, dtype=images.dtype, device=images.device)[:, None, None, None]
    for turn in range(_ROUNDS):
        grid = (here + amounts * fields[:, None, turn]).reshape(-1, height, width, 2)
        moved = functional.grid_sample(moved, grid, padding_mode="border", align_corners=False)
    return moved.clamp_(0, 1).reshape(count, len(severities), 3, height, width)


def non_eccentricity(images: Tensor, severities: Sequence[float], generators: Sequence[Generator]) -> Tensor:
    """Patches of 16×16 copied to places at most 8 pixels away, as many as the severity says.

    Every patch is read from the pristine image, and an earlier one lies on a later one: so each level keeps what the
    milder levels changed (ARNIQA copies in place, later on earlier: no chain).
    """
    height, width = images.shape[-2:]
    side = _PATCH
    most = round(max(severities))
    origin = torch.arange(height * width).reshape(height, width)
    sources = []
    for rng in generators:
        chance = torch.rand(most, 4, generator=rng, dtype=torch.float64)
        room = torch.tensor([height, width], dtype=torch.float64) - 3 * side
        starts = (chance[:, :2] * room).round().long() + side
        targets = (starts + (chance[:, 2:] - 0.5) * side).round().long()
        sources.append(_copied(origin, starts.tolist(), targets.tolist(), [round(s) for s in severities], side))
    index = torch.stack(sources).to(images.device)[:, :, None].expand(-1, -1, 3, -1, -1).flatten(3)
    pixels = images.flatten(2)[:, None].expand(-1, len(severities), -1, -1)
    return pixels.gather(3, index).unflatten(3, (height, width))


def pixelate(images: Tensor, severities: Sequence[float], generators: Sequence[Generator]) -> Tensor:
    """Nearest-neighbour reduction to 0.95 − s^0.6 of the size, and back, pixel centres on pixel centres.

    As MATLAB's imresize; ARNIQA's rounds down on both ways, which moves the whole image by most of a pixel.
    """
    height, width = images.shape[-2:]
    found = []
    for strength in severities:
        share = 0.95 - strength**0.6
        pixels = _there_and_back(height, share)[:, None] * width + _there_and_back(width, share)
        index = pixels.flatten().to(images.device).expand(len(images), 3, -1)  # measured: 16 times index_select's speed
        found.append(images.flatten(2).gather(2, index).unflatten(2, (height, width)))
    return torch.stack(found, dim=1)


def quantization(images: Tensor, severities: Sequence[float], generators: Sequence[Generator]) -> Tensor:
    """Each channel rounded down to one of n equal bins, written as n values from 0 to 1.

    ARNIQA stretches the result to the image's own extremes: left out, since on an image without black or white the
    stretch outweighs the bins, and its size follows no order in n.
    """
    bins = [round(severity) for severity in severities]
    return torch.stack([(images * n).floor_().clamp_(max=n - 1).div_(n - 1) for n in bins], dim=1)


def color_blocks(images: Tensor, severities: Sequence[float], generators: Sequence[Generator]) -> Tensor:
    """Squares of one colour, as many as the severity says; an earlier one lies on a later one, so levels are nested."""
    height, width = images.shape[-2:]
    side = max(1, min(_BLOCK, height // 4, width // 4))
    most = round(max(severities))
    blocked = images[:, None].repeat(1, len(severities), 1, 1, 1)
    room = torch.tensor([height - side + 1, width - side + 1])
    for image, rng in zip(blocked, generators, strict=True):
        chance = torch.rand(most, 5, generator=rng)
        corners = (chance[:, :2] * room).long().tolist()
        colours = chance[:, 2:].to(images.device)[:, :, None, None]
        for view, count in zip(image, severities, strict=True):
            for n in reversed(range(round(count))):
                top, left = corners[n]
                view[:, top : top + side, left : left + side] = colours[n]
    return blocked


def _copied(origin: Tensor, starts: list[list[int]], targets: list[list[int]], counts: list[int], side: int) -> Tensor:
    """For each count, the pixel (H, W) that each pixel is taken from after the first `count` copies."""
    maps = []
    for count in counts:
        source = origin.clone()
        for (y, x), (v, u) in reversed(list(zip(starts, targets, strict=True))[:count]):
            source[v : v + side, u : u + side] = origin[y : y + side, x : x + side]
        maps.append(source)
    return torch.stack(maps)


def _there_and_back(length: int, share: float) -> Tensor:
    """Which of `length` pixels each shows after nearest-neighbour reduction to `share` and back."""
    few = max(1, int(length * share))
    kept = (2 * torch.arange(few) + 1) * length // (2 * few)
    return kept[(2 * torch.arange(length) + 1) * few // (2 * length)]
