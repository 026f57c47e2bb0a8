"""Sending later what did not arrive: of one run's folder, or of all, parents before children."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from iqa.tracking import answering, folders, joining, lock, store
from iqa.tracking.journal import NAME, Journal
from iqa.tracking.patience import STORE, StillAway, passing, persist
from iqa.tracking.shipping import Position, pending, ship

logger = logging.getLogger("iqa")


class Unshipped(Exception):
    """The work is done, but the store does not have all of it; exit code 75, "try again later"."""

    exit_code = 75

    def __init__(self, folder: Path, count: int, trouble: str):
        super().__init__(
            f"{count} entries of {folder} have not reached the tracking store ({trouble or 'it took too long'}): they "
            f"are kept, and the entry point sync sends them."
        )
        self.folder = folder


@dataclass(frozen=True)
class Sent:
    """What became of one folder: a sentence, and whether something of it still waits."""

    folder: Path
    said: str
    waits: bool


def sync(folder: Path) -> int:
    """Send what the store lacks of a folder's run; how many that was.

    Raises Unshipped, Busy, NotOurs, StoreError; JournalError or CacheError where this machine's disk is at fault.
    """
    if not (folder / NAME).is_file():
        raise ValueError(f"{folder} has no {NAME}: it is no run's folder.")
    with lock.holding(folder):
        journal = Journal(folder)
        position = Position(folder, journal.size)
        waiting = pending(journal, position)
        if not waiting:
            return 0
        try:
            answering.probe(store.uri())
            _joined(journal, position)
            ship(journal, position)
            return waiting
        except store.troubles() as error:
            raise Unshipped(folder, pending(journal, position), str(error)) from error


def sync_patiently(folder: Path) -> int:
    """The same, waiting for a store that is away. Raises StillAway, or Stopped if asked to stop."""
    return persist(lambda: sync(folder), STORE, lambda: (Unshipped,), lambda late: passing(late.__cause__), StillAway)


def sync_all(top: Path | None = None) -> Iterator[Sent]:
    """Sync every run folder below `top` (all of them if None) that has anything to send; one Sent for each.

    A run that a process holds is left to that process, another user's to them: neither counts as waiting.
    """
    for folder in [*folders.every(top), *folders.unreadable(top)]:
        try:
            count = sync(folder)
        except Unshipped as late:
            yield Sent(folder, str(late), waits=True)
        except lock.Busy as busy:
            yield Sent(folder, f"left alone: {busy}", waits=False)
        except lock.NotOurs:
            yield Sent(folder, f"left alone: {folder} may not be written by you: whose it is sends it", waits=False)
        except ValueError as error:  # a damaged journal, a full disk: the other folders are sent
            yield Sent(folder, str(error), waits=True)
        else:
            if count:
                yield Sent(folder, f"{folder}: {count} entries sent, run {folders.names(folder)[-1]}", waits=False)


def unsent(folder: Path) -> int:
    """How many entries of a folder's run the store lacks."""
    journal = Journal(folder)
    return pending(journal, Position(folder, journal.size))


def gone(folder: Path) -> bool:
    """Whether the store says that it has no run of this folder: deleted, or another store. False if it is not asked."""
    journal = Journal(folder)
    if store.offline() or not journal.joined:
        return False
    try:
        return store.find_run(journal.joined["run"]) is None
    except store.troubles() as error:
        logger.warning("Whether the store has %s cannot be seen: %s", folder, error)
        return False


def copied(folder: Path) -> list[Path]:
    """The artifacts in a run's folder that the store has too, with the same files of the same sizes.

    [] where the store is not asked, or does not answer.
    """
    journal = Journal(folder)
    if store.offline() or not journal.joined:
        return []
    sent = {entry["path"]: entry["to"] for entry, _ in journal.read(0) if entry["what"] == "artifact"}
    run = journal.joined["run"]
    try:
        return [
            folder / path
            for path, to in sent.items()
            if not Path(path).is_absolute() and (folder / path).exists() and _same(folder / path, run, to)
        ]
    except store.troubles() as error:
        logger.warning("Which artifacts the store has cannot be seen: %s", error)
        return []


def _same(path: Path, run: str, to: str) -> bool:
    """Whether the store has this file or folder, by names and sizes."""
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    found = {
        one.path: one.file_size
        for parent in {str((Path(to) / file.relative_to(path)).parent) for file in files}
        for one in store.client().list_artifacts(run, None if parent == "." else parent)
    }
    return all(found.get(str(Path(to) / file.relative_to(path))) == file.stat().st_size for file in files)


def _joined(journal: Journal, position: Position) -> None:
    """A run that only its journal knows is made in the store."""
    if journal.joined and store.find_run(journal.joined["run"]) is not None:
        joining.name_unseen(journal)
        return
    if journal.joined:
        joining.forget(journal, position)
    joining.create(journal, store.named_experiment(journal.begin["experiment"]), {})
