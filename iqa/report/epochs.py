"""Epochs of fine-tuning that two arms need to a validation SRCC: within each fold to its own target, folds as sets."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iqa import statistics
from iqa.report.claims import over_folds
from iqa.report.document import Atom, Cell, Number, Text, say
from iqa.report.evidence import Evidence


@dataclass(frozen=True)
class Reached:
    """What the folds say together. contrast: of log epochs, positive where the treatment needs fewer."""

    contrast: statistics.Contrast
    folds: tuple[statistics.EpochsToTarget, ...]
    runs: tuple[str, ...]

    @property
    def ratio(self) -> Number:
        """The treatment's share of the baseline's epochs."""
        what = "geometric mean over seed pairs of treatment's epochs / baseline's"
        what += f" (within each of {len(self.folds)} folds)" if len(self.folds) > 1 else ""
        return Number((math.exp(-self.contrast.delta),), "{0:.2f}", self.runs, what)

    @property
    def target(self) -> Cell:
        """The validation SRCC that had to be reached, of folds the mean of theirs."""
        what = "baseline's mean final validation SRCC less the tolerance"
        what += f", mean over {len(self.folds)} folds" if len(self.folds) > 1 else ""
        value = Number((float(np.mean([one.target for one in self.folds])),), "{0:.4f}", self.runs, what)
        several = f" (each of {len(self.folds)} folds its own; this is their mean)" if len(self.folds) > 1 else ""
        return say(value, several)

    @property
    def missed(self) -> int:
        """How many runs of both arms never reached it, and count as the most epochs allowed."""
        return sum(one.missed_treatment + one.missed_baseline for one in self.folds)


def reached(evidence: Evidence, treatment: str, baseline: str) -> Reached | Atom:
    """Of the seeds whose folds have all finished in both arms; or what stands in the place of a value.

    The target is a fold's: its baseline's mean final value less the tolerance, since folds differ in what they reach.
    A seed's difference is the mean over its folds, as in every other claim.
    """
    arms, folds = (treatment, baseline), evidence.folds_of("finetune")
    seeds = [s for s in evidence.seeds if all(evidence.run("finetune", arm, s, f) for arm in arms for f in folds)]
    if not seeds:
        holes = [hole for arm in arms for hole in evidence.missing("finetune", arm)]
        return holes[0] if holes else Text("no seeds are declared")
    found, runs = [], []
    for fold in folds:
        rows = [[row for s in seeds if (row := evidence.run("finetune", arm, s, fold))] for arm in arms]
        curves = [[[value for _, value in evidence.history(row.run_id, "val/srcc")] for row in side] for side in rows]
        used = [row.run_id for side in rows for row in side]
        if not all(curve for side in curves for curve in side) or any(math.isnan(curve[-1]) for curve in curves[1]):
            return Text("a run left no validation curve", tuple(used))
        allowed = [int(row.params.get("optim.epochs", 0)) for side in rows for row in side]
        found.append(statistics.epochs_to_target(curves[0], curves[1], max([*allowed, *map(len, _flat(curves))])))
        runs += used
    contrast = over_folds([one.contrast for one in found], evidence.resplit) if len(folds) > 1 else found[0].contrast
    return Reached(contrast, tuple(found), tuple(runs))


def _flat(curves: Sequence[Sequence[Sequence[float]]]) -> list[Sequence[float]]:
    return [curve for side in curves for curve in side]
