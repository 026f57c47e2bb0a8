"""mlflow run . -e report: write an experiment's report again, from the runs that are finished."""

from . import command


def main(argv: list[str] | None = None) -> int:
    """Compute nothing; a cell without a finished run shows the command that would fill it."""

    def work() -> None:
        from iqa import experiment

        said = command.said("report", argv)
        command.announce(*experiment.rewrite(command.planned(__doc__, argv), command=said, say=print))

    return command.ended(work)


if __name__ == "__main__":
    raise SystemExit(main())
