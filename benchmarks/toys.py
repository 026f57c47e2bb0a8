"""What the fault harness and the tests compute with: pictures small enough to train on, an experiment of seconds."""

import csv
from pathlib import Path

import torch

from iqa import degradations, images
from iqa.randomness import generator

EXPERIMENT = """
title: Toy
preset: smoke
seeds: [0]
demonstration: Toys decide nothing.
arms:
  baseline: {title: ImageNet encoder}
  pretrained: {title: Pretrained encoder, pretrain: {families: jpeg}}
contrasts:
  - {name: pretraining, treatment: pretrained, baseline: baseline}
"""


def photographs(folder: Path) -> None:
    """Thirty pictures of 48 × 56: six smooth scenes at five strengths of noise each, and their scores."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for scene in range(6):
        field = torch.rand(1, 3, 6, 7, generator=generator("scene", scene))
        smooth = torch.nn.functional.interpolate(field, (48, 56), mode="bicubic").clamp(0, 1)
        noisy = degradations.degrade(smooth, "white_noise", (1e-4, 0.005, 0.02, 0.05, 0.1), [generator("n", scene)])
        for level, picture in enumerate(noisy[0]):
            images.save_png((picture * 255).round().to(torch.uint8), folder / f"{scene}-{level}.png")
            rows.append((f"{scene}-{level}.png", f"{100 - 20 * level:.1f}", f"scene{scene}"))
    with (folder / "scores.csv").open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([("image", "mos", "group"), *rows])
