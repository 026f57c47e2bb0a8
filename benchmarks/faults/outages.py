"""The tracking store away: for a while, at the start, at the end; its database, its artifacts alone."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks import postgres
from benchmarks.faults import warm
from benchmarks.faults.attempt import passing
from benchmarks.faults.home import Home
from benchmarks.faults.objects import BUCKET, Objects
from benchmarks.faults.place import PATIENCE, Place
from benchmarks.faults.row import Outcome, Untried
from benchmarks.faults.servers import Proxy, Tracking
from entrypoints.command import BAD_INPUT, TRY_AGAIN
from iqa.tracking import journal, shipping

SLOWER = 1.05  # times as long as undisturbed, at most
COMING_BACK = 15.0  # seconds for a server to start
LONG = 30.0  # seconds from which on that can be measured
SOON = 10.0  # seconds in which a start without a server ends
AWAY = ("server on SQLite", "server on PostgreSQL", "database", "artifact store")
S3 = "S3 server"
OF_ARTIFACTS = ("artifact store", S3)
Switch = tuple[Callable[[], None], Callable[[], None]]  # makes a store go away, makes it come back


def away(home: Home, name: str, stage: str, what: str, seconds: float, without: str = "") -> Outcome:
    """Away for so many seconds when something is due; the run ends well, and everything is there once."""
    if what in ("server on PostgreSQL", "database") and not postgres.installed():
        raise Untried("no PostgreSQL is installed")
    begins, lane = ("amid-joining", "files") if what in OF_ARTIFACTS else ("amid-validation", "data")
    with Place(home, name, without) as place, _store(place, what) as (leave, come_back):
        pace = (seconds + COMING_BACK) / (home.steps(stage) - 3)
        child = place.start(stage, pace=pace)
        if not warm.until(passing(place.folder, begins), PATIENCE):
            return f"it did not begin: {place.said()}", ""
        leave()
        time.sleep(seconds)
        met = due(place.run_folder(), lane)
        come_back()
        if child.poll() is not None:
            raise RuntimeError("The run was over before the outage was: the server took too long to come back.")
        if code := child.wait(PATIENCE):
            return f"exit code {code}: {place.said()}", ""
        ratio = _slowness(place, stage, pace)
        slow = f"it took {ratio:.2f} times as long" if seconds >= LONG and ratio > SLOWER else ""
        unmet = "" if met or without else "nothing was due in all the time"
        return slow or unmet or place.wrong(stage), f"{ratio:.2f} times as long"


def due(run: Path, lane: str) -> bool:
    """Whether a living run's journal has something that its store has not; `Journal` itself would mend its end."""
    position = run / shipping.NAME
    sent = json.loads(position.read_text(encoding="utf-8"))[lane] if position.is_file() else 0
    whole, _, _ = (run / journal.NAME).read_bytes()[sent:].rpartition(b"\n")
    return any(json.loads(line)["what"] in shipping.LANES[lane] for line in whole.splitlines())


@contextmanager
def _store(place: Place, what: str) -> Iterator[Switch]:
    """A store that the place uses, and what makes it go away and come back."""
    if what in ("server on PostgreSQL", "database"):
        with postgres.Server() as database, Tracking(place.folder, place.environment(), database.address) as server:
            place.address = server.address
            yield (server.kill, server.start) if what != "database" else (database.stop, database.start)
    elif what == "server on SQLite":
        with Tracking(place.folder, place.environment()) as server:
            place.address = server.address
            yield server.kill, server.start
    elif what == S3:
        with Objects(place.folder) as objects:
            environment = place.environment() | objects.login()
            with Tracking(place.folder, environment, artifacts=BUCKET) as server:
                place.address = server.address
                yield objects.kill, objects.start
    else:
        with Tracking(place.folder, place.environment()) as server, Proxy(place, server.port) as proxy:
            place.address = proxy.address
            yield partial(proxy.refuse, True), partial(proxy.refuse, False)


def _slowness(place: Place, stage: str, pace: float) -> float:
    """How long the steps took, as a share of what they take undisturbed at this pace."""
    took = [note.time for note in place.notes() if note.name == "after-step"]
    alone = [when for name, when in place.home.oracle(stage)["passed"] if name == "after-step"]
    return (took[-1] - took[0]) / (alone[-1] - alone[0] + pace * (len(alone) - 1))


def between(home: Home, name: str, cells: int, seconds: float) -> Outcome:
    """Killed when so many cells of an experiment are done: it waits, and goes on."""
    with Place(home, name) as place, Tracking(place.folder, place.environment()) as server:
        place.address = server.address
        child = place.start("main")
        if not warm.until(passing(place.folder, "between-stages", cells), PATIENCE):
            return f"it did not begin: {place.said()}", ""
        server.kill()
        time.sleep(seconds)
        server.start()
        if code := child.wait(PATIENCE):
            return f"exit code {code}: {place.said()}", ""
        return place.wrong("main"), ""


def at_start(home: Home, name: str, stage: str) -> Outcome:
    """Nothing answers: an error soon."""
    with Place(home, name) as place:
        place.address = f"http://127.0.0.1:{postgres.free_port()}"
        child = place.start(stage)
        code = child.wait(60)
        fine = code == BAD_INPUT and child.seconds <= SOON and "does not answer" in place.said()
        return "" if fine else f"exit code {code} after {child.seconds:.1f} s: {place.said()}", f"{child.seconds:.1f} s"


def offline(home: Home, name: str, stage: str) -> Outcome:
    """Asked to, it goes on without any store; `sync` makes the store whole."""
    with Place(home, name) as place:
        place.address = f"http://127.0.0.1:{postgres.free_port()}"
        if code := place.start(stage, "--offline=true").wait(PATIENCE):
            return f"offline it ended with {code}: {place.said()}", ""
        place.address = ""
        return synced(place, stage), ""


def at_end(home: Home, name: str, stage: str, without: str = "") -> Outcome:
    """The server dies while the last artifacts are made: exit code 75, and `sync` finishes it."""
    with Place(home, name, without) as place, Tracking(place.folder, place.environment()) as server:
        place.address = server.address
        child = place.start(stage)
        warm.until(passing(place.folder, "best-metric"), PATIENCE)
        server.kill()
        code = child.wait(PATIENCE)
        if code != TRY_AGAIN:
            return f"exit code {code} instead of {TRY_AGAIN}: {place.said()}", ""
        server.start()
        return synced(place, stage), ""


def synced(place: Place, stage: str) -> str:
    """What is wrong after the command `sync`."""
    code = place.sync()
    return f"sync ended with {code}: {place.said()}" if code else place.wrong(stage)
