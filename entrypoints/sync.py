"""mlflow run . -e sync: send what the tracking store lacks of the runs on this disk; 75 if something could not go."""

import sys
from pathlib import Path

from . import command


def main(argv: list[str] | None = None) -> int:
    """One line for each run that had something to send; a run that a process holds is left to that process."""

    def work() -> int:
        flags = {"folder": "a run's folder, or one with several; all of $IQA_RUNS, else ./runs, where nothing is given"}
        given, rest = command.parse(__doc__, sys.argv[1:] if argv is None else argv, **flags)
        command.refuse_others(rest, flags)
        top = Path(given.folder) if given.folder else None
        if top is not None and not top.is_dir():
            raise ValueError(f"folder = '{given.folder}': there is no such folder; give one with runs.")
        return told(top)

    return command.ended(work)


def told(top: Path | None) -> int:
    """Send, saying so run by run."""
    from iqa import tracking

    folders = waiting = 0
    for one in tracking.sync_all(top):
        print(one.said, flush=True)
        folders, waiting = folders + 1, waiting + one.waits
    print(f"{waiting} runs still wait: try again later" if waiting else f"{folders} runs were looked at, none waits")
    return command.TRY_AGAIN if waiting else 0


if __name__ == "__main__":
    raise SystemExit(main())
