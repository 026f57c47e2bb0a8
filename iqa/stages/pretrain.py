"""Stage 1: quality-aware pretraining. Degraded crops → a better encoder."""

import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any

import torch
from torch import Tensor

from iqa import (
    batches,
    checkpoint,
    datasets,
    degradations,
    disk,
    distributed,
    encoders,
    instants,
    losses,
    machine,
    optim,
    qualiclip,
    tracking,
)
from iqa.config import Loss, PretrainConfig, flatten
from iqa.qualiclip import DirectionModel, PrototypeModel
from iqa.randomness import generator, sub_seed
from iqa.stages import diagnostics, lineage, pacing
from iqa.stages.pacing import Pace
from iqa.stages.state import State, resume
from iqa.stages.training import Course, Epoch, costs, counted, described, epochs, loaded, prepare, scaled

Model = DirectionModel | PrototypeModel


def pretrain(config: PretrainConfig, run: Any) -> Iterator[dict[str, float]]:
    """Yield each epoch's metrics, then leave the artifact `encoder` in run.folder and in the run."""
    began = time.monotonic()
    told = config.degrade
    degradations.check(told.families, told.levels, told.crop, told.compose)
    device = prepare(config.compute)
    model = machine.channels_last(build(config, run), device)
    check_margin(model, config)
    manifest = loaded(config.data, config.degrade.crop, "train", "validation")
    train, validation = manifest.part("train").references(), manifest.part("validation").references()
    run.dataset(manifest.name, train.digest, str(manifest.root), "pretraining", described(manifest))
    run.tags({"encoder": model.encoder.name})  # the config may leave it to the weights
    per_epoch = batches.steps_per_epoch(len(train), config.optim.batch_size)
    groups = {"pretraining": (model.parameters(), config.optim.lr)}
    state = State(model, optim.adamw(groups, config.optim.weight_decay), own={"curve": []})
    resume(state, run, device)
    source = partial(
        batches.pretraining,
        train,
        batch=config.optim.batch_size,
        seed=config.seed,
        families=told.families,
        crop=told.crop,
        overlap=told.overlap,
        compose=told.compose,
    )
    schedule = optim.cosine(per_epoch * config.optim.epochs, config.optim.floor)
    losses_of = partial(micro_losses, model, config, device, pacing.settled(state, config, run, device))
    model.train()
    length, minutes = config.optim.epochs, config.compute.checkpoint_minutes
    course = Course(len(train), per_epoch, length, schedule, config.optim.clip, minutes)
    with closing(epochs(state, run, source, losses_of, course)) as passes:
        for epoch in passes:
            assert optim.covers(state.optimizer, model)
            held_out = ordering(model, validation, config, device)
            record = metrics_of(epoch) | held_out
            state.own["curve"].append({"epoch": epoch.number} | without_costs(record))
            run.metrics(record, epoch.number)
            yield record
    last = state.own["curve"][-1] if state.own["curve"] else ordering(model, validation, config, device)
    final = {name.replace("val/", "final/"): value for name, value in last.items() if name.startswith("val/")}
    run.metrics(final, config.optim.epochs)
    instants.reached("best-metric")
    run.metrics(costs(run, began, device), config.optim.epochs)
    origin = {"data": train.digest, "data_name": manifest.name, "seen": lineage.marks(train)}
    if distributed.leads():
        leave(model, state, config, run, origin)


def build(config: PretrainConfig, run: Any) -> Model:
    """Encoder, projector and what its embeddings are compared with, seeded."""
    encoder = encoders.build(
        config.model.encoder,
        str(tracking.resolve(config.model.weights)),
        seed=config.seed,
        image_size=config.degrade.crop,
        bfloat16=config.compute.precision == "bfloat16",
        recompute=config.compute.recompute,
    )
    hidden, embedding = config.model.hidden, config.model.embedding
    if config.loss.type == "simplified":
        return DirectionModel(encoder, encoder.channels, hidden, embedding, config.seed)
    if config.loss.prototypes == "random":
        pairs = qualiclip.random_pair(embedding, config.loss.cosine, sub_seed(config.seed, "prototypes"))
    else:
        pairs = text(config.loss, run)
    return PrototypeModel(encoder, encoder.channels, hidden, pairs, config.seed)


def text(loss: Loss, run: Any) -> Tensor:
    """The prompts' unit vectors (P, 2, E); they and what made them become the run's artifact `text`."""
    told = (loss.text_model, loss.text_weights, loss.pairs(), disk.cache_folder())
    tree = distributed.from_first(lambda: encoders.text.features(*told))
    if distributed.leads():
        run.artifact(checkpoint.write(run.folder / "text", tree, kind="text"), "text")
    return tree["features"]


def check_margin(model: Model, config: PretrainConfig) -> None:
    """Refuse a ranking margin that no unit embedding can reach with these prototypes."""
    prototypes, levels, margin = model.prototypes(), config.degrade.levels, config.loss.m_rank
    largest = losses.feasible_margin(levels, qualiclip.reach(prototypes))
    if margin > largest:
        raise ValueError(
            f"loss.m_rank {margin:g} cannot be satisfied with {levels} levels: the prototypes' cosine is "
            f"{qualiclip.cosine(prototypes):.4f}, which leaves at most {largest:.4g}; lower it, use fewer levels, or "
            "prompts that are farther apart."
        )


def micro_losses(
    model: Model, config: PretrainConfig, device: torch.device, pace: Pace, batch: list[batches.CropPair]
) -> Iterator[dict[str, Tensor]]:
    """The loss of each micro-batch of images, as its part of the batch's; exact, since images do not couple."""
    step, whole = pace.micro_batch or len(batch), distributed.total(len(batch))
    levels = config.degrade.levels
    for at in range(0, len(batch), step):
        pairs = batch[at : at + step]
        scores = score_views(model, batches.degraded(pairs, levels, config.degrade.crop, device), pace.format)
        if config.loss.shuffle_levels:
            scores = losses.shuffled(scores, orders(pairs, levels).to(device))
        yield scaled(terms_of(scores, config.loss), len(pairs) / whole)


def orders(pairs: list[batches.CropPair], levels: int) -> Tensor:
    """A fresh permutation of the levels for each image and step: (N, L). A pair's seeds know its image and epoch."""
    return torch.stack([torch.randperm(levels, generator=generator(pair.seeds[0], "levels")) for pair in pairs])


def terms_of(scores: Tensor, loss: Loss) -> dict[str, Tensor]:
    """The loss of scores (N, 2, L, K) by its config: K = 1 simplified, K = 2 full."""
    if loss.type == "simplified":
        return losses.simplified(scores[..., 0], loss.m_cons, loss.m_rank, loss.consistency, loss.ranking)
    weights = (loss.consistency, loss.ranking, loss.ranking_negative)
    return losses.full(scores[..., 0], scores[..., 1], loss.m_cons, loss.m_rank, weights)


def score_views(model: Model, views: Tensor, layout: torch.memory_format = torch.channels_last) -> Tensor:
    """Views (N, crops, L, 3, C, C) → scores (N, crops, L, K), one forward pass."""
    flat = views.flatten(0, 2).contiguous(memory_format=layout)
    return model(flat).unflatten(0, views.shape[:3])


def metrics_of(epoch: Epoch) -> dict[str, float]:
    """An epoch's loss terms and costs under their names in the run."""
    return {f"train/{'loss' if name == 'total' else name}": value for name, value in epoch.terms.items()} | epoch.costs


def without_costs(record: dict[str, float]) -> dict[str, float]:
    """What two runs of one config agree on."""
    return {name: value for name, value in record.items() if not name.startswith("cost/")}


@torch.no_grad()
def ordering(
    model: Model, validation: datasets.Manifest, config: PretrainConfig, device: torch.device
) -> dict[str, float]:
    """Held-out ordering accuracy for each family and on average, spread of the scores (collapse alarm), cosine.

    Processes share the images.
    """
    levels, crop, most = config.degrade.levels, config.degrade.crop, config.degrade.heldout
    at_once = max(1, batches.FORWARD // levels)
    count = min(len(validation), most)
    own = distributed.share(count)
    accuracy, every = {}, []
    model.eval()
    for family in degradations.expand(config.degrade.families):
        pairs = batches.held_out(validation, family, crop, most, own)
        tracking.stop_if_asked()
        scores = torch.zeros(count, levels, device=device)
        for at in range(0, len(pairs), at_once):
            views = batches.degraded(pairs[at : at + at_once], levels, crop, device)
            first = own.start + at
            scores[first : first + len(views)] = qualiclip.quality(score_views(model, views)[:, 0])
        instants.reached("amid-validation")
        distributed.added(scores)
        accuracy[f"val/ordering/{family}"] = float(losses.ordering_accuracy(scores))
        every.append(scores.flatten())
    model.train()
    mean = {"val/ordering": sum(accuracy.values()) / len(accuracy)}
    spread = {"val/score_spread": float(torch.cat(every).std())}
    return accuracy | mean | spread | {"val/prototype_cosine": qualiclip.cosine(model.prototypes())}


def leave(model: Model, state: State, config: PretrainConfig, run: Any, data: dict[str, Any]) -> None:
    """The artifacts: the encoder with its origin, and the figure of what was measured each epoch."""
    tree = encoders.tree(model.encoder, flatten(config))
    origin = {"run": run.run_id, "cell": run.cell} | data
    checkpoint.write(run.folder / "encoder", tree | {"origin": origin}, kind="encoder")
    run.artifact(run.folder / "encoder", "encoder")
    run.metrics(counted(encoder=model.encoder), state.epoch)
    if state.own["curve"]:
        run.artifact(diagnostics.write(run.folder / "figures", state.own["curve"]), "figures")
