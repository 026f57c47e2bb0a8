"""mlflow run . -e clean: what may go from the run folders, with sizes; removed with -P yes=true and never otherwise."""

import sys

from . import command


def main(argv: list[str] | None = None) -> int:
    """List, or list and remove.

    Nothing of a run that is being computed ever goes. Of one that is unfinished or not wholly sent, only what a killed
    process left half-written, and the checkpoints of an attempt once a later one at the same cell has finished.
    """

    def work() -> None:
        flags = {"yes": "true: remove what is listed", "offline": command.OFFLINE}
        given, rest = command.parse(__doc__, sys.argv[1:] if argv is None else argv, **flags)
        command.refuse_others(rest, flags)
        command.go_offline(given.offline)
        remove = command.switch("yes", given.yes)
        from iqa import tracking
        from iqa.experiment import cleaning

        tracking.reap()
        total = 0
        for found in cleaning.survey(remove):
            if isinstance(found, cleaning.Kept):
                print(f"kept      {found.folder}: {found.why}")
            else:
                total += found.size
                names = ", ".join(str(path.relative_to(found.folder)) for path in found.paths[:4])
                more = f" and {len(found.paths) - 4} more" if len(found.paths) > 4 else ""
                print(f"{megabytes(found.size)}  {found.folder}: {names}{more} ({found.why})")
        print(f"{megabytes(total)}  " + ("removed" if remove else "may go; nothing was removed: yes=true does that"))

    return command.ended(work)


def megabytes(size: int) -> str:
    """Bytes as MB, in a column."""
    return f"{size / 1e6:5.1f} MB"


if __name__ == "__main__":
    raise SystemExit(main())
