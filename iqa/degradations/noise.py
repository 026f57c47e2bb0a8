"""Noise: one field per image, drawn from its generator on the CPU and shared by its levels, scaled.

Each function: images (N, 3, H, W) in [0, 1], severities, one CPU generator per image → (N, L, 3, H, W) in [0, 1].
Operations: KADID-10k (imnoise), ARNIQA.
"""

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor


def white_noise(images: Tensor, severities: Sequence[float], generators: Sequence[Generator]) -> Tensor:
    """Gaussian noise of the given variance, independent in each channel."""
    return _added(images, _normal(images, generators), severities)


def ycbcr_noise(images: Tensor, severities: Sequence[float], generators: Sequence[Generator]) -> Tensor:
    """Gaussian noise of the given variance, independent in Y, Cb, Cr (full-range BT.601).

    The conversion is linear, so the noise alone is converted.
    """
    y, cb, cr = _normal(images, generators).unbind(1)
    field = torch.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], dim=1)
    return _added(images, field, severities)


def multiplicative_noise(images: Tensor, severities: Sequence[float], generators: Sequence[Generator]) -> Tensor:
    """Speckle: x·(1 + noise), Gaussian noise of the given variance (ARNIQA's; MATLAB's speckle is uniform)."""
    return _added(images, images * _normal(images, generators), severities)


def impulse_noise(images: Tensor, severities: Sequence[float], generators: Sequence[Generator]) -> Tensor:
    """Salt and pepper: each value (not each pixel) becomes 0 or 1 with the given probability.

    A value hit at one level is hit alike at each more severe one.
    """
    chance = torch.stack([torch.rand(2, *images.shape[1:], generator=rng) for rng in generators]).to(images.device)
    when, salt = chance[:, 0], (chance[:, 1] < 0.5).to(images.dtype)
    return torch.stack([torch.where(when < density, salt, images) for density in severities], dim=1)


def _normal(images: Tensor, generators: Sequence[Generator]) -> Tensor:
    """A standard normal field (N, 3, H, W) on the images' device."""
    return torch.stack([torch.randn(images.shape[1:], generator=rng) for rng in generators]).to(images.device)


def _added(images: Tensor, field: Tensor, variances: Sequence[float]) -> Tensor:
    """images + √variance · field, clipped: (N, L, 3, H, W)."""
    noisy = images.new_empty(len(images), len(variances), *images.shape[1:])
    for level, variance in enumerate(variances):
        torch.add(images, field, alpha=math.sqrt(variance), out=noisy[:, level])
    return noisy.clamp_(0, 1)
