"""Who computes the cells: this process, one after the other, or several processes side by side."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

from iqa import instants, machine, tracking
from iqa.experiment import cells
from iqa.experiment.cells import Cell, Result, Show
from iqa.stages import training

FAULTS = (ValueError, RuntimeError, OSError)  # what one cell may fail with and leave the others to go on
LOOK = 1.0  # seconds between two looks at whether to stop
PRELOADED = [  # what a cell imports, also late: otherwise each process would spend some seconds on it
    *("iqa.experiment", "iqa.stages.pretrain", "iqa.stages.finetune", "iqa.stages.evaluate"),
    *("timm", "mlflow", "mlflow.store.tracking.sqlalchemy_store", "scipy.optimize", "scipy.stats", "matplotlib.pyplot"),
]

Ended = Callable[[Cell, "Result | str"], None]  # a cell's result, or why it failed


class Hands(Protocol):
    """Begins cells, and says what became of each; a context that leaves nothing running behind."""

    def free(self) -> bool: ...

    def works_at(self, cell: Cell) -> bool: ...

    def begin(self, cell: Cell) -> None: ...

    def wait(self) -> None: ...


class Alone:
    """One cell after the other, in this process."""

    def __init__(self, parent: str | None, show: Show, ended: Ended):
        self.parent, self.show, self.ended = parent, show, ended

    def free(self) -> bool:
        return True

    def works_at(self, cell: Cell) -> bool:
        return False

    def begin(self, cell: Cell) -> None:
        tracking.stop_if_asked()
        kind, what = _tried(cell, self.parent, self.show)
        self.ended(cell, what)
        if kind == "done":
            instants.reached("between-stages")

    def wait(self) -> None:
        tracking.stop_if_asked()


@dataclass(frozen=True)
class Work:
    """A cell in a process of its own, which answers at its end; slot: its share of the machine."""

    cell: Cell
    process: BaseProcess
    answer: Connection
    slot: int


class Team:
    """`count` cells at once: each process has its share of the cores, and a GPU of its own where there are several.

    ready: called first in each process, with everything that a command does before its work. A process that is killed
    costs its cell alone; leaving the context stops those that still work, after a checkpoint.
    """

    def __init__(self, count: int, parent: str | None, show: Show, ended: Ended, ready: Callable[[], None]):
        self.parent, self.show, self.ended, self.ready = parent, show, ended, ready
        self.slots, self.working = set(range(count)), list[Work]()
        machine.share_cores(count)
        self.context = multiprocessing.get_context("forkserver")  # forks from a process that has imported everything
        self.context.set_forkserver_preload(PRELOADED)

    def __enter__(self) -> "Team":
        return self

    def __exit__(self, *_: object) -> None:
        for work in self.working:
            work.process.terminate()
        for work in self.working:
            work.process.join()

    def free(self) -> bool:
        return bool(self.slots)

    def works_at(self, cell: Cell) -> bool:
        return any(work.cell.key == cell.key for work in self.working)

    def begin(self, cell: Cell) -> None:
        tracking.stop_if_asked()
        slot = min(self.slots)
        answer, told = self.context.Pipe(duplex=False)
        words = (cell, self.parent, self.show, slot, self.ready, dict(os.environ), frozenset(training.TOLD), told)
        process = self.context.Process(target=_life, args=words, name=cell.title)
        process.start()
        told.close()
        self.slots.discard(slot)
        self.working.append(Work(cell, process, answer, slot))

    def wait(self) -> None:
        """Until one has ended, or for a moment; raises Stopped or StillAway if one of them, or this one, has to end."""
        tracking.stop_if_asked()
        if not self.working:
            return
        wait([work.answer for work in self.working], timeout=LOOK)
        for work in [work for work in self.working if work.answer.poll()]:
            self._over(work)

    def _over(self, work: Work) -> None:
        try:
            kind, what = work.answer.recv()
        except EOFError:  # it is gone without a word
            kind, what = "died", None
        work.process.join()
        self.working.remove(work)
        self.slots.add(work.slot)
        if kind == "stopped":
            raise tracking.Stopped(*what)
        if kind == "away":
            raise tracking.StillAway(what)
        self.ended(work.cell, _epitaph(work) if kind == "died" else what)
        instants.reached("between-stages")


def _life(
    cell: Cell,
    parent: str | None,
    show: Show,
    slot: int,
    ready: Callable[[], None],
    environment: dict[str, str],
    told: frozenset[str],
    answer: Connection,
) -> None:
    """A process from its beginning to its answer; it was forked from one that may be older than its environment."""
    os.environ.clear()
    os.environ.update(environment)
    ready()
    tracking.leave_with_parent()
    training.TOLD.update(told)
    machine.take_gpu(slot)
    tracking.expect_store()  # it has answered to the experiment
    said: tuple[str, Any]
    try:
        said = _tried(cell, parent, show)
    except tracking.Stopped as stop:
        said = ("stopped", (stop.signal, str(stop)))
    except tracking.StillAway as away:
        said = ("away", str(away))
    with suppress(BrokenPipeError):  # all were asked to stop at once, and the experiment was faster: nobody listens
        answer.send(said)


def _tried(cell: Cell, parent: str | None, show: Show) -> tuple[str, Result | str]:
    """("done", its result) or ("failed", why). Raises StillAway: without its store the experiment cannot go on."""
    try:
        return "done", _computed(cell, parent, show)
    except tracking.StillAway:
        raise
    except FAULTS as error:
        return "failed", str(error)
    except tracking.troubles() as error:  # asked for last, since it brings in MLflow
        return "failed", str(error)


def _computed(cell: Cell, parent: str | None, show: Show) -> Result:
    """Compute a cell, and see to it that the store has all of it: the next one reads it there."""
    try:
        return cells.compute(cell, parent=parent, show=show)
    except tracking.Unshipped as late:
        tracking.sync_patiently(late.folder)
        return Result(tracking.Journal(late.folder).run_id, reused=False)


def _epitaph(work: Work) -> str:
    """Why a process is gone that said nothing; its run is ended for it."""
    code = work.process.exitcode or 0
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    remedy = f"{cells.smaller(work.cell.config)} at_once=1 leaves all of it to one cell."
    reason = f"its process {how}. If the memory ran out: {remedy}"
    tried = cells.attempts(work.cell)
    if tried and not tracking.is_finished(tried[0]):
        tracking.abandon(tracking.Journal(tried[0]).run_id, reason, "FAILED")
    return reason
