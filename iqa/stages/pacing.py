"""micro_batch=auto: the micro-batch and memory format that this device computes a step fastest with, measured once."""

import copy
import hashlib
import json
import multiprocessing
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import filelock
import torch
from torch import nn

from iqa import disk, distributed, machine, tracking
from iqa.config import AUTO, FinetuneConfig, PretrainConfig
from iqa.randomness import generator
from iqa.stages import footprint
from iqa.stages.state import State
from iqa.stages.training import tell

FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
WORTH = 0.05  # the share by which one has to be faster than another: less is not worth the memory
LOOK = 0.1  # seconds between two looks for an answer, and for whoever asks to stop
PAST = 0.9  # of the best rate so far: from there on smaller micro-batches are not tried any more


@dataclass(frozen=True)
class Pace:
    """How a step is computed.

    micro_batch: images (fine-tuning: crops) per backward pass, 0 = the whole batch; layout: a key of FORMATS.
    """

    micro_batch: int
    layout: str = "channels_last"

    @property
    def format(self) -> torch.memory_format:
        """Of the weights and the crops."""
        return FORMATS[self.layout]

    def __str__(self) -> str:
        return f"{self.micro_batch} at once, {self.layout}"


def settled(state: State, config: PretrainConfig | FinetuneConfig, run: Any, device: torch.device) -> Pace:
    """The config's pace; for "auto" the measured one, for which the model's weights are laid out anew.

    The measured one is kept in the run's checkpoints, so that the run goes on with the same bits, and in its tag
    `micro_batch`. Raises MachineError if not even one image fits into memory.
    """
    if config.compute.micro_batch != AUTO:
        return Pace(int(config.compute.micro_batch))
    if "pace" not in state.own:
        state.own["pace"] = distributed.from_first(lambda: asdict(known(state.model, config, device)))
    pace = Pace(**state.own["pace"])
    state.model.to(memory_format=pace.format)
    run.tags({"micro_batch": f"auto: {pace}"})
    return pace


def known(model: Any, config: PretrainConfig | FinetuneConfig, device: torch.device) -> Pace:
    """The pace in the cache, or the one measured now; processes of one computer do not measure at the same time."""
    batch, image = sizes(config)
    asked = {
        "device": machine.name(device),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "encoder": model.encoder.name,
        "trained": sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
        "batch": [batch, *image],
        "precision": config.compute.precision,
        "recompute": config.compute.recompute,
    }
    key = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]
    file = disk.cache_folder() / "pace" / f"{key}.json"
    with disk.cached(file):
        file.parent.mkdir(exist_ok=True)
        with filelock.FileLock(file.with_suffix(".lock")):
            if pace := kept(file):
                return pace
            fits = batch if device.type == "mps" else footprint.fitting(config, machine.free_memory(device.type))
            rates = apart(model, max(1, min(batch, fits)), image, device)
            pace = fastest(rates)
            found = ", ".join(f"{rate:.3g} images/s with {one}" for one, rate in rates.items())
            tell(f"micro_batch=auto, measured for batches of {batch} on this device: {found}; taken: {pace}")
            rows = [asdict(one) | {"images_per_s": rate} for one, rate in rates.items()]
            with disk.whole(file) as out:
                json.dump({"asked": asked, "pace": asdict(pace), "measured": rows}, out, indent=1)
    return pace


def kept(file: Path) -> Pace | None:
    """The pace of a file in the cache; None where there is none, or none that can be read: it is measured again."""
    try:
        return Pace(**json.loads(file.read_text(encoding="utf-8"))["pace"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def sizes(config: PretrainConfig | FinetuneConfig) -> tuple[int, tuple[int, ...]]:
    """How many images a process has of each batch, and the shape of one: (crops, 3, C, C)."""
    images = -(-config.optim.batch_size // distributed.world())
    if isinstance(config, PretrainConfig):
        return images, (2 * config.degrade.levels, 3, config.degrade.crop, config.degrade.crop)
    return images, (1, 3, config.crops.size, config.crops.size)


def apart(model: nn.Module, most: int, image: tuple[int, ...], device: torch.device) -> dict[Pace, float]:
    """What `measured` finds, in a process of its own: this one would keep the memory of the largest micro-batch.

    Raises MachineError where that process is killed, Stopped if asked to stop meanwhile.
    """
    there = torch.device("cuda", torch.cuda.current_device()) if device.type == "cuda" else device
    asked = copy.deepcopy(model).cpu(), most, image, there, torch.get_num_threads()
    context = multiprocessing.get_context("spawn")
    answer, told = context.Pipe(duplex=False)
    process = context.Process(target=_alone, args=(told, *asked))
    process.start()
    told.close()
    try:
        while not answer.poll(LOOK):  # what has ended without an answer is one too
            tracking.stop_if_asked()
        found = answer.recv()
    except EOFError as error:
        tracking.stop_if_asked()  # it may have been asked with its whole group
        raise machine.MachineError(
            "What measured micro_batch=auto was killed, perhaps for its memory: give compute.micro_batch a number."
        ) from error
    finally:
        process.kill()
        process.join()
    if isinstance(found, machine.MachineError):
        raise found
    return found


def _alone(
    told: Connection, model: nn.Module, most: int, image: tuple[int, ...], device: torch.device, threads: int
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the training's
    tracking.leave_with_parent()
    machine.keep_memory()
    machine.threads(threads)
    machine.deterministic(device)
    try:
        told.send(measured(machine.channels_last(model, device), most, image, device))
    except machine.MachineError as error:
        told.send(error)


def measured(model: nn.Module, most: int, image: tuple[int, ...], device: torch.device) -> dict[Pace, float]:
    """Images/s of the paces that are worth a try, preferred ones first; most: the largest micro-batch.

    The model stays as it is, but for its memory format. Raises MachineError if memory suffices for none.
    """
    training = model.training
    model.eval()  # no masks are drawn, and no batch's statistics taken
    rates: dict[Pace, float] = {}
    for pace in map(Pace, halved(most)):
        rates[pace] = rate(model, pace, image, device, most)
        if rates[pace] < PAST * max(rates.values()):
            break
    other = replace(fastest(rates), layout="contiguous")
    rates[other] = rate(model, other, image, device, most)
    model.train(training)
    if not any(rates.values()):
        raise machine.MachineError(
            "Not even one image's backward pass fits into memory: give compute.recompute=true, "
            "compute.precision=bfloat16, or a smaller crop or encoder."
        )
    return rates


def halved(count: int) -> Iterator[int]:
    """count, half of it rounded up, … 1."""
    while count > 1:
        yield count
        count = -(-count // 2)
    yield 1


def fastest(rates: dict[Pace, float]) -> Pace:
    """Of those that no other is clearly faster than, the smallest micro-batch: it needs the least memory."""
    best = max(rates.values())
    near = [pace for pace, found in rates.items() if found * (1 + WORTH) >= best]
    return min(near, key=lambda pace: pace.micro_batch)  # of both formats the first, channels_last


def rate(model: nn.Module, pace: Pace, image: tuple[int, ...], device: torch.device, count: int) -> float:
    """Images/s of forward and backward passes over about `count` random ones; 0 where the memory does not suffice."""
    passes = -(-count // pace.micro_batch)
    crops = torch.rand(pace.micro_batch * image[0], *image[1:], generator=generator(0, "pace"))
    try:
        with machine.enough_memory(""):
            model.to(memory_format=pace.format)
            crops = crops.to(device).contiguous(memory_format=pace.format)
            for turn in range(1 + passes):
                if turn == 1:  # the first pass allocates
                    began = _now(device)
                model(crops).mean().backward()
            return passes * pace.micro_batch / (_now(device) - began)
    except machine.MachineError:
        return 0.0
    finally:
        model.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()  # where there is none, nothing happens


def _now(device: torch.device) -> float:
    """When everything that the device was told is done."""
    if device.type != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter()
