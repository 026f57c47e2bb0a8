"""Journal → tracking store: one background thread, in batches, with the original timestamps, for as long as it takes.

Two lanes, each with its own position, so that an artifact store that fails holds up no metric. What is sent again
after a kill is the same again: MLflow drops exact repeats of (key, timestamp, step, value).
"""

import json
import logging
import threading
import time
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

from iqa import disk, instants
from iqa.tracking import answering, store
from iqa.tracking.journal import Entry, Journal, JournalError
from iqa.tracking.sending import METRICS, PAIRS, Sender
from iqa.tracking.signals import stop_requested

LANES = {  # in this order: what fails in the second waits for nothing in the first
    "data": ("metrics", "params", "tags", "dataset", "resumed"),
    "files": ("artifact", "model", "candidate", "model_metrics"),
}
RHYTHM = 0.5  # seconds between looks at the journal
LONGEST_PAUSE = 30.0  # seconds between attempts at a store that fails
HEARTBEAT = 60.0  # seconds
SILENCE = 600  # seconds without a heartbeat after which a run counts as left behind by its process
NAME = "shipped.json"
STOPPED_PATIENCE = 4.0  # seconds at the end when asked to stop: ten are left until a cluster kills

logger = logging.getLogger("iqa")


class Position:
    """How far each lane has been shipped, which models the store has, and which end it knows."""

    def __init__(self, folder: Path, size: int):
        self.path = folder / NAME
        try:
            kept = json.loads(self.path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # none, or torn by a power failure: everything is sent again
            kept = {}
        self.lanes: dict[str, int] = {lane: min(kept.get(lane, 0), size) for lane in LANES}
        self.models: dict[str, str] = kept.get("models", {})
        self.ended: int = kept.get("ended", 0)
        if any(kept.get(lane, 0) > size for lane in LANES):  # a power failure took the journal's end: it grows again
            self.save()

    def reset(self) -> None:
        """Everything is to be sent again: to another run."""
        self.lanes, self.models, self.ended = dict.fromkeys(LANES, 0), {}, 0
        self.save()

    def save(self) -> None:
        """Whole or not at all."""
        with disk.whole(self.path) as out:
            json.dump(self.lanes | {"models": self.models, "ended": self.ended}, out)


class Shipper:
    """Ships a run's journal from a thread of its own; nothing here ever stops the run."""

    def __init__(self, journal: Journal, position: Position):
        self.journal, self.position = journal, position
        self.trouble = ""  # the last failure's sentence while the store fails
        self._beat, self._told = 0.0, 0  # of the last heartbeat: by the steady clock, and what it said
        self._leave = threading.Event()
        self._give_up = threading.Event()
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._work, name="shipping", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self, patience: float, longest: float) -> bool:
        """Ship the rest; whether all of it arrived.

        A store that fails is given `patience` seconds from now on, one that takes its time `longest` seconds; both
        have STOPPED_PATIENCE when somebody asks to stop.
        """
        began = time.monotonic()
        until = began + longest
        asked = False
        self._leave.set()
        self._hurry.set()
        while self._thread.is_alive() and time.monotonic() < until:
            self._thread.join(0.05)
            if self.trouble:
                until = min(until, began + patience)
            if stop_requested() and not asked:
                asked, until = True, min(until, time.monotonic() + STOPPED_PATIENCE)
        self._give_up.set()
        self._hurry.set()
        self._thread.join(1.0)  # longer only if a call hangs; what it still sends, a later sync repeats harmlessly
        return not self._thread.is_alive() and not self.trouble and pending(self.journal, self.position) == 0

    def left(self) -> int:
        """How many entries have not arrived."""
        return pending(self.journal, self.position)

    def _work(self) -> None:
        pause = RHYTHM
        while not self._give_up.is_set():
            leaving = self._leave.is_set()  # read first: what was written before it was set is shipped below
            self._hurry.clear()
            arrived = self._attempt()
            if leaving and arrived:
                return
            pause = RHYTHM if arrived else min(2 * pause, 1.0 if leaving else LONGEST_PAUSE)
            self._hurry.wait(pause)

    def _attempt(self) -> bool:
        troubles: tuple[type[Exception], ...] = (*store.troubles(), disk.CacheError, JournalError)
        try:
            if self.trouble:
                answering.probe(store.uri())
            self._heartbeat()
            ship(self.journal, self.position)
        except troubles as error:
            if not self.trouble:
                logger.warning("Sending to the tracking store fails; the run goes on, its journal keeps all: %s", error)
            self.trouble = str(error) or repr(error)
            return False
        if self.trouble:
            logger.warning("Sending to the tracking store works again.")
        self.trouble = ""
        return True

    def _heartbeat(self) -> None:
        if time.monotonic() - self._beat < HEARTBEAT and self._beat:
            return
        now, run = int(time.time()), self.journal.joined["run"]
        if self._told and not self.journal.status and abs(now - self._told) > SILENCE / 2:
            store.reopen(run, {})  # after so long an outage, or sleep, somebody may have taken this run for dead
        store.client().set_tag(run, "iqa.heartbeat", str(now))
        self._beat, self._told = time.monotonic(), now


def pending(journal: Journal, position: Position) -> int:
    """How many entries have not arrived in the store."""
    waiting = sum(entry["what"] in LANES[lane] for lane in LANES for entry, _ in journal.read(position.lanes[lane]))
    return waiting + (_unsent_end(journal, position) is not None)


def ship(journal: Journal, position: Position) -> None:
    """Send everything once, in order, the end last. Raises what the store raises."""
    safe = journal.size
    if safe > min(position.lanes.values()):
        journal.sync()  # after a power failure, what the store has would else be missing here and be written twice
    sender = Sender(journal.joined["run"], journal.joined["experiment"], journal.path.parent, position.models)
    for lane in LANES:
        _ship_lane(lane, journal, position, sender, safe)
    unsent = _unsent_end(journal, position)
    if unsent is not None and unsent[1] <= safe:
        end, after = unsent
        if end["status"] == "FINISHED":
            store.clear(sender.run)  # while it waited to be sent, another machine may have taken its process for dead
        instants.reached("before-finished")
        store.client().set_terminated(sender.run, end["status"], end_time=end["time"])
        position.ended = after
        position.save()


def _unsent_end(journal: Journal, position: Position) -> tuple[Entry, int] | None:
    """The last end and the position after it, if the run has ended and the store does not know it."""
    if not journal.status or position.ended >= journal.size:
        return None
    *_, (end, after) = ((entry, after) for entry, after in journal.read(0) if entry["what"] == "end")
    return (end, after) if position.ended < after else None


def _ship_lane(lane: str, journal: Journal, position: Position, sender: Sender, until: int) -> None:
    on_disk = takewhile(lambda read: read[1] <= until, journal.read(position.lanes[lane]))
    for batch, after in batches(on_disk, LANES[lane]):
        if batch:
            sender.send(batch)
            instants.reached("batch-sent")
        position.lanes[lane] = after
        position.save()


def batches(entries: Iterator[tuple[Entry, int]], wanted: tuple[str, ...]) -> Iterator[tuple[list[Entry], int]]:
    """Runs of entries of one kind that fit into one call, and the position after each; the last may be empty."""
    limits = {"metrics": METRICS, "params": PAIRS, "tags": PAIRS}
    batch: list[Entry] = []
    held = after = 0
    for entry, end in entries:
        if entry["what"] in wanted:
            weight = len(entry.get("values", ()))
            kind = batch[0]["what"] if batch else entry["what"]
            if batch and (kind != entry["what"] or held + weight > limits.get(kind, 0)):
                yield batch, after
                batch, held = [], 0
            batch, held = [*batch, entry], held + weight
        after = end
    if after:
        yield batch, after
