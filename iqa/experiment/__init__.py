"""The experiment: a file of arms × seeds → cells cached by content hash → nested runs and a report."""

from iqa.experiment.cells import Cell, Result, cell, compute, folder_of
from iqa.experiment.matrix import Experiment, Plan, plan, read
from iqa.experiment.running import Outcome, rewrite, run

__all__ = [
    "Cell",
    "Experiment",
    "Outcome",
    "Plan",
    "Result",
    "cell",
    "compute",
    "folder_of",
    "plan",
    "read",
    "rewrite",
    "run",
]
