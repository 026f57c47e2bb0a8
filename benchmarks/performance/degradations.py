"""Every family: a batch at all levels, against one image and level at a time with what a user would take instead."""

import warnings
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch

from benchmarks.data_cache import smooth
from benchmarks.performance import singly
from benchmarks.performance.rows import Row
from benchmarks.timing import ratio, turns
from iqa import degradations, images, machine
from iqa.randomness import generator

CROPS, SIDE, LEVELS, TURNS = 8, 224, 5, 3
ONCE, NOISE = "≥ 1", "≥ 5"


def measured(full: bool) -> Iterator[Row]:
    """A row a family; uint8 pixels → views in [0, 1], both with all cores."""
    machine.threads()
    machine.keep_memory()
    warnings.filterwarnings("ignore", "Conversion from CIE-LAB")  # scikit-image, of colours outside sRGB
    pixels = torch.stack([smooth(n, SIDE, SIDE) for n in range(CROPS)])
    for family, (whose, _) in singly.FAMILIES.items():
        seconds = turns(
            {"singly": partial(singly_all, family, pixels), "ours": partial(batched, family, pixels)}, TURNS
        )
        pace = {name: CROPS * LEVELS * TURNS / sum(found) for name, found in seconds.items()}
        reach = NOISE if degradations.FAMILIES[family].group == "noise" else ONCE
        about = f"{pace['ours']:.0f} images/s, {whose} {pace['singly']:.0f}"
        yield Row(f"{family}, images/s against one at a time", ratio(seconds, "singly", "ours"), reach, about)


def batched(family: str, pixels: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W) uint8 → (N, L, 3, H, W), as training does it."""
    chances = [generator("performance", n) for n in range(len(pixels))]
    return degradations.degrade(images.unit(pixels), family, LEVELS, chances)


def singly_all(family: str, pixels: torch.Tensor) -> list[torch.Tensor]:
    """The same number of views, each by itself."""
    degrade, random = singly.FAMILIES[family][1], np.random.default_rng(0)
    severities = degradations.severities(family, LEVELS)
    arrays = [np.ascontiguousarray(one.permute(1, 2, 0).numpy()) for one in pixels]
    return [singly.tensor_of(degrade(array, severity, random)) for array in arrays for severity in severities]
