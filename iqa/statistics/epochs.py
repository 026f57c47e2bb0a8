"""How many epochs until a model is as good as the baseline ends up? Paired t on the log of the epochs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .crossed import Contrast, paired_t

TOLERANCE = 0.005  # of validation SRCC, below the baseline's mean final value


@dataclass(frozen=True)
class EpochsToTarget:
    """Epochs (S,) of each pair, and the contrast of log epochs: delta > 0 where the treatment needs fewer.

    exp(-delta) is the treatment's share of the baseline's epochs. `missed` counts the runs of each arm that never
    reached the target and stand at E_max, or reached it later than that.
    """

    target: float
    treatment: tuple[int, ...]
    baseline: tuple[int, ...]
    missed_treatment: int
    missed_baseline: int
    contrast: Contrast

    @property
    def ratio(self) -> float:
        """Geometric mean of treatment epochs / baseline epochs."""
        return math.exp(-self.contrast.delta)


def epochs_to_target(
    treatment: Sequence[Sequence[float]],
    baseline: Sequence[Sequence[float]],
    e_max: int,
    tolerance: float = TOLERANCE,
) -> EpochsToTarget:
    """Validation SRCC per epoch of each run, S lists an arm, paired by place; runs may have stopped early.

    The target is the mean over the baseline's runs of their last value, minus `tolerance`; T is the first epoch
    (from 1) at or above it, and counts as min(T, e_max). An undefined (nan) epoch is not at the target.
    """
    if len(treatment) != len(baseline) or not baseline or not all(len(run) for run in [*treatment, *baseline]):
        raise ValueError(f"{len(treatment)} and {len(baseline)} runs: give one validation curve a run, paired by seed")
    longest = max(len(run) for run in [*treatment, *baseline])
    if e_max < longest:
        raise ValueError(f"e_max is {e_max}, but a run has {longest} epochs: e_max is the epochs that a run may take")
    final = float(np.mean([run[-1] for run in baseline]))
    if math.isnan(final):
        raise ValueError("a baseline run ends with an undefined validation SRCC, so there is no target to reach")
    target = final - tolerance
    reached_t = [_first(run, target) for run in treatment]
    reached_b = [_first(run, target) for run in baseline]
    t, b = [min(e, e_max) for e in reached_t], [min(e, e_max) for e in reached_b]
    contrast = paired_t(np.log(b) - np.log(t))
    missed_t, missed_b = (sum(math.isinf(e) for e in reached) for reached in (reached_t, reached_b))
    return EpochsToTarget(target, tuple(map(int, t)), tuple(map(int, b)), missed_t, missed_b, contrast)


def _first(curve: Sequence[float], target: float) -> float:
    at = np.flatnonzero(np.asarray(curve, dtype=np.float64) >= target)
    return float(at[0] + 1) if len(at) else math.inf
