"""Stage 2: encoder and HyperIQA head on opinion scores, selected on the validation part alone."""

import logging
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import l1_loss

import iqa
from iqa import batches, checkpoint, datasets, distributed, encoders, instants, machine, optim, scorer, tracking
from iqa.batches import pixels_to
from iqa.config import FinetuneConfig, flatten
from iqa.hyperiqa import HyperHead, QualityModel
from iqa.randomness import seed_masks, sub_seed
from iqa.stages import lineage, looking, pacing, probing, showing
from iqa.stages.pacing import Pace
from iqa.stages.scoring import correlations, predict, report_set
from iqa.stages.state import State, resume
from iqa.stages.training import Course, Epoch, costs, counted, described, epochs, loaded, prepare, scaled

logger = logging.getLogger("iqa")
SERVED = Path(iqa.__file__).with_name("served.py")  # the code that the registered model is loaded from


def finetune(config: FinetuneConfig, run: Any) -> Iterator[dict[str, float]]:
    """Yield each epoch's metrics and number; then test the best epoch, and leave the artifact `model`."""
    began = time.monotonic()
    device = prepare(config.compute)
    manifest = loaded(config.data, config.crops.size, "train", "test").labelled().comparable()
    parts = {name: manifest.part(name) for name in ("train", "validation", "test")}
    check_stopping(parts["validation"], config)
    per_epoch = steps_of(parts["train"], config)
    pretraining = lineage.behind(config.model.weights)
    lineage.refuse_seen((parts["validation"], parts["test"]), pretraining["seen"], config.model.weights)
    about = described(manifest)
    run.dataset(manifest.name, parts["train"].digest, str(manifest.root), "training", about)
    if len(parts["validation"]):
        run.dataset(manifest.name, parts["validation"].digest, str(manifest.root), "validation", about)
    model = machine.channels_last(build(config), device)
    run.tags({"encoder": model.encoder.name})  # the config may leave it to the weights
    state = State(model, optimizer_of(model, config))
    resume(state, run, device, partial(best_kept, run.folder))
    if state.step == 0 and len(parts["validation"]) and distributed.leads():
        # before its weights move; validation chooses the strength
        probing.probe(model.encoder, parts, config.crops.size, config.seed, run, device)
    yield from train(state, parts, per_epoch, config, run, device)
    best = distributed.from_first(lambda: best_of(run.folder, state.own["best_epoch"]))
    model.load_state_dict(best["weights"])
    finish(model, state, parts, pretraining, config, run, device)
    run.metrics(costs(run, began, device), state.epoch)


def steps_of(train: datasets.Manifest, config: FinetuneConfig) -> int:
    """How many batches an epoch has. Raises ValueError if one is larger than the data."""
    return batches.steps_per_epoch(len(train), max(1, config.optim.batch_size // config.crops.per_image))


def check_stopping(validation: datasets.Manifest, config: FinetuneConfig) -> None:
    """Without a validation part the last epoch is taken, and nothing can stop early."""
    if not len(validation) and config.optim.patience:
        raise datasets.DataError(
            f"protocol {validation.protocol} of {validation.name} has no validation part, so nothing can stop early: "
            "pass -P optim.patience=0 to take the last epoch, or choose another protocol"
        )


def build(config: FinetuneConfig) -> QualityModel:
    """Encoder and head, seeded."""
    weights = str(tracking.resolve(config.model.weights))
    encoder = encoders.build(
        config.model.encoder,
        weights,
        drop_path=config.model.drop_path,
        seed=config.seed,
        image_size=config.crops.size,
        bfloat16=config.compute.precision == "bfloat16",
        recompute=config.compute.recompute,
    )
    if config.optim.encoder_lr_ratio == 0:
        encoder.fix()
    head = HyperHead(
        encoder.channels,
        multi_scale=config.model.multi_scale,
        attention=config.model.attention,
        dropout=config.model.dropout,
        seed=sub_seed(config.seed, "head"),
    )
    return QualityModel(encoder, head)


def optimizer_of(model: QualityModel, config: FinetuneConfig) -> torch.optim.AdamW:
    """Two groups: the head at head_lr, the encoder at head_lr × encoder_lr_ratio."""
    rate = config.optim.head_lr
    groups = {
        "encoder": (model.encoder.parameters(), rate * config.optim.encoder_lr_ratio),
        "head": (model.head.parameters(), rate),
    }
    return optim.adamw(groups, config.optim.weight_decay)


def train(
    state: State,
    parts: dict[str, datasets.Manifest],
    per_epoch: int,
    config: FinetuneConfig,
    run: Any,
    device: torch.device,
) -> Iterator[dict[str, float]]:
    """The epochs: train, select on validation, then draw the test curve, which nothing reads."""
    source = partial(
        batches.finetuning,
        parts["train"],
        batch=config.optim.batch_size,
        per_image=config.crops.per_image,
        seed=config.seed,
        crop=config.crops.size,
        flip=config.crops.flip,
    )
    count = len(parts["train"])
    extra = extra_epochs(config, count)
    length = config.optim.epochs + extra
    schedule = optim.cosine(per_epoch * length, config.optim.floor)
    losses_of = partial(micro_losses, state, device, pacing.settled(state, config, run, device))
    model, minutes = state.model, config.compute.checkpoint_minutes
    state.own.setdefault("seen", torch.zeros(2, count, dtype=torch.float64))  # sums and counts of predictions
    model.train()
    course = Course(count, per_epoch, length, schedule, config.optim.clip, minutes)
    with closing(epochs(state, run, source, losses_of, course)) as passes:
        for epoch in passes:
            assert optim.covers(state.optimizer, model)
            record = metrics_of(epoch, state, parts["train"])
            record |= select(state, parts["validation"], epoch.number, config, run, device)
            waited = epoch.number - max(state.own["best_epoch"], extra)
            state.own["done"] = 0 < config.optim.patience <= waited
            run.metrics(record, epoch.number)
            curve = predict(model, parts["test"], config.crops.size, 1, device)
            test = correlations(curve, parts["test"], f"test/{parts['test'].name}/epoch_")
            run.metrics(test, epoch.number)
            model.train()
            yield record | test | {"epoch": epoch.number, "epochs": length}


def extra_epochs(config: FinetuneConfig, count: int) -> int:
    """How many epochs of `count` images the extra passes make, rounded up: the control is never given less."""
    return -(-config.optim.extra_passes // (count * config.crops.per_image))


def micro_losses(state: State, device: torch.device, pace: Pace, batch: batches.Crops) -> Iterator[Any]:
    """L1 of each micro-batch as its part of the batch's; the forward pass's scores are kept for the train SRCC."""
    fresh, whole = torch.zeros_like(state.own["seen"]), distributed.total(len(batch.seeds))
    for crops in batch.split(pace.micro_batch):
        seed_masks(state.model, crops.seeds)
        scores = state.model(pixels_to(crops.pixels, device).contiguous(memory_format=pace.format))
        fresh[0].index_add_(0, crops.rows, scores.detach().double().cpu())
        fresh[1].index_add_(0, crops.rows, torch.ones(len(crops.rows), dtype=torch.float64))
        yield scaled({"total": l1_loss(scores, crops.scores.to(device))}, len(crops.seeds) / whole)
    state.own["seen"] += distributed.added(fresh)


def metrics_of(epoch: Epoch, state: State, train: datasets.Manifest) -> dict[str, float]:
    """Loss, SRCC and PLCC of the epoch's own forward passes, rates and costs; clears what was seen."""
    seen: Tensor = state.own["seen"]
    values = correlations((seen[0] / seen[1]).numpy(), train, "train/")
    seen.zero_()
    rates = {f"lr/{group['name']}": group["lr"] for group in state.optimizer.param_groups}
    return {"train/loss": epoch.terms["total"]} | values | rates | epoch.costs


def select(
    state: State, validation: datasets.Manifest, epoch: int, config: FinetuneConfig, run: Any, device: torch.device
) -> dict[str, float]:
    """Score the validation part; keep the weights if they are its best.

    Without a validation part every epoch's weights replace the last one's.
    """
    if not len(validation):
        state.own["best_epoch"] = epoch
        keep(state, run)
        return {}
    predictions = predict(state.model, validation, config.crops.size, config.crops.validation, device)
    values = correlations(predictions, validation, "val/")
    scores = validation.table["score"].to_numpy()
    values["val/loss"] = float(np.abs(predictions - scores).mean())
    best = state.own.get("best_srcc", np.nan)
    beaten = -np.inf if np.isnan(best) else best  # an undefined SRCC (nan) beats nothing, and any other beats it
    if "best_epoch" not in state.own or values["val/srcc"] > beaten:
        state.own |= {"best_epoch": epoch, "best_srcc": values["val/srcc"], "best_plcc": values["val/plcc"]}
        keep(state, run)
    state.own["last_srcc"] = values["val/srcc"]
    return values


def keep(state: State, run: Any) -> None:
    """The weights of the best epoch. Two more stay: each of the two kept checkpoints may name an earlier one."""
    if distributed.leads():
        weights = {"weights": state.model.state_dict()}
        checkpoint.save(run.folder / "best", state.own["best_epoch"], weights, keep=3)


def best_of(folder: Path, epoch: int) -> dict[str, Any]:
    """What `keep` wrote. Raises CheckpointError where it is damaged: a resumed run restores it."""
    try:
        return checkpoint.read(checkpoint.at(folder / "best", epoch), kind="training")
    except checkpoint.CheckpointError as error:
        raise checkpoint.CheckpointError(f"{error} The same command restores it.") from error


def best_kept(folder: Path, tree: dict[str, Any]) -> None:
    """See to it that a checkpoint's best epoch is there, or raise CheckpointError: then it has to be trained again.

    At the end of that epoch the checkpoint's own weights are those.
    """
    best = tree["own"].get("best_epoch")
    if best is None:
        return
    try:
        best_of(folder, best)
    except checkpoint.CheckpointError as error:
        if tree["epoch"] != best or tree["sums"]:
            raise
        logger.warning("The best epoch is taken from the checkpoint at its end: %s", error)
        checkpoint.save(folder / "best", best, {"weights": tree["weights"]})


def finish(
    model: QualityModel,
    state: State,
    parts: dict[str, datasets.Manifest],
    pretraining: dict[str, Any],
    config: FinetuneConfig,
    run: Any,
    device: torch.device,
) -> None:
    """Test the selected epoch once on the full grid; write the model, its metrics and its predictions."""
    own, test = state.own, parts["test"]
    predictions = predict(model, test, config.crops.size, config.crops.grid**2, device)
    if not distributed.leads():
        return
    kept = {"best/val_srcc": "best_srcc", "best/val_plcc": "best_plcc", "final/val_srcc": "last_srcc"}
    best = {name: own[key] for name, key in kept.items() if key in own}
    run.metrics({"best/epoch": own["best_epoch"]} | best, state.epoch)
    run.metrics(counted(encoder=model.encoder, head=model.head), state.epoch)
    instants.reached("best-metric")
    origin = {
        "run": run.run_id,
        "cell": run.cell,
        "data_name": test.name,
        "data": test.digest,
        "epoch": own["best_epoch"],
        "seen": sorted({*pretraining["seen"], *lineage.marks(parts["train"]), *lineage.marks(parts["validation"])}),
        "families": pretraining["families"],
        "validation_srcc": own.get("best_srcc"),
    }
    prepared = scorer.preprocessing_of(parts["train"], config.crops.size, config.crops.grid)
    scale = scorer.Scale(test.name, test.scores_are, *map(float, test.score_range))
    folder = scorer.save(run.folder / "model", model, flatten(config), origin, prepared, scale)
    run.artifact(folder, "model")
    model_id = run.model(f"{test.name}-{config.seed}", folder, flatten(config), SERVED)
    offer(own, parts["validation"], model_id, run)
    report_set(run, predictions, test, own["best_epoch"], model_id, pretraining["families"])
    looking.look(model, test, config.crops.size, run, device)
    showing.show(predictions, test, run)


def offer(own: dict[str, Any], validation: datasets.Manifest, model_id: str, run: Any) -> None:
    """Say on which pictures the model was selected, and with what result: the registry's champion is chosen by it."""
    if len(validation):
        run.tags({"validation": f"{validation.protocol} {validation.digest}"})
        run.candidate(model_id, own["best_srcc"], validation.digest, validation.protocol)
