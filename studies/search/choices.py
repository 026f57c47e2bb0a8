"""Samplers and pruners by name."""

import itertools
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, GPSampler, GridSampler, RandomSampler, TPESampler

from iqa.config import unknown
from iqa.randomness import sub_seed

LARGEST = 2**32  # seeds that numpy takes lie below
GRID = "grid"  # the attribute of a study that keeps its grid's points

SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: TPESampler(seed=seed),
    "gp": lambda seed: GPSampler(seed=seed),
    "random": lambda seed: RandomSampler(seed=seed),
}
PRUNERS: dict[str, Callable[[int], BasePruner]] = {
    "hyperband": lambda steps: HyperbandPruner(min_resource=1, max_resource=max(1, steps), reduction_factor=3),
    "median": lambda steps: MedianPruner(n_startup_trials=5, n_warmup_steps=1),
    "none": lambda steps: NopPruner(),
}


def sampler(name: str, study: optuna.Study, number: int) -> BaseSampler:
    """The sampler of one trial. It is seeded by study and trial, so that a study that goes on draws what one without a
    pause would, and no two workers draw the same.
    """
    if name == "grid":
        return GridSampler(study.user_attrs[GRID], seed=sub_seed(study.study_name, "grid") % LARGEST)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return SAMPLERS[name](sub_seed(study.study_name, "trial", number) % LARGEST)


def pruner(name: str, steps: int) -> BasePruner:
    """The pruner of a study whose trials report up to `steps` times."""
    return PRUNERS[name](steps)


def check(sampler: str, pruner: str) -> None:
    """Raise ValueError for a name that nobody knows."""
    for kind, name, valid in (("sampler", sampler, [*SAMPLERS, "grid"]), ("pruner", pruner, list(PRUNERS))):
        if name not in valid:
            raise ValueError(unknown(kind, name, valid))


def grid(distributions: Mapping[str, Any], trials: int) -> dict[str, list[Any]]:
    """Points on every axis, as few as give each trial a place: all categories; numbers evenly spread, ends included.

    Spread evenly on the logarithm where the distribution is logarithmic.
    """
    numbers = [name for name, one in distributions.items() if not isinstance(one, CategoricalDistribution)]
    rest = math.prod(len(one.choices) for name, one in distributions.items() if name not in numbers)
    points = max(2, math.ceil(round((trials / rest) ** (1 / len(numbers)), 9))) if numbers else 1
    return {name: _axis(one, points) for name, one in distributions.items()}


def size(grid: Mapping[str, list[Any]]) -> int:
    """How many different trials a grid has."""
    return sum(1 for _ in itertools.product(*grid.values()))


def _axis(one: Any, points: int) -> list[Any]:
    if isinstance(one, CategoricalDistribution):
        return list(one.choices)
    shares = [at / (points - 1) for at in range(points)]
    if one.log:
        inner = [one.low * (one.high / one.low) ** share for share in shares[1:-1]]
    else:
        inner = [one.low + (one.high - one.low) * share for share in shares[1:-1]]
    values = [one.low, *inner, one.high]
    if isinstance(one, optuna.distributions.IntDistribution):
        values = [one.low + one.step * round((value - one.low) / one.step) for value in values]
    return list(dict.fromkeys(values))
