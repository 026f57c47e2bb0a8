"""THE training loop. It yields; whoever called it logs, saves, prunes or stops."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from iqa import distributed

Terms = dict[str, Tensor]


@dataclass(frozen=True)
class Record:
    """What one step did: its number and its loss terms, detached (0-dimensional, on their device)."""

    step: int
    terms: Terms


def fit(
    losses_of: Callable[[Any], Iterable[Terms]],
    batches: Iterator[Any],
    optimizer: torch.optim.Optimizer,
    lr_at: Callable[[int], float],
    steps: range,
    clip: float = 0.0,
) -> Iterator[Record]:
    """Minimise; yield one record per step. The caller logs, saves, prunes or stops.

    losses_of(batch) yields the weighted terms of each micro-batch: {"total": (), …}, which sum to the batch's; where
    several processes train, to their part of it, and the record has the whole.
    lr_at(step) multiplies each group's "first_lr". clip: largest gradient norm, 0 = none.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for step in steps:
        set_lr(optimizer, lr_at(step))
        optimizer.zero_grad(set_to_none=True)
        terms = []
        for micro in losses_of(next(batches)):
            micro["total"].backward()
            terms.append({name: term.detach() for name, term in micro.items()})
        whole = distributed.combined(parameters, summed(terms))
        if clip:
            torch.nn.utils.clip_grad_norm_(parameters, clip)
        optimizer.step()
        yield Record(step, whole)


def set_lr(optimizer: torch.optim.Optimizer, multiplier: float) -> None:
    """Set each group's rate to multiplier × its first rate."""
    for group in optimizer.param_groups:
        group["lr"] = multiplier * group["first_lr"]


def summed(terms: list[Terms]) -> Terms:
    """Add the micro-batches' terms by name."""
    return {name: torch.stack([micro[name] for micro in terms]).sum() for name in terms[0]}
