"""Dead-leaves charts: occluding discs with power-law radii, the camera industry's texture target."""

import functools

import numpy as np
import torch
from torch import Tensor

from iqa.randomness import sub_seed

_FINE = 2  # sub-pixels along a pixel's side: antialiasing by averaging
_COVER = 9.5  # mean number of discs over a point: e^−9.5 of the chart stays bare, and takes the first disc's colour


def chart(size: int, *purpose: object) -> Tensor:
    """One chart (3, size, size) uint8 that depends on nothing but `size` and `purpose`.

    Radii follow a density ∝ r^−3 between r_min and r_max (Lee, Mumford & Huang 2001: the exponent that makes the
    image scale invariant; Cao, Guichard & Hornung 2009 for the chart). Each chart draws its own r_min (1.5–4 px),
    r_max (an eighth to a third of the side), range of levels and strength of colour; half of the charts are nearly
    grey. Every disc is a few percent brighter towards a random side, so that large ones are not flat.
    """
    rng = np.random.Generator(np.random.PCG64(sub_seed("dead leaves", size, *purpose)))
    r_min, r_max = rng.uniform(1.5, 4), size * rng.uniform(1 / 8, 1 / 3)
    y, x, radius = _discs(rng, size, r_min, r_max)
    front = _front(np.rint(y * _FINE), np.rint(x * _FINE), np.rint(radius * _FINE), size * _FINE)
    colours = _colours(rng, len(radius)).astype(np.float32)
    plane = _planes(rng, y, x, radius)[front]
    grid = ((np.arange(size * _FINE) + 0.5) / _FINE).astype(np.float32)
    light = plane[..., 0] + plane[..., 1] * grid[:, None] + plane[..., 2] * grid
    fine = (colours[front] * light[..., None]).clip(0, 1)
    mean = sum(fine[i::_FINE, j::_FINE] for i in range(_FINE) for j in range(_FINE)) / _FINE**2
    return torch.from_numpy(np.rint(mean * 255).astype(np.uint8)).permute(2, 0, 1).contiguous()


def _planes(rng: np.random.Generator, y: np.ndarray, x: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """(n, 3) float32: brightness 1 at each disc's centre, changing by about 4% towards its rim."""
    slope = rng.normal(0, 0.04, (2, len(radius))) / radius
    return np.stack([1 - slope[0] * y - slope[1] * x, slope[0], slope[1]], axis=1).astype(np.float32)


def _discs(rng: np.random.Generator, size: int, r_min: float, r_max: float) -> tuple[np.ndarray, ...]:
    """Centres and radii (n,) in pixels, painted in this order; those that cannot touch the chart are left out."""
    mean_area = 2 * np.pi * np.log(r_max / r_min) / (r_min**-2 - r_max**-2)
    side = size + 2 * r_max
    count = int(_COVER * side**2 / mean_area)
    radius = (r_min**-2 - rng.random(count) * (r_min**-2 - r_max**-2)) ** -0.5  # inverse of the distribution
    y, x = rng.uniform(-r_max, size + r_max, (2, count))
    away = np.hypot(y - y.clip(0, size), x - x.clip(0, size))
    seen = away < radius
    return y[seen], x[seen], radius[seen]


def _front(y: np.ndarray, x: np.ndarray, radius: np.ndarray, side: int) -> np.ndarray:
    """(side, side) index of the disc painted last over each sub-pixel; arguments in whole sub-pixels."""
    canvas = np.zeros((side, side), np.int32)
    for index, (row, column, r) in enumerate(zip(y.astype(int), x.astype(int), radius.astype(int), strict=True)):
        top, left = max(row - r, 0), max(column - r, 0)
        view = canvas[top : row + r + 1, left : column + r + 1]
        if view.size:
            disc = _disc(r)[top - row + r :, left - column + r :][: view.shape[0], : view.shape[1]]
            view[disc] = index
    return canvas


@functools.cache
def _disc(radius: int) -> np.ndarray:
    offsets = np.arange(-radius, radius + 1)
    return offsets[:, None] ** 2 + offsets[None, :] ** 2 <= radius**2


def _colours(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 3) in [0, 1]: levels uniform over a range of the chart's own, tinted more or less."""
    low, high = rng.uniform(0, 0.25), rng.uniform(0.75, 1)
    strength = rng.uniform(0.3, 1) if rng.random() < 0.5 else rng.uniform(0, 0.15)
    grey = rng.uniform(low, high, (count, 1))
    tint = rng.uniform(low, high, (count, 3))
    return (1 - strength) * grey + strength * tint
