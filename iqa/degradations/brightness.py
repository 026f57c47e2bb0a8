"""Brightness: tone curves and shifts of the mean. Nothing is drawn.

Each function: images (N, 3, H, W) in [0, 1], severities, generators (unused) → (N, L, 3, H, W) in [0, 1].
"""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor


def brighten(images: Tensor, severities: Sequence[float], generators: Sequence[Generator]) -> Tensor:
    """The quadratic through (0, 0), (½, ½ + a/2), (1, 1), clipped: x + 2a·x(1−x).

    ARNIQA blends a third of the same curve on Lab's L into it: left out.
    """
    return stepped(images, images * (1 - images), [2 * amount for amount in severities])


def darken(images: Tensor, severities: Sequence[float], generators: Sequence[Generator]) -> Tensor:
    """The quadratic through (0, 0), (½, ½ − a/2), (1, 1), clipped: x − 2a·x(1−x)."""
    return stepped(images, images * (1 - images), [-2 * amount for amount in severities])


def mean_up(images: Tensor, severities: Sequence[float], generators: Sequence[Generator]) -> Tensor:
    """x + a, clipped."""
    return torch.stack([(images + amount).clamp_(0, 1) for amount in severities], dim=1)


def mean_down(images: Tensor, severities: Sequence[float], generators: Sequence[Generator]) -> Tensor:
    """x − a, clipped."""
    return torch.stack([(images - amount).clamp_(0, 1) for amount in severities], dim=1)


def stepped(images: Tensor, direction: Tensor, steps: Sequence[float]) -> Tensor:
    """images + step · direction, clipped: (N, L, 3, H, W). Each level is written where it stays."""
    found = images.new_empty(len(images), len(steps), *images.shape[1:])
    for level, step in enumerate(steps):
        torch.add(images, direction, alpha=step, out=found[:, level])
    return found.clamp_(0, 1)
