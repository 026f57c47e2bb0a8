"""mlflow run .: the experiment. Arms × seeds as nested runs, finished ones reused, and the report."""

import sys
from typing import Any

from . import command
from .progress import Progress


def main(argv: list[str] | None = None) -> int:
    """Run the experiment; 0 when every step finished, 1 when one failed (the others and the report are there)."""

    def work() -> int:
        said = command.said("main", argv)
        plan, choice, _ = command.planned(__doc__, argv)
        from iqa import experiment, tracking

        tracking.reach()
        if choice.only:
            return ended(experiment.part(plan, show=Progress(), say=print, choice=choice))
        report, outcome = experiment.run(plan, command=said, show=Progress(), say=print, choice=choice)
        command.announce(report, outcome)
        print(f"next: {'iqa sync, when the store can be reached' if tracking.offline() else 'mlflow ui'}")
        return ended(outcome)

    return command.ended(work)


def ended(outcome: Any) -> int:
    """1 if a cell failed, 75 if one waits for another, else 0."""
    for sentence in outcome.failed:
        print(f"failed: {sentence}", file=sys.stderr)
    for title in outcome.waiting:
        print(f"not yet: {title} needs a cell that is not finished; run it first, then this again.", file=sys.stderr)
    if outcome.failed:
        return 1
    return command.TRY_AGAIN if outcome.waiting else 0


if __name__ == "__main__":
    raise SystemExit(main())
