"""A stage as the product runs it, with its data, run, journal and store, an epoch each time it is asked.

A process of its own (`python -m benchmarks.performance.product TOLD`), which takes turns with the bare loop.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.performance.conversation import answering
from benchmarks.timing import timed
from iqa import config, datasets, machine, tracking
from iqa.stages import finetune, pretrain, scoring
from iqa.stages.training import prepare

NAME = "benchmarks.performance.product"


def main() -> None:
    """Answer with an epoch's seconds and steps' images, and the most memory so far."""
    told = json.loads(sys.argv[1])
    folder = Path(told["folder"])
    os.environ |= {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "MLFLOW_DISABLE_TELEMETRY": "true"}
    epochs = STAGES[told["stage"]](told, folder)

    def answer() -> dict[str, Any]:
        seconds, images = next(epochs)
        return {"seconds": seconds, "images": images, "peak": machine.peak_memory_mb()}

    answering(answer)


def _training(told: dict[str, Any], folder: Path) -> Iterator[tuple[float, float]]:
    """Seconds of each epoch's steps (validation is not the bare loop's), and images."""
    name = told["stage"]
    settings = config.load(name, told["fields"], "paper")
    stage = {"pretrain": pretrain.pretrain, "finetune": finetune.finetune}[name]
    with tracking.open_run(name, folder / f"run-{os.getpid()}", name="performance", params={}, tags={}) as run:
        for record in stage(settings, run):
            seconds = record["cost/epoch_s"]
            yield seconds, record["cost/images_per_s"] * seconds


def _evaluating(told: dict[str, Any], folder: Path) -> Iterator[tuple[float, float]]:
    """Seconds of a whole set, again and again, and its crops."""
    settings = config.load("finetune", told["fields"], "paper")
    device = prepare(settings.compute)
    model = machine.channels_last(finetune.build(settings), device)
    manifest = datasets.load(**settings.data.model_dump())
    crop, grid = settings.crops.size, settings.crops.grid
    while True:
        yield timed(lambda: scoring.predict(model, manifest, crop, grid**2, device)), len(manifest) * grid**2


STAGES = {"pretrain": _training, "finetune": _training, "evaluate": _evaluating}

if __name__ == "__main__":
    main()
