"""A written report held against the store, and its evidence packed for others."""

from pathlib import Path

from iqa import report, tracking
from iqa.experiment.matrix import Plan
from iqa.experiment.running import report_folder


def check(plan: Plan) -> list[str]:
    """A sentence for every number of the experiment's report that its runs do not give any more."""
    return report.check(report_folder(plan), tracking.rows(), tracking.history, tracking.fetch)


def bundle(plan: Plan, target: Path) -> Path:
    """The evidence of the experiment's written report as a zip."""
    return report.pack(report_folder(plan), tracking.rows(), tracking.history, tracking.fetch, target)
