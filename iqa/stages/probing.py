"""What a frozen encoder knows before fine-tuning: ridge probes on pooled features of its four stages."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from iqa import batches, degradations, losses, metrics, statistics
from iqa.batches import pixels_to
from iqa.datasets import Manifest
from iqa.stages.scoring import write_predictions

SHARES = {"100": 1.0, "10": 0.1}  # per cent of the training labels
FAMILIES = ("blur", "jpeg", "noise", "brightness")  # whose levels the probe's score has to order
LEVELS, ORDERED = 5, 16  # validation images whose levels are ordered: the first by content


def probe(encoder: nn.Module, parts: Mapping[str, Manifest], crop: int, seed: int, run: Any, device: Any) -> None:
    """Fit on train, choose the strength on validation, test on test; metrics `probe/…`, predictions, test features."""
    encoder.eval()
    found = {name: pooled_features(encoder, part, crop, device) for name, part in parts.items()}
    scores = {name: part.table["score"].to_numpy() for name, part in parts.items()}
    test, values = parts["test"], dict[str, float]()
    for name, share in SHARES.items():
        fitted = statistics.probe(
            (found["train"], scores["train"]), (found["validation"], scores["validation"]), share, seed
        )
        answers = fitted(found["test"])
        values |= {
            f"probe/{name}/srcc": metrics.srcc(answers, scores["test"]),
            f"probe/{name}/plcc": metrics.plcc(answers, scores["test"]),
            f"probe/{name}/val_srcc": fitted.validation_srcc,
            f"probe/{name}/strength": fitted.strength,
            f"probe/{name}/labels": float(fitted.labels),
        }
        run.artifact(write_predictions(run.folder / "probes" / f"{test.name}-{name}.csv", answers, test), "probes")
        if name == "100":
            values |= ordering(encoder, fitted, parts["validation"].references(), crop, device)
    run.metrics(values, 0)
    run.artifact(_saved(run.folder / "features" / f"{test.name}.npy", found["test"].astype(np.float16)), "features")


@torch.no_grad()
def pooled_features(encoder: nn.Module, manifest: Manifest, crop: int, device: torch.device) -> np.ndarray:
    """The central crop of each image through the encoder, its four stages averaged over space: (n, ΣC) float64."""
    parts = [
        pooled(encoder, pixels_to(pixels, device))
        for pixels, _ in batches.ahead(batches.evaluation(manifest, crop=crop, count=1, batch=batches.FORWARD))
    ]
    return np.concatenate(parts)


def pooled(encoder: nn.Module, images: Tensor) -> np.ndarray:
    """Images (N, 3, H, W) → stages averaged over space, side by side: (N, ΣC) float64."""
    return torch.cat([stage.mean(dim=(2, 3)) for stage in encoder(images)], dim=1).double().cpu().numpy()


@torch.no_grad()
def ordering(
    encoder: nn.Module, fitted: statistics.Probe, validation: Manifest, crop: int, device: torch.device
) -> dict[str, float]:
    """Share of level pairs that the probe's score puts in the right order: each family's, and their mean."""
    found = {}
    for family in degradations.expand(FAMILIES):
        views = batches.degraded(batches.held_out(validation, family, crop, ORDERED), LEVELS, crop, device)[:, 0]
        features = [pooled(encoder, part) for part in views.flatten(0, 1).split(batches.FORWARD)]
        answers = fitted(np.concatenate(features)).reshape(views.shape[:2])
        found[f"probe/ordering/{family}"] = float(losses.ordering_accuracy(torch.from_numpy(answers)))
    return found | {"probe/ordering": sum(found.values()) / len(found)}


def _saved(file: Path, values: np.ndarray) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    np.save(file, values)
    return file
