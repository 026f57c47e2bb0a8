"""mlflow run . -e plan: the experiment's cells, what is done, what the rest costs, what the seeds can decide."""

from . import command


def main(argv: list[str] | None = None) -> int:
    """Compute nothing. --commands: one line for each missing cell instead, for a cluster's job array."""

    def work() -> None:
        plan, choice, given = command.planned(__doc__, argv, commands="print the commands of the missing cells")
        from iqa.experiment import planning

        if not command.switch("commands", given.commands):
            print(*planning.lines(plan, choice), sep="\n")
            return
        for line in planning.commands(plan, choice, command.words(given, "commands", "only")):
            print(line)

    return command.ended(work)


if __name__ == "__main__":
    raise SystemExit(main())
