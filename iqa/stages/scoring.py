"""Scores of a finished model: rows of predictions, the metrics of a set."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from iqa import batches, disk, distributed, instants, metrics, scorer, statistics, tracking
from iqa.datasets import Manifest
from iqa.stages import lineage
from iqa.stages.training import described, tell

T = TypeVar("T")
KNOWN = ("family", "level")  # of a distortion; "" and -1 where nobody knows


def predict(model: nn.Module, manifest: Manifest, crop: int, count: int, device: torch.device) -> np.ndarray:
    """The mean score over each image's `count` fixed crops: (len(manifest),) float64; processes share the images."""
    own = distributed.share(len(manifest))
    crops = batches.evaluation(manifest, crop=crop, count=count, batch=batches.FORWARD, which=own)
    found = torch.zeros(len(manifest), dtype=torch.float64)
    mine = list(scorer.scores(model, watched(batches.ahead(crops)), count, device))
    found[own.start : own.stop] = torch.tensor(mine, dtype=torch.float64)
    return distributed.added(found).numpy()


def watched(crops: Iterable[T]) -> Iterator[T]:
    """The same batches, unless somebody asks to stop between two of them."""
    for batch in crops:
        tracking.stop_if_asked()
        yield batch
        instants.reached("amid-validation")


def correlations(predictions: np.ndarray, manifest: Manifest, prefix: str) -> dict[str, float]:
    """SRCC and PLCC under `prefix`; undefined ones are nan, and a line says why."""
    scores = manifest.table["score"].to_numpy()
    explain(predictions, scores, prefix.rstrip("/"))
    return {
        f"{prefix}srcc": metrics.srcc(predictions, scores),
        f"{prefix}plcc": metrics.plcc(predictions, scores),
    }


def explain(predictions: np.ndarray, scores: np.ndarray, where: str) -> None:
    """Tell why correlations are nan."""
    why = metrics.undefined(predictions, scores)
    if why and distributed.leads():
        tell(f"no correlation on {where}: {why[0].lower()}{why[1:]}")


def report_set(
    run: Any, predictions: np.ndarray, manifest: Manifest, epoch: int, model_id: str, families: Iterable[str]
) -> dict[str, float]:
    """Write a set's predictions as an artifact and its metrics, tied to (model, data set), into the run.

    families: those that the encoder's pretraining degraded with.
    """
    scores = manifest.table["score"].to_numpy()
    values = metrics.summary(predictions, scores)
    explain(predictions, scores, manifest.name)
    low, high = statistics.interval(predictions, scores, manifest.table["group"].to_numpy())
    values |= {"srcc_low": low, "srcc_high": high} | by_distortion(predictions, manifest, families) | ceiling(manifest)
    named = {f"test/{manifest.name}/{name}": value for name, value in values.items()}
    run.metrics(named, epoch)
    run.dataset(manifest.name, manifest.digest, str(manifest.root), "testing", described(manifest))
    if model_id:
        run.model_metrics(model_id, named, manifest.name, manifest.digest, epoch)
    file = write_predictions(run.folder / "predictions" / f"{manifest.name}.csv", predictions, manifest)
    run.artifact(file, "predictions")
    return named


def by_distortion(predictions: np.ndarray, manifest: Manifest, pretrained: Iterable[str]) -> dict[str, float]:
    """SRCC, PLCC and n within each family of a set that knows its families, and within what pretraining (not) saw."""
    told, scores = manifest.table["family"].to_numpy(), manifest.table["score"].to_numpy()
    present = sorted(set(told) - {"", "reference"})
    if not present:
        return {}
    rows = {f"family/{name}": told == name for name in present}
    rows |= {name: np.isin(told, some) for name, some in lineage.divided(present, pretrained).items()}
    found: dict[str, float] = {}
    for name, mask in rows.items():
        if mask.sum() > 1:
            found[f"{name}/srcc"] = metrics.srcc(predictions[mask], scores[mask])
            found[f"{name}/plcc"] = metrics.plcc(predictions[mask], scores[mask])
            found[f"{name}/n"] = float(mask.sum())
    return found


def ceiling(manifest: Manifest) -> dict[str, float]:
    """SRCC (mean and sd) of other panels of the same people with the published scores, where each vote is told."""
    votes = [told.split() for told in manifest.table["votes"]]
    if len(votes) < 3 or not all(votes):
        return {}
    counts = np.array(votes, dtype=np.float64)
    found = statistics.rater_ceiling(counts, counts.sum(axis=1), manifest.table["score"].to_numpy())
    return {"ceiling/srcc": found.srcc, "ceiling/sd": found.sd, "ceiling/between": found.between}


def write_predictions(file: Path, predictions: np.ndarray, manifest: Manifest) -> Path:
    """path, group, score, prediction, family, level: one line an image, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    before, after = ([manifest.table[name] for name in some] for some in (("path", "group", "score"), KNOWN))
    with disk.whole(file) as out:
        writer = csv.writer(out)
        writer.writerow(("path", "group", "score", "prediction", *KNOWN))
        writer.writerows(zip(*before, (repr(float(value)) for value in predictions), *after, strict=True))
    return file
