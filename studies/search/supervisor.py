"""The workers of one command, each in a process of its own: started, replaced when killed, stopped in the end."""

import multiprocessing
import signal
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from multiprocessing.process import BaseProcess
from typing import Self

from optuna.trial import FrozenTrial, TrialState

from iqa import machine, tracking

from .claims import Desk, latest
from .database import DatabaseAway, patiently
from .opening import opened
from .order import Order
from .worker import Say, Worker

LOOK = 1.0  # seconds between two looks at the workers
DEATHS = 5  # of each worker, one after the other while the study gets no further: then something kills them all

Launch = Callable[[int], BaseProcess]  # slot → a worker that has begun
Ended = Callable[[Callable[[], None]], int]  # does a process's work, says its errors as sentences; its exit code


class WorkersAway(ValueError):
    """Workers have left because the store or the database was away; exit code 75: the same command goes on."""

    exit_code = DatabaseAway.exit_code


class Workers:
    """`count` workers at once: each has its share of the cores, and a GPU of its own where there are several."""

    def __init__(self, count: int, launch: Launch, say: Say):
        machine.share_cores(count)
        self.launch, self.say, self.limit = launch, say, DEATHS * count
        self.slots, self.alive = range(count), dict[int, BaseProcess]()
        self.deaths, self.furthest = 0, -1
        self.codes = set[int]()  # with which workers have left

    def __enter__(self) -> Self:
        try:
            for slot in self.slots:
                self.alive[slot] = self.launch(slot)
        except BaseException:  # where the second cannot begin, the first would compute the whole study
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.alive.values():
            worker.terminate()
        for worker in self.alive.values():
            worker.join()

    def look(self, far: int) -> None:
        """See who has left, and put another worker in the place of one that was killed; far: how far the study is."""
        if far > self.furthest:
            self.deaths, self.furthest = 0, far
        for slot, worker in list(self.alive.items()):
            if worker.is_alive():
                continue
            del self.alive[slot]
            code = worker.exitcode or 0
            self.codes.add(code)
            self.deaths += code < 0
            if code < 0 and self.deaths <= self.limit:
                self.say(f"a worker was killed by {signal.Signals(-code).name}: another one starts")
                self.alive[slot] = self.launch(slot)


def supervise(desk: Desk, count: int, launch: Launch, say: Say, tick: Callable[[], None]) -> None:
    """Keep so many workers going until the study is done; they stop when this process does."""
    with Workers(count, launch, say) as workers:
        while workers.alive:
            tracking.stop_if_asked()
            tick()
            workers.look(distance(desk.trials()))
            time.sleep(LOOK)
    if desk.done():
        return
    if WorkersAway.exit_code in workers.codes:
        raise WorkersAway(
            "The workers have left since what stands above was away for too long: the same command goes on."
        )
    raise ValueError("The workers have left before the study was done; what they say of it stands above.")


def distance(trials: list[FrozenTrial]) -> int:
    """How far a study is: more with each report and each trial that ended with a value, never by a death."""
    ended = (TrialState.COMPLETE, TrialState.PRUNED)
    return sum(len(trial.intermediate_values) + (trial.state in ended) for trial in latest(trials))


def launcher(desk: Desk, parent: str, ended: Ended, say: Say) -> Launch:
    """What starts a worker of a study in a process of its own."""
    context = multiprocessing.get_context("spawn")
    work = partial(join, desk.order, desk.database.address, desk.database.grace, parent, say)

    def launch(slot: int) -> BaseProcess:
        process = context.Process(target=live, args=(slot, ended, work))
        process.start()
        return process

    return launch


def live(slot: int, ended: Ended, work: Callable[[], None]) -> None:
    """A worker's whole life."""
    machine.take_gpu(slot)
    raise SystemExit(ended(work))


def join(order: Order, address: str, grace: int, parent: str, say: Say) -> None:
    """Compute trials beside the command's other workers; store and database have answered to it, and are waited for."""
    tracking.leave_with_parent()
    tracking.expect_store()
    desk = patiently(lambda: opened(order, address, grace))
    with closing(desk.database):
        Worker(desk, parent, say, tick=lambda: None).work()
