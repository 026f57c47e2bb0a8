"""The bare loop: a stage's model and optimizer, fed one random tensor; no data, no tracking, no checkpoints.

A process of its own (`python -m benchmarks.performance.bare TOLD`), since its allocator and memory are its own. `best`
finds the micro-batch, memory format and allocator that it is fastest with.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.performance.conversation import Speaker, answering
from benchmarks.timing import timed
from iqa import config, machine, optim, tracking
from iqa.randomness import seed_masks
from iqa.stages import finetune, pretrain
from iqa.stages.training import scaled

NAME = "benchmarks.performance.bare"
TRIED = 2  # steps of a setting beside its first


@dataclass(frozen=True)
class Setting:
    """How the loop computes: images of a micro-batch, and what memory is like."""

    micro: int
    channels_last: bool = True
    keep_memory: bool = True

    def __str__(self) -> str:
        layout = "channels_last" if self.channels_last else "contiguous"
        return f"{self.micro} at once, {layout}, {'allocator keeps memory' if self.keep_memory else 'plain allocator'}"


def best(told: dict[str, Any]) -> Setting:
    """The fastest setting for a stage's step on this machine, right now: micro-batch, then format, then allocator."""
    batch = told["batch"]
    micros = sorted({batch, max(1, batch // 4), max(1, batch // 8)}, reverse=True)
    chosen = fastest(told, [Setting(micro) for micro in micros])
    chosen = fastest(told, [chosen, replace(chosen, channels_last=False)])
    return fastest(told, [chosen, replace(chosen, keep_memory=False)])


def fastest(told: dict[str, Any], settings: list[Setting]) -> Setting:
    """The fastest of some, by steps in turns after one that does not count."""
    with ExitStack() as stack:
        kinds = {one.keep_memory for one in settings}
        loops = {kept: stack.enter_context(Speaker(NAME, told | {"keep_memory": kept})) for kept in kinds}
        taken = dict.fromkeys(settings, 0.0)
        for turn in range(1 + TRIED):
            for one in settings:
                said = loops[one.keep_memory].say(steps=1, **asdict(one))
                taken[one] += said["seconds"] * (turn > 0)
    return min(taken, key=taken.__getitem__)


def main() -> None:
    """Answer with the seconds of so many steps, those of making the model, and the most memory so far."""
    told = json.loads(sys.argv[1])
    machine.threads(told.get("threads", 0))
    if told["keep_memory"]:
        machine.keep_memory()
    began = time.monotonic()
    step, model = STEPS[told["stage"]](told)
    built = time.monotonic() - began
    model.train(told["stage"] != "evaluate")

    def answer(steps: int, micro: int, channels_last: bool, **_: Any) -> dict[str, Any]:
        layout = torch.channels_last if channels_last else torch.contiguous_format
        model.to(memory_format=layout)  # type: ignore[call-overload]
        seconds = timed(lambda: [step(micro, layout) for _ in range(steps)])
        return {"seconds": seconds, "built": built, "peak": machine.peak_memory_mb()}

    answering(answer)


Step = Callable[[int, torch.memory_format], None]


def _pretraining(told: dict[str, Any]) -> tuple[Step, nn.Module]:
    """Of the images' views (N, 2, L, 3, C, C): two crops at all levels."""
    settings = config.load("pretrain", told["fields"], told.get("preset", "paper"))
    model = pretrain.build(settings, tracking.Silent(Path()))
    optimizer = optim.adamw({"all": (model.parameters(), settings.optim.lr)}, settings.optim.weight_decay)
    crop, count = settings.degrade.crop, told["batch"]
    views = torch.rand(count, 2, settings.degrade.levels, 3, crop, crop)

    def losses_of(micro: int, layout: torch.memory_format) -> Iterator[Tensor]:
        for part in views.split(micro):
            scores = model(part.flatten(0, 2).contiguous(memory_format=layout)).unflatten(0, part.shape[:3])
            yield scaled(pretrain.terms_of(scores, settings.loss), len(part) / count)["total"]

    return _stepping(optimizer, losses_of), model


def _finetuning(told: dict[str, Any]) -> tuple[Step, nn.Module]:
    """Of crops (N, 3, C, C)."""
    settings = config.load("finetune", told["fields"], told.get("preset", "paper"))
    model = finetune.build(settings)
    crop, count = settings.crops.size, told["batch"]
    crops, scores = torch.rand(count, 3, crop, crop), torch.rand(count)

    def losses_of(micro: int, layout: torch.memory_format) -> Iterator[Tensor]:
        for part, wanted in zip(crops.split(micro), scores.split(micro), strict=True):
            seed_masks(model, range(len(part)))
            found = model(part.contiguous(memory_format=layout))
            yield nn.functional.l1_loss(found, wanted) * (len(part) / count)

    return _stepping(finetune.optimizer_of(model, settings), losses_of), model


def _evaluating(told: dict[str, Any]) -> tuple[Step, nn.Module]:
    """Forward passes alone."""
    settings = config.load("finetune", told["fields"], told.get("preset", "paper"))
    model = finetune.build(settings).eval()
    crops = torch.rand(told["batch"], 3, settings.crops.size, settings.crops.size)

    @torch.no_grad()
    def step(micro: int, layout: torch.memory_format) -> None:
        for part in crops.split(micro):
            model(part.contiguous(memory_format=layout))

    return step, model


def _stepping(optimizer: torch.optim.Optimizer, losses_of: Callable[..., Iterator[Tensor]]) -> Step:
    def step(micro: int, layout: torch.memory_format) -> None:
        optimizer.zero_grad(set_to_none=True)
        for loss in losses_of(micro, layout):
            loss.backward()
        optimizer.step()

    return step


STEPS: dict[str, Callable[[dict[str, Any]], tuple[Step, nn.Module]]] = {
    "pretrain": _pretraining,
    "finetune": _finetuning,
    "evaluate": _evaluating,
}

if __name__ == "__main__":
    main()
