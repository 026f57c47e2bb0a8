"""The experiment: a file of arms × seeds → cells cached by content hash → nested runs and a report.

declaration (the file), matrix (arms × seeds → configs), cells and code (keys), running and hands (who computes),
publishing, telling and searched (the parent run, and what the report is told), planning, cleaning.
"""

from iqa.experiment import planning
from iqa.experiment.cells import (
    Cell,
    Result,
    cell,
    compute,
    finished,
    identities,
    opened,
    records,
    silence,
    unsent,
)
from iqa.experiment.declaration import misnamed
from iqa.experiment.hands import FAULTS
from iqa.experiment.matrix import Arm, Experiment, Plan, by_stage, plan, read, read_seeds
from iqa.experiment.publishing import REPORTS, bundle, check, rewrite, run, unfilled
from iqa.experiment.running import Choice, Outcome, part
from iqa.experiment.searched import searched

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
    "bundle",
    "by_stage",
    "cell",
    "check",
    "compute",
    "finished",
    "identities",
    "misnamed",
    "opened",
    "part",
    "plan",
    "planning",
    "read",
    "read_seeds",
    "records",
    "rewrite",
    "run",
    "searched",
    "silence",
    "unfilled",
    "unsent",
]
