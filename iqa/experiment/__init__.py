"""The experiment: a file of arms × seeds → cells cached by content hash → nested runs and a report."""

from iqa.experiment import planning, rechecking
from iqa.experiment.cells import Cell, Result, cell, compute, folder_of
from iqa.experiment.matrix import Experiment, Plan, plan, read
from iqa.experiment.running import Choice, Outcome, part, rewrite, run

__all__ = [
    "Cell",
    "Choice",
    "Experiment",
    "Outcome",
    "Plan",
    "Result",
    "cell",
    "compute",
    "folder_of",
    "part",
    "plan",
    "planning",
    "read",
    "rechecking",
    "rewrite",
    "run",
]
