"""Noise: one field per image, drawn from its generator on the CPU and shared by its levels, scaled.

Each function: images (N, 3, H, W) in [0, 1], severities, one CPU generator per image → (N, L, 3, H, W) in [0, 1].
Operations: KADID-10k (imnoise), ARNIQA.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Generator, Tensor

from iqa.degradations.brightness import stepped


def white_noise(images: Tensor, severities: Sequence[float], generators: Sequence[Generator]) -> Tensor:
    """Gaussian noise of the given variance, independent in each channel."""
    return _added(images, _drawn(torch.randn, images, generators), severities)


def ycbcr_noise(images: Tensor, severities: Sequence[float], generators: Sequence[Generator]) -> Tensor:
    """Gaussian noise of the given variance, independent in Y, Cb, Cr (full-range BT.601).

    The conversion is linear, so the noise alone is converted.
    """
    y, cb, cr = _drawn(torch.randn, images, generators).unbind(1)
    field = torch.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], dim=1)
    return _added(images, field, severities)


def multiplicative_noise(images: Tensor, severities: Sequence[float], generators: Sequence[Generator]) -> Tensor:
    """Speckle: x·(1 + noise), Gaussian noise of the given variance (ARNIQA's; MATLAB's speckle is uniform)."""
    return _added(images, images * _drawn(torch.randn, images, generators), severities)


def impulse_noise(images: Tensor, severities: Sequence[float], generators: Sequence[Generator]) -> Tensor:
    """Salt and pepper: each value (not each pixel) becomes 0 or 1 with the given probability, either as often.

    One number in [0, 1) decides: the end that it is nearer to, and how near. So a value hit at one level is hit alike
    at each more severe one.
    """
    chance = _drawn(torch.rand, images, generators)
    end = chance.round()
    distance = chance.sub_(end).abs_()
    found = images.new_empty(len(images), len(severities), *images.shape[1:])
    for level, density in enumerate(severities):
        torch.where(distance < density / 2, end, images, out=found[:, level])
    return found


def _drawn(draw: Callable[..., Tensor], images: Tensor, generators: Sequence[Generator]) -> Tensor:
    """A field like the images (N, 3, H, W), each image's from its own generator, on their device.

    torch draws with one thread, so the generators are shared out.
    """
    fields = torch.empty(images.shape)

    def fill(field: Tensor, rng: Generator) -> None:
        draw(field.shape, generator=rng, out=field)

    threads = min(len(generators), torch.get_num_threads())
    if threads == 1:
        list(map(fill, fields, generators))
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(fill, fields, generators))
    return fields.to(images.device)


def _added(images: Tensor, field: Tensor, variances: Sequence[float]) -> Tensor:
    """images + √variance · field, clipped: (N, L, 3, H, W)."""
    return stepped(images, field, [math.sqrt(variance) for variance in variances])
