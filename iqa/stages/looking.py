"""Where a model looks: the head's stage weights and gradient-weighted maps on a few test images."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from iqa import batches
from iqa.batches import pixels_to
from iqa.datasets import Manifest
from iqa.hyperiqa import QualityModel

SHOWN = 4  # images, at equal steps of the given score


def look(model: QualityModel, test: Manifest, crop: int, run: Any, device: torch.device) -> None:
    """Leave attention/<set>.npz: rows, crops, maps (n, h, w), stage weights (n, 4), last-stage windows (n, g, g)."""
    model.eval()
    rows = spread_over_scores(test)
    read = batches.reader(test, crop)
    pixels = torch.stack([_central(read(row), crop) for row in rows])
    batch = pixels_to(pixels, device)
    found = {
        "paths": np.array([test.table["path"].iloc[row] for row in rows]),
        "crops": pixels.permute(0, 2, 3, 1).numpy(),
        "maps": gradient_maps(model, batch).cpu().numpy(),
        "stages": stage_weights(model, batch).cpu().numpy(),
        "windows": window_attention(model.encoder, batch).cpu().numpy(),
    }
    file = run.folder / "attention" / f"{test.name}.npz"
    file.parent.mkdir(parents=True, exist_ok=True)
    with Path(file).open("wb") as out:
        np.savez_compressed(out, allow_pickle=False, **found)
    run.artifact(file, "attention")


def spread_over_scores(test: Manifest) -> list[int]:
    """Rows from the worst to the best given score; equal scores by content, so that every run takes the same."""
    table = test.table.reset_index(drop=True)
    ranked = table.sort_values(["score", "digest"], kind="stable").index.to_numpy()
    return [int(ranked[at]) for at in np.linspace(0, len(ranked) - 1, min(SHOWN, len(ranked))).round().astype(int)]


def gradient_maps(model: QualityModel, batch: Tensor) -> Tensor:
    """Last-stage activations weighed by the score's mean gradient: (N, 3, H, W) → magnitudes (N, h, w) in [0, 1].

    Grad-CAM (Selvaraju et al., ICCV 2017) without its ReLU: what lowers a quality score counts as much.
    """
    with torch.enable_grad():
        features = [stage.detach().requires_grad_() for stage in model.encoder(batch)]
        model.head(features).sum().backward()
    last = features[-1]
    assert last.grad is not None, "the score depends on the last stage"
    found = (last.grad.mean(dim=(2, 3), keepdim=True) * last).sum(dim=1).abs().detach()
    model.zero_grad(set_to_none=True)
    return found / found.amax(dim=(1, 2), keepdim=True).clamp_min(1e-12)


@torch.no_grad()
def stage_weights(model: QualityModel, batch: Tensor) -> Tensor:
    """The head's softmax weight of each stage: (N, 4); no columns where the head has none."""
    head: Any = model.head
    shares = head.hyper.shares(model.encoder(batch))
    return torch.zeros(len(batch), 0) if shares is None else shares


@torch.no_grad()
def window_attention(encoder: nn.Module, batch: Tensor) -> Tensor:
    """Attention that each place of the last stage's window receives, mean over heads and askers: (N, g, g).

    Swin has no class token, so this is the mean over all places that ask. Empty (N, 0, 0) for encoders without
    windows, and where the last stage is more than one window (its windows are shifted against each other).
    """
    blocks = [module for module in encoder.modules() if type(module).__name__ == "WindowAttention"]
    if not blocks:
        return torch.zeros(len(batch), 0, 0)
    last: Any = blocks[-1]
    seen: list[Tensor] = []
    hook = last.register_forward_hook(lambda module, given, _: seen.append(given[0]))
    try:
        encoder(batch)
    finally:
        hook.remove()
    windows, places, width = seen[0].shape
    side = int(places**0.5)
    if windows != len(batch) or side * side != places:
        return torch.zeros(len(batch), 0, 0)
    heads = last.num_heads
    query, key, _ = last.qkv(seen[0]).reshape(windows, places, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    asked = (query * last.scale) @ key.mT + last._get_rel_pos_bias()
    return asked.softmax(dim=-1).mean(dim=(1, 2)).reshape(-1, side, side)


def _central(pixels: Tensor, crop: int) -> Tensor:
    ((top, left),) = batches.corners(pixels.shape[1], pixels.shape[2], crop, 1)
    return pixels[:, top : top + crop, left : left + crop]
