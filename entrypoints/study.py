"""mlflow run . -e study -P name=encoder_lr_ratio: an Optuna study, its trials as nested runs."""

import sys

from . import command


def main(argv: list[str] | None = None) -> int:
    """Search; the objective is a validation SRCC, never a test set."""

    def work() -> None:
        flags = {"name": "a file of studies/", "preset": "demo, smoke or paper", "trials": "how many in all"}
        given, rest = command.parse(__doc__, sys.argv[1:] if argv is None else argv, **flags)
        studies = command.sibling("studies.search")
        studies.run(
            given.name or "encoder_lr_ratio",
            given.preset or "demo",
            given.trials or "20",
            rest,
            said=command.said("study", argv),
            say=print,
        )

    return command.ended(work)


if __name__ == "__main__":
    raise SystemExit(main())
