"""Who works on a study: one process leads, and shows it in its parent run; every other one joins."""

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from iqa import experiment, tracking

from . import summary
from .claims import Desk
from .database import patiently
from .locks import Lock
from .opening import confirm, opened
from .order import Order
from .supervisor import Ended, launcher, supervise
from .worker import Say, Worker

LOOK = 1.0  # seconds between two looks for the parent run that another process opens
RUN, PUBLISHED = "run", "published"  # attributes of a study: its parent run; how many attempts that shows

Labour = Callable[[str, Callable[[], None]], None]  # computes trials below a parent run, and calls the other meanwhile


def run(order: Order, address: str, grace: int, workers: int, ended: Ended, say: Say) -> float:
    """Search until order.trials trials are over, going on where the study of this name stopped, beside whoever else
    works on it; returns the best validation value.

    grace: seconds of silence after which a worker counts as dead. ended: see Ended. Raises ValueError for bad input,
    before anything is written.
    """
    order.check()
    desk = opened(order, address, grace)
    lead = desk.database.lock(f"lead {order.study}")
    computed = partial(labour, desk, workers, ended, say)
    try:
        if not led(desk, lead, computed, say):
            join(desk, computed, say)
            if not published(desk) and patiently(lead.take):  # who led is gone
                direct(desk, lead, computed, say)
        return told(desk, say)
    finally:
        lead.leave()
        desk.database.close()


def led(desk: Desk, lead: Lock, computed: Labour, say: Say) -> bool:
    """Lead the study to its end if nobody else does; False as soon as there is another one's parent run to join."""
    waits = False
    while not (patiently(lead.take) and direct(desk, lead, computed, say)):
        if begun(desk):
            return False
        if not waits:
            say(f"waiting for the process that leads the study {desk.order.study} to open its run")
        waits = True
        tracking.stop_if_asked()
        time.sleep(LOOK)
    return True


def direct(desk: Desk, lead: Lock, computed: Labour, say: Say) -> bool:
    """Open the parent run, or the one of who led before, have the trials computed, and show the study there.

    False, and the lead given back, if another process has that run: an outage of the database took the lead from it.
    """
    confirm(desk)
    with ExitStack() as stack:
        try:
            parent = stack.enter_context(parent_run(desk))
        except tracking.Busy as held:
            lead.leave()
            say(f"the study is shown by the process that leads it: {held}")
            return False
        patiently(lambda: desk.study.set_user_attr(RUN, parent.run_id))
        computed(parent.run_id, partial(show, desk, lead, parent))
        for row in left_behind(parent, desk.order.study):
            tracking.abandon(row.run_id, "Its worker is gone; another one went on with the trial.")
        shown = experiment.REPORTS / f"study-{desk.order.study}"
        summary.publish(parent, desk, shown)
        say(f"plots and table: {shown}, and in the run {tracking.url(parent.run_id)}")
    patiently(lambda: desk.study.set_user_attr(PUBLISHED, len(desk.trials())))
    return True


def parent_run(desk: Desk) -> tracking.Run:
    """The study's run, to be opened. Raises Busy if another process has it."""
    order, declared = desk.order, desk.order.declared()
    name, folder = f"study {order.study}", parent_folder(desk)
    known = patiently(lambda: desk.study.user_attrs).get(RUN, "")
    if known:
        tracking.adopt(folder, known, "study", name)
    tags = {"stage": "study", "study": order.study, "preset": order.preset, "iqa.command": order.command}
    if order.arm:
        tags["arm"] = order.arm
    params = declared["settings"] | {f"space.{one}": text for one, text in declared["space"].items()}
    params |= {"sampler": order.sampler, "pruner": order.pruner}
    return tracking.open_run("study", folder, name=name, params=params, tags=tags, reopen=True)


def parent_folder(desk: Desk) -> Path:
    """Where the parent run's journal lies: a study that was begun anew with another meaning has another."""
    meaning = hashlib.sha256(json.dumps(desk.order.declared(), sort_keys=True).encode()).hexdigest()[:8]
    return desk.folder() / f"parent-{meaning}"


def show(desk: Desk, lead: Lock, parent: tracking.Run) -> None:
    """The study as it is now, in its parent run; the lead is taken again where an outage of the database ended it."""
    patiently(lead.keep)
    summary.progress(parent, desk.trials())


def left_behind(parent: tracking.Run, study: str) -> list[tracking.RunRow]:
    """The runs below a finished study's that show as running although every trial is over.

    A step that an experiment goes on with has that one's tag, and is its own.
    """
    running = tracking.rows(status="RUNNING", tags={"study": study})
    return [row for row in running if row.parent == parent.run_id and "experiment" not in row.tags]


def join(desk: Desk, computed: Labour, say: Say) -> None:
    """Compute trials for a study that another process leads."""
    parent = patiently(lambda: desk.study.user_attrs)[RUN]
    tracking.stand_in(parent, "study", f"study {desk.order.study} (joined)")
    say(f"joining the study {desk.order.study}, run {parent}")
    computed(parent, lambda: None)


def begun(desk: Desk) -> bool:
    """Whether the study's parent run is open. Raises ValueError if the study is another one now."""
    confirm(desk)
    return RUN in patiently(lambda: desk.study.user_attrs)


def labour(desk: Desk, workers: int, ended: Ended, say: Say, parent: str, tick: Callable[[], None]) -> None:
    """Compute the trials here, in this process or in several."""
    if workers == 1 or desk.done():
        Worker(desk, parent, say, tick).work()
    else:
        supervise(desk, workers, launcher(desk, parent, ended, say), say, tick)


def published(desk: Desk) -> bool:
    """Whether the parent run shows every attempt already."""
    return patiently(lambda: desk.study.user_attrs).get(PUBLISHED) == len(desk.trials())


def told(desk: Desk, say: Say) -> float:
    """Say what came out of it."""
    number = summary.counts(desk.last())
    kinds = ", ".join(f"{count} {name}" for name, count in number.items() if count)
    if not number["complete"]:
        raise ValueError(f"No trial of the study {desk.order.study} was completed ({kinds}).")
    best = desk.study.best_trial
    say(f"best of {sum(number.values())} trials ({kinds}): validation SRCC {best.value:.4f} with {best.params}")
    return best.value
