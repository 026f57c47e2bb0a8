"""mlflow run .: the experiment. Arms × seeds as nested runs, finished ones reused, and the report."""

import sys

from . import command


def main(argv: list[str] | None = None) -> int:
    """Run the experiment; 0 when every step finished, 1 when one failed (the others and the report are there)."""

    def work() -> int:
        from iqa import experiment

        said = command.said("main", argv)
        plan = command.planned(__doc__, argv)
        report, outcome = experiment.run(plan, command=said, show=command.Progress(), say=print)
        command.announce(report, outcome)
        print("next: mlflow ui")
        for sentence in outcome.failed:
            print(f"failed: {sentence}", file=sys.stderr)
        return 1 if outcome.failed else 0

    return command.ended(work)


if __name__ == "__main__":
    raise SystemExit(main())
