"""Stage 1: quality-aware pretraining. Degraded crops → a better encoder."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from iqa import batches, checkpoint, datasets, degradations, encoders, losses, machine, optim, tracking
from iqa.config import PretrainConfig, flatten
from iqa.losses import feasible_margin
from iqa.qualiclip import DirectionModel
from iqa.stages import lineage
from iqa.stages.training import Epoch, State, described, epochs, loaded, prepare, resume, scaled

FORWARD = 128  # crops at once where nothing is kept for a backward pass


def pretrain(config: PretrainConfig, run: Any) -> Iterator[dict[str, float]]:
    """Yield each epoch's metrics, then leave the artifact `encoder` in run.folder and in the run."""
    began = time.monotonic()
    check_margin(config)
    device = prepare(config.compute)
    manifest = loaded(config.data, config.degrade.crop, "train", "validation")
    train, validation = manifest.part("train").references(), manifest.part("validation").references()
    run.dataset(manifest.name, train.digest, str(manifest.root), "pretraining", described(manifest))
    model = build(config).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    per_epoch = batches.steps_per_epoch(len(train), config.optim.batch_size)
    groups = {"pretraining": (model.parameters(), config.optim.lr)}
    state = State(model, optim.adamw(groups, config.optim.weight_decay))
    resume(state, run.folder, device)
    source = partial(
        batches.pretraining,
        train,
        batch=config.optim.batch_size,
        seed=config.seed,
        families=config.degrade.families,
        crop=config.degrade.crop,
        overlap=config.degrade.overlap,
    )
    schedule = optim.cosine(per_epoch * config.optim.epochs, config.optim.floor)
    losses_of = partial(micro_losses, model, config, device)
    model.train()
    minutes = config.compute.checkpoint_minutes
    for epoch in epochs(state, run, source, losses_of, schedule, per_epoch, len(train), config.optim, minutes):
        record = metrics_of(epoch) | ordering(model, validation, config, device)
        run.metrics(record, epoch.number)
        yield record
    final = ordering(model, validation, config, device)
    run.metrics({name.replace("val/", "final/"): value for name, value in final.items()}, config.optim.epochs)
    hours = (time.monotonic() - began) / 3600
    run.metrics({"cost/hours": hours, "cost/peak_memory_mb": machine.peak_memory_mb()}, config.optim.epochs)
    tree = encoders.tree(model.encoder, flatten(config))
    origin = {"run": run.run_id, "cell": run.cell, "data": train.digest, "data_name": manifest.name}
    origin["seen"] = lineage.marks(train)
    checkpoint.write(run.folder / "encoder", tree | {"origin": origin}, kind="encoder")
    run.artifact(run.folder / "encoder", "encoder")


def check_margin(config: PretrainConfig) -> None:
    """Refuse a ranking margin that no unit embedding can reach."""
    largest = feasible_margin(config.degrade.levels)
    if config.loss.m_rank > largest:
        raise ValueError(
            f"loss.m_rank {config.loss.m_rank:g} cannot be satisfied with {config.degrade.levels} levels: "
            f"scores in [-1, 1] leave at most {largest:.4g}; lower it or use fewer levels."
        )


def build(config: PretrainConfig) -> DirectionModel:
    """Encoder, projector and direction, seeded."""
    weights = str(tracking.resolve(config.model.weights))
    encoder = encoders.build(config.model.encoder, weights, seed=config.seed, image_size=config.degrade.crop)
    return DirectionModel(encoder, encoder.channels, config.model.hidden, config.model.embedding, config.seed)


def micro_losses(
    model: DirectionModel, config: PretrainConfig, device: torch.device, batch: list[batches.CropPair]
) -> Iterator[dict[str, Tensor]]:
    """The loss of each micro-batch of images, as its part of the batch's; exact, since images do not couple."""
    step = config.compute.micro_batch or len(batch)
    weights = config.loss
    for at in range(0, len(batch), step):
        pairs = batch[at : at + step]
        scores = score_views(model, batches.degraded(pairs, config.degrade.levels, config.degrade.crop, device))
        terms = losses.simplified(scores, weights.m_cons, weights.m_rank, weights.consistency, weights.ranking)
        yield scaled(terms, len(pairs) / len(batch))


def score_views(model: DirectionModel, views: Tensor) -> Tensor:
    """Views (N, crops, L, 3, C, C) → scores (N, crops, L), one forward pass."""
    flat = views.flatten(0, 2).contiguous(memory_format=torch.channels_last)
    return model(flat).unflatten(0, views.shape[:3])


def metrics_of(epoch: Epoch) -> dict[str, float]:
    """An epoch's loss terms and costs under their names in the run."""
    terms = epoch.terms
    train = {"train/loss": terms["total"], "train/consistency": terms["consistency"]}
    return train | {"train/ranking": terms["ranking"]} | epoch.costs


@torch.no_grad()
def ordering(
    model: DirectionModel, validation: datasets.Manifest, config: PretrainConfig, device: torch.device
) -> dict[str, float]:
    """Held-out ordering accuracy for each family and on average, and the spread of the scores (collapse alarm)."""
    levels, crop = config.degrade.levels, config.degrade.crop
    at_once = max(1, FORWARD // levels)
    accuracy, every = {}, []
    model.eval()
    for family in degradations.expand(config.degrade.families):
        pairs = batches.held_out(validation, family, crop, config.degrade.heldout)
        parts = [pairs[at : at + at_once] for at in range(0, len(pairs), at_once)]
        scores = torch.cat([score_views(model, batches.degraded(p, levels, crop, device))[:, 0] for p in parts])
        accuracy[f"val/ordering/{family}"] = float(losses.ordering_accuracy(scores))
        every.append(scores.flatten())
    model.train()
    spread = {"val/score_spread": float(torch.cat(every).std())}
    return accuracy | spread | {"val/ordering": sum(accuracy.values()) / len(accuracy)}
