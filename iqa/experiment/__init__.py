"""The experiment: a file of arms × seeds → cells cached by content hash → nested runs and a report."""

from iqa.experiment import planning, rechecking
from iqa.experiment.cells import Cell, Result, cell, compute, finished, identities, opened, records
from iqa.experiment.matrix import Arm, Experiment, Plan, by_stage, plan, read, read_seeds
from iqa.experiment.running import FAULTS, REPORTS, Choice, Outcome, part, rewrite, run

__all__ = [
    "FAULTS",
    "REPORTS",
    "Arm",
    "Cell",
    "Choice",
    "Experiment",
    "Outcome",
    "Plan",
    "Result",
    "by_stage",
    "cell",
    "compute",
    "finished",
    "identities",
    "opened",
    "part",
    "plan",
    "planning",
    "read",
    "read_seeds",
    "rechecking",
    "records",
    "rewrite",
    "run",
]
