"""Evaluation: a finished model on whole target sets, without any fitting to them."""

import time
from collections.abc import Iterator
from typing import Any

from iqa import distributed, machine, scorer, tracking
from iqa.config import EvaluateConfig
from iqa.stages import lineage, targets
from iqa.stages.scoring import predict, report_set
from iqa.stages.training import costs, prepare, tell


def evaluate(config: EvaluateConfig, run: Any) -> Iterator[dict[str, float]]:
    """Yield each target set's metrics, in the order of the config; predictions are artifacts."""
    began = time.monotonic()
    device = prepare(config.compute)
    model, about = scorer.load(
        tracking.resolve(config.weights), config.crops.size, config.compute.precision == "bfloat16"
    )
    machine.channels_last(model, device)
    origin = about["origin"]
    told = [one.labelled().fitting(config.crops.size, config.targets.on_bad) for one in targets(config)]
    manifests = [lineage.unseen(one, origin.get("seen", ())).varied() for one in told]
    for note in (note for one in manifests for note in one.notes):
        tell(note)
    model_id = distributed.from_first(lambda: tracking.logged_model(origin["run"]))
    for manifest in manifests:
        predictions = predict(model, manifest, config.crops.size, config.crops.grid**2, device)
        if distributed.leads():
            yield report_set(run, predictions, manifest, origin["epoch"], model_id, origin.get("families", ()))
    run.metrics(costs(run, began, device), 1)
