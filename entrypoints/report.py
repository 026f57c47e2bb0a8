"""mlflow run . -e report: write an experiment's report again, from the runs that are finished."""

import sys
from pathlib import Path
from typing import Any

from . import command, ending

FLAGS = {
    "check": "hold the written report (or a bundle's zip) against its runs, and write nothing",
    "bundle": "also pack the report's evidence into this zip",
}


def main(argv: list[str] | None = None) -> int:
    """Compute no cell; a place without a finished run shows the command that would fill it. --check exits with 1."""

    def work() -> int:
        said = command.said("report", argv)
        plan, choice, given = command.planned(__doc__, argv, **FLAGS)
        from iqa import experiment, report

        if given.check.endswith(".zip"):
            return told(report.check_bundle(Path(given.check)), given.check)
        if command.switch("check", given.check):
            return told(experiment.check(plan), f"the report of {plan.experiment.name}", *experiment.unfilled(plan))
        fills = command.said("main", command.words(given, *FLAGS))
        ending.announce(*experiment.rewrite(plan, command=said, fills=fills, say=print, choice=choice))
        if given.bundle:
            print(f"bundle: {experiment.bundle(plan, Path(given.bundle))}")
        return 0

    return command.ended(work)


def told(faults: Any, what: str, numbers: int = 1, unfilled: int = 0) -> int:
    """0 and a sentence where every number follows, or where there is none yet; else 1 and one for each that does not.

    numbers: how many there are; unfilled: how many cells have no finished run.
    """
    for fault in faults:
        print(fault, file=sys.stderr)
    good = "every number follows from its runs" if numbers else f"0 numbers, {unfilled} cells without a finished run"
    print(f"{what}: {len(faults)} faults" if faults else f"{what}: {good}")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
