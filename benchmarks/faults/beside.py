"""Cells side by side: the experiment that has them computed killed, and one cell's process, as for memory."""

import os
import random
import signal
import time

from benchmarks.faults import warm
from benchmarks.faults.attempt import counted
from benchmarks.faults.home import Home
from benchmarks.faults.kills import left, resumed
from benchmarks.faults.place import BESIDE, PATIENCE, Place
from benchmarks.faults.row import Outcome
from iqa import tracking

PACE = 1.0  # seconds that a cell rests after a step: it would not end by itself in the time that it has to leave
SPAN = 6.0  # seconds from the first step on in which the experiment is killed
FAILED = 1  # exit code of an experiment of which a cell failed


def experiment_killed(home: Home, name: str, seed: int, span: float = SPAN, without: str = "") -> Outcome:
    """Killed while its cells are computed: they leave by themselves, and the same command goes on with them."""
    draw = random.Random(f"{seed} {name}")
    with Place(home, name, without) as place:
        child = place.start(BESIDE, pace=PACE)
        if not begun(place):
            return f"it did not begin: {place.said()}", ""
        time.sleep(draw.uniform(0, span))
        if child.wait(0) != -signal.SIGKILL:
            return f"it ended with {child.code} before it was killed: {place.said()}", ""
        orphans = left(child)
        return (orphans, "") if orphans else resumed(place, BESIDE, kills=2)  # of two cells


def cell_killed(home: Home, name: str, without: str = "") -> Outcome:
    """One cell's process is killed, as a kernel that has no memory left does: it alone fails, and says what to do."""
    with Place(home, name, without) as place:
        child = place.start(BESIDE, pace=PACE)
        if not begun(place):
            return f"it did not begin: {place.said()}", ""
        os.kill(next(note.pid for note in place.notes() if note.name == "after-step"), signal.SIGKILL)
        code = child.wait(PATIENCE)
        wrong = [f"exit code {code}"] if code != FAILED else []
        wrong += [orphans] if (orphans := left(child)) else []
        failed = place.ask(_failed)
        told = len(failed) == 1 and all(part in failed[0] for part in ("killed by SIGKILL", "batch_size is 6"))
        wrong += [] if told else [f"the failed cells say {failed}"]
        return (f"{'; '.join(wrong)}: {place.said()}", "") if wrong else resumed(place, BESIDE, kills=1)


def begun(place: Place) -> bool:
    """Whether a cell has done a step in time."""
    return warm.until(lambda: counted(place.folder, "after-step") > 0, PATIENCE)


def _failed() -> list[str]:
    """The reasons of all cells that failed."""
    return [row.tags.get("iqa.reason", "") for row in tracking.rows(status="FAILED") if "cell" in row.tags]
