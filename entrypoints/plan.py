"""mlflow run . -e plan: the experiment's cells, what is done, what the rest costs, what the seeds can decide."""

import sys

from . import command


def main(argv: list[str] | None = None) -> int:
    """Compute nothing. --commands: one line for each missing cell instead, for a cluster's job array."""

    def work() -> None:
        plan, choice, given = command.planned(__doc__, argv, commands="print the commands of the missing cells")
        from iqa.experiment import planning

        if given.commands in ("", "false"):
            print(*planning.lines(plan, choice), sep="\n")
            return
        said = [word for word in (sys.argv[1:] if argv is None else argv) if not word.startswith("--commands")]
        for line in planning.commands(plan, choice, [word for word in said if not word.endswith("=default")]):
            print(line)

    return command.ended(work)


if __name__ == "__main__":
    raise SystemExit(main())
