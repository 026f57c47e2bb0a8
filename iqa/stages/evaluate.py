"""Evaluation: a finished model on whole target sets, without any fitting to them."""

import time
from collections.abc import Iterator
from typing import Any

import torch

from iqa import datasets, machine, tracking
from iqa.config import EvaluateConfig
from iqa.stages.scoring import load_model, predict, report_set
from iqa.stages.training import prepare


def evaluate(config: EvaluateConfig, run: Any) -> Iterator[dict[str, float]]:
    """Yield each target set's metrics, in the order of the config; predictions are artifacts."""
    began = time.monotonic()
    device = prepare(config.compute)
    targets = [
        datasets.load(name, config.targets.root, on_bad=config.targets.on_bad).labelled()
        for name in config.targets.names
    ]
    folder = tracking.resolve(config.weights)
    model, about = load_model(folder, config.crops.size, config.compute.precision == "bfloat16")
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    for target in targets:
        manifest = target.part("test") if target.name == about["origin"]["data_name"] else target
        predictions = predict(model, manifest, config.crops.size, config.crops.grid**2, device)
        yield report_set(run, predictions, manifest, about["origin"]["epoch"], "")
    run.metrics({"cost/hours": (time.monotonic() - began) / 3600, "cost/peak_memory_mb": machine.peak_memory_mb()}, 1)
