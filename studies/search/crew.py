"""Who works on a study: one process leads, and shows it in its parent run; every other one joins."""

import hashlib
import json
import multiprocessing
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

from iqa import experiment, machine, tracking

from . import summary
from .claims import Desk
from .database import patiently
from .opening import confirm, opened
from .order import Order
from .worker import Say, Worker

LOOK = 1.0  # seconds between two looks: at the workers, or for the parent run that another process opens
DEATHS = 5  # of each worker, one after the other without a finished trial: then something kills them all
RUN, PUBLISHED = "run", "published"  # attributes of a study: its parent run; how many attempts that shows

Launch = Callable[[], BaseProcess]


def run(order: Order, address: str, grace: int, workers: int, launch: Launch, say: Say) -> float:
    """Search until order.trials trials are over, going on where the study of this name stopped, beside whoever else
    works on it; returns the best validation value.

    grace: seconds of silence after which a worker counts as dead. launch: starts one more worker, the same command in
    a process of its own. Raises ValueError for bad input, before anything is written.
    """
    order.check()
    tracking.leave_with_parent()
    desk = opened(order, address, grace)
    lead = desk.database.lock(f"lead {order.study}")
    leading = patiently(lead.take)
    try:
        if leading:
            direct(desk, workers, launch, say)
        else:
            join(desk, workers, launch, say)
            if multiprocessing.parent_process() is None and not published(desk) and patiently(lead.take):
                leading = True
                inherit(desk, launch, say)
        return told(desk, say)
    finally:
        if leading:
            lead.leave()
        desk.database.close()


def direct(desk: Desk, workers: int, launch: Launch, say: Say) -> None:
    """Open the parent run, or the one of who led before, have the trials computed, and show the study there."""
    order, study = desk.order, desk.study
    confirm(desk)
    name, declared = f"study {order.study}", order.declared()
    folder = desk.folder() / parent_folder(declared)
    known = study.user_attrs.get(RUN, "")
    if known:
        tracking.adopt(folder, known, "study", name)
    tags = {"stage": "study", "study": order.study, "preset": order.preset, "iqa.command": order.command}
    if order.arm:
        tags["arm"] = order.arm
    params = declared["settings"] | {f"space.{one}": text for one, text in declared["space"].items()}
    params |= {"sampler": order.sampler, "pruner": order.pruner}
    with tracking.open_run("study", folder, name=name, params=params, tags=tags, reopen=True) as parent:
        patiently(lambda: study.set_user_attr(RUN, parent.run_id))
        labour(desk, parent.run_id, workers, launch, say, lambda: summary.progress(parent, desk.trials()))
        for row in tracking.rows(status="RUNNING", tags={"study": order.study}):
            if row.run_id != parent.run_id:
                tracking.abandon(row.run_id, "Its worker is gone; another one went on with the trial.")
        shown = experiment.REPORTS / f"study-{order.study}"
        summary.publish(parent, desk, shown)
        say(f"plots and table: {shown}, and in the run {tracking.url(parent.run_id)}")
    patiently(lambda: study.set_user_attr(PUBLISHED, len(desk.trials())))


def parent_folder(declared: dict[str, Any]) -> str:
    """Where the parent run's journal lies: a study that was begun anew with another meaning has another."""
    meaning = hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()[:8]
    return f"parent-{meaning}"


def inherit(desk: Desk, launch: Launch, say: Say) -> None:
    """Show a study whose leader is gone; a leader that lost its lock in an outage is not, and does it itself."""
    try:
        direct(desk, 1, launch, say)
    except tracking.Busy as held:
        say(f"the study is shown by the process that leads it: {held}")


def join(desk: Desk, workers: int, launch: Launch, say: Say) -> None:
    """Compute trials for a study that another process leads."""
    while not begun(desk):
        tracking.stop_if_asked()
        time.sleep(LOOK)
    parent = desk.study.user_attrs[RUN]
    tracking.stand_in(parent, "study", f"study {desk.order.study} (joined)")
    say(f"joining the study {desk.order.study}, run {parent}")
    labour(desk, parent, workers, launch, say, lambda: None)


def begun(desk: Desk) -> bool:
    """Whether the study's parent run is open. Raises ValueError if the study is another one now."""
    confirm(desk)
    return RUN in patiently(lambda: desk.study.user_attrs)


def labour(desk: Desk, parent: str, workers: int, launch: Launch, say: Say, tick: Callable[[], None]) -> None:
    """Compute the trials here, in this process or in several."""
    if workers == 1:
        Worker(desk, parent, say, tick).work()
    else:
        supervise(desk, workers, launch, say, tick)


def supervise(desk: Desk, workers: int, launch: Launch, say: Say, tick: Callable[[], None]) -> None:
    """Keep so many workers going until the study is done; they stop when this process does."""
    machine.share_cores(workers)
    team = [launch() for _ in range(workers)]
    deaths, over = 0, -1
    try:
        while team:
            tracking.stop_if_asked()
            tick()
            finished = sum(trial.state.is_finished() for trial in desk.trials())
            deaths, over = (0, finished) if finished > over else (deaths, over)
            gone = [one for one in team if not one.is_alive()]
            team = [one for one in team if one not in gone]
            for ending in [one.exitcode or 0 for one in gone if (one.exitcode or 0) < 0]:
                deaths += 1
                if deaths <= DEATHS * workers:
                    say(f"a worker was killed by {signal.Signals(-ending).name}: another one starts")
                    team.append(launch())
            time.sleep(LOOK)
    finally:
        for member in team:
            member.terminate()
        for member in team:
            member.join()
    if not desk.done():
        raise ValueError("The workers have left before the study was done; what they say of it stands above.")


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
