"""Parameter groups, and the schedule as a pure function of the step."""

import math
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import nn


def adamw(groups: Mapping[str, tuple[Iterable[nn.Parameter], float]], weight_decay: float) -> torch.optim.AdamW:
    """AdamW over named groups {name: (parameters, first rate)}; a group with rate 0 is left out and frozen."""
    trained = []
    for name, (parameters, rate) in groups.items():
        members = list(parameters)
        for parameter in members:
            parameter.requires_grad_(rate > 0)
        if rate > 0:
            trained.append({"name": name, "params": members, "lr": rate, "first_lr": rate})
    return torch.optim.AdamW(trained, weight_decay=weight_decay, fused=True)


def covers(optimizer: torch.optim.Optimizer, model: nn.Module) -> bool:
    """Whether each trainable parameter of the model is in exactly one group, and nothing else is in any.

    HyperIQA's own code rebuilt its groups from an exhausted iterator: after epoch 1 its hyper network stood still.
    """
    grouped = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    return sorted(grouped) == sorted(id(parameter) for parameter in model.parameters() if parameter.requires_grad)


def cosine(steps: int, floor: float = 0.0) -> Callable[[int], float]:
    """step → multiplier of each group's first rate: 1 at step 0, falling to `floor` at the last step.

    The floor is a ratio, so no group's rate ever rises, however small it is.
    """

    def multiplier(step: int) -> float:
        progress = min(step, steps) / max(steps - 1, 1)
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))

    return multiplier
