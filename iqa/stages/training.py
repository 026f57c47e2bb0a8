"""What both training stages share: epochs that save, stop and go on."""

import logging
import multiprocessing
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from iqa import batches, checkpoint, datasets, distributed, instants, machine, tracking
from iqa.config import Compute, Data
from iqa.loop import Record, Terms, fit
from iqa.stages.state import State

TOLD: set[str] = set()  # what `tell` has printed

logger = logging.getLogger("iqa")


class Diverged(ValueError):
    """The loss is no number any more, or a weight is none."""


@dataclass(frozen=True)
class Epoch:
    """A finished pass over the data: its number (1-based), mean loss terms and costs."""

    number: int
    terms: dict[str, float]
    costs: dict[str, float]


@dataclass(frozen=True)
class Course:
    """How long a training is and how fast: images and steps an epoch, rate by step, clip (norm; 0 = none)."""

    images: int
    per_epoch: int
    epochs: int
    lr_at: Callable[[int], float]
    clip: float
    checkpoint_minutes: float  # within an epoch


class Source(Protocol):
    """Makes the endless batches that begin at a step."""

    def __call__(self, *, start: int) -> Iterable[Any]: ...


class Timed:
    """An iterator that adds up how long its consumer waited for it, in seconds."""

    def __init__(self, items: Iterable[Any]):
        self.items, self.seconds = iter(items), 0.0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        began = time.monotonic()
        item = next(self.items)
        self.seconds += time.monotonic() - began
        return item


def prepare(compute: Compute) -> torch.device:
    """Set this process up for training as the config says, and return its device."""
    tracking.stop_after(compute.max_hours)
    machine.keep_memory()
    machine.threads(compute.threads)
    device = machine.device(compute.device)
    machine.deterministic(device)
    return device


def loaded(data: Data, crop: int, *needed: str) -> datasets.Manifest:
    """The data set that a config names, its notes told; raises DataError if a part that the stage needs is empty.

    A picture that is smaller than the crop is bad input as well.
    """
    whole = datasets.load(**data.model_dump())
    manifest = whole.fitting(crop, data.on_bad)
    for note in manifest.notes:
        tell(note)
    empty = [name for name in needed if not len(manifest.part(name))]
    if small := [name for name in empty if len(whole.part(name))]:
        raise datasets.DataError(
            f"every picture of the {' and the '.join(small)} part of {manifest.name} is smaller than a crop of {crop}: "
            "lower the crop size, raise input_size, or choose another protocol."
        )
    if empty:
        raise datasets.DataError(
            f"{manifest.name} has no {' and no '.join(empty)} part under protocol {manifest.protocol}: "
            "choose another protocol, or add rows for it."
        )
    return manifest


def described(manifest: datasets.Manifest) -> dict[str, str]:
    """What a data set's input in the run says beside its digest."""
    sizes = " ".join(sorted({size or "native" for size in manifest.table["size"]}))
    about = {"protocol": manifest.protocol, "images": str(len(manifest)), "input_size": sizes}
    return about | ({"deviations": "; ".join(manifest.deviations)} if manifest.deviations else {})


def tell(note: str) -> None:
    """Print a line, once however many cells of an experiment say it."""
    if note not in TOLD:
        TOLD.add(note)
        logger.info("%s", note)


def epochs(
    state: State,
    run: Any,
    source: Source,
    losses_of: Callable[[Any], Iterator[Terms]],
    course: Course,
) -> Generator[Epoch, None, None]:
    """Train from state.step on and yield at the end of each epoch; when resumed, what the caller did is saved.

    The caller closes this, and ends the training early with state.own["done"] = True. Raises Stopped, after a
    checkpoint, when asked to stop, and Diverged, before one, when the loss or a weight is no number.
    """
    with closing(batches.ahead(source(start=state.step))) as crops:
        yield from _epochs(state, run, Timed(crops), losses_of, course)


def _epochs(
    state: State,
    run: Any,
    clock: Timed,
    losses_of: Callable[[Any], Iterator[Terms]],
    course: Course,
) -> Generator[Epoch, None, None]:
    per_epoch = course.per_epoch
    while state.epoch < course.epochs and not state.own.get("done"):
        began, waited = time.monotonic(), clock.seconds
        first, last = state.step, (state.epoch + 1) * per_epoch
        saved = began
        steps = fit(losses_of, clock, state.optimizer, course.lr_at, range(first, last), course.clip)
        for record in shown(steps, last - first, f"epoch {state.epoch + 1}/{course.epochs}"):
            state.step = record.step + 1
            state.sums = {name: state.sums.get(name, 0) + term for name, term in record.terms.items()}
            instants.reached("after-step")
            asked = distributed.highest(run.stop_requested())
            if asked:
                _save(state, run)
                raise tracking.Stopped(asked)
            if time.monotonic() - saved >= 60 * course.checkpoint_minutes and state.step < last:
                _save(state, run)
                saved = time.monotonic()
        _refuse_divergence(state)
        pace = paced(course, last - first, time.monotonic() - began, clock.seconds - waited)
        terms = {name: float(total) / per_epoch for name, total in state.sums.items()}
        trained = deepcopy(state.own)
        try:
            yield Epoch(state.epoch + 1, terms, pace if first < last else {})
        except GeneratorExit:
            if run.stop_requested():  # amid validation: what was trained need not be trained again
                state.own = trained
                _save(state, run)
            raise
        instants.reached("epoch-end")
        state.epoch += 1
        state.sums = {}
        _save(state, run)


def paced(course: Course, steps: int, seconds: float, waited: float) -> dict[str, float]:
    """What so many steps of an epoch have cost; waited: seconds of them that went by without a batch."""
    return {
        "cost/epoch_s": seconds,
        "cost/images_per_s": course.images * steps / course.per_epoch / max(seconds, 1e-9),
        "cost/data_wait": waited / max(seconds, 1e-9),
    }


def shown(steps: Iterator[Record], count: int, title: str) -> Iterator[Record]:
    """The same records, with a bar on a terminal that is gone when they are; of processes, one alone shows it."""
    from tqdm import tqdm

    hidden = True if multiprocessing.parent_process() or not distributed.leads() else None
    return iter(tqdm(steps, desc=title, total=count, unit="step", leave=False, disable=hidden))


def costs(run: Any, began: float, device: torch.device) -> dict[str, float]:
    """What a stage has cost; began: time.monotonic() at this opening's beginning.

    Hours count earlier openings of its run too, memory and GPU use this one alone. Each process has a GPU.
    """
    hours = (run.worked_before + time.monotonic() - began) / 3600
    of_gpus = {"cost/gpu_hours": hours * distributed.world()} | run.usage() if device.type == "cuda" else {}
    return {"cost/hours": hours, "cost/peak_memory_mb": machine.peak_memory_mb(device)} | of_gpus


def counted(**parts: nn.Module) -> dict[str, float]:
    """Metrics: how many parameters each part of a model has, frozen ones included."""
    return {f"parameters/{name}": float(sum(p.numel() for p in part.parameters())) for name, part in parts.items()}


def scaled(terms: Terms, share: float) -> Terms:
    """A micro-batch's mean terms as its part of the batch's mean."""
    return {name: term * share for name, term in terms.items()}


def _save(state: State, run: Any) -> None:
    _refuse_divergence(state)
    if distributed.leads():
        run.sync()
        checkpoint.save(run.folder / "checkpoints", state.step, state.tree())


def _refuse_divergence(state: State) -> None:
    """Raise Diverged unless losses and weights are numbers: a finite loss may have a gradient that is not."""
    lost = [name for name, total in state.sums.items() if not bool(torch.isfinite(total))]
    finite = torch.stack([torch.isfinite(weights).all() for weights in state.model.parameters()])
    if lost or not bool(finite.all()):
        what = f"The loss ({', '.join(lost)})" if lost else "A weight"
        raise Diverged(
            f"{what} stopped being a number before step {state.step}: lower the learning "
            "rate or set optim.clip; the last finite checkpoint is kept."
        )
