"""Run folders on this disk: where they lie, and which run each of them is."""

import os
from collections.abc import Iterator
from pathlib import Path

from iqa.tracking import journal


def runs_folder() -> Path:
    """Where run folders live: $IQA_RUNS, else ./runs."""
    return Path(os.environ.get("IQA_RUNS", "runs"))


def every(top: Path | None = None) -> list[Path]:
    """The run folders below `top` (runs_folder() if None), or itself, oldest first and parents before children."""
    found = dict(_begun(top))
    by_id = {name: folder for folder in found for name in names(folder)}

    def above(folder: Path) -> int:
        parent = by_id.get(found[folder].get("parent") or "")
        return 0 if parent is None or parent == folder else 1 + above(parent)

    return sorted(found, key=lambda folder: (above(folder), found[folder]["time"]))


def unreadable(top: Path | None = None) -> list[Path]:
    """Folders below `top` with a journal that is closed to us or says nothing: which run it is cannot be told."""
    return sorted(file.parent for file in _journals(top) if _first(file) is None)


def find(run_id: str, top: Path | None = None) -> Path | None:
    """The folder of a run, by the id of its journal or by any that a store has given it."""
    return next((folder for folder, _ in _begun(top) if run_id in names(folder)), None)


def names(folder: Path) -> list[str]:
    """Every id that a folder's run has had: the journal's own first, then the store's."""
    return [entry.get("run") or entry["id"] for entry in journal.naming(folder)]


def _begun(top: Path | None) -> Iterator[tuple[Path, journal.Entry]]:
    """Every folder with a journal, and its first entry; in no order."""
    for file in _journals(top):
        first = _first(file)
        if first is not None:
            yield file.parent, first


def _first(file: Path) -> journal.Entry | None:
    """A journal's first entry; None of another user's that is closed to us."""
    return next(journal.entries(file.parent), None) if os.access(file, os.R_OK) else None


def _journals(top: Path | None) -> Iterator[Path]:
    for depth in ("", "*/", "*/*/"):
        yield from (top or runs_folder()).glob(depth + journal.NAME)
