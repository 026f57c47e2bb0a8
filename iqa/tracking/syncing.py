"""Sending later what did not arrive: of one run's folder, or of all, parents before children."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from iqa.tracking import folders, joining, lock, store
from iqa.tracking.journal import NAME, Journal, JournalError
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
    """Send what the store lacks of a folder's run; how many entries that was. Raises Unshipped, Busy, StoreError."""
    if not (folder / NAME).is_file():
        raise ValueError(f"{folder} has no {NAME}: it is no run's folder.")
    held = lock.hold(folder)
    try:
        journal = Journal(folder)
        position = Position(folder, journal.size)
        waiting = pending(journal, position)
        if not waiting:
            return 0
        try:
            store.probe(store.uri())
            _joined(journal, position)
            ship(journal, position)
            return waiting
        except store.troubles() as error:
            raise Unshipped(folder, pending(journal, position), str(error)) from error
    finally:
        lock.release(folder, held)


def sync_all(top: Path | None = None) -> Iterator[Sent]:
    """Sync every run folder below `top` (all of them if None) that has anything to send; one Sent for each."""
    for folder in folders.every(top):
        try:
            count = sync(folder)
        except Unshipped as late:
            yield Sent(folder, str(late), waits=True)
        except lock.Busy as busy:
            yield Sent(folder, f"left alone: {busy}", waits=False)
        except JournalError as error:
            yield Sent(folder, str(error), waits=True)
        else:
            if count:
                yield Sent(folder, f"{folder}: {count} entries sent, run {folders.names(folder)[-1]}", waits=False)


def _joined(journal: Journal, position: Position) -> None:
    """A run that only its journal knows is made in the store."""
    if not journal.joined:
        joining.create(journal, store.named_experiment(journal.begin["experiment"]), {}, again=True)
    elif store.find_run(journal.joined["run"]) is None:
        logger.warning("The store has no run %s any more: everything is sent to a new one.", journal.joined["run"])
        position.reset()
        joining.create(journal, store.named_experiment(journal.begin["experiment"]), {}, again=True)
    else:
        joining.name_unseen(journal)
