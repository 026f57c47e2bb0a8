"""Colour: diffusion, shift of a channel, saturation; and the conversion to CIE Lab that other families use.

Each family: images (N, 3, H, W) in [0, 1], severities, one CPU generator per image → (N, L, 3, H, W) in [0, 1].
Operations: KADID-10k, ARNIQA (which swaps R and B before converting to Lab or HSV: not followed).
"""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor
from torch.nn import functional

from iqa.degradations.blur import smoothed

# sRGB (IEC 61966-2-1) and CIE Lab, D65, 2° observer: rows of linear RGB → XYZ, and the white point.
_TO_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
_WHITE = (0.95047, 1.0, 1.08883)
_CUBE_ROOT_FROM = 0.008856  # of the white: below it, Lab is linear
_GREY = (0.299, 0.587, 0.114)
_EDGE_SIGMA = 4.0  # pixels


def color_diffusion(images: Tensor, severities: Sequence[float], generators: Sequence[Generator]) -> Tensor:
    """Lab's a, b blurred with σ = 1.5·s + 2 and multiplied by s. Draws nothing."""
    lab = rgb_to_lab(images)
    diffused = [torch.cat([lab[:, :1], smoothed(lab[:, 1:], 1.5 * s + 2) * s], dim=1) for s in severities]
    return torch.stack([lab_to_rgb(one) for one in diffused], dim=1)


def color_shift(images: Tensor, severities: Sequence[float], generators: Sequence[Generator]) -> Tensor:
    """Green moved by `severity` pixels (rounded), blended in where there are edges; direction drawn per image."""
    directions = torch.stack([torch.rand(2, generator=rng, dtype=torch.float64) for rng in generators])
    directions = functional.normalize(directions, dim=1)  # downwards and to the right, as there
    edges = torch.stack([_edges(image) for image in images])
    shifted = images[:, None].repeat(1, len(severities), 1, 1, 1)
    for n, direction in enumerate(directions):
        green = images[n, 1]
        for level, amount in enumerate(severities):
            down, right = (direction * amount).round().long().tolist()
            shifted[n, level, 1] = torch.lerp(green, _moved(green, down, right), edges[n])
    return shifted.clamp_(0, 1)


def saturation(images: Tensor, severities: Sequence[float], generators: Sequence[Generator]) -> Tensor:
    """HSV's S times the factor. V and hue stay, so a channel c becomes V − factor·(V − c). Draws nothing."""
    value = images.amax(dim=1, keepdim=True)
    return torch.stack([torch.lerp(value, images, factor) for factor in severities], dim=1).clamp_(0, 1)


def saturation_lab(images: Tensor, severities: Sequence[float], generators: Sequence[Generator]) -> Tensor:
    """Lab's a, b times the factor; factor 1 is the identity. Draws nothing."""
    lab = rgb_to_lab(images)
    found = [images if s == 1 else lab_to_rgb(torch.cat([lab[:, :1], lab[:, 1:] * s], dim=1)) for s in severities]
    return torch.stack(found, dim=1)


def rgb_to_lab(images: Tensor) -> Tensor:
    """(N, 3, H, W) sRGB in [0, 1] → L in [0, 100], a, b (about ±110)."""
    linear = torch.where(images > 0.04045, ((images + 0.055) / 1.055) ** 2.4, images / 12.92)
    xyz = _mixed(linear, _scaled_to_white())
    fx, fy, fz = (torch.where(v > _CUBE_ROOT_FROM, v ** (1 / 3), 7.787 * v + 16 / 116) for v in xyz)
    return torch.stack([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], dim=1)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """Inverse of `rgb_to_lab`; a colour outside sRGB is clipped, first in XYZ to [0, white], then in RGB to [0, 1].

    Without the first clip, colours pushed far out come back: on crops of a photograph in saturated reds the error of
    `saturation_lab` fell by up to a third from level 3 on; with it, it stays (measured). Some single blues still do.
    """
    fy = (lab[:, 0] + 16) / 116
    f = torch.stack([fy + lab[:, 1] / 500, fy, fy - lab[:, 2] / 200], dim=1).clamp_(0, 1)
    xyz = torch.where(f > _CUBE_ROOT_FROM ** (1 / 3), f * f * f, (f - 16 / 116) / 7.787)
    linear = torch.stack(_mixed(xyz, torch.linalg.inv(_scaled_to_white())), dim=1).clamp_(0, 1)
    encoded = (1.055 * linear ** (1 / 2.4)).sub_(0.055)
    return torch.where(linear > 0.0031308, encoded, linear * 12.92).clamp_(0, 1)


def _scaled_to_white() -> Tensor:
    """Linear RGB → XYZ over the white's, (3, 3) float64."""
    return torch.tensor(_TO_XYZ, dtype=torch.float64) / torch.tensor(_WHITE, dtype=torch.float64)[:, None]


def _mixed(images: Tensor, matrix: Tensor) -> list[Tensor]:
    """Rows of a 3×3 matrix applied to the channels: three (N, H, W). Elementwise, so bits do not depend on N."""
    r, g, b = images.unbind(1)
    return [r * float(row[0]) + g * float(row[1]) + b * float(row[2]) for row in matrix]


def _edges(image: Tensor) -> Tensor:
    """Where one image (3, H, W) has edges: (H, W), its smoothed gradient scaled to [0, 1], 1st to 99th percentile."""
    grey = _mixed(image[None], torch.tensor([_GREY]))[0][:, None]  # (1, 1, H, W)
    padded = functional.pad(grey, [1, 1, 1, 1], mode="replicate")[0, 0]
    across, down = padded[1:-1, 2:] - padded[1:-1, :-2], padded[2:, 1:-1] - padded[:-2, 1:-1]
    strength = smoothed(torch.hypot(across, down), _EDGE_SIGMA)
    low, high = strength.aminmax()
    scaled = (strength - low) / (high - low).clamp(min=1e-12)
    ordered = scaled.flatten().sort().values
    few = round(len(ordered) / 100)
    return scaled.clamp(ordered[max(few - 1, 0)], ordered[len(ordered) - 1 - few])


def _moved(channel: Tensor, down: int, right: int) -> Tensor:
    """(H, W) moved by whole pixels, its first row and column repeated."""
    height, width = channel.shape
    rows = (torch.arange(height, device=channel.device) - down).clamp(0, height - 1)
    columns = (torch.arange(width, device=channel.device) - right).clamp(0, width - 1)
    return channel.index_select(0, rows).index_select(1, columns)
