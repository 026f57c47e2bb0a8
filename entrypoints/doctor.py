"""mlflow run . -e doctor: is this computer ready? One line an item, with the remedy; exit code 2 where one is needed.

Nothing is downloaded, computed or written, and nothing is waited for longer than some seconds.
"""

import sys

from . import command


def main(argv: list[str] | None = None) -> int:
    """Look at everything that a preset needs."""

    def work() -> int:
        flags = {"preset": command.PRESET, "offline": command.OFFLINE}
        given, rest = command.parse(__doc__, sys.argv[1:] if argv is None else argv, **flags)
        command.go_offline(given.offline)
        from iqa import doctor

        wrong = 0
        for item in doctor.examine(given.preset or "demo", rest, flags):
            wrong += bool(item.remedy)
            print(item, flush=True)
        print(
            f"{wrong} {'thing needs' if wrong == 1 else 'things need'} to be mended" if wrong else "everything is ready"
        )
        return command.BAD_INPUT if wrong else 0

    return command.ended(work)


if __name__ == "__main__":
    raise SystemExit(main())
