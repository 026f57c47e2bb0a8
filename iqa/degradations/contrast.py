"""Sharpness and contrast. Nothing is drawn.

Each function: images (N, 3, H, W) in [0, 1], severities, generators (unused) → (N, L, 3, H, W) in [0, 1].
Operations: KADID-10k, ARNIQA.
"""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from iqa.degradations.blur import smoothed
from iqa.degradations.brightness import stepped
from iqa.degradations.colour import lab_to_rgb, rgb_to_lab

_RADIUS = 3.0  # σ in pixels, as MATLAB's imsharpen; the kernel's size is then 13
_IDENTITY = -0.2  # the amount of linear contrast that changes nothing: the knots (0.3, 0.3), (0.7, 0.7)


def sharpen(images: Tensor, severities: Sequence[float], generators: Sequence[Generator]) -> Tensor:
    """Unsharp masking of Lab's L: L + amount · (L − blurred L)."""
    lab = rgb_to_lab(images)
    light, colours = lab[:, :1], lab[:, 1:]
    detail = light - smoothed(light, _RADIUS)
    sharp = [lab_to_rgb(torch.cat([light + amount * detail, colours], dim=1)) for amount in severities]
    return torch.stack(sharp, dim=1)


def linear_contrast(images: Tensor, severities: Sequence[float], generators: Sequence[Generator]) -> Tensor:
    """The cubic spline through (0, 0), (.3, .25 − a/4), (½, ½), (.7, .75 + a/4), (1, 1), clipped; a = −0.2: identity.

    Not-a-knot and antisymmetric, so it is one cubic: x + (a + 0.2)·(1.25/0.21)·(x − ½)·x(1 − x).
    """
    direction = (images - 0.5) * images * (1 - images)
    steps = [(amount - _IDENTITY) * 1.25 / 0.21 for amount in severities]
    return stepped(images, direction, steps)


def contrast_nonlinear(images: Tensor, severities: Sequence[float], generators: Sequence[Generator]) -> Tensor:
    """KADID's name for a range pressed to ½ ± severity: ½ + 2s·(x − ½); s = ½ is the identity."""
    return torch.stack([0.5 + 2 * half * (images - 0.5) for half in severities], dim=1).clamp_(0, 1)
