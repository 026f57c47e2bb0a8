"""What a training checkpoint holds, and going on from one: everything that an exact resume needs, or nothing."""

import logging
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from iqa import checkpoint, distributed, encoders, instants
from iqa.loop import Terms

SHOWN = 8  # differing tensors of an optimizer in an error

logger = logging.getLogger("iqa")


@dataclass
class State:
    """Everything that an exact resume needs.

    step: of the whole run, the next one; epoch: how many are finished, selection included; sums: loss terms of
    the running epoch; own: what the stage adds. Fine-tuning: best_epoch, best_srcc, best_plcc (of the selected epoch),
    last_srcc (of the newest), seen (2, images): sums and counts of the running epoch's predictions; pretraining: curve,
    a record of each epoch; both: done, to end early, and pace, as it was measured.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    step: int = 0
    epoch: int = 0
    sums: Terms = field(default_factory=dict)
    own: dict[str, Any] = field(default_factory=dict)

    def tree(self) -> dict[str, Any]:
        """As `checkpoint` takes it."""
        optimizer = self.optimizer.state_dict()
        return {
            "weights": self.model.state_dict(),
            "optimizer": optimizer | {"state": {str(k): v for k, v in optimizer["state"].items()}},
            "step": self.step,
            "epoch": self.epoch,
            "sums": self.sums,
            "own": self.own,
        }

    def restore(self, tree: dict[str, Any], origin: str) -> None:
        """Take everything over from a checkpoint's tree, or nothing; raises ValueError listing what differs."""
        differing = sorted(tree.keys() ^ self.tree().keys())
        differing = [f"the entry {name}" for name in differing] or different_optimizer(
            self.optimizer, tree["optimizer"]
        )
        if differing:
            raise checkpoint.CheckpointError(f"{origin} is not this config's: {'; '.join(differing)}.")
        encoders.adopt(self.model, "this config", tree["weights"], origin)
        optimizer = tree["optimizer"]
        self.optimizer.load_state_dict(optimizer | {"state": {int(k): v for k, v in optimizer["state"].items()}})
        self.step, self.epoch, self.sums, self.own = tree["step"], tree["epoch"], tree["sums"], tree["own"]


def different_optimizer(optimizer: torch.optim.Optimizer, kept: dict[str, Any]) -> list[str]:
    """In what a checkpoint's optimizer state is that of other parameters: sentences' parts, [] where in nothing."""
    groups, theirs = optimizer.param_groups, kept["param_groups"]
    sizes, others = [len(group["params"]) for group in groups], [len(group["params"]) for group in theirs]
    if sizes != others:
        return [f"its optimizer has groups of {others} parameters instead of {sizes}"]
    shapes = [tuple(parameter.shape) for group in groups for parameter in group["params"]]
    return [
        f"the optimizer's {name} of parameter {number} is {tuple(value.shape)} instead of {shapes[int(number)]}"
        for number, values in kept["state"].items()
        for name, value in values.items()
        if isinstance(value, Tensor) and value.dim() and tuple(value.shape) != shapes[int(number)]
    ][:SHOWN]


def resume(state: State, run: Any, device: torch.device, usable: checkpoint.Usable = lambda tree: None) -> None:
    """Continue from the newest sound checkpoint of a run's folder, if there is one; every process from the same.

    usable: raises CheckpointError where what a checkpoint presupposes elsewhere is not there any more.
    """

    def presupposed(tree: dict[str, Any]) -> None:
        if not run.vouches(tree["epoch"]):
            raise checkpoint.CheckpointError(f"the journal in {run.folder} lacks what the run had written by then.")
        usable(tree)

    refuse_batch_statistics(state.model)
    found = distributed.from_first(lambda: checkpoint.latest(run.folder / "checkpoints", presupposed))
    if found is None:
        distributed.same(state.model)
        return
    step, tree = found
    instants.reached("amid-resume")
    state.restore(tree, str(checkpoint.at(run.folder / "checkpoints", step)))
    state.sums = {name: value.to(device) for name, value in state.sums.items()}
    logger.info("resuming at step %d, after %d finished epochs", step, state.epoch)


def refuse_batch_statistics(model: Any) -> None:
    """Raise ValueError where several processes would each normalise by the statistics of its own share."""
    encoder = model.encoder
    if distributed.world() > 1 and encoder.normalisations() and not (encoder.frozen or encoder.fixed):
        raise ValueError(
            f"{encoder.name} with random weights normalises by a batch's own statistics, which processes do not share: "
            "leave devices out, or start from weights."
        )
