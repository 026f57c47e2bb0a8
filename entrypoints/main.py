"""mlflow run .: the experiment. Arms × seeds as nested runs, finished ones reused, and the report."""

import sys
from typing import Any

from . import command, ending
from .progress import Progress

AT_ONCE = "cells computed side by side; one a GPU, without one as many as cores and memory carry"


def main(argv: list[str] | None = None) -> int:
    """Run the experiment; 0 when every step finished, 1 when one failed (the others and the report are there)."""

    def work() -> int:
        said = command.said("main", argv)
        plan, choice, given = command.planned(__doc__, argv, at_once=AT_ONCE)
        from iqa import experiment, machine, tracking

        tracking.reach()
        at_once = machine.at_once(command.whole("at_once", given.at_once, 0), plan.device)
        show = Progress()
        if choice.only:
            return ended(experiment.part(plan, show=show, say=print, choice=choice))
        report, outcome = experiment.run(
            plan, command=said, show=show, say=print, choice=choice, at_once=at_once, ready=command.ready
        )
        ending.announce(report, outcome)
        print(f"next: {following(outcome)}")
        return ended(outcome)

    return command.ended(work)


def following(outcome: Any) -> str:
    """What to do next: send the runs, or look at them."""
    from iqa import tracking

    if tracking.offline():
        return "iqa sync, when the store can be reached"
    one = next(iter(outcome.done.values()), None)
    return tracking.look(outcome.runs.row(one.run_id)) if one else "mlflow ui"


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
